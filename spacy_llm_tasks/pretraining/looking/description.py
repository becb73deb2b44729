"""What a checkpoint's folder says of itself, read without its numbers."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import Errors
from ...nn.config import TransformerConfig
from ...nn.decoder import TransformerDecoder
from ...nn.encoder import TransformerEncoder
from ...nn.piece_head import PieceHead
from ...nn.seq2seq import EncoderDecoder
from ...tokenization.tokenizer import PieceTokenizer
from ...weights.checkpoint import has_piece_head
from ...weights.decoders import DECODERS
from ...weights.families import FAMILIES
from ...weights.folder import Weights, blaming, open_weights, read_raw, weight_files
from ...weights.seq2seq_families import SEQ2SEQ
from ..model import Trunk
from .folder import kind_in
from .sizes import (
    TRAINING,
    Operations,
    Parameters,
    count_bytes,
    count_cache_bytes,
    count_operations,
    count_parameters,
    count_training_bytes,
    stacks_of,
)

# How each family spells a model.
RECORDS: dict[str, Any] = {**FAMILIES, **DECODERS, **SEQ2SEQ}


@dataclass(frozen=True)
class StoredWeights:
    """A file of weights.

    n_bytes (int): Its size.
    n_tensors (int): How many tensors it holds.
    n_values (dict[str, int]): Kind of number, as safetensors names it -> how many numbers.
    """

    n_bytes: int
    n_tensors: int
    n_values: dict[str, int]


@dataclass(frozen=True)
class Description:
    """What lies in a folder.

    family (str): Family of the layout.
    kind (str): "encoder", "decoder" or "seq2seq".
    shapes (dict[str, TransformerConfig]): The shape of "encoder", "decoder" or both.
    has_head (bool): Whether it predicts pieces.
    longest (int): Longest sequence in pieces, special ones included.
    is_hard_limit (bool): Whether longer ones cannot be read at all, because positions are learned;
        else the model has just not been trained for them.
    parameters (Parameters): How many it has, and where.
    n_bytes (dict[str, int]): Precision -> bytes of the weights in memory, see `count_bytes`.
    operations (Operations): What the forward pass computes.
    stored (StoredWeights): The file.
    tokenizer (PieceTokenizer | None): The tokenizer beside it, if there is one that can be read.
    tokenizer_problem (str | None): Why there is none.
    """

    family: str
    kind: str
    shapes: dict[str, TransformerConfig]
    has_head: bool
    longest: int
    is_hard_limit: bool
    parameters: Parameters
    n_bytes: dict[str, int]
    operations: Operations
    stored: StoredWeights
    tokenizer: PieceTokenizer | None = None
    tokenizer_problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): Everything, in plain values."""
        forward = dict(self.operations.stacks)
        head = self.operations.head
        return {
            "family": self.family,
            "kind": self.kind,
            "shapes": {name: config.to_dict() for name, config in self.shapes.items()},
            "has_head": self.has_head,
            "longest": self.longest,
            "is_hard_limit": self.is_hard_limit,
            "parameters": {"total": self.parameters.total, **self.parameters._asdict()},
            "weight_bytes": self.n_bytes,
            "training_bytes": count_training_bytes(self.parameters),
            "cache_bytes": self._cache_bytes(),
            "flops": {
                "length": self.operations.length,
                "forward_per_piece": forward,
                "forward_per_prediction": head,
                "training_per_piece": {name: TRAINING * n for name, n in forward.items()},
                "training_per_prediction": TRAINING * head,
            },
            "stored": asdict(self.stored),
            "tokenizer": None if self.tokenizer is None else _tokenizer_facts(self.tokenizer),
            "tokenizer_problem": self.tokenizer_problem,
        }

    def _cache_bytes(self) -> int | None:
        """Of the longest sequence, on both sides of an encoder-decoder; None: it does not write."""
        if "decoder" not in self.shapes:
            return None
        memory = self.longest if "encoder" in self.shapes else 0
        return count_cache_bytes(self.shapes["decoder"], length=self.longest, memory=memory)


def describe(folder: str | Path, *, length: int | None = None) -> Description:
    """Describe a checkpoint.

    folder (str | Path): The folder.
    length (int | None): Pieces of a sequence to count operations for; None: the longest.
    RETURNS (Description): What is in it.
    RAISES (FileNotFoundError): It holds no checkpoint.
    RAISES (ValueError): It cannot be used, or the length is out of range.
    """
    path = Path(folder)
    kind = kind_in(path)
    raw = read_raw(path)
    family = RECORDS[raw["model_type"]]
    with blaming(path):
        config = family.read_config(raw)
    with open_weights(path, getattr(family, "sides", (family,)), None) as weights:
        stored = read_stored(weights)
    model, head = _shape_only(path, kind, config)
    stacks = stacks_of(model)
    shapes = {name: stack.config for name, stack in stacks.items()}
    longest = min(config.max_length for config in shapes.values())
    length = longest if length is None else length
    is_hard_limit = any(config.positions == "learned" for config in shapes.values())
    if length < 1 or (is_hard_limit and length > longest):
        expected = f"from 1 to {longest}" if is_hard_limit else "at least 1"
        raise ValueError(Errors.E706.format(name="length", expected=expected, found=length))
    return Description(
        family=family.name,
        kind=kind,
        shapes=shapes,
        has_head=head is not None,
        longest=longest,
        is_hard_limit=is_hard_limit,
        parameters=count_parameters(model, head),
        n_bytes=count_bytes(model, head),
        operations=count_operations(model, head, length=length),
        stored=stored,
        **_tokenizer_in(path),
    )


def read_stored(weights: Weights) -> StoredWeights:
    """Look at weights in their files, without the numbers.

    weights (Weights): The open files.
    RETURNS (StoredWeights): What it holds.
    """
    n_values: Counter[str] = Counter()
    names = list(weights.file.keys())
    for name in names:
        tensor = weights.file.get_slice(name)
        n_values[tensor.get_dtype()] += math.prod(tensor.get_shape())
    n_bytes = sum(path.stat().st_size for path in weight_files(weights.path.parent))
    return StoredWeights(n_bytes, len(names), dict(n_values))


def _shape_only(path: Path, kind: str, config: Any) -> tuple[Trunk, PieceHead | None]:
    """The model without storage, and its head where it has one."""
    with torch.device("meta"):
        if kind == "seq2seq":
            encoder, decoder, share = config
            model = EncoderDecoder(encoder, decoder, share_embeddings=share)
            return model, PieceHead(decoder, transform=False, bias=True)
        if kind == "decoder":
            return TransformerDecoder(config), PieceHead(config, transform=False, bias=False)
        encoder = TransformerEncoder(config)
        if not has_piece_head(path):
            return encoder, None
        return encoder, PieceHead(config, transform=True, bias=True)


def _tokenizer_in(path: Path) -> dict[str, Any]:
    """The two fields of a description."""
    try:
        return {"tokenizer": PieceTokenizer.from_folder(path)}
    except (FileNotFoundError, ValueError) as error:
        return {"tokenizer_problem": str(error)}


def _tokenizer_facts(tokenizer: PieceTokenizer) -> dict[str, Any]:
    special = {k: v for k, v in asdict(tokenizer.special).items() if v is not None}
    names = tokenizer.spell(special.values())
    return {
        "kind": tokenizer.kind,
        "n_pieces": tokenizer.n_pieces,
        "special": {
            role: {"id": i, "name": name}
            for (role, i), name in zip(special.items(), names, strict=True)
        },
    }
