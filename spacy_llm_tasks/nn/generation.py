"""Writing with a decoder: piece after piece, each chosen from what the model expects next.

The first step reads the whole prompt, every further one a single piece; what was read before stays
in a `Cache`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import Errors
from .cache import Cache
from .crossing import Crossing
from .decoder import TransformerDecoder
from .packing import Packing
from .piece_head import PieceHead
from .sampling import Sampling


@torch.no_grad()
def generate(
    decoder: TransformerDecoder,
    head: PieceHead,
    pieces: Sequence[int] | Tensor,
    *,
    max_new: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | Collection[int] | None = None,
    generator: torch.Generator | None = None,
    memory: Tensor | None = None,
) -> list[int]:
    """Continue a sequence of pieces.

    decoder (TransformerDecoder): The model.
    head (PieceHead): Predicts pieces from its rows.
    pieces (Sequence[int] | Tensor): Ids of the prompt, at least one.
    max_new (int): Write at most so many pieces.
    temperature (float): 0 takes the best piece each time; else pieces are drawn, see `sampling`.
    top_k (int | None): Draw from the k likeliest only.
    top_p (float | None): Draw from the likeliest that together have this probability only.
    stop (int | Collection[int] | None): Ids that end the text.
    generator (Generator | None): Where the chance comes from, on the decoder's device.
    memory (Tensor | None): (S, W) the encoder's rows of one source, for a decoder that reads them.
    RETURNS (list[int]): The new pieces, without the prompt. The one that ended the text, if one
        did, is the last.
    RAISES (ValueError): A setting is out of range, the text could outgrow learned positions, or
        a memory is missing or not read.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    device = decoder.piece_table.device
    prompt = torch.as_tensor(pieces, dtype=torch.int64, device=device)
    _check(decoder, prompt, max_new)
    ends = _ids(stop)
    written: list[int] = []
    with _predicting(decoder, head):
        step = _Stepper(decoder, memory)
        while len(written) < max_new:
            row = step(prompt if not written else prompt.new_tensor(written[-1:]))
            logits = head(row, decoder.piece_table)[0]
            written.append(sampling.choose(logits, generator=generator))
            if written[-1] in ends:
                break
    return written


class _Stepper:
    """Feeds a decoder the next pieces of one sequence."""

    def __init__(self, decoder: TransformerDecoder, memory: Tensor | None) -> None:
        self.decoder = decoder
        self.memory = memory
        self.cache = Cache(decoder.config.depth)

    def __call__(self, pieces: Tensor) -> Tensor:
        """(t,) -> (1, W), the row of the last piece"""
        packing = Packing.from_lengths([len(pieces)], device=pieces.device)
        crossing = None
        if self.memory is not None:
            source = Packing.from_lengths([len(self.memory)], device=pieces.device)
            crossing = Crossing.from_packings(packing, source)
        rows = self.decoder(
            pieces, packing, memory=self.memory, crossing=crossing, cache=self.cache
        )
        return rows[-1:]


def _check(decoder: TransformerDecoder, prompt: Tensor, max_new: int) -> None:
    if prompt.dim() != 1 or not len(prompt):
        expected = "at least one piece in one dimension"
        raise ValueError(
            Errors.E134.format(name="pieces", expected=expected, found=tuple(prompt.shape))
        )
    if max_new < 0:
        raise ValueError(Errors.E134.format(name="max_new", expected="at least 0", found=max_new))
    # the last piece written is not read again
    length, limit = len(prompt) + max_new - 1, decoder.config.max_length
    if decoder.config.positions == "learned" and length > limit:
        raise ValueError(Errors.E135.format(prompt=len(prompt), max_new=max_new, limit=limit))


def _ids(stop: int | Collection[int] | None) -> frozenset[int]:
    if stop is None:
        return frozenset()
    return frozenset([stop] if isinstance(stop, int) else stop)


@contextmanager
def _predicting(*modules: nn.Module) -> Iterator[None]:
    """Switch dropout off, and back on where it was on."""
    training = [part for module in modules for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
