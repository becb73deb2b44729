"""The head that predicts pieces, in the published layouts.

Its product with the piece table has no matrix of its own: the table is the embeddings' (Press and
Wolf 2017, https://arxiv.org/abs/1608.05859), and checkpoints in which it is not are refused. A
family with a bias over the pieces holds a head without one as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.piece_head import PieceHead
from .family import Family, HeadLayout
from .folder import Weights, blaming, shapes_of


def head_shapes(layout: HeadLayout, config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """RETURNS (dict): Our name -> shape, of the parameters of a family's head."""
    transform, bias = bool(layout.modules), layout.bias is not None
    return shapes_of(lambda: PieceHead(config, transform=transform, bias=bias))


def read_head(
    weights: Weights, family: Family, raw: Mapping[str, Any], config: TransformerConfig
) -> dict[str, Tensor]:
    """Read the head from an open file.

    weights (Weights): The file.
    family (Family): Its family.
    raw (Mapping): Content of the config.json beside it.
    config (TransformerConfig): The same in our words.
    RETURNS (dict): Our name -> float32 tensor, for `PieceHead`.
    RAISES (ValueError): There is no head, or one of a kind that we do not have.
    """
    if broken := family.head.rules.broken(family.values_of(raw)):
        with blaming(weights.path.parent):
            raise ValueError(broken.message())
    if missing := missing_names(weights, family, config):
        found = {"path": weights.path, "family": family.name, "name": missing[0]}
        raise ValueError(Errors.E140.format(**found))
    return weights.read_all(head_shapes(family.head, config), family.head.place_of)


def missing_names(weights: Weights, family: Family, config: TransformerConfig) -> list[str]:
    """RETURNS (list[str]): The parameters of a family's head that a file does not hold."""
    return [
        name
        for ours in head_shapes(family.head, config)
        for name in family.head.place_of(ours).names
        if name not in weights
    ]


def head_tensors(
    family: Family, head: PieceHead, raw: dict[str, Any], config: TransformerConfig
) -> dict[str, Tensor]:
    """What a file holds of a head.

    family (Family): The family of the file.
    head (PieceHead): The head.
    raw (dict): Content of config.json, to which the head's own settings are added.
    config (TransformerConfig): The shape of the model that the head reads.
    RETURNS (dict): Name in the file -> tensor.
    RAISES (ValueError): The family has no place for such a head; what does not fit is named.
    """
    family.head.rules.complete(raw, family.defaults)
    if broken := family.head.rules.broken({**family.defaults, **raw}):
        needs = f"it needs {broken.key} = {broken.expected!r}, not {broken.found!r}"
        raise ValueError(Errors.E143.format(family=family.name, found=needs))
    state = head.state_dict()
    if family.head.bias is not None and "bias" not in state:
        state["bias"] = torch.zeros(config.n_pieces)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = head_shapes(family.head, config)
    if shapes != expected:
        differences = ", ".join(
            f"{name} is {shapes.get(name, 'missing')} instead of {expected.get(name, 'absent')}"
            for name in sorted({*shapes, *expected})
            if shapes.get(name) != expected.get(name)
        )
        raise ValueError(Errors.E143.format(family=family.name, found=differences))
    tensors: dict[str, Tensor] = {}
    for ours, tensor in state.items():
        tensors |= family.head.place_of(ours).split(tensor)
    return tensors
