"""Results do not depend on batch size, order, threads, packing or kernels: docs of random lengths
through the packed path, against one window after the other by the slow and obvious encoder."""

from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nn import reference

from spacy_llm_tasks.export.agreement import TOLERANCE, difference
from spacy_llm_tasks.layers.doc_encoder import TOKENS
from spacy_llm_tasks.layers.encoder import (
    build_transformer_v1,
    install,
    predict_views,
    shim_of,
)
from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.tokenization import PieceTokenizer

WINDOW, STRIDE, LONGEST = 126, 90, 2000
NLP = spacy.blank("en")
CORPUS = Path(__file__).parents[2] / "assets" / "corpus"
# Lengths around what windows, groups and passes are cut at, and any others.
LENGTHS = st.one_of(
    st.sampled_from([0, 1, 14, 15, 30, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + STRIDE, LONGEST]),
    st.integers(0, 200),
    st.integers(0, LONGEST),
)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    model = build_transformer_v1(window=WINDOW, stride=STRIDE)
    pieces = PieceTokenizer.from_folder(tokenizer)
    config = TransformerConfig(
        n_pieces=pieces.n_pieces, width=32, depth=2, n_heads=2, max_length=128, init_std=0.2
    )
    install(model, config, pieces)
    return model


@pytest.fixture(scope="module")
def words(model):
    """Words of one piece."""
    tokenizer = shim_of(model).built_tokenizer
    names = tokenizer.spell(range(tokenizer.n_pieces))
    names = [name for name in names if name.isalpha() and len(NLP.make_doc(name)) == 1]
    lengths = tokenizer.encode(names).lengths
    return [name for name, n in zip(names, lengths, strict=True) if n == 1]


@torch.no_grad()
def slowly(model, text):
    """Token rows, which are piece rows, of one text: each from the window it is deepest in."""
    shim = shim_of(model)
    ids, special = shim.built_tokenizer.encode([text]).ids.tolist(), shim.built_tokenizer.special
    starts = [0]
    while starts[-1] + WINDOW < len(ids):
        starts.append(min(starts[-1] + STRIDE, len(ids) - WINDOW))
    sequences = [torch.tensor([special.cls, *ids[s : s + WINDOW], special.sep]) for s in starts]
    encoder = shim.encoder.transformer
    states = reference.encode(encoder, sequences).split([len(s) for s in sequences])
    rows = []
    for i in range(len(ids)):
        room = [min(i - s, min(len(ids), s + WINDOW) - 1 - i) for s in starts]
        best = int(np.argmax(room))
        rows.append(states[best][1 + i - starts[best]])
    return torch.stack(rows).numpy() if rows else np.zeros((0, encoder.config.width))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(LENGTHS, min_size=1, max_size=6),
    batch_size=st.integers(1, 6),
    threads=st.integers(1, 2),
    kernel=st.sampled_from(["plain", None]),
    seed=st.integers(0, 99),
)
def test_packed_rows_are_those_of_one_window_at_a_time(
    model, words, lengths, batch_size, threads, kernel, seed
):
    rng, before = np.random.default_rng(seed), torch.get_num_threads()
    texts = [" ".join(rng.choice(words, length)) for length in lengths]
    docs = [NLP.make_doc(text) for text in texts]
    kernels.use(kernel)
    torch.set_num_threads(threads)
    try:
        found = []
        for first in range(0, len(docs), batch_size):
            found += predict_views(model, docs[first : first + batch_size], {TOKENS})[TOKENS]
    finally:
        kernels.use(None)
        torch.set_num_threads(before)
    for doc, rows, text in zip(docs, found, texts, strict=True):
        assert len(doc) == len(rows)
        np.testing.assert_allclose(rows, slowly(model, text), atol=1e-5, rtol=0)


def test_kernels_agree_on_text_through_many_layers(tokenizer):
    """As far as exported graphs do: rounding adds up, and numbers above 1 have more of it."""
    if not kernels.available():
        pytest.skip("this torch has no oneDNN")
    torch.manual_seed(0)
    model = build_transformer_v1()
    pieces = PieceTokenizer.from_folder(tokenizer)
    sizes = {"width": 96, "depth": 6, "n_heads": 6, "init_std": 0.1}
    install(model, TransformerConfig(n_pieces=pieces.n_pieces, **sizes), pieces)
    texts = [path.read_text(encoding="utf-8")[:4000] for path in sorted(CORPUS.glob("*.txt"))]
    docs = [NLP.make_doc(text) for text in [*texts, *texts[0].splitlines()]]
    rows = {}
    try:
        for kernel in kernels.KERNELS:
            kernels.use(kernel)
            rows[kernel] = predict_views(model, docs, {TOKENS})
    finally:
        kernels.use(None)
    assert difference(rows["onednn"], rows["plain"]) <= TOLERANCE
