"""What an evaluation reports is what a slow and plain computation finds."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.pretraining.evaluation import Evaluation
from spacy_llm_tasks.pretraining.feed import Feed
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives import CausalLM, Contrastive, MaskedLM
from spacy_llm_tasks.pretraining.optimisation.precision import MixedPrecision
from spacy_llm_tasks.pretraining.pieces.chunks import ChunkIndex, ChunkSampler
from spacy_llm_tasks.pretraining.pieces.piece_store import write_pieces
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds
from spacy_llm_tasks.pretraining.team.distributed import Team

from .cutters import wordpiece

CPU = torch.device("cpu")
TEXTS = [
    "the grain is ground by the mill.",
    "a miller, two wheels (made of oak) and 14 sacks",
    "water",
    "grain for the mill, and caf\u00e9s for the m\u00fcller!",
    "the river turned in its bed while nobody was looking at it",
]


@pytest.fixture(scope="module")
def tokenizer():
    return wordpiece()


@pytest.fixture(scope="module")
def store(tokenizer, tmp_path_factory):
    return write_pieces(tmp_path_factory.mktemp("store") / "pieces", TEXTS, tokenizer)


def make(store, tokenizer, kind, objectives, *, length=100, batch_pieces=120, **options):
    """An evaluation, and a model that it judges."""
    torch.manual_seed(1)
    config = TransformerConfig(
        n_pieces=tokenizer.n_pieces, width=16, depth=2, n_heads=2, init_std=0.3, max_length=128
    )
    trunk = {"encoder": TransformerEncoder, "decoder": TransformerDecoder}[kind](config)
    special = SpecialIds.from_pieces(tokenizer.special, n_pieces=tokenizer.n_pieces)
    index = ChunkIndex(store, length=length)
    sampler = ChunkSampler(index, batch_pieces=batch_pieces, seed=0)
    feed = Feed(sampler, {o.name: o for o in objectives}, special, seed=3)
    settings = {"n_batches": 0, "weights": {o.name: o.weight for o in objectives}}
    settings |= {"precision": MixedPrecision("fp32", device=CPU), "team": Team(), **options}
    evaluation = Evaluation(feed, bytes_per_piece=store.n_bytes / store.n_pieces, **settings)
    return evaluation, PretrainingModel(trunk, objectives)


def test_a_decoder_is_judged_by_all_of_the_text(store, tokenizer):
    """Document by document, with its end: -log2 p of everything, by the bytes of the files."""
    evaluation, model = make(store, tokenizer, "decoder", [CausalLM()])
    assert evaluation.n_batches > 1
    found = evaluation(model)["causal"]
    trunk, special = model.trunk.eval(), tokenizer.special
    nats, n, hits = [], 0, 0
    for text in TEXTS:
        pieces = tokenizer.encode([text]).ids.tolist()
        read = torch.tensor([special.cls, *pieces])
        with torch.no_grad():
            rows = trunk(read, Packing.from_lengths([len(read)]))
            shares = (rows @ trunk.piece_table.T).double().log_softmax(dim=1)
        for row, piece in enumerate([*pieces, special.sep]):
            nats.append(-float(shares[row, piece]))
            hits += int(shares[row].argmax() == piece)
            n += 1
    assert found["loss"] == pytest.approx(sum(nats) / n, abs=1e-6)
    assert found["accuracy"] == pytest.approx(hits / n)
    assert found["perplexity"] == pytest.approx(math.exp(sum(nats) / n), rel=1e-6)
    n_bytes = len("".join(TEXTS).encode("utf8"))
    assert found["bits_per_byte"] == pytest.approx(sum(nats) / math.log(2) / n_bytes, abs=1e-6)
    assert found.keys() == {"loss", "accuracy", "perplexity", "bits_per_byte"}


def test_the_first_piece_of_a_later_chunk_counts_nowhere(store, tokenizer):
    evaluation, model = make(store, tokenizer, "decoder", [CausalLM()], length=10)
    found = evaluation(model)["causal"]
    sizes = np.diff(store.bounds)
    unseen = int((-(-sizes // 10) - 1).sum())
    n, n_text = int(sizes.sum() + len(TEXTS) - unseen), int(sizes.sum()) - unseen
    assert unseen > 5
    per_byte = found["loss"] * n / n_text * store.n_pieces / store.n_bytes / math.log(2)
    assert found["bits_per_byte"] == pytest.approx(per_byte, rel=1e-9)


def test_an_encoder_is_judged_by_what_was_hidden(store, tokenizer):
    evaluation, model = make(store, tokenizer, "encoder", [MaskedLM(rate=0.3)])
    found = evaluation(model)["masked"]
    trunk, head = model.trunk.eval(), model.heads["masked"].eval()
    total = count = 0
    for number in range(evaluation.feed.sampler.n_batches):
        prepared = evaluation.feed.prepare("masked", number, progress=1.0)
        starts = np.append(0, np.cumsum(prepared.lengths.numpy()))
        for begin, end in zip(starts[:-1], starts[1:], strict=True):
            pieces = prepared.pieces[begin:end]
            with torch.no_grad():
                rows = trunk(pieces, Packing.from_lengths([len(pieces)])).last
                logits = head(rows, trunk.piece_table).double()
            for row, target in zip(prepared.target_rows, prepared.targets, strict=True):
                if begin <= row < end:
                    total += float(F.cross_entropy(logits[row - begin], target))
                    count += 1
    assert found["loss"] == pytest.approx(total / count, abs=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(total / count), rel=1e-6)
    assert "bits_per_byte" not in found


def test_the_same_every_time_and_without_traces(store, tokenizer):
    objectives = [MaskedLM(), Contrastive(dropout=0.2, weight=0.5)]
    evaluation, model = make(store, tokenizer, "encoder", objectives)
    model.train()
    torch.manual_seed(5)
    first = evaluation(model)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    assert torch.equal(state, torch.get_rng_state())
    assert evaluation(model) == first
    assert "perplexity" not in first["contrastive"]
    expected = first["masked"]["loss"] + 0.5 * first["contrastive"]["loss"]
    assert evaluation.total(first) == pytest.approx(expected)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_part_of_the_text(store, tokenizer):
    whole, model = make(store, tokenizer, "decoder", [CausalLM()])
    part, _ = make(store, tokenizer, "decoder", [CausalLM()], n_batches=1)
    more, _ = make(store, tokenizer, "decoder", [CausalLM()], n_batches=99)
    assert more.n_batches == whole.n_batches > part.n_batches == 1
    assert whole(model) == more(model) != part(model)


def test_an_objective_that_finds_nothing_is_left_out(tokenizer, tmp_path):
    # a single chunk: there is nothing to tell it from
    store = write_pieces(tmp_path / "pieces", TEXTS[:1], tokenizer)
    objectives = [MaskedLM(), Contrastive(dropout=0.2)]
    evaluation, model = make(store, tokenizer, "encoder", objectives)
    scores = evaluation(model)
    assert scores.keys() == {"masked"}
    assert evaluation.total(scores) == scores["masked"]["loss"]
    assert math.isnan(evaluation.total({}))


class Pair(Team):
    """One of two processes, whose words to each other go by a file."""

    def __init__(self, rank, heard):
        super().__init__(rank=rank, world=2)
        object.__setattr__(self, "heard", heard)

    def gather(self, value):
        self.heard[self.rank] = json.loads(json.dumps(value))
        return [self.heard.get(0, {}), self.heard.get(1, {})]


def test_two_share_the_text_and_count_nothing_twice(store, tokenizer):
    options = {"length": 20, "batch_pieces": 60, "n_batches": 3}
    alone, model = make(store, tokenizer, "decoder", [CausalLM()], **options)
    assert alone.n_batches == 3  # the second one has nothing left in the last round
    heard = {}
    for rank in (0, 1):
        options["team"] = Pair(rank, heard)
        evaluation, _ = make(store, tokenizer, "decoder", [CausalLM()], **options)
        found = evaluation(model)
    for name, value in alone(model)["causal"].items():
        assert found["causal"][name] == pytest.approx(value, rel=1e-9), name
