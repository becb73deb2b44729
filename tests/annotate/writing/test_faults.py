import json

import pytest

from spacy_llm_tasks.annotate.reading.rows import BadRow, Row
from spacy_llm_tasks.annotate.writing.faults import (
    MAX_MESSAGE,
    Fault,
    without_content,
    write_faults,
)

TEXT = "The patient Ada Marsh of 4 Mill Lane was seen on Tuesday. She is well."


def test_lines_of_errors():
    row = Row("d1", TEXT, {}, None, False, "in/a.jsonl", 12)
    fault = Fault.of_exception(row, "tagger", KeyError("x"))
    assert fault.to_dict() == {
        "id": "d1",
        "file": "in/a.jsonl",
        "number": 12,
        "component": "tagger",
        "error": "KeyError",
        "message": "'x'",
    }
    bad = Fault.of_bad_row(BadRow("a:3", "a", 3, "no JSON"))
    assert (bad.component, bad.error, bad.message) == ("reader", "unreadable", "no JSON")


@pytest.mark.parametrize(
    "message, expected",
    [
        ("no such key: 17", "no such key: 17"),
        (f"cannot parse {TEXT!r}, sorry", "cannot parse '...', sorry"),
        ("at 'Ada Marsh of 4 Mill Lane': bad", "at '...': bad"),
        ("Tuesday is no number", "Tuesday is no number"),  # a word alone tells nothing
    ],
)
def test_messages_quote_nothing_of_a_document(message, expected):
    assert without_content(message, TEXT) == expected


def test_short_documents_are_hidden_as_a_whole():
    assert without_content("cannot parse 'Ada M.'", " Ada M.\n") == "cannot parse '...'"
    assert without_content("it is a message", "a") == "it is a message"
    assert without_content("anything", "") == "anything"


def test_messages_are_cut():
    assert len(without_content("m" * 5000, TEXT)) == MAX_MESSAGE


def test_errors_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "errors.jsonl"
    write_faults(path, [{"id": "é"}, {"id": "b"}])
    assert [json.loads(line)["id"] for line in path.read_text("utf8").splitlines()] == ["é", "b"]

    def broken():
        yield {"id": "c"}
        raise OSError("disk")

    before = path.read_bytes()
    with pytest.raises(OSError):
        write_faults(path, broken())
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
