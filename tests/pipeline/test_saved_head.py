"""A task's files in a saved pipeline that are missing, damaged or of another head."""

import json
import shutil

import pytest
import spacy
import srsly

from . import toys


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_similarity")
    toys.initialize(nlp)
    path = tmp_path_factory.mktemp("saved")
    nlp.to_disk(path)
    return path


@pytest.fixture
def broken(saved, tmp_path):
    path = tmp_path / "pipeline"
    shutil.copytree(saved, path)
    return path


def assert_refused(path, file, pattern):
    with pytest.raises(ValueError, match=pattern) as caught:
        spacy.load(path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["trf_ner", "trf_similarity"])
@pytest.mark.parametrize("part", ["cfg", "model"])
def test_missing_file(broken, name, part):
    file = broken / name / part
    file.unlink()
    assert_refused(broken, file, "E413")


@pytest.mark.parametrize("part", ["cfg", "model"])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_truncated_file(broken, part, kept):
    file = broken / "trf_ner" / part
    file.write_bytes(file.read_bytes()[:kept])
    assert_refused(broken, file, "E423")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_weights(broken, place):
    file = broken / "trf_ner" / "model"
    data = bytearray(file.read_bytes())
    data[int(len(data) * place)] ^= 0x01
    file.write_bytes(bytes(data))
    assert_refused(broken, file, "E423.*E451")


@pytest.mark.parametrize("values", [{}, {"labels": ["PERSON"]}, {"labels": None}])
def test_labels_of_another_head(broken, values):
    (broken / "trf_ner" / "cfg").write_text(json.dumps(values), encoding="utf-8")
    assert_refused(broken, broken / "trf_ner", "E423")


def test_labels_of_another_head_in_bytes(saved):
    pipe = spacy.load(saved).get_pipe("trf_ner")
    msg = srsly.msgpack_loads(pipe.to_bytes())
    msg["cfg"] = srsly.json_dumps({"labels": ["PERSON"], "learned": {}})
    with pytest.raises(ValueError, match="E452.*trf_ner.*has 1 labels"):
        pipe.from_bytes(srsly.msgpack_dumps(msg))


def test_parts_that_are_left_out(saved, tmp_path):
    pipe = spacy.load(saved).get_pipe("trf_ner")
    pipe.to_disk(tmp_path, exclude=["vocab", "cfg"])
    pipe.from_disk(tmp_path, exclude=["vocab", "cfg"])
    assert "PERSON" in pipe.labels
