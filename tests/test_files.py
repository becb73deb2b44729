import pytest

from spacy_llm_tasks.files import require_replaceable, require_writable


def test_only_folders_of_the_same_kind_are_replaced(tmp_path):
    require_replaceable(tmp_path / "none", "meta.json")
    require_replaceable(tmp_path, "meta.json")
    (tmp_path / "thesis.txt").write_text("mine")
    for path, found in ((tmp_path, "thesis.txt"), (tmp_path / "thesis.txt", "a file")):
        with pytest.raises(ValueError, match=f"E530.*{found}"):
            require_replaceable(path, "meta.json")
    (tmp_path / "meta.json").write_text("{}")
    require_replaceable(tmp_path, "meta.json")


def test_files_that_cannot_be_written_are_told_early(tmp_path):
    (tmp_path / "file").write_text("mine")
    require_writable(None, tmp_path / "new" / "deep" / "x.json", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for path in (tmp_path, tmp_path / "file" / "x.json", tmp_path / "file" / "deep" / "x.json"):
        with pytest.raises(ValueError, match="E531"):
            require_writable(path)
