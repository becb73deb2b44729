"""A trunk and the heads of all objectives as one module, so that wrappers see a single model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.decoder import TransformerDecoder
from ..nn.encoder import TransformerEncoder
from ..nn.seq2seq import EncoderDecoder
from .objectives.objective import Kind, Objective
from .objectives.prepared import LossSum, Prepared

Trunk = TransformerEncoder | TransformerDecoder | EncoderDecoder


class PretrainingModel(nn.Module):
    """What is trained: the trunk that is handed over in the end, and what objectives add to it.

    trunk (nn.Module): A `TransformerEncoder`, `TransformerDecoder` or `EncoderDecoder`.
    objectives (Sequence[Objective]): Of the trunk's kind, each with a name of its own.

    heads (nn.ModuleDict): The objectives' heads by their names.
    """

    def __init__(self, trunk: Trunk, objectives: Sequence[Objective]) -> None:
        super().__init__()
        kind = kind_of(trunk)
        names = [objective.name for objective in objectives]
        for objective in objectives:
            if objective.kind != kind:
                raise ValueError(
                    Errors.E734.format(objective=objective.name, needed=objective.kind, found=kind)
                )
            if names.count(objective.name) > 1:
                raise ValueError(Errors.E735.format(objective=objective.name))
        self.trunk = trunk
        self.objectives = {objective.name: objective for objective in objectives}
        config = config_of(trunk)
        self.heads = nn.ModuleDict(
            {name: objective.make_head(config) for name, objective in self.objectives.items()}
        )

    def forward(self, name: str, prepared: Prepared) -> LossSum:
        """Run one objective.

        name (str): Which one.
        prepared (Prepared): What it has prepared, on the model's device.
        RETURNS (LossSum): Its loss.
        """
        return self.objectives[name].loss(self.trunk, self.heads[name], prepared)


def kind_of(trunk: Trunk) -> Kind:
    """RETURNS (str): "encoder", "decoder" or "seq2seq"."""
    if isinstance(trunk, EncoderDecoder):
        return "seq2seq"
    return "encoder" if isinstance(trunk, TransformerEncoder) else "decoder"


def config_of(trunk: Trunk) -> TransformerConfig:
    """RETURNS (TransformerConfig): Of the rows that heads read."""
    return trunk.decoder.config if isinstance(trunk, EncoderDecoder) else trunk.config
