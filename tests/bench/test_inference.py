"""Speed of inference: what is compared with what, and that both sides read the same."""

import json

import numpy as np
import pytest
import spacy
import torch
from torch.utils.flop_counter import FlopCounterMode

from spacy_llm_tasks.bench import agreement, inference, inference_sides, peak, raw_loops
from spacy_llm_tasks.bench.inference_sides import Reader, Side
from spacy_llm_tasks.bench.workers import Reading
from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.tokenization import PieceTokenizer

from .data import write_weights

OURS, PEER = Side("ours"), Side("peer")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def reading(wall, cpu, **found):
    return Reading(wall, cpu, {"encoder_s": cpu / 2, "flops": None, "memory_mb": 100.0, **found})


def test_ratio_is_of_the_medians_and_the_peer_is_one():
    rounds = {
        OURS: [reading(w, 1.0, flops=8.0, memory_mb=w) for w in (1.0, 9.0, 2.0)],
        PEER: [reading(w, 3.0) for w in (4.0, 5.0, 6.0)],
    }
    ours, peer = inference.compare(rounds, peak=32.0, n_words=100, n_pieces=120)
    assert (ours.words_per_s, ours.pieces_per_s, peer.words_per_s) == (50.0, 60.0, 20.0)
    assert (ours.ratio, peer.ratio) == (2.5, 1.0)
    assert (ours.ratio_cpu, peer.ratio_cpu) == (3.0, 1.0)
    assert (ours.peak_share, peer.peak_share) == (0.5, None)
    assert (ours.memory_mb, ours.windows, peer.windows) == (9.0, "default", "")


def test_without_the_peer_there_is_no_ratio():
    (ours,) = inference.compare({OURS: [reading(1.0, 1.0)]}, peak=1.0, n_words=10, n_pieces=10)
    assert ours.ratio is None and ours.ratio_cpu is None


def test_long_texts_are_read_with_windows_like_the_peers_and_with_ours():
    sides = inference.sides_of(["ours", "peer"], ["fp32", "int8"], "long", (150, 120))
    ours = inference.shipped_windows()
    assert 0 < ours[1] < ours[0] and ours != (150, 120)
    assert sides == [
        Side("ours", "fp32", (150, 120)),
        Side("ours", "int8", (150, 120)),
        Side("ours", "fp32", ours),
        Side("ours", "int8", ours),
        Side("peer"),
    ]
    assert inference.sides_of(["ours"], ["bf16"], "sentences", (1, 1)) == [Side("ours", "bf16")]


@pytest.mark.parametrize(
    "names, precisions, kind, code",
    [
        (["theirs"], ["fp32"], "sentences", "E583.*'theirs'.*sentence-transformers"),
        (["transformers"], ["fp32"], "mix", "E587.*their beginning"),
        (["ours"], ["fp16"], "sentences", "E123.*'fp16'"),
    ],
)
def test_wrong_choices(names, precisions, kind, code):
    with pytest.raises(ValueError, match=code):
        inference.check(names, precisions, kind)


class Started:
    """Work in this process, in place of a worker."""

    turns: list

    def __init__(self, name, make, *arguments):
        self.name, self.work = name, make(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, n):
        self.turns.append(self.name)
        return Reading(2.0, 1.0, self.work(n))


@pytest.fixture
def found(monkeypatch, weights):
    monkeypatch.setattr(Started, "turns", [], raising=False)
    monkeypatch.setattr(peak, "SIDE", 64)
    return inference.report(
        ["ours"],
        weights,
        kind="sentences",
        n_words=50,
        rounds=2,
        threads=torch.get_num_threads(),
        seed=0,
        precisions=["fp32", "int8"],
        start=Started,
    )


def test_report_is_json_with_the_promised_keys(found):
    exact, rounded = json.loads(json.dumps(found))["results"]
    assert {"side", "precision", "ratio", "words_per_s"} <= set(exact)
    assert (exact["precision"], rounded["precision"]) == ("fp32", "int8")
    assert exact["ratio"] is None and len(exact["wall_s"]) == 2 and exact["peak_share"] > 0
    assert found["n_words"] >= 50 and found["n_pieces"] >= 50
    assert "max_abs_difference" not in found


def test_sides_take_turns_after_a_round_that_does_not_count(found):
    warm_up, rounds = Started.turns[:3], Started.turns[3:]
    assert warm_up == ["ours", "ours", "peak"]
    assert rounds == warm_up + warm_up[::-1]


def test_report_as_table(found):
    text = inference.render(found)
    assert "| ours | int8 | default |" in text and "2 interleaved rounds" in text
    assert "difference" not in text
    both = {"max_abs_difference": 1e-6, "max_abs_difference_long": 2e-6}
    assert "1.0e-06 in docs of at most 128" in inference.render({**found, **both})


def test_our_reader_says_what_its_encoder_took(weights):
    job = {"kind": "long", "n_words": 400, "threads": torch.get_num_threads(), "seed": 0}
    one = Reader(Side("ours", windows=(20, 10)), weights, **job)
    other = Reader(Side("ours", windows=(20, 20)), weights, **job)
    first = one(1)
    assert first["encoder_s"] > 0 and first["memory_mb"] > 10
    assert one(2)["flops"] == 2 * first["flops"]
    assert 1.7 < first["flops"] / other(1)["flops"] < 2.1  # twice the windows


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_operations_of_an_encoder_are_those_that_torch_counts(activation):
    config = TransformerConfig(
        n_pieces=20, width=16, depth=2, n_heads=2, ffn_width=40, activation=activation
    )
    lengths = np.array([8, 8, 8])
    encoder = TransformerEncoder(config)
    kernels.use("plain")
    try:
        with FlopCounterMode(display=False) as counted:
            encoder(torch.zeros(24, dtype=torch.int64), Packing.from_lengths(lengths))
    finally:
        kernels.use(None)
    assert peak.forward_flops(config, lengths) == counted.get_total_flops()


class Rows:
    """Stands for a pipeline of either side: rows that tell the token and the window it is in."""

    def __init__(self, error):
        self.error, self.vocab = error, spacy.blank("en")

    def make_doc(self, text):
        return self.vocab(text)


def test_differences_are_looked_for_where_windows_agree(monkeypatch, weights):
    tokenizer = PieceTokenizer.from_folder(weights)
    asked = []

    def rows(ours, peer, text):
        n = len(ours.make_doc(text))
        asked.append(n)
        theirs = np.zeros((n, 2))
        theirs[96:128] = 9.0  # in two windows: not compared
        theirs[3] = ours.error
        return np.zeros((n, 2)), theirs

    monkeypatch.setattr(agreement, "_rows", rows)
    monkeypatch.setattr(agreement.texts, "running_words", lambda: ("x,", "cannot"))
    assert agreement.long_difference(Rows(0.25), None, tokenizer) is None
    pieces = tokenizer.spell(range(tokenizer.n_pieces))
    monkeypatch.setattr(agreement.texts, "running_words", lambda: ("x,", "cannot", *pieces))
    assert agreement.long_difference(Rows(0.25), None, tokenizer) == 0.25
    assert set(asked) == {128 + 4 * 96}
    asked.clear()
    assert agreement.short_difference(Rows(0.5), None, ["a b c d", "word " * 129]) == 0.5
    assert asked == [4]
    assert agreement.short_difference(Rows(0.5), None, ["word " * 129]) is None


def test_windows_hold_as_many_tokens_as_the_peers(weights):
    tokenizer = PieceTokenizer.from_folder(weights)
    n = len(tokenizer.encode(["one", "two"]))
    assert agreement.token_windows(tokenizer, ["one", "two"], n) == (128, 96)
    assert agreement.token_windows(tokenizer, ["one", "two"], 2 * n) == (64, 48)


def test_a_plain_loop_reads_everything(monkeypatch):
    transformers = pytest.importorskip("transformers")
    seen = []

    class Batch(dict):
        def to(self, device):
            return self

    class Model:
        def eval(self):
            return self

        def to(self, device):
            assert device == "cpu"
            return self

        def __call__(self, **batch):
            seen.append(batch["n"])

    def cut(texts, **options):
        assert options["padding"] and options["max_length"] == raw_loops.LONGEST
        return Batch(n=len(texts))

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda path: cut)
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", lambda path: Model())
    raw_loops.PlainLoop("folder")(["a"] * 70)
    assert seen == [32, 32, 6]


def test_on_a_gpu_nothing_is_said_of_the_processors_peak():
    rounds = {OURS: [reading(1.0, 1.0)]}
    (ours,) = inference.compare(rounds, peak=None, n_words=10, n_pieces=10)
    assert ours.peak_share is None
    found = {
        "results": [vars(ours)],
        "n_words": 10,
        "n_texts": 1,
        "texts": "sentences",
        "rounds": 1,
        "threads": 1,
        "peak_gflops": None,
        "machine": {"gpu": "Toy 9000"},
        "max_abs_difference_curated": 2e-6,
    }
    text = inference.render(found)
    assert "Toy 9000" in text and "GFLOP" not in text and "thread" not in text
    assert "curated: 2.0e-06" in text


def test_a_side_whose_library_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(inference_sides, "installed", lambda packages: {})
    with pytest.raises(ValueError, match="E592.*'curated'.*'spacy-curated-transformers<1'"):
        inference.check(["curated"], ["fp32"], "long")
    inference.check(["ours"], ["fp32"], "long")


def test_memory_grows_with_what_is_held():
    before = inference_sides.peak_memory_mb()
    held = np.ones(300 * 2**20, dtype=np.uint8)
    assert inference_sides.peak_memory_mb() >= before and held.sum() == held.size
