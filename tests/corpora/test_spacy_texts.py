import pytest
import spacy

from spacy_llm_tasks.corpora.files import write_docs
from spacy_llm_tasks.corpora.spacy_texts import spacy_texts
from spacy_llm_tasks.pretraining.texts.sources import read_texts


def test_texts_in_order(tmp_path):
    nlp = spacy.blank("en")
    texts = ["One fine  day.", "", "Über\nalles"]
    write_docs(tmp_path / "a.spacy", [nlp.make_doc(text) for text in texts])
    assert list(spacy_texts(tmp_path / "a.spacy")) == texts
    (tmp_path / "b.txt").write_text("last")
    found = read_texts([tmp_path], readers={".spacy": spacy_texts})
    assert list(found) == ["One fine  day.", "Über\nalles", "last"]


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.spacy").write_bytes(b"text")
    with pytest.raises(ValueError, match="E321"):
        list(spacy_texts(tmp_path / "a.spacy"))
