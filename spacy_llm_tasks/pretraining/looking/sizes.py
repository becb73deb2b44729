"""How large a model is and how much it computes: parameters, bytes, floating-point operations.

    forward, a piece     2 N + 4 K W for each attention        N: weights of the linear layers
    head, a piece        2 (its own weights + n_pieces E)      K: pieces that attention looks at
    training             3 times that

A weight costs a multiplication and an addition, 2 operations; the backward pass has two products
for each one of the forward pass, so that a step of training takes 6 N (Kaplan et al. 2020, section
2.1, https://arxiv.org/abs/2001.08361). Attention adds its two products, queries with keys and
weights with values, 2 K W each (Chowdhery et al. 2022, appendix B: 12 K W in training,
https://arxiv.org/abs/2204.02311); causal attention is counted in full, as there. Lookups in tables
cost nothing; norms, activations and softmax are left out.

    training, bytes      16 for each parameter
    writing, bytes       8 K W for each block
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from ...nn.config import TransformerConfig
from ...nn.decoder import TransformerDecoder
from ...nn.linear import Linear
from ...nn.piece_head import PieceHead
from ...nn.precision import PRECISIONS
from ...nn.seq2seq import EncoderDecoder
from ...nn.stack import Stack
from ..model import Trunk

# Of a backward pass and the forward pass before it, against the latter alone.
TRAINING = 3
_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
# In training a number is kept for a parameter as weight, as gradient and as AdamW's two moments.
_COPIES = 4


class Parameters(NamedTuple):
    """Numbers of parameters; what is shared counts once.

    table (int): Vectors of pieces.
    blocks (int): Blocks, of encoder and decoder together.
    head (int): What predicts pieces, beside the table.
    rest (int): Positions, segments, norms and projections outside the blocks.
    """

    table: int
    blocks: int
    head: int
    rest: int

    @property
    def total(self) -> int:
        """RETURNS (int): All of them."""
        return sum(self)


class Operations(NamedTuple):
    """Floating-point operations of the forward pass; training takes `TRAINING` times as many.

    length (int): Pieces of the sequence, on both sides of an encoder-decoder.
    stacks (Mapping[str, int]): For one piece of the sequence through "encoder" or "decoder".
    head (int): For predicting one piece; 0 without a head.
    """

    length: int
    stacks: Mapping[str, int]
    head: int


def count_parameters(model: Trunk, head: PieceHead | None) -> Parameters:
    """Count the parameters of a model.

    model (nn.Module): The encoder, decoder or encoder-decoder; its device may be "meta".
    head (PieceHead | None): Its head.
    RETURNS (Parameters): The numbers.
    """
    stacks = stacks_of(model).values()
    tables = {id(stack.piece_table): stack.piece_table.numel() for stack in stacks}
    blocks = sum(_numel(stack.blocks) for stack in stacks)
    table = sum(tables.values())
    return Parameters(
        table=table,
        blocks=blocks,
        head=_numel(head) if head is not None else 0,
        rest=_numel(model) - table - blocks,
    )


def count_bytes(model: Trunk, head: PieceHead | None) -> dict[str, int]:
    """Bytes of the weights that a prediction reads, at each precision of `nn.precision`.

    Linear layers are held in that precision, "int8" with a scale of 4 bytes for each output; all
    else is float32. (The float32 weights of the linear layers stay in memory besides: the others
    are made from them.)

    model (nn.Module): The encoder, decoder or encoder-decoder; its device may be "meta".
    head (PieceHead | None): Its head.
    RETURNS (dict): Precision -> bytes.
    """
    modules = [model] if head is None else [model, head]
    layers = [layer for module in modules for layer in _linear_layers(module)]
    n_parameters = sum(_numel(module) for module in modules)
    n_biases = sum(layer.bias.numel() for layer in layers if layer.bias is not None)
    n_weights = sum(layer.weight.numel() for layer in layers)
    n_outputs = sum(layer.out_features for layer in layers)
    found = {}
    for precision in PRECISIONS:
        size = _BYTES[precision]
        rounded = n_weights + (n_biases if precision == "bf16" else 0)
        scales = 4 * n_outputs if precision == "int8" else 0
        found[precision] = size * rounded + 4 * (n_parameters - rounded) + scales
    return found


def count_training_bytes(parameters: Parameters) -> int:
    """Bytes that training all of a model takes whatever the batch: weights, gradients, and the two
    moments of AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101), all float32.
    (Muon keeps one moment of a matrix.) What the forward pass keeps for the backward pass comes on
    top, and grows with the batch.

    parameters (Parameters): How many there are.
    RETURNS (int): Bytes.
    """
    return _COPIES * _BYTES["fp32"] * parameters.total


def count_cache_bytes(decoder: TransformerConfig, *, length: int, memory: int = 0) -> int:
    """Bytes of the keys and values that a decoder keeps of a sequence while it writes, in float32
    (`nn.cache`; its buffers grow by doubling, so up to twice as much may be held).

    decoder (TransformerConfig): Its shape.
    length (int): Pieces of the sequence.
    memory (int): Pieces of the encoder's sequence that it looks at besides; 0 without an encoder.
    RETURNS (int): Bytes.
    """
    return 2 * _BYTES["fp32"] * decoder.depth * decoder.width * (length + memory)


def count_operations(model: Trunk, head: PieceHead | None, *, length: int) -> Operations:
    """Count what a model computes for one piece.

    model (nn.Module): The encoder, decoder or encoder-decoder; its device may be "meta".
    head (PieceHead | None): Its head.
    length (int): Pieces of the sequence, on both sides of an encoder-decoder.
    RETURNS (Operations): The numbers.
    """
    for_head = 0
    if head is not None:
        n_weights = sum(layer.weight.numel() for layer in _linear_layers(head))
        table = stacks_of(model).popitem()[1].piece_table  # the decoder's, where there are two
        for_head = 2 * (n_weights + table.numel())
    stacks = {name: _forward(stack, length) for name, stack in stacks_of(model).items()}
    return Operations(length, stacks, for_head)


def stacks_of(model: Trunk) -> dict[str, Stack]:
    """RETURNS (dict[str, Stack]): "encoder", "decoder" or both, in this order."""
    if isinstance(model, EncoderDecoder):
        return {"encoder": model.encoder, "decoder": model.decoder}
    return {"decoder" if isinstance(model, TransformerDecoder) else "encoder": model}


def _forward(stack: Stack, length: int) -> int:
    n_weights = sum(layer.weight.numel() for layer in _linear_layers(stack))
    n_attentions = (2 if stack.cross else 1) * stack.config.depth
    return 2 * n_weights + 4 * n_attentions * length * stack.config.width


def _linear_layers(module: nn.Module) -> list[Linear]:
    return [part for part in module.modules() if isinstance(part, Linear)]


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
