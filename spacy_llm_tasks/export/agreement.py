"""Whether an exported graph gives what PyTorch gives: on docs and batches of every odd shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spacy.language import Language
from spacy.tokens import Doc
from torch import nn

from ..layers.answer_head import AnswerHead
from ..layers.doc_encoder import View
from ..layers.encoder import Views
from ..layers.onnx_session import optional
from ..layers.task_head import HeadBatch
from ..pipeline.encoder import EncoderComponent
from .row_heads import FEATURES, LENGTHS, ROWS, RowHead

# Largest difference from float32 in PyTorch, relative to numbers above 1.
TOLERANCE = 1e-5
_SENTENCE = "The tide came in at noon, and the boats of Lorne Bay went out to meet it. "
# Nothing, spaces, one word, no word, one word of many pieces, other scripts, and long texts whose
# windows have several lengths.
PROBES = (
    "", "   ", "\n", "Tide", "?!", "unter" * 40, "Ça va? 東京 и Москва 🙂",
    _SENTENCE, _SENTENCE * 7, _SENTENCE * 41,
)  # fmt: skip


def probes(nlp: Language) -> list[Doc]:
    """RETURNS (list[Doc]): Docs of every odd shape, as the pipeline's tokenizer makes them."""
    return [nlp.make_doc(text) for text in PROBES]


def rows_of(encoder: EncoderComponent, docs: Sequence[Doc]) -> Views:
    """Read docs all together, and one by one.

    encoder (EncoderComponent): The encoder.
    docs (Sequence[Doc]): The docs.
    RETURNS (dict): For each view that somebody reads, twice one array per doc.
    """
    found: Views = {view: list(rows) for view, rows in encoder.predict(docs).items()}
    for doc in docs:
        for view, rows in encoder.predict([doc]).items():
            found[view].extend(rows)
    return found


def difference(found: Views, expected: Views) -> float:
    """RETURNS (float): The largest difference between two numbers, relative to the expected one
    where that is above 1."""
    return max((_difference(found[view], expected[view]) for view in expected), default=0.0)


def head_difference(module: nn.Module, head: RowHead, path: Path, *, width: int) -> float:
    """Compare a head's graph with the head.

    module (nn.Module): The head as the pipeline runs it, in evaluation mode.
    head (RowHead): What was exported.
    path (Path): The graph.
    width (int): W, of the rows.
    RETURNS (float): The largest difference, as of `difference`.
    """
    runtime = optional("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for sizes in ([1], [5, 0, 1, 40, 0], [200]):
        lengths = np.array(sizes)
        rows = torch.randn(int(lengths.sum()), width, generator=generator)
        hashes = torch.randint(-(2**62), 2**62, (len(rows), head.n_features), generator=generator)
        features = hashes if head.n_features else None
        texts = rows if isinstance(module, AnswerHead) else None
        with torch.no_grad():
            expected = module(HeadBatch(rows, lengths, features, lengths, text_rows=texts))
        given = {ROWS: rows.numpy(), LENGTHS: lengths, FEATURES: hashes.numpy()}
        found = session.run([head.output], {name: given[name] for name in head.inputs})[0]
        largest = max(largest, _difference([found], [expected.numpy()]))
    return largest


def _difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    a, b = (np.concatenate([np.ravel(x) for x in arrays]) for arrays in (found, expected))
    if a.shape != b.shape:
        return float("inf")
    if not len(a):
        return 0.0
    worst = float((np.abs(a - b) / np.maximum(1.0, np.abs(b))).max())
    return worst if np.isfinite(worst) else float("inf")


def views_of(encoder: EncoderComponent) -> set[View]:
    """RETURNS (set[View]): All that listeners ask of an encoder, those included that only send
    texts of their own through it."""
    listened = {getattr(listener, "view", View()) for listener in encoder.listeners}
    return encoder.views | {view._replace(layer=-1) for view in listened}
