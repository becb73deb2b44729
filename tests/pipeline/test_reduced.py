"""Encoders whose weights are kept in fewer bits: saved, loaded, handed on, never trained."""

import json
import pickle

import numpy as np
import pytest
import spacy
import torch

from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.pipeline.encoder_files import export_checkpoint
from spacy_llm_tasks.pipeline.precisions import load_with, reduce_weights

from . import toys

NAME = "transformer"
PRECISION = f"components.{NAME}.model.precision"
KINDS = ["bf16", "int8"]


@pytest.fixture(scope="module")
def trained(tokenizer, tmp_path_factory):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_textcat")
    private = {"model": {"tok2vec": {**toys.LISTENER, "private_layers": 1}}}
    nlp.add_pipe("trf_ner", config=private)
    toys.overfit(nlp, steps=3)
    folder = tmp_path_factory.mktemp("trained")
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def small(request, trained, tmp_path_factory):
    """A saved pipeline with reduced weights, and its precision."""
    nlp = load_with(trained, request.param)
    reduce_weights(nlp, embeddings="fp32")
    folder = tmp_path_factory.mktemp("small")
    nlp.to_disk(folder)
    return folder, request.param


def predictions(nlp, **options):
    return [toys.snapshot(doc) for doc in nlp.pipe(toys.ODD_TEXTS, **options)]


def rows(nlp):
    return np.concatenate([doc.tensor for doc in nlp.pipe(toys.TEXTS)])


def tensors_of(folder):
    path = folder / NAME / "encoder" / "model.safetensors"
    from safetensors.torch import load_file

    return load_file(path)


def test_predicts_as_at_load_time(trained, small):
    folder, precision = small
    expected = predictions(spacy.load(trained, config={PRECISION: precision}))
    nlp = spacy.load(folder)
    assert nlp.config["components"][NAME]["model"]["precision"] == precision
    assert predictions(nlp) == expected  # to the bit
    assert predictions(nlp) != predictions(spacy.load(trained))


def test_no_float32_weights_in_the_file(small):
    folder, precision = small
    kind = {"bf16": torch.bfloat16, "int8": torch.int8}[precision]
    found = tensors_of(folder)
    linear = {k for k, v in found.items() if v.ndim == 2 and "embeddings" not in k}
    assert len(linear) == 4 * (2 + 1)  # four of each block, the private one included
    assert {found[name].dtype for name in linear} == {kind}
    assert sum(name.endswith("largest") for name in found) == (12 if precision == "int8" else 0)
    assert all(v.dtype == torch.float32 for k, v in found.items() if k not in linear)


@pytest.mark.parametrize("precision, bound", [("bf16", 2**-8), ("int8", 1 / 254)])
def test_the_table_of_pieces(trained, tmp_path, precision, bound):
    nlp = load_with(trained, precision)
    table = shim_of(nlp.get_pipe(NAME).model).encoder.transformer.embeddings.pieces
    exact, before = table.weight.detach().clone(), rows(nlp)
    reduce_weights(nlp, embeddings=precision)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    table = shim_of(loaded.get_pipe(NAME).model).encoder.transformer.embeddings.pieces
    found = table(torch.arange(len(exact)))
    assert found.dtype == torch.float32
    largest = exact.abs().amax(dim=1, keepdim=True)
    assert ((found - exact).abs() <= bound * 1.0001 * largest).all()
    assert 0 < np.abs(rows(loaded) - before).max() < 0.5
    assert tensors_of(tmp_path)["transformer.embeddings.pieces.weight"].dtype in (
        torch.bfloat16,
        torch.int8,
    )


def test_a_quarter_of_the_bytes(trained, tmp_path):
    for embeddings, least, most in (("fp32", 0.3, 0.9), ("int8", 0.2, 0.55)):
        nlp = load_with(trained, "int8")
        shim = shim_of(nlp.get_pipe(NAME).model)
        before = shim.n_bytes
        reduce_weights(nlp, embeddings=embeddings)
        assert least * before < shim.n_bytes < most * before
        nlp.to_disk(tmp_path)
        file = tmp_path / NAME / "encoder" / "model.safetensors"
        assert shim.n_bytes < file.stat().st_size < shim.n_bytes + 8000


def test_copies(small):
    folder, precision = small
    nlp = spacy.load(folder)
    expected = predictions(nlp)
    again = spacy.load(folder).from_bytes(nlp.to_bytes())
    assert predictions(again) == expected
    assert predictions(pickle.loads(pickle.dumps(nlp))) == expected
    by_three = predictions(nlp, batch_size=3)
    assert predictions(nlp, n_process=2, batch_size=3) == by_three
    component = nlp.get_pipe(NAME)
    other = nlp.create_pipe(
        "trf_encoder", config={"model": nlp.config["components"][NAME]["model"]}
    )
    other.from_bytes(component.to_bytes())
    docs = [nlp.make_doc(text) for text in toys.TEXTS]
    found, wanted = other.predict(docs), component.predict(docs)
    for view, arrays in found.items():
        assert all((a == b).all() for a, b in zip(arrays, wanted[view], strict=True))


def test_saved_again_and_over_itself(small, tmp_path):
    folder, precision = small
    expected = predictions(spacy.load(folder))
    spacy.load(folder).to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    nlp.to_disk(tmp_path)
    assert predictions(nlp) == expected == predictions(spacy.load(tmp_path))


def test_bytes_need_the_same_precision(trained, small):
    folder, precision = small
    with pytest.raises(ValueError, match=f"E441.*{precision}"):
        spacy.load(trained).from_bytes(spacy.load(folder).to_bytes())


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "int8"])
def test_an_override_that_cannot_be_served(small, wanted):
    folder, precision = small
    if wanted == precision:
        spacy.load(folder, config={PRECISION: wanted})
    else:
        with pytest.raises(ValueError, match=f"E441.*{precision}.*precision = {wanted}"):
            spacy.load(folder, config={PRECISION: wanted})


def test_sourced(small, tmp_path):
    source = spacy.load(small[0])
    expected = [doc["cats"] for doc in predictions(source)]
    nlp = spacy.blank("en")
    nlp.add_pipe(NAME, source=source)
    nlp.add_pipe("trf_textcat", source=source)
    assert [doc["cats"] for doc in predictions(nlp)] == expected
    nlp.to_disk(tmp_path)
    assert [doc["cats"] for doc in predictions(spacy.load(tmp_path))] == expected


@pytest.mark.parametrize("head", ["trf_textcat", "trf_ner"])
def test_replaced_listeners(small, tmp_path, head):
    nlp = spacy.load(small[0])
    expected = predictions(nlp)
    nlp.replace_listeners(NAME, head, ["model.tok2vec"])
    nlp.to_disk(tmp_path)
    assert predictions(nlp) == expected == predictions(spacy.load(tmp_path))
    with pytest.raises(ValueError, match="E442"):
        reduce_weights(nlp, embeddings="fp32")


def test_a_head_with_an_encoder_of_its_own(trained):
    nlp = spacy.load(trained)
    nlp.replace_listeners(NAME, "trf_textcat", ["model.tok2vec"])
    data, config = nlp.to_bytes(), nlp.config
    for name in (NAME, "trf_textcat"):
        block = config["components"][name]["model"]
        block.get("tok2vec", block)["precision"] = "int8"
    loaded = spacy.util.load_model_from_config(config, auto_fill=True).from_bytes(data)
    expected = predictions(loaded)
    reduce_weights(loaded, embeddings="fp32")
    assert predictions(loaded) == expected
    assert loaded.to_bytes() != data and len(loaded.to_bytes()) < len(data)


def test_cannot_be_trained(small):
    nlp = spacy.load(small[0])
    before = predictions(nlp)
    with pytest.raises(ValueError, match="E440.*quantize"):
        nlp.update(toys.examples(nlp), sgd=nlp.resume_training())
    assert predictions(nlp) == before
    frozen = {"exclude": [NAME], "annotates": [NAME]}
    losses = nlp.update(toys.examples(nlp), sgd=toys.make_adamw(0.01), losses={}, **frozen)
    assert losses["trf_textcat"] > 0


def test_cannot_be_reduced_twice_or_from_float32(trained, small):
    with pytest.raises(ValueError, match="E442"):
        reduce_weights(spacy.load(small[0]), embeddings="fp32")
    with pytest.raises(ValueError, match="E442.*fp32"):
        reduce_weights(spacy.load(trained), embeddings="fp32")
    with pytest.raises(ValueError, match=f"E461.*{small[1]} already"):
        load_with(small[0], "fp32")


def test_is_not_compiled(trained, small):
    """That is said of the setting, not of the files."""
    compiled = "components.transformer.model.compiled"
    with pytest.raises(ValueError, match=r"^\[E450"):
        spacy.load(small[0], config={compiled: True})
    with pytest.raises(ValueError, match=r"^\[E450"):
        spacy.load(trained, config={compiled: True, PRECISION: "int8"})
    with pytest.raises(ValueError, match="E450"):
        nlp = spacy.load(trained, config={compiled: True, PRECISION: "bf16"})
        reduce_weights(nlp, embeddings="fp32")


def test_has_no_published_layout(small, tmp_path):
    nlp = spacy.load(small[0])
    with pytest.raises(ValueError, match="E443"):
        export_checkpoint(nlp.get_pipe(NAME).model, tmp_path)


def test_a_pipeline_without_an_encoder(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)
    with pytest.raises(ValueError, match="E444.*sentencizer"):
        load_with(tmp_path, "int8")


@pytest.mark.parametrize(
    "stored", [{"linear": "int4", "embeddings": "fp32"}, {"linear": "int8"}, "int8", {}]
)
def test_a_damaged_config(small, tmp_path, stored):
    import shutil

    if small[1] == "bf16":
        pytest.skip("one precision is enough")
    path = tmp_path / "pipeline"
    shutil.copytree(small[0], path)
    file = path / NAME / "encoder" / "encoder.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**values, "stored": stored}), encoding="utf-8")
    with pytest.raises(ValueError, match="E423"):
        spacy.load(path)


def test_initialized_anew(small, tokenizer):
    nlp = spacy.load(small[0])
    nlp.config["initialize"]["components"][NAME] = {"tokenizer": str(tokenizer)}
    nlp.initialize(lambda: toys.examples(nlp))
    shim = shim_of(nlp.get_pipe(NAME).model)
    assert not shim.stored and shim.encoder.transformer.piece_table.dtype == torch.float32
