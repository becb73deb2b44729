import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotate.reading.rows import BadRow
from spacy_llm_tasks.annotate.writing.doc_names import name_doc

from ..files import bad, read, starts_anywhere, texts, write


@pytest.fixture
def docs():
    nlp = spacy.blank("en")
    docs = [nlp(text) for text in ("Ada met Bob.", "", "a\x00b \U0001f99c")]
    docs[0].ents = [docs[0].char_span(0, 3, label="PER")]
    annotations.set_questions(docs[0], [("q1", "Who?", [("Ada", 0)])])
    annotations.set_pair(docs[0], ("Bob met Ada.", 0.5, ["No."]))
    name_doc(docs[1], "empty", {"year": 3})
    return docs


@pytest.fixture
def file(tmp_path, docs):
    return write(tmp_path, "a.spacy", DocBin(docs=docs, store_user_data=True).to_bytes())


def test_docs_come_with_their_annotations(file):
    rows = read(file)
    assert texts(rows) == ["Ada met Bob.", "", "a\x00b \U0001f99c"]
    assert [row.id for row in rows] == ["a.spacy:1", "empty", "a.spacy:3"]
    assert rows[1].columns == {"year": 3}
    assert rows[0].columns == {
        "questions": [{"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "start": 0}]}],
        "pair": {"text": "Bob met Ada.", "score": 0.5, "negatives": ["No."]},
    }
    doc = Doc(spacy.blank("en").vocab).from_bytes(rows[0].doc)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ada", "PER")]
    assert doc.text == rows[0].text and annotations.has_questions(doc)
    assert starts_anywhere(file)


def test_torn_and_foreign_files(tmp_path, file):
    data = (tmp_path / "a.spacy").read_bytes()
    for content in (data[: len(data) // 2], data[:-1], b"text", b"\x00" * 100):
        ((number, reason),) = bad(read(write(tmp_path, "b.spacy", content)))
        assert number == 0 and "no whole .spacy file" in reason
    torn = write(tmp_path, "c.spacy", data[:-5])
    assert starts_anywhere(torn)
    assert bad(read(write(tmp_path, "d.spacy", b""))) == [(0, "the file is empty")]
    assert read(write(tmp_path, "e.spacy", DocBin().to_bytes())) == []


def test_one_doc_that_cannot_be_read_does_not_take_the_others_along(tmp_path, docs):
    box = DocBin(docs=docs, store_user_data=True)
    box.user_data[1] = b"\xc1"
    rows = read(write(tmp_path, "a.spacy", box.to_bytes()))
    assert [isinstance(row, BadRow) for row in rows] == [False, True, False]
    assert rows[1].number == 2 and "the doc cannot be read" in rows[1].reason


def test_the_limit_of_characters_and_a_file_that_is_gone(tmp_path, file):
    assert bad(read(file, max_chars=10))[0][0] == 1
    (tmp_path / "a.spacy").unlink()
    with pytest.raises(ValueError, match=r"E802.*a\.spacy"):
        read(file)
