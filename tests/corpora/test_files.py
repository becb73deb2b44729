import os

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


@pytest.mark.skipif(os.name == "nt", reason="no rights of this kind")
@pytest.mark.parametrize("mask, rights", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_new_file_gets_the_usual_rights(tmp_path, mask, rights):
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "x.txt") as temporary:
            temporary.write_text("new")
        (tmp_path / "usual").write_text("")
        assert os.umask(mask) == mask  # looking at it has not changed it
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == rights


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
