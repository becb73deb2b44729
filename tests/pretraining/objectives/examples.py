"""Chunks, models and the naive forms of losses that the tests of objectives share."""

import numpy as np
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.pretraining.pieces.chunks import Chunks
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

N_PIECES = 211
SPECIAL = SpecialIds(cls=2, sep=3, pad=0, unk=1, mask=4, n_pieces=N_PIECES)
LENGTHS = [20, 20, 13, 7, 2, 1]


def chunks_of(lengths, *, n_pieces=N_PIECES, word=0.6, documents=None, seed=0, **edges):
    """Random pieces of text; each starts a word with the given chance."""
    rng = np.random.default_rng(seed)
    lengths = np.array(lengths, dtype=np.int64)
    total = int(lengths.sum())
    documents = np.arange(len(lengths)) if documents is None else np.array(documents)
    pieces = rng.integers(5, n_pieces, total)
    return Chunks(pieces, lengths, rng.random(total) < word, documents, **edges)


def rng_of(seed=0):
    return np.random.default_rng(seed)


def config_of(**settings):
    defaults = {"n_pieces": N_PIECES, "width": 32, "depth": 2, "n_heads": 4, "max_length": 64}
    still = {"dropout": 0.0, "attention_dropout": 0.0}
    return TransformerConfig(**{**defaults, **still, **settings})


def shaken(module, seed=0):
    """Give every parameter a value that shows: zero biases and unit norms hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


def sequences(prepared):
    """The pieces that the trunk reads, one list a sequence."""
    return [part.tolist() for part in prepared.pieces.split(prepared.lengths.tolist())]


def naive_piece_loss(head, hidden, table, rows, targets):
    """Cross-entropy by a loop over all positions, on dense logits."""
    wanted = dict(zip(rows.tolist(), targets.tolist(), strict=True))
    total, n_right = torch.zeros(()), 0
    for row in range(len(hidden)):
        if row in wanted:
            logits = head(hidden[row : row + 1], table)
            total = total + F.cross_entropy(logits, torch.tensor([wanted[row]]))
            n_right += int(logits.argmax()) == wanted[row]
    return total, n_right


def assert_same_gradients(ours, naive, *modules):
    """ours, naive: two forms of one loss; gradients of all parameters agree."""
    parameters = {
        name: parameter for module in modules for name, parameter in module.named_parameters()
    }
    assert abs(ours.item() - naive.item()) < 1e-4 * max(1, abs(naive.item()))
    values = list(parameters.values())
    pairs = zip(
        parameters,
        torch.autograd.grad(ours, values, allow_unused=True),
        torch.autograd.grad(naive, values, allow_unused=True),
        strict=True,
    )
    n_compared = 0
    for name, a, b in pairs:
        assert (a is None) == (b is None), name
        if a is not None:
            scale = max(1.0, b.abs().max().item())
            assert (a - b).abs().max().item() < 1e-4 * scale, name
            n_compared += 1
    assert n_compared > 5


def count_projected(monkeypatch, n_pieces=N_PIECES):
    """A list that gets the number of rows of each product with the piece table."""
    seen, linear = [], kernels.linear

    def spy(x, weight, bias=None):
        if len(weight) == n_pieces:
            seen.append(len(x))
        return linear(x, weight, bias)

    monkeypatch.setattr(kernels, "linear", spy)
    return seen


def assert_share(n_hits, n, share, *, deviations=4.0):
    """A count is that of a binomial with this share, within so many standard errors."""
    error = np.sqrt(share * (1 - share) / n)
    assert abs(n_hits / n - share) <= deviations * error, (n_hits / n, share, error)


def assert_mean(values, mean, *, deviations=4.0):
    """A sample's mean is the expected one, within so many of its standard errors."""
    values = np.asarray(values, dtype=float)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - mean) <= deviations * error, (values.mean(), mean, error)
