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
        ("no such key: 4", "no such key: ..."),
        (f"cannot parse {TEXT!r}, sorry", "cannot parse '...', sorry"),
        (f"cannot parse {TEXT.upper()}, sorry", "cannot parse ... OF ... ON ... IS ...., sorry"),
        ("at 'Ada-Marsh\\tof': bad", "at '...': bad"),
        ("bad token 'Tuesday'", "bad token '...'"),
        ('no "label" of that name', 'no "label" of that name'),
        ("cut off in 'Mill La", "cut off in '..."),
        ("it can't be: Tuesday isn't one", "it can't be: ... isn't one"),
        ("since 1911-02-03", "since ...-02-..."),
        ("at Marsh", "at ..."),
    ],
)
def test_messages_tell_nothing_of_a_document(message, expected):
    row = Row("d1", TEXT, {"born": ["1911", {"x": "03"}]})
    assert without_content(message, row) == expected


def test_short_documents():
    assert without_content("cannot parse 'Ada M.'", Row("d", " Ada M.\n")) == "cannot parse '...'"
    assert without_content("it is a message", Row("d", "a")) == "it is a message"
    assert without_content("anything", Row("d", "")) == "anything"


def test_messages_are_cut():
    assert len(without_content("m " * 5000, Row("d", TEXT))) == MAX_MESSAGE


def test_messages_say_where_in_the_code():
    try:
        raise ValueError("half \ud800 of a pair in Tuesday")
    except ValueError as error:
        message = Fault.of_exception(Row("d1", TEXT), "tagger", error).message
    assert message.startswith("half \\ud800 of a pair in ... (test_faults.py:")
    message.encode("utf8")


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
