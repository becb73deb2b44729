"""`trf_qa` with deferred layers: question and text apart below, together above."""

import copy
from collections import Counter

import numpy as np
import pytest
import spacy
import torch

from spacy_llm_tasks.layers import lower_halves
from spacy_llm_tasks.layers.encode import apart, encode, layout
from spacy_llm_tasks.layers.encoder import shim_of
from spacy_llm_tasks.layers.joint import join
from spacy_llm_tasks.nn.block import Block
from spacy_llm_tasks.nn.packing import Packing

from . import toys

DEPTH, AFTER = 3, 2
ROOM = {"window": 28, "stride": 20, "depth": DEPTH}
TEXTS = ["Pell", toys.TEXTS[0], "Lorne Bay every spring . " * 12]
PAIRS = [("Who sails ?", TEXTS[1]), ("Why ?", TEXTS[2]), ("Who sails ?", TEXTS[2]), ("Ivo", "")]


def build(tokenizer, *, deferred_layers=AFTER, **listener):
    nlp = toys.empty_pipeline(tokenizer, **ROOM)
    model = {"deferred_layers": deferred_layers, "tok2vec": {**toys.LISTENER, **listener}}
    nlp.add_pipe("trf_qa", config={"model": model})
    return nlp


@pytest.fixture(scope="module")
def nlp(tokenizer):
    nlp = build(tokenizer)
    toys.initialize(nlp)
    return nlp


@pytest.fixture
def blocks_run(monkeypatch):
    """How many sequences each block has read, by its place."""
    counted, forward = Counter(), Block.forward

    def count(self, x, packing):
        counted[id(self)] += packing.n_sequences
        return forward(self, x, packing)

    monkeypatch.setattr(Block, "forward", count)
    return counted


def upstream(nlp):
    return nlp.get_pipe("trf_qa").model.get_ref("tok2vec")


def by_hand(nlp, first, second):
    """A pair of short texts, block by block."""
    encoder = shim_of(nlp.get_pipe("transformer").model).encoder.transformer
    with torch.no_grad():
        halves = []
        for text in (first, second):
            ids = torch.from_numpy(layout(upstream(nlp), [text]).ids)
            packing = Packing.from_lengths([len(ids)])
            halves.append(
                encoder.climb(encoder.embeddings(ids, packing), packing, encoder.blocks[:AFTER])
            )
        rows = torch.cat(halves)
        packing = Packing.from_lengths([len(rows)])
        return encoder.climb(rows, packing, encoder.blocks[AFTER:])


def test_rows_are_those_of_each_pair_by_hand(nlp):
    pairs = [("Who sails ?", "Marta sails ."), ("Why did Ivo leave ?", "Pell"), ("Why ?", "Pell")]
    found = apart(upstream(nlp), pairs, after=AFTER)
    rows = encode(upstream(nlp), found)[0].rows
    bounds = found.together.bounds
    for item, a, z in zip(found.together.item, bounds[:-1], bounds[1:], strict=True):
        torch.testing.assert_close(rows[a:z], by_hand(nlp, *pairs[item]), atol=1e-5, rtol=1e-4)


def test_training_and_prediction_lay_out_the_same(nlp):
    """Training lays all texts out at once, prediction one by one: the pairs must be the same."""
    now = apart(upstream(nlp), PAIRS, after=AFTER)
    later = apart(upstream(nlp), PAIRS, after=AFTER, is_train=True)
    assert now.lower is not None and later.lower is None
    for name in ("ids", "segments", "lengths", "item", "part", "starts", "ends", "chosen"):
        a, b = getattr(now.together, name), getattr(later.together, name)
        np.testing.assert_array_equal(a, b, err_msg=name)
    for found in (now, later):
        np.testing.assert_array_equal(found.apart.ids[found.source], found.together.ids)
        # The lower blocks know which of the two a text is, too.
        np.testing.assert_array_equal(found.apart.segments[found.source], found.together.segments)
        assert set(found.together.segments) == {0, 1}


def test_every_piece_of_both_texts_is_chosen_once(nlp):
    found = apart(upstream(nlp), PAIRS, after=AFTER).together
    owner = np.repeat(found.item, found.lengths)
    for item, pair in enumerate(PAIRS):
        for part, text in enumerate(pair):
            alone = layout(upstream(nlp), [text])
            mine = found.chosen & (owner == item) & (found.part == part)
            assert sorted(found.starts[mine]) == sorted(alone.starts[alone.chosen])


def test_parts_are_read_as_the_whole(nlp):
    whole = apart(upstream(nlp), PAIRS, after=AFTER)
    parts = list(whole.parts(40))
    assert len(parts) > 2 and sum(map(len, parts)) == len(whole)
    rows = torch.cat([encode(upstream(nlp), part)[0].rows for part in parts])
    torch.testing.assert_close(rows, encode(upstream(nlp), whole)[0].rows, atol=1e-5, rtol=1e-4)


def test_lower_layers_read_a_text_once(nlp, blocks_run):
    nlp = copy.deepcopy(nlp)
    pipe, doc = nlp.get_pipe("trf_qa"), nlp(TEXTS[1])
    blocks = [id(b) for b in shim_of(nlp.get_pipe("transformer").model).encoder.transformer.blocks]
    blocks_run.clear()
    pipe.answer([doc], [["Who ?", "Why ?", "Who sails ?"]])
    assert [blocks_run[b] for b in blocks] == [1 + 3, 1 + 3, 3]
    blocks_run.clear()
    pipe.answer([nlp.make_doc(TEXTS[1])], ["Who is old ?"])  # another doc, the same text
    assert [blocks_run[b] for b in blocks] == [1, 1, 1]


def test_kept_texts_give_way_to_new_weights(nlp, blocks_run):
    nlp = copy.deepcopy(nlp)
    pipe, doc = nlp.get_pipe("trf_qa"), nlp(TEXTS[1])
    first = pipe.answer([doc], ["Who sails ?"])[0]
    assert pipe.answer([doc], ["Who sails ?"])[0] == first
    nlp.update(toys.examples(nlp), sgd=toys.make_adamw(0.1))
    again = pipe.answer([doc], ["Who sails ?"])[0]
    fresh = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert again == fresh.get_pipe("trf_qa").answer([fresh(TEXTS[1])], ["Who sails ?"])[0]
    assert again.score != first.score


def test_room_for_kept_texts_is_bounded(monkeypatch):
    monkeypatch.setattr(lower_halves, "MAX_ROWS", 10)
    kept = lower_halves.LowerHalves()
    half = lower_halves.LowerHalf(None, torch.zeros(4, 2))
    for text in ("a", "b", "a", "c"):
        kept.get((text, 1, ""))
        kept.keep((text, 1, ""), half)
    assert kept.get(("b", 1, "")) is None  # the one not asked for the longest
    assert kept.get(("a", 1, "")) is not None and kept.get(("c", 1, "")) is not None
    kept.keep(("d", 1, ""), lower_halves.LowerHalf(None, torch.zeros(11, 2)))
    assert kept.get(("d", 1, "")) is None and kept.get(("a", 1, "")) is not None


def test_learns_and_survives_saving(tokenizer, tmp_path):
    nlp = build(tokenizer)
    toys.overfit(nlp, steps=80)
    assert nlp.evaluate(toys.examples(nlp))["qa_f1"] == 1.0
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for text, question in zip(toys.TEXTS, ("Who sails ?", "Why ?"), strict=True):
        assert loaded(text)._.ask(question) == nlp(text)._.ask(question)


def test_gradient_reaches_every_layer(tokenizer):
    nlp = build(tokenizer)
    toys.initialize(nlp)
    nlp.update(toys.examples(nlp), sgd=False)
    encoder = shim_of(nlp.get_pipe("transformer").model).encoder
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_with_private_layers(tokenizer):
    """The lower half may reach into the private layers, or end below them."""
    for private in (1, 2):
        nlp = build(tokenizer, private_layers=private)
        toys.overfit(nlp, steps=80)
        assert nlp.evaluate(toys.examples(nlp))["qa_f1"] == 1.0


@pytest.mark.parametrize("deferred_layers", [DEPTH, DEPTH + 1])
def test_nothing_left_to_read_together(tokenizer, deferred_layers):
    nlp = build(tokenizer, deferred_layers=deferred_layers)
    toys.initialize(nlp)
    with pytest.raises(ValueError, match="E459"):
        nlp("Pell")._.ask("Who ?")
    with pytest.raises(ValueError, match="E425"):
        build(tokenizer, deferred_layers=-1)


def test_question_of_several_windows(nlp):
    with pytest.warns(UserWarning, match="W216"):
        answer = nlp("Pell")._.ask("Who sails ? " * 20)
    with pytest.warns(UserWarning, match="W216"):
        assert nlp("Pell")._.ask("Who sails ? " * 40) == answer


def test_nothing_to_join():
    empty = np.zeros(0, dtype=np.int64)
    from spacy_llm_tasks.tokenization.sequences import Sequences

    none = Sequences(*[empty] * 7, np.zeros(0, dtype=bool))
    assert len(join(none, [], [], after=1)) == 0
