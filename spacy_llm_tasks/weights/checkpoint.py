"""Reading and writing an encoder as a folder in the published layout.

    config.json         the model's shape, in its family's words (see `families`)
    model.safetensors   its parameters: raw numbers behind a checked header, memory-mapped, no code

Each parameter the encoder needs must be there, with the shape that the config promises. What the
encoder does not need (heads, poolers) is reported and left out. Pickled weights
(pytorch_model.bin) are refused, because opening them runs code from the file.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.encoder import TransformerEncoder
from .families import Family, get_family

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PICKLE_FILE = "pytorch_model.bin"
FLOATS = ("F64", "F32", "F16", "BF16")


class Checkpoint(NamedTuple):
    """An encoder read from a folder.

    config (TransformerConfig): Its shape.
    state (dict): Our parameter name -> float32 tensor, for `TransformerEncoder.load_state_dict`.
        A tensor may be a view of the file: copy it, as `load_state_dict` does, before changing it.
    ignored (list[str]): Names in the file that no encoder has, sorted.
    family (str): The family it came from.
    """

    config: TransformerConfig
    state: dict[str, Tensor]
    ignored: list[str]
    family: str


def read_config(folder: str | Path) -> TransformerConfig:
    """Read the shape of a published encoder.

    folder (str | Path): Holds config.json.
    RETURNS (TransformerConfig): The shape in our words.
    RAISES (FileNotFoundError): No such folder or file.
    RAISES (ValueError): Broken JSON, or a family or a setting that is not supported.
    """
    return _read_config(Path(folder))[1]


def load_encoder(folder: str | Path, *, device: torch.device | str | None = None) -> Checkpoint:
    """Read a published encoder.

    folder (str | Path): Holds config.json and model.safetensors.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    RETURNS (Checkpoint): Config and parameters, and the names of what was left out.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): A broken or unsupported file, or a parameter missing or misshapen.
    """
    family, config = _read_config(Path(folder))
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        pickled = path.with_name(PICKLE_FILE)
        message = Errors.E113 if pickled.is_file() else Errors.E111
        raise FileNotFoundError(message.format(path=path, pickled=pickled))
    with _opened(path, device) as file:
        weights = _Weights(file, path, family)
        state = {
            name: weights.read(family.parameter_names(name), shape)
            for name, shape in _shapes(config).items()
        }
        return Checkpoint(config, state, weights.unused(), family.name)


def save_encoder(folder: str | Path, encoder: TransformerEncoder, *, family: str) -> None:
    """Write an encoder so that other libraries load it. The tokenizer is written elsewhere.

    folder (str | Path): Where config.json and model.safetensors go; made where missing.
    encoder (TransformerEncoder): The encoder.
    family (str): "bert", "roberta", "electra" or "distilbert".
    RAISES (ValueError): No such family, or the family cannot express this encoder.
    """
    layout = get_family(family)
    config, state = encoder.config, encoder.state_dict()
    if "n_segments" in layout.settings and config.n_segments == 0:
        # A table with one row of zeros says the same as no table.
        config = dataclasses.replace(config, n_segments=1)
        state["embeddings.segments.weight"] = torch.zeros_like(encoder.embeddings.pieces.weight[:1])
    raw = layout.write_config(config)
    tensors = {}
    for ours, tensor in state.items():
        names = layout.parameter_names(ours)
        parts = tensor.detach().float().cpu().chunk(len(names))
        # clones, because the format refuses tensors that share memory
        tensors.update({n: part.clone() for n, part in zip(names, parts, strict=True)})
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with _replacing(path / WEIGHTS_FILE) as weights, _replacing(path / CONFIG_FILE) as header:
        save_file(tensors, weights, metadata={"format": "pt"})
        header.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf8")


class _Weights:
    """A safetensors file, read by the names of a family, which remembers what was read.

    The same encoder is stored as "encoder.layer.0..." on its own and as "bert.encoder.layer.0..."
    inside a larger model; checkpoints older than PyTorch call norm weights gamma and beta.
    """

    def __init__(self, file: Any, path: Path, family: Family) -> None:
        self.file = file
        self.path = path
        self.block = family.block.partition("{")[0]
        self.stored = {_plain(name, family): name for name in file.keys()}
        self.used: set[str] = set()

    def read(self, names: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
        """RETURNS (Tensor): The named tensors one under the other, in float32, `shape` in all."""
        part = (shape[0] // len(names), *shape[1:])
        tensors = [self._read_one(name, part) for name in names]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    def unused(self) -> list[str]:
        """What was not read, by the names in the file.

        RAISES (ValueError): A block is among it: config and weights are of different models.
        """
        unused = {plain: name for plain, name in self.stored.items() if plain not in self.used}
        blocks = sorted(name for plain, name in unused.items() if plain.startswith(self.block))
        if blocks:
            raise ValueError(Errors.E118.format(path=self.path, name=blocks[0], n=len(blocks)))
        return sorted(unused.values())

    def _read_one(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.stored:
            raise ValueError(Errors.E115.format(path=self.path, name=name, shape=list(shape)))
        self.used.add(name)
        piece = self.file.get_slice(self.stored[name])
        found, kind = list(piece.get_shape()), piece.get_dtype()
        if found != list(shape):
            values = {"name": self.stored[name], "found": found, "expected": list(shape)}
            raise ValueError(Errors.E116.format(path=self.path, **values))
        if kind not in FLOATS:
            values = {"name": self.stored[name], "found": kind, "expected": ", ".join(FLOATS)}
            raise ValueError(Errors.E117.format(path=self.path, **values))
        return self.file.get_tensor(self.stored[name]).float()


def _plain(name: str, family: Family) -> str:
    plain = name.removeprefix(family.prefix)
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        if plain.endswith(old):
            return plain.removesuffix(old) + new
    return plain


def _read_config(folder: Path) -> tuple[Family, TransformerConfig]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(Errors.E111.format(path=path))
    try:
        raw = json.loads(path.read_text(encoding="utf8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError(Errors.E112.format(path=path, error=error)) from error
    if not isinstance(raw, dict):
        raise ValueError(Errors.E112.format(path=path, error="no object at the top"))
    try:
        family = get_family(raw.get("model_type"))
        return family, family.read_config(raw)
    except ValueError as error:
        raise ValueError(Errors.E119.format(path=path, error=error)) from error


def _shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter, from a model without storage."""
    with torch.device("meta"):
        state = TransformerEncoder(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@contextmanager
def _opened(path: Path, device: torch.device | str | None) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            yield file
    except SafetensorError as error:
        raise ValueError(Errors.E114.format(path=path, error=error)) from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to, that takes the place of `path` when all went well and vanishes if not."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
