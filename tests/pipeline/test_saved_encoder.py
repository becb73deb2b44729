"""Files of a saved pipeline that are missing, damaged or of another model."""

import json
import os
import shutil

import pytest
import spacy

from spacy_llm_tasks.layers.encoder import shim_of

from . import toys

NAME = "transformer"


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_textcat")
    toys.initialize(nlp)
    path = tmp_path_factory.mktemp("saved")
    nlp.to_disk(path)
    return path


@pytest.fixture
def broken(saved, tmp_path):
    """A copy to damage, and the encoder's folder in it."""
    path = tmp_path / "pipeline"
    shutil.copytree(saved, path)
    return path, path / NAME / "encoder"


def assert_refused(path, pattern):
    with pytest.raises(ValueError, match=pattern) as caught:
        spacy.load(path)
    return str(caught.value)


def flip(broken, place, bits):
    """Flip bits of one byte of the weights and name their file."""
    file = broken[1] / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[place] ^= bits
    file.write_bytes(bytes(data))
    return file


def test_files(saved):
    names = {p.name for p in (saved / NAME / "encoder").iterdir()}
    assert {"encoder.json", "tokenizer.json", "model.safetensors"} <= names
    assert not [p for p in saved.rglob("*") if p.suffix in (".pkl", ".pt", ".tmp")]
    for path in saved.rglob("*"):
        if path.is_file():
            assert b"torch._utils" not in path.read_bytes()


def test_small_numbers_of_the_config_come_back(saved, tokenizer):
    """BERT's epsilon is 1e-12: as 0, a row of equal numbers would be divided by 0."""
    configs = []
    for nlp in (toys.empty_pipeline(tokenizer), spacy.load(saved)):
        if "trf_textcat" not in nlp.pipe_names:
            toys.initialize(nlp)
        configs.append(shim_of(nlp.get_pipe(NAME).model).encoder.config)
    assert configs[0] == configs[1] and configs[1].norm_eps == 1e-12


@pytest.mark.parametrize("name", ["encoder.json", "tokenizer.json", "model.safetensors"])
def test_missing_file(broken, name):
    path, folder = broken
    (folder / name).unlink()
    assert str(folder / name) in assert_refused(path, "E413")


def test_missing_folder(broken):
    path, folder = broken
    shutil.rmtree(folder)
    assert str(folder) in assert_refused(path, "E413")


@pytest.mark.parametrize("kept", [0, 4, 100, -1, -1000])
def test_truncated_weights(broken, kept):
    path, folder = broken
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert str(file) in assert_refused(path, "E414")


@pytest.mark.parametrize("place", [0, 3, 9, 30])
def test_tampered_header(broken, place):
    file = flip(broken, place, 0xFF)
    assert str(file) in assert_refused(broken[0], "E414|E402")


@pytest.mark.parametrize("place", [-1, -500, -3000])
def test_a_flipped_bit_in_the_weights(broken, place):
    file = flip(broken, place, 0x01)
    assert str(file) in assert_refused(broken[0], "E428")


def test_a_pipeline_without_a_checksum(broken):
    path, folder = broken
    values = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    assert len(values.pop("weights_sha256")) == 64
    (folder / "encoder.json").write_text(json.dumps(values), encoding="utf-8")
    assert spacy.load(path)("Pell").cats


def test_weights_of_another_model(broken, tokenizer, tmp_path):
    path, folder = broken
    nlp = toys.empty_pipeline(tokenizer, depth=1)
    toys.initialize(nlp)
    nlp.to_disk(tmp_path / "other")
    other = tmp_path / "other" / NAME / "encoder" / "model.safetensors"
    shutil.copy(other, folder / "model.safetensors")
    assert str(folder / "model.safetensors") in assert_refused(path, "E423.*E402")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"width": 16}', '{"n_pieces": "many"}'])
def test_damaged_config(broken, text):
    path, folder = broken
    (folder / "encoder.json").write_text(text, encoding="utf-8")
    assert "encoder.json" in assert_refused(path, "encoder.json")


def test_config_of_another_model(broken):
    path, folder = broken
    values = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    values["depth"] = 1
    (folder / "encoder.json").write_text(json.dumps(values), encoding="utf-8")
    assert_refused(path, "E404.*depth")


def test_wrong_tokenizer(broken):
    path, folder = broken
    file = folder / "tokenizer.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    vocab = values["model"]["vocab"]
    vocab["surplus"] = len(vocab) + 5
    file.write_text(json.dumps(values), encoding="utf-8")
    assert_refused(path, "E405")


def test_damaged_tokenizer(broken):
    path, folder = broken
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    assert "tokenizer.json" in assert_refused(path, "E20")


def test_untrained_pipeline(tokenizer, tmp_path):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    with pytest.raises(ValueError, match="E401"):
        loaded("Pell")


def test_nothing_to_initialize_from(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name=NAME)
    with pytest.raises(ValueError, match="E411"):
        toys.initialize(nlp)
    nlp.config["initialize"]["components"][NAME] = {"tokenizer": str(tmp_path)}
    with pytest.raises((ValueError, OSError), match="E201"):
        toys.initialize(nlp)
    with pytest.raises((ValueError, TypeError), match="E410|E930"):
        nlp.get_pipe(NAME).initialize(lambda: [], nlp=nlp)


def test_save_over_an_older_one(saved, broken):
    path, folder = broken
    nlp = spacy.load(path)
    nlp.to_disk(path)  # the weights are read from the very file that is replaced
    first, second = spacy.load(saved)("Pell and Vask"), spacy.load(path)("Pell and Vask")
    assert (first.tensor == second.tensor).all()
    nlp(toys.TEXTS[0])


@pytest.mark.skipif(os.name == "nt", reason="no rights of this kind")
def test_others_may_read_what_the_umask_lets_them(saved, tmp_path):
    before = os.umask(0o022)
    try:
        spacy.load(saved).to_disk(tmp_path)
    finally:
        os.umask(before)
    found = {
        path.name: path.stat().st_mode & 0o777
        for path in (tmp_path / NAME / "encoder").iterdir()
        if path.is_file()
    }
    assert "model.safetensors" in found and set(found.values()) == {0o644}
