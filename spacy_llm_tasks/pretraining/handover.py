"""From a checkpoint of a run to a folder that others load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..nn.piece_head import PieceHead
from ..nn.seq2seq import EncoderDecoder
from ..tokenization.tokenizer import PieceTokenizer
from .average import COUNT
from .checkpoints import Checkpoint
from .model import PretrainingModel
from .model import Trunk as Model
from .objective import Objective
from .trunk import Trunk, write_trunk


def hand_over(
    folder: Path,
    checkpoint: Checkpoint,
    trunk: Trunk,
    objectives: Mapping[str, Objective],
    tokenizer: Path,
) -> None:
    """Write the model of a checkpoint, with its tokenizer.

    folder (Path): Where to.
    checkpoint (Checkpoint): Gives the weights, and their average where the run has kept one.
    trunk (Trunk): The model that was trained; it is not changed.
    objectives (Mapping[str, Objective]): What it was trained for.
    tokenizer (Path): Folder of its tokenizer.
    """
    tensors = dict(checkpoint.tensors["model"])
    tensors |= {k: v for k, v in checkpoint.tensors["average"].items() if k != COUNT}
    fresh = Trunk(_like(trunk), trunk.kind, trunk.family)
    model = PretrainingModel(fresh.model, list(objectives.values()))
    model.load_state_dict(tensors)
    pieces = PieceTokenizer.from_folder(tokenizer)
    write_trunk(folder, fresh, head=_piece_head(model), special=pieces.special)
    pieces.to_folder(folder)


def _like(trunk: Trunk) -> Model:
    """A model of the same shape, on the CPU, as it was before anything was wrapped around it."""
    model = trunk.model
    if isinstance(model, EncoderDecoder):
        share = model.encoder.piece_table is model.decoder.piece_table
        return EncoderDecoder(model.encoder.config, model.decoder.config, share_embeddings=share)
    return type(model)(model.config)


def _piece_head(model: PretrainingModel) -> PieceHead | None:
    heads = [head for head in model.heads.values() if isinstance(head, PieceHead)]
    return heads[0] if heads else None
