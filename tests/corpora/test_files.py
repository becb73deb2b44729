import pytest
import spacy

from spacy_llm_tasks.corpora.files import read_docs, replacing, write_docs


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError):
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_broken_and_missing_docs_are_named(tmp_path):
    vocab = spacy.blank("en").vocab
    with pytest.raises(ValueError, match="E310.*none.spacy"):
        list(read_docs(tmp_path / "none.spacy", vocab))
    path = tmp_path / "x.spacy"
    write_docs(path, [spacy.blank("en")("One two.")])
    whole = path.read_bytes()
    for broken in (b"", b"not a docbin", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="E321.*x.spacy"):
            list(read_docs(path, vocab))
