"""The encoder layer against one doc, one window and one token at a time."""

import resource
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import spacy
import torch
from pipeline import toys
from spacy.tokens import Doc
from thinc.api import CupyOps, set_dropout_rate

from spacy_llm_tasks.layers.doc_batch import prepare
from spacy_llm_tasks.layers.doc_encoder import View
from spacy_llm_tasks.layers.encoder import (
    build_transformer_v1,
    install,
    predict_views,
    shim_of,
    update_views,
)
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.tokenization import PieceTokenizer

WINDOW, STRIDE = 12, 8
TOKENS, PIECES, CLS = View("tokens", -1), View("pieces", -1), View("cls", -1)


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


@pytest.fixture(scope="module")
def layer(tokenizer):
    return make_layer(tokenizer)


def make_layer(tokenizer, **settings):
    torch.manual_seed(0)
    model = build_transformer_v1(window=WINDOW, stride=STRIDE, dropout=0.3, **settings)
    pieces = PieceTokenizer.from_folder(tokenizer)
    sizes = {"width": 16, "depth": 2, "n_heads": 2, "max_length": 32, "dropout": 0.3, **settings}
    install(model, TransformerConfig(n_pieces=pieces.n_pieces, **sizes), pieces)
    return model


def docs_of(nlp):
    long = "Marta and Ivo met in Lorne Bay . " * 9
    docs = [nlp.make_doc(text) for text in ["", "Pell", "  \n ", long, toys.TEXTS[0], "x" * 300]]
    # Tokens that cut a piece in two, so that two tokens share it.
    docs.append(
        Doc(nlp.vocab, words=["Mar", "t", "a", "sails"], spaces=[False, False, True, False])
    )
    return docs


def one_window(model, ids, *, layer=-1):
    """States of one sequence by a call of its own."""
    special = shim_of(model).tokenizer.special
    rows = torch.tensor([special.cls, *ids, special.sep])
    with shim_of(model).predicting() as encoder:
        packing = Packing.from_lengths([len(rows)])
        output = encoder.transformer(rows, packing, all_layers=True)
    return (output.last if layer == -1 else output.layers[layer]).numpy()


def reference(model, doc, *, layer=-1):
    """Token rows, piece rows and CLS row of one doc, by loops."""
    pieces = shim_of(model).tokenizer.encode([doc.text])
    ids = pieces.ids.tolist()
    starts = [0]
    while starts[-1] + WINDOW < len(ids):
        starts.append(min(starts[-1] + STRIDE, len(ids) - WINDOW))
    states = [one_window(model, ids[s : s + WINDOW], layer=layer) for s in starts]
    piece_rows = []
    for i in range(len(ids)):
        room = [
            min(i - s, min(len(ids), s + WINDOW) - 1 - i) if s <= i < s + WINDOW else -1
            for s in starts
        ]
        best = int(np.argmax(room))
        piece_rows.append(states[best][1 + i - starts[best]])
    token_rows = []
    for token in doc:
        first, last = token.idx, token.idx + len(token)
        own = [
            piece_rows[i]
            for i in range(len(ids))
            if pieces.starts[i] < last and pieces.ends[i] > first
        ]
        token_rows.append(np.mean(own, axis=0) if own else np.zeros(16))
    shape = (-1, 16)
    return {
        "tokens": np.array(token_rows, dtype="f").reshape(shape),
        "pieces": np.array(piece_rows, dtype="f").reshape(shape),
        "cls": np.mean([s[0] for s in states], axis=0).reshape(shape),
    }


@pytest.mark.parametrize("layer_index", [-1, 0, 1])
def test_views_against_loops(layer, nlp, layer_index):
    docs = docs_of(nlp)
    views = {View(kind, layer_index) for kind in ("tokens", "pieces", "cls")}
    found = predict_views(layer, docs, views)
    for i, doc in enumerate(docs):
        wanted = reference(layer, doc, layer=layer_index)
        for kind, rows in wanted.items():
            np.testing.assert_allclose(
                found[View(kind, layer_index)][i], rows, atol=2e-5, err_msg=f"{kind} {doc.text[:9]}"
            )


def test_tokens_without_and_with_shared_pieces(layer, nlp):
    docs = docs_of(nlp)
    rows = predict_views(layer, docs, {TOKENS})[TOKENS]
    assert not rows[2].any() and len(rows[2]) == len(docs[2])
    batch = prepare(docs[-1:], shim_of(layer).tokenizer, window=WINDOW, stride=STRIDE)
    ranges = list(zip(batch.token_first.tolist(), batch.token_last.tolist(), strict=True))
    assert any(set(range(*a)) & set(range(*b)) for a, b in zip(ranges, ranges[1:], strict=False))


def test_every_piece_is_read_once(layer, nlp):
    docs = docs_of(nlp)
    batch = prepare(docs, shim_of(layer).tokenizer, window=WINDOW, stride=STRIDE)
    ids = shim_of(layer).tokenizer.encode([doc.text for doc in docs]).ids
    np.testing.assert_array_equal(batch.ids[batch.piece_rows], ids)
    special = shim_of(layer).tokenizer.special
    assert (batch.ids[batch.sequence_starts] == special.cls).all()
    assert (batch.ids[batch.sequence_starts + batch.sequence_lengths - 1] == special.sep).all()
    assert batch.sequence_lengths.max() == WINDOW + 2


def test_training_and_prediction_agree_without_dropout(layer, nlp):
    docs = docs_of(nlp)
    layer.attrs["dropout_rate"] = 0.0
    rows, _ = update_views(layer, docs, {TOKENS, CLS})
    expected = predict_views(layer, docs, {TOKENS, CLS})
    for view in (TOKENS, CLS):
        for a, b in zip(rows[view], expected[view], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_gradients_of_all_views_add_up(tokenizer, nlp):
    """Gradients through tokens, pieces and CLS together are those of one sum in torch."""
    model = make_layer(tokenizer)
    model.attrs["dropout_rate"] = 0.0
    docs = docs_of(nlp)
    views = {TOKENS, PIECES, CLS}
    rows, backward = update_views(model, docs, views)
    generator = np.random.default_rng(0)
    answers = {v: [generator.normal(size=r.shape).astype("f") for r in rows[v]] for v in views}
    backward({v: [d, [2 * x for x in d]] for v, d in answers.items()})
    module = shim_of(model).module
    found = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    batch = prepare(docs, shim_of(model).tokenizer, window=WINDOW, stride=STRIDE)
    tensors = module(batch, views)
    total = sum((tensors[v] * torch.from_numpy(np.concatenate(answers[v]))).sum() for v in views)
    (3 * total).backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-4, rtol=1e-3)


def test_dropout_reaches_torch(tokenizer, nlp):
    model = make_layer(tokenizer)
    docs = [nlp.make_doc(toys.TEXTS[0])]

    def rows():
        return model.begin_update(docs)[0][0].copy()

    assert not np.allclose(rows(), rows())  # the config's own rate, while nobody has set another
    set_dropout_rate(model, 0.0)
    still = rows()
    np.testing.assert_array_equal(still, rows())
    set_dropout_rate(model, 0.5)
    assert not np.allclose(rows(), still)
    np.testing.assert_allclose(model.predict(docs)[0], still, atol=1e-5)
    assert not shim_of(model).module.training


def test_window_is_cut_to_what_the_encoder_knows(tokenizer, nlp):
    model = build_transformer_v1(window=400, stride=300)
    pieces = PieceTokenizer.from_folder(tokenizer)
    sizes = {"width": 16, "depth": 1, "n_heads": 2, "max_length": 10}
    install(model, TransformerConfig(n_pieces=pieces.n_pieces, **sizes), pieces)
    doc = nlp.make_doc(toys.TEXTS[0] * 3)
    assert model.predict([doc])[0].shape == (len(doc), 16)


@pytest.mark.parametrize("window, stride", [(0, 0), (5, 6), (5, 0), (-1, -1)])
def test_bad_windows(window, stride):
    with pytest.raises(ValueError, match="E406"):
        build_transformer_v1(window=window, stride=stride)


def test_config_against_checkpoint(tokenizer):
    pieces = PieceTokenizer.from_folder(tokenizer)
    model = build_transformer_v1(width=16, depth=3)
    config = TransformerConfig(n_pieces=pieces.n_pieces, width=16, depth=2, n_heads=2)
    with pytest.raises(ValueError, match="E404.*depth = 3.*has 2"):
        install(model, config, pieces)
    few = TransformerConfig(n_pieces=7, width=16, depth=3, n_heads=2)
    with pytest.raises(ValueError, match="E405.*expected|E405.*7"):
        install(model, few, pieces)


def test_one_huge_token(layer, nlp):
    """A word of 100,000 characters is one unknown piece or many; it never breaks a batch."""
    doc = Doc(nlp.vocab, words=["Pell", "q" * 100_000, "Vask"])
    rows = layer.predict([doc])[0]
    assert rows.shape == (3, 16) and np.isfinite(rows).all() and rows.any(axis=1).all()


@pytest.mark.slow
def test_memory_of_a_long_doc(layer, nlp):
    """300,000 characters: memory grows with the length, not with its square."""
    doc = Doc(nlp.vocab, words=(toys.TEXTS[0].split() * 6000)[:60_000])
    assert len(doc.text) >= 250_000
    layer.predict([doc[:500].as_doc()])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = layer.predict([doc])[0]
    assert rows.shape == (len(doc), 16)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 400, f"{grown:.0f} MiB more"


# Training on large batches in little memory -------------------------------------------------------


def gradients_with(model, docs, *, rows, dropout):
    shim = shim_of(model)
    shim.encoder.recompute_rows = rows
    set_dropout_rate(model, dropout)
    torch.manual_seed(3)
    kept = 0

    def count(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        found, backward = update_views(model, docs, {TOKENS, CLS})
    backward({view: [[np.cos(d) for d in rows]] for view, rows in found.items()})
    gradients = {n: p.grad.clone() for n, p in shim.module.named_parameters()}
    shim.module.zero_grad()
    return found, gradients, kept


def test_recomputed_gradients_are_the_same(tokenizer, nlp):
    model = make_layer(tokenizer)
    docs = docs_of(nlp) * 4
    plain_rows, plain, kept = gradients_with(model, docs, rows=None, dropout=0.0)
    rows, recomputed, kept_then = gradients_with(model, docs, rows=64, dropout=0.0)
    for view in rows:
        for a, b in zip(rows[view], plain_rows[view], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, atol=1e-4, rtol=1e-4, msg=name)
    assert kept_then < kept / 5


def test_recomputing_draws_the_same_dropout(tokenizer, nlp):
    """The second way through must see what the first one saw: a wrong gradient would show in a
    step against finite differences."""
    model = make_layer(tokenizer)
    docs = docs_of(nlp) * 2
    shim = shim_of(model)
    _, found, _ = gradients_with(model, docs, rows=64, dropout=0.3)
    weight = shim.encoder.transformer.blocks[0].feedforward.up.weight
    step, losses = 1e-2, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[2, 3] += sign * step
        torch.manual_seed(3)
        rows, _ = update_views(model, docs, {TOKENS, CLS})
        losses.append(sum(float(np.sin(d.astype(float)).sum()) for v in rows for d in rows[v]))
        with torch.no_grad():
            weight[2, 3] -= sign * step
    slope = (losses[0] - losses[1]) / (2 * step)
    name = "transformer.blocks.0.feedforward.up.weight"
    assert slope == pytest.approx(float(found[name][2, 3]), abs=2e-2, rel=2e-2)


# Training in bfloat16 -----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, 64])
def test_bfloat16_rounds_products_and_nothing_else(tokenizer, nlp, rows):
    model, docs = make_layer(tokenizer), docs_of(nlp) * 2
    exact_rows, exact, _ = gradients_with(model, docs, rows=None, dropout=0.0)
    predicted = model.predict(docs)
    shim_of(model).encoder.training_precision = "bf16"
    rounded_rows, rounded, _ = gradients_with(model, docs, rows=rows, dropout=0.0)
    for view, arrays in exact_rows.items():
        for a, b in zip(arrays, rounded_rows[view], strict=True):
            assert b.dtype == np.float32
            np.testing.assert_allclose(a, b, atol=0.1)
    assert any(
        (a != b).any() for a, b in zip(exact_rows[TOKENS], rounded_rows[TOKENS], strict=True)
    )
    for name, gradient in exact.items():
        assert rounded[name].dtype == torch.float32
        assert (rounded[name] - gradient).norm() <= 0.1 * gradient.norm() + 1e-3, name
    for a, b in zip(predicted, model.predict(docs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_precision_comes_from_the_config(tokenizer):
    model = build_transformer_v1(training_precision="bf16")
    install(
        model,
        shim_of(make_layer(tokenizer)).encoder.config,
        shim_of(make_layer(tokenizer)).tokenizer,
    )
    assert shim_of(model).encoder.training_precision == "bf16"


# Compiled blocks ----------------------------------------------------------------------------------


def compiled_layer(tokenizer, **settings):
    like = shim_of(make_layer(tokenizer))
    model = build_transformer_v1(compiled=True, window=WINDOW, stride=STRIDE, **settings)
    install(model, like.encoder.config, like.tokenizer).load_state_dict(like.encoder.state_dict())
    return model


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_blocks_train_and_predict_alike(tokenizer, nlp):
    plain, model, docs = make_layer(tokenizer), compiled_layer(tokenizer), docs_of(nlp) * 2
    for rows in (None, 64):  # also with blocks that are computed again
        expected, gradients, _ = gradients_with(plain, docs, rows=rows, dropout=0.0)
        found, compiled, _ = gradients_with(model, docs, rows=rows, dropout=0.0)
        for view in expected:
            for a, b in zip(expected[view], found[view], strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(compiled[name], gradient, atol=1e-4, rtol=1e-4, msg=name)
    for a, b in zip(plain.predict(docs), model.predict(docs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    encoder = shim_of(model).encoder
    encoder.add_branch("later", 2)
    blocks = [*encoder.transformer.blocks, *encoder.path("later")]
    assert all(block._compiled_call_impl is not None for block in blocks)


def test_rounded_weights_are_not_compiled(tokenizer):
    with pytest.raises(ValueError, match="E450"):
        compiled_layer(tokenizer, precision="int8")


def test_rows_are_arrays_of_the_pipeline(tokenizer, nlp, monkeypatch):
    """Also those of an encoder that reads on the CPU, in a pipeline on a GPU."""
    model, docs = make_layer(tokenizer), docs_of(nlp)
    expected = model.predict(docs)
    brought = []

    def asarray(tensor):
        brought.append(tensor.shape)
        return tensor.numpy()

    monkeypatch.setattr("thinc.util.cupy", SimpleNamespace(asarray=asarray))
    model.ops = CupyOps()
    for found, rows in zip(model.predict(docs), expected, strict=True):
        assert np.array_equal(found, rows)
    update_views(model, docs, {TOKENS})
    assert brought == [(sum(map(len, docs)), 16)] * 2


def test_recompute_rows_must_be_positive():
    with pytest.raises(ValueError, match="E425"):
        build_transformer_v1(recompute_rows=0)
