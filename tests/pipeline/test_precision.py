"""The encoder in fewer bits: chosen at load time, never saved, int8 never trained."""

import pickle

import numpy as np
import pytest
import spacy

from . import toys

OVERRIDE = "components.transformer.model.precision"


@pytest.fixture(scope="module")
def trained(tokenizer, tmp_path_factory):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=3)
    folder = tmp_path_factory.mktemp("trained")
    nlp.to_disk(folder)
    return folder


def rows(nlp):
    return np.concatenate([doc.tensor for doc in nlp.pipe(toys.TEXTS)])


@pytest.mark.parametrize("precision, error", [("bf16", 0.05), ("int8", 0.25)])
def test_at_load_time(trained, tmp_path, precision, error):
    exact = rows(spacy.load(trained))
    nlp = spacy.load(trained, config={OVERRIDE: precision})
    found = rows(nlp)
    assert 0 < np.abs(found - exact).max() < error
    nlp.to_disk(tmp_path)  # the precision stays in the config, the weights are those of float32
    assert (rows(spacy.load(tmp_path)) == found).all()
    assert (rows(spacy.load(tmp_path, config={OVERRIDE: "fp32"})) == exact).all()
    again = spacy.load(trained, config={OVERRIDE: precision}).from_bytes(nlp.to_bytes())
    assert (rows(again) == found).all()
    assert (rows(pickle.loads(pickle.dumps(nlp))) == found).all()
    assert (rows(spacy.load(trained).from_bytes(nlp.to_bytes())) == exact).all()


def test_int8_cannot_be_trained(trained):
    nlp = spacy.load(trained, config={OVERRIDE: "int8"})
    with pytest.raises(ValueError, match="E427.*precision"):
        nlp.update(toys.examples(nlp), sgd=nlp.resume_training())
    frozen = {"exclude": ["transformer"], "annotates": ["transformer"]}
    losses = nlp.update(toys.examples(nlp), sgd=toys.make_adamw(0.01), losses={}, **frozen)
    assert losses["trf_textcat"] > 0


def test_bf16_sees_its_own_training(trained, tmp_path):
    nlp = spacy.load(trained, config={OVERRIDE: "bf16"})
    before, sgd = rows(nlp), toys.make_adamw(0.05)
    for _ in range(3):
        nlp.update(toys.examples(nlp), sgd=sgd, drop=0.0)
    after = rows(nlp)
    assert np.abs(after - before).max() > 0.1
    nlp.to_disk(tmp_path)
    exact = rows(spacy.load(tmp_path, config={OVERRIDE: "fp32"}))
    assert 0 < np.abs(after - exact).max() < 0.05


def test_replaced_listener_keeps_the_precision(trained):
    nlp = spacy.load(trained, config={OVERRIDE: "int8"})
    expected = nlp(toys.TEXTS[0]).cats
    nlp.replace_listeners("transformer", "trf_textcat", ["model.tok2vec"])
    assert nlp(toys.TEXTS[0]).cats == expected
    assert nlp.config["components"]["trf_textcat"]["model"]["tok2vec"]["precision"] == "int8"


def test_unknown_precision(trained):
    # a Literal in the architecture's signature: the config system names the argument
    with pytest.raises(ValueError, match="precision"):
        spacy.load(trained, config={OVERRIDE: "int4"})
