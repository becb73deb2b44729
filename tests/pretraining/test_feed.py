"""Micro-batches are functions of their numbers."""

import numpy as np
import pytest
import torch

from spacy_llm_tasks.pretraining.feed import Feed
from spacy_llm_tasks.pretraining.objectives import MaskedLM, NextSentence
from spacy_llm_tasks.pretraining.pieces.chunks import ChunkIndex, ChunkSampler
from spacy_llm_tasks.pretraining.pieces.piece_store import write_pieces
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

from .cutters import wordpiece
from .runs import write_texts


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    texts = write_texts(folder / "texts.txt", n=20)
    return write_pieces(folder / "pieces", texts, wordpiece())


def make(store, *, seed=3, objectives=None):
    tokenizer = wordpiece()
    special = SpecialIds.from_pieces(tokenizer.special, n_pieces=tokenizer.n_pieces)
    sampler = ChunkSampler(ChunkIndex(store, length=20), batch_pieces=120, seed=seed, framing=3)
    objectives = objectives or [MaskedLM(rate=0.3, rate_end=0.1), NextSentence()]
    return Feed(sampler, {o.name: o for o in objectives}, special, seed=seed)


def facts(prepared):
    return {k: v.tolist() for k, v in vars(prepared).items() if isinstance(v, torch.Tensor)}


def test_a_micro_batch_follows_from_its_number(store):
    feed = make(store)
    n = feed.sampler.n_batches
    numbers = [0, 1, n - 1, n, 5 * n + 2]
    forwards = [facts(feed.prepare("masked", number, progress=0.5)) for number in numbers]
    np.random.seed(77)
    torch.manual_seed(77)
    again = make(store)
    backwards = [facts(again.prepare("masked", i, progress=0.5)) for i in reversed(numbers)]
    assert forwards == backwards[::-1]
    assert all(a != b for a, b in zip(forwards, forwards[1:], strict=False))


def test_objectives_read_the_same_text_and_draw_for_themselves(store):
    feed = make(store)
    masked, pairs = (feed.prepare(name, 4, progress=0.0) for name in ("masked", "next_sentence"))
    assert len(masked.lengths) == len(pairs.lengths)
    # what one draws does not depend on which others there are, or on their order
    alone = make(store, objectives=[NextSentence(), MaskedLM(rate=0.3, rate_end=0.1)])
    assert facts(alone.prepare("masked", 4, progress=0.0)) == facts(masked)


def test_chunks_come_again_with_other_masks(store):
    feed = make(store)
    n = feed.sampler.n_batches
    epochs = [[feed.prepare("masked", e * n + i, progress=0.0) for i in range(n)] for e in (0, 1)]
    sizes = [sum(len(part.pieces) for part in epoch) for epoch in epochs]
    assert sizes[0] == sizes[1]
    assert [facts(part) for part in epochs[0]] != [facts(part) for part in epochs[1]]


def test_seed_and_progress_count(store):
    feed = make(store)
    prepared = feed.prepare("masked", 0, progress=0.0)
    assert facts(make(store, seed=4).prepare("masked", 0, progress=0.0)) != facts(prepared)
    assert feed.prepare("masked", 0, progress=1.0).count < prepared.count / 2
