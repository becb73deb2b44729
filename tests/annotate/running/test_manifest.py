import json

import pytest

from spacy_llm_tasks.annotate.reading.input_files import InputFile
from spacy_llm_tasks.annotate.running.manifest import (
    describe,
    read_manifest,
    require_same,
    write_manifest,
)


@pytest.fixture
def made_of(tmp_path):
    """A function that describes a run, of two input files and a pipeline of two files."""
    pipeline = tmp_path / "nlp"
    (pipeline / "ner").mkdir(parents=True)
    (pipeline / "config.cfg").write_text("[nlp]")
    (pipeline / "ner" / "model").write_bytes(b"\1\2")
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)

    def make(names=("a", "b"), **settings):
        files = [InputFile(f"in/{name}", str(tmp_path / name), "txt") for name in names]
        return describe(pipeline=pipeline, files=files, settings={"seconds": None, **settings})

    return make


def differences(saved, now, folder):
    with pytest.raises(ValueError, match="E841") as info:
        require_same(saved, now, folder=folder)
    return [line.strip() for line in str(info.value).splitlines()[1:-1]]


def test_the_same_run_goes_on(made_of, tmp_path):
    write_manifest(tmp_path, {**made_of(), "columns": {}})
    require_same(read_manifest(tmp_path), made_of(), folder=tmp_path)
    assert read_manifest(tmp_path / "nlp") is None


def test_what_has_changed_is_named(made_of, tmp_path):
    saved = made_of(parts=("ents",))
    (tmp_path / "b").write_text("c")  # of the same size
    (tmp_path / "nlp" / "ner" / "model").write_bytes(b"\1\3")
    (tmp_path / "nlp" / "extra").write_text("")
    now = made_of(parts=("ents", "cats"), seconds=3)
    now["packages"]["spacy"] = "1.0"
    found = differences(saved, now, tmp_path)
    spacy = f"package spacy: {saved['packages']['spacy']!r} -> '1.0'"
    assert found == [
        "file of the pipeline extra: is new",
        "file of the pipeline ner/model: differs",
        "input file in/b: differs",
        "setting parts: ['ents'] -> ['ents', 'cats']",
        "setting seconds: None -> 3",
        spacy,
    ]


def test_files_that_come_and_go(made_of, tmp_path):
    both, one = made_of(), made_of(["a"])
    assert differences(both, one, tmp_path) == ["input file in/b: is missing"]
    assert differences(one, both, tmp_path) == ["input file in/b: is new"]
    assert differences(both, made_of(["b", "a"]), tmp_path) == ["the order of the input files"]


def test_long_lists_are_cut(made_of, tmp_path):
    found = differences(made_of(), made_of(**{f"s{i:02d}": i for i in range(30)}), tmp_path)
    assert len(found) == 11 and found[-1] == "and 20 more"


@pytest.mark.parametrize("text", ["{", "[]", '{"inputs": {}}', '{"inputs": [], "settings": {}}'])
def test_a_damaged_manifest_is_told(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="E842.*manifest.json"):
        read_manifest(tmp_path)


def test_it_is_plain_json(made_of):
    assert json.loads(json.dumps(made_of())) == made_of()
