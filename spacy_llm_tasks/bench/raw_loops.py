"""Encoders without a pipeline: what a user of the same weights would write in ten lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BATCH = 32
LONGEST = 512  # pieces of a text that are read


class PlainLoop:
    """`transformers` in padded batches, in the order of the texts.

    weights (Path): Folder of the pretrained weights.
    device (str): Where the model runs, as torch names it.
    """

    def __init__(self, weights: Path, *, device: str = "cpu") -> None:
        from transformers import AutoModel, AutoTokenizer

        self.device = device
        self.tokenizer: Any = AutoTokenizer.from_pretrained(weights)
        self.model: Any = AutoModel.from_pretrained(weights).eval().to(device)

    def __call__(self, docs: Sequence[str]) -> None:
        import torch

        for first in range(0, len(docs), BATCH):
            batch = self.tokenizer(
                list(docs[first : first + BATCH]),
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                self.model(**batch)


class SentenceLoop:
    """`sentence-transformers`, which sorts by length.

    weights (Path): Folder of the pretrained weights.
    device (str): Where the model runs, as torch names it.
    """

    def __init__(self, weights: Path, *, device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        self.model: Any = SentenceTransformer(str(weights), device=device)
        self.model.max_seq_length = LONGEST

    def __call__(self, docs: Sequence[str]) -> None:
        self.model.encode(list(docs), batch_size=BATCH, output_value="token_embeddings")


LOOPS: dict[str, Callable[..., Callable[[Sequence[str]], None]]] = {
    "transformers": PlainLoop,
    "sentence-transformers": SentenceLoop,
}
