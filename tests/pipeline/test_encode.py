"""A head's second way into the encoder: texts and pairs, with the weights that read the docs."""

import numpy as np
import pytest
import spacy
import torch
from spacy.pipeline.trainable_pipe import TrainablePipe
from thinc.api import Model

from spacy_llm_tasks.layers.encode import encode
from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.layers.listener import build_listener_v1
from spacy_llm_tasks.nn.packing import Packing

from . import toys
from .battery import stock_config

PAIRS = [("Why did Ivo leave ?", "Old Marta sails ."), ("Ivo", "Lorne Bay every spring . " * 9)]


class Asker(TrainablePipe):
    """A component without weights of its own, which pulls all states of some pairs to zero."""

    def __init__(self, vocab, model, name):
        self.vocab, self.model, self.name, self.cfg = vocab, model, name, {}

    def predict(self, docs):
        return [encode(self.model.get_ref("tok2vec"), PAIRS)[0].rows.sum().item() for _ in docs]

    def set_annotations(self, docs, scores):
        for doc, score in zip(docs, scores, strict=True):
            doc.user_data["asked"] = score

    def update(self, examples, *, drop=0.0, sgd=None, losses=None):
        losses = {} if losses is None else losses
        encoded, backprop = encode(self.model.get_ref("tok2vec"), PAIRS, is_train=True)
        losses[self.name] = float((encoded.rows**2).sum() / 2)
        backprop(encoded.rows.clone())
        if sgd not in (None, False):
            self.finish_update(sgd)
        return losses

    def initialize(self, get_examples, *, nlp=None):
        pass


@spacy.Language.factory("toy_asker", default_config={"model": None})
def make_asker(nlp, name, model):
    return Asker(nlp.vocab, model, name)


@spacy.registry.architectures("toy.Asker.v1")
def build_asker(tok2vec):
    return Model(
        "asker", lambda model, X, is_train: None, layers=[tok2vec], refs={"tok2vec": tok2vec}
    )


ASKER = {"model": {"@architectures": "toy.Asker.v1", "tok2vec": toys.LISTENER}}


def build(tokenizer, *, tagger=True):
    nlp = toys.empty_pipeline(tokenizer, window=28, stride=20)
    if tagger:
        nlp.add_pipe("tagger", config=stock_config("tagger", toys.LISTENER))
    nlp.add_pipe("toy_asker", config=ASKER)
    return nlp


@pytest.fixture
def nlp(tokenizer):
    nlp = build(tokenizer)
    toys.initialize(nlp)
    return nlp


def by_hand(nlp, sequences):
    """Every sequence alone through the Transformer."""
    shim = shim_of(nlp.get_pipe("transformer").model)
    parts = []
    for first, last in zip(sequences.bounds[:-1], sequences.bounds[1:], strict=True):
        packing = Packing.from_lengths(np.array([last - first]))
        with shim.predicting() as encoder:
            ids = torch.from_numpy(sequences.ids[first:last])
            parts.append(encoder.transformer(ids, packing).last)
    return torch.cat(parts)


@pytest.mark.parametrize("inputs", [PAIRS, [b for _, b in PAIRS], [("a", "b")] * 3, [""], []])
def test_states_are_those_of_each_sequence_alone(nlp, inputs):
    encoded, _ = encode(nlp.get_pipe("toy_asker").model, inputs)
    assert encoded.rows.shape == (len(encoded.sequences.ids), toys.WIDTH)
    if len(inputs):
        torch.testing.assert_close(encoded.rows, by_hand(nlp, encoded.sequences))
    assert not encoded.rows.requires_grad


def test_text_states_are_those_of_the_doc(nlp):
    text = toys.TEXTS[0]
    encoded, _ = encode(nlp.get_pipe("toy_asker").model, [text])
    firsts = {int(s): i for i, s in reversed(list(enumerate(encoded.sequences.starts)))}
    for token in nlp(text):
        inside = [
            i
            for i, (s, e) in enumerate(
                zip(encoded.sequences.starts, encoded.sequences.ends, strict=True)
            )
            if s >= token.idx and token.idx < e <= token.idx + len(token)
        ]
        assert firsts[token.idx] == 0 or inside[0] == firsts[token.idx]
        np.testing.assert_allclose(
            encoded.rows[inside].mean(dim=0), token.doc.tensor[token.i], atol=1e-5
        )


class Counting:
    """An optimizer that counts its calls and keeps the gradients."""

    def __init__(self):
        self.calls, self.gradients = [], {}

    def __call__(self, key, weights, gradient, **options):
        self.calls.append(key)
        self.gradients[key] = gradient.copy()
        return weights, gradient

    def step_schedules(self):
        pass


def gradients_of(nlp, exclude=(), *, in_one_call=True):
    sgd = Counting()
    options = {"exclude": exclude, "drop": 0.0}
    nlp.update(toys.examples(nlp), sgd=sgd if in_one_call else False, **options)
    if not in_one_call:
        for name, pipe in nlp.pipeline:
            if name not in exclude:
                pipe.finish_update(sgd)
    else:
        nlp("")  # takes the step that waits for heads that do not answer
    shim = shim_of(nlp.get_pipe("transformer").model)
    assert len(sgd.calls) == len(set(sgd.calls))
    return {name: grad for (owner, name), grad in sgd.gradients.items() if owner == shim.id}


@pytest.mark.parametrize("in_one_call", [True, False])
def test_one_step_with_the_gradients_of_both_passes(nlp, in_one_call):
    both = gradients_of(nlp, in_one_call=in_one_call)
    shared = gradients_of(nlp, ["toy_asker"], in_one_call=in_one_call)
    asked = gradients_of(nlp, ["tagger"], in_one_call=in_one_call)
    names = {n for n, _ in shim_of(nlp.get_pipe("transformer").model).module.named_parameters()}
    assert set(both) == names
    assert any(g.any() for g in asked.values())
    for name in names:
        expected = shared[name] + asked[name]
        np.testing.assert_allclose(both[name], expected, atol=1e-4, rtol=1e-4, err_msg=name)


def test_gradient_is_that_of_the_loss(nlp):
    """One weight moved by hand changes the loss as its gradient says."""
    found = gradients_of(nlp, ["tagger"])["transformer.blocks.0.feedforward.up.weight"]
    weight = shim_of(nlp.get_pipe("transformer").model).encoder.transformer.blocks[0]
    weight = weight.feedforward.up.weight
    step, losses = 1e-2, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[3, 5] += sign * step
            encoded, _ = encode(nlp.get_pipe("toy_asker").model, PAIRS)
            losses.append(float((encoded.rows.double() ** 2).sum() / 2))
            weight[3, 5] -= sign * step
    # the states are normalised: the loss hardly moves, so its digits are few
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(float(found[3, 5]), abs=2e-2)


def test_saved_once(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    assert len((tmp_path / "toy_asker" / "model").read_bytes()) < 5_000
    loaded = spacy.load(tmp_path)
    assert loaded("Pell").user_data["asked"] == nlp("Pell").user_data["asked"]


def test_frozen_learns_nothing(nlp):
    encoder = nlp.get_pipe("transformer")
    before = encoder.to_bytes()
    losses = [nlp.update(toys.examples(nlp), sgd=toys.make_adamw(0.01), losses={})["toy_asker"]]
    after = encoder.to_bytes()  # takes the step that waits
    assert before != after
    frozen = {"exclude": ["transformer", "tagger"], "annotates": ["transformer"]}
    for _ in range(2):
        sgd = Counting()
        losses.append(nlp.update(toys.examples(nlp), sgd=sgd, losses={}, **frozen)["toy_asker"])
        assert not sgd.calls
    assert encoder.to_bytes() == after and losses[1] == losses[2]
    assert all(p.grad is None for p in shim_of(encoder.model).module.parameters())


def test_replaced_listener_has_a_copy_of_its_own(nlp):
    expected = nlp("Pell").user_data["asked"]
    nlp.replace_listeners("transformer", "toy_asker", ["model.tok2vec"])
    assert nlp("Pell").user_data["asked"] == expected
    shared = shim_of(nlp.get_pipe("transformer").model)
    own = shim_of(nlp.get_pipe("toy_asker").model.get_ref("tok2vec"))
    before, own_before = shared.to_bytes(), own.to_bytes()
    nlp.update(toys.examples(nlp), sgd=toys.make_adamw(0.01), exclude=["transformer", "tagger"])
    assert shared.to_bytes() == before and own.to_bytes() != own_before
    assert nlp("Pell").user_data["asked"] != expected


def test_it_learns_alone(tokenizer):
    nlp = build(tokenizer, tagger=False)
    optimizer = toys.initialize(nlp)
    history = []
    for _ in range(8):
        losses = nlp.update(toys.examples(nlp), sgd=optimizer, losses={}, drop=0.0)
        history.append(losses["toy_asker"])
    assert history[-1] < 0.9 * history[0]


def test_without_an_encoder():
    with pytest.raises(ValueError, match="E426"):
        encode(build_listener_v1(), PAIRS)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("toy_asker", config={"model": {**ASKER["model"], "tok2vec": toys.STOCK_LISTENER}})
    with pytest.raises(ValueError, match="E416"):
        encode(nlp.get_pipe("toy_asker").model, PAIRS)
