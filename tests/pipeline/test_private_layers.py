"""Last layers of the encoder that belong to one task."""

import copy

import numpy as np
import pytest
import spacy
import torch
from spacy.util import fix_random_seed

from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.layers.listener import build_listener_v1
from spacy_llm_tasks.pipeline.encoder_files import CONFIG

from . import toys

DEPTH = 3
HEADS = ["trf_ner", "trf_textcat"]


def own(n):
    return {"model": {"tok2vec": {**toys.LISTENER, "private_layers": n}}}


def build(tokenizer, **private):
    nlp = toys.empty_pipeline(tokenizer, depth=DEPTH)
    for head in HEADS:
        nlp.add_pipe(head, config=own(private.get(head, 0)))
    return nlp


@pytest.fixture
def nlp(tokenizer):
    nlp = build(tokenizer, trf_ner=2)
    toys.initialize(nlp)
    return nlp


def encoder_of(nlp):
    return shim_of(nlp.get_pipe("transformer").model).encoder


def weights(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def predictions(nlp):
    return [toys.snapshot(nlp(text)) for text in toys.TEXTS]


def test_begin_as_copies(tokenizer, nlp):
    """Before training, a head reads the same through private layers as through shared ones."""
    shared = build(tokenizer)
    fix_random_seed(1)
    toys.initialize(shared)
    assert predictions(nlp) == predictions(shared)
    encoder = encoder_of(nlp)
    assert {name: len(blocks) for name, blocks in encoder.branches.items()} == {"trf_ner": 2}
    for theirs, mine in zip(
        encoder.transformer.blocks[1:], encoder.branches["trf_ner"], strict=True
    ):
        for a, b in zip(theirs.parameters(), mine.parameters(), strict=True):
            assert torch.equal(a, b) and a is not b


@pytest.mark.parametrize("learning, other", [HEADS, HEADS[::-1]])
def test_each_learns_in_its_own(nlp, learning, other):
    before = weights(encoder_of(nlp))
    sgd = toys.make_adamw(0.01)
    nlp.update(toys.examples(nlp), sgd=sgd, exclude=[other])
    nlp("")  # takes the step that waits for the head that does not answer
    changed = {n for n, p in weights(encoder_of(nlp)).items() if not torch.equal(p, before[n])}
    own_ones = {n for n in before if n.startswith("branches.trf_ner.")}
    top = {n for n in before if n.startswith(("transformer.blocks.1.", "transformer.blocks.2."))}
    mine, theirs = (own_ones, top) if learning == "trf_ner" else (top, own_ones)
    assert not changed & theirs
    assert mine <= changed
    assert {n for n in before if n.startswith("transformer.blocks.0.")} <= changed


def test_learning_rates_by_depth(nlp):
    encoder = encoder_of(nlp)
    assert encoder.layer_of("branches.trf_ner.0.attention.qkv.weight") == 2
    assert encoder.layer_of("branches.trf_ner.1.attention.qkv.weight") == 3
    assert encoder.layer_of("transformer.blocks.1.attention.qkv.weight") == 2


def test_dropout_reaches_them(nlp):
    encoder = encoder_of(nlp)
    encoder.set_dropout(0.4)
    rates = {m.p for m in encoder.branches.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.4}


def test_one_pass_below(nlp, monkeypatch):
    counted = []
    block = encoder_of(nlp).transformer.blocks[0]
    block.register_forward_hook(lambda *_: counted.append(1))
    nlp(toys.TEXTS[0])
    assert len(counted) == 1


def trained(nlp, steps=5):
    sgd = toys.make_adamw(0.01)
    for _ in range(steps):
        nlp.update(toys.examples(nlp), sgd=sgd)
    return nlp


def test_saved_and_loaded(nlp, tmp_path):
    trained(nlp).to_disk(tmp_path)
    assert '"branches"' in (tmp_path / "transformer" / "encoder" / CONFIG).read_text()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    loaded = spacy.load(tmp_path)
    assert predictions(loaded) == predictions(nlp)
    from_bytes = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert predictions(from_bytes) == predictions(nlp)
    assert predictions(copy.deepcopy(nlp)) == predictions(nlp)


def test_other_number_at_load(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    for head, found in (("trf_ner", 1), ("trf_textcat", 1)):
        with pytest.raises(ValueError, match="E458"):
            spacy.load(tmp_path, config={f"components.{head}.model.tok2vec.private_layers": found})


def test_listener_replaced(nlp, tmp_path):
    trained(nlp)
    expected = [p["ents"] for p in predictions(nlp)]
    nlp.replace_listeners("transformer", "trf_ner", ["model.tok2vec"])
    assert [p["ents"] for p in predictions(nlp)] == expected
    nlp.to_disk(tmp_path)
    assert [p["ents"] for p in predictions(spacy.load(tmp_path))] == expected


def test_sourced_under_another_name(nlp, tmp_path):
    trained(nlp)
    expected = [p["ents"] for p in predictions(nlp)]
    other = spacy.blank("en")
    other.add_pipe("transformer", source=nlp)
    other.add_pipe("trf_ner", name="people", source=nlp)
    assert [p["ents"] for p in predictions(other)] == expected
    other.to_disk(tmp_path)
    assert [p["ents"] for p in predictions(spacy.load(tmp_path))] == expected


def test_added_to_a_trained_pipeline(nlp):
    before = predictions(trained(nlp))
    nlp.add_pipe("trf_similarity", config=own(1))
    assert set(encoder_of(nlp).branches) == {"trf_ner", "trf_similarity"}
    nlp.get_pipe("trf_similarity").initialize(lambda: toys.examples(nlp), nlp=nlp)
    for old, new in zip(before, predictions(nlp), strict=True):
        assert {**new, "embedding": []} == old


def test_overfits(tokenizer):
    nlp = build(tokenizer, trf_ner=1, trf_textcat=2)
    toys.overfit(nlp, steps=40)
    scores = nlp.evaluate(toys.examples(nlp))
    assert scores["ents_f"] == 1.0 and scores["cats_score"] == 1.0


def test_initialized_again(tokenizer, nlp):
    """Training that starts over starts from copies of the new weights."""
    trained(nlp)
    toys.initialize(nlp)
    encoder = encoder_of(nlp)
    top = encoder.transformer.blocks[1].attention.qkv.weight
    np.testing.assert_array_equal(
        encoder.branches["trf_ner"][0].attention.qkv.weight.detach(), top.detach()
    )


def test_more_than_there_are(tokenizer):
    nlp = build(tokenizer, trf_ner=DEPTH + 1)
    with pytest.raises(ValueError, match="E125"):
        toys.initialize(nlp)


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="E457"):
        build_listener_v1(private_layers=-1)
    with pytest.raises(ValueError, match="E457"):
        build_listener_v1(private_layers=1, layer=0)
