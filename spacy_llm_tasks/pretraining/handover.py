"""From a checkpoint of a run to a folder that others load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..tokenization.tokenizer import PieceTokenizer
from .checkpoints import Checkpoint
from .model import PretrainingModel
from .objectives.objective import Objective
from .optimisation.average import COUNT
from .team.distributed import Team
from .team.names import named_tensors
from .team.replicas import spread
from .trunk import Trunk, piece_head, write_trunk


def hand_over(
    folder: Path,
    checkpoint: Checkpoint,
    trunk: Trunk,
    objectives: Mapping[str, Objective],
    tokenizer: PieceTokenizer,
) -> None:
    """Write the model of a checkpoint, with its tokenizer.

    folder (Path): Where to.
    checkpoint (Checkpoint): Gives the weights, and their average where the run has kept one.
    trunk (Trunk): The model that was trained; it is not changed.
    objectives (Mapping[str, Objective]): What it was trained for.
    tokenizer (PieceTokenizer): Its tokenizer.
    """
    tensors = dict(checkpoint.tensors["model"])
    tensors |= {k: v for k, v in checkpoint.tensors["average"].items() if k != COUNT}
    blank = trunk.blank()
    model = PretrainingModel(blank.model, list(objectives.values()))
    spread(tensors, named_tensors(model), Team())
    head = piece_head(model.heads.values())
    write_trunk(folder, blank, head=head, special=tokenizer.special)
    tokenizer.to_folder(folder)
