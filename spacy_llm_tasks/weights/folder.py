"""A folder in the published layout, read and written with care.

    config.json         the model's shape, in its family's words (see `family`)
    model.safetensors   its parameters: raw numbers behind a checked header, memory-mapped, no code;
                        or several such files with an index (see `shards`)

Each parameter that is asked for must be there, with the shape that the config promises. What is not
asked for is reported. Pickled weights (pytorch_model.bin) are refused, because opening them runs
code from the file. What is written takes its place when all of it is on disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import Errors
from ..files import grant_usual_rights, sync
from .family import Family
from .places import Place, Shape
from .shards import INDEX_FILE, files_of, open_shards

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PICKLE_FILE = "pytorch_model.bin"
FLOATS = ("F64", "F32", "F16", "BF16")


def read_raw(folder: str | Path) -> dict[str, Any]:
    """Read config.json.

    folder (str | Path): Holds it.
    RETURNS (dict): Its content.
    RAISES (FileNotFoundError): No such folder or file.
    RAISES (ValueError): Broken JSON.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(Errors.E111.format(path=path))
    try:
        raw = json.loads(path.read_text(encoding="utf8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError(Errors.E112.format(path=path, error=error)) from error
    if not isinstance(raw, dict):
        raise ValueError(Errors.E112.format(path=path, error="no object at the top"))
    return raw


@contextmanager
def blaming(folder: str | Path) -> Iterator[None]:
    """Have errors on the content of config.json name the file.

    folder (str | Path): Holds it.
    RAISES (ValueError): For each ValueError inside.
    """
    try:
        yield
    except ValueError as error:
        path = Path(folder) / CONFIG_FILE
        raise ValueError(Errors.E119.format(path=path, error=error)) from error


class Weights:
    """Safetensors, read by the names of a family; what was read is remembered.

    The same encoder is stored as "encoder.layer.0..." on its own and as "bert.encoder.layer.0..."
    inside a larger model; checkpoints older than PyTorch call norm weights gamma and beta.

    file (safe_open | Shards): The open file or files.
    path (Path): Its path, or that of their index, for errors.
    families (Collection[Family]): Whose blocks it holds; they share a prefix.
    """

    def __init__(self, file: Any, path: Path, families: Collection[Family]) -> None:
        self.file = file
        self.path = path
        self.families = families
        prefix = next(iter(families)).prefix
        self.stored = {_plain(name, prefix): name for name in file.keys()}
        self.used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def read_all(
        self, shapes: Mapping[str, Shape], place_of: Callable[[str], Place]
    ) -> dict[str, Tensor]:
        """Read the parameters of a model.

        shapes (Mapping): Our name -> shape.
        place_of (Callable): Our name -> where it lies.
        RETURNS (dict): Our name -> float32 tensor, which may be a view of the file.
        RAISES (ValueError): A parameter is missing, misshapen or of no kind of float.
        """
        return {name: self.read(place_of(name), shape) for name, shape in shapes.items()}

    def read(self, place: Place, shape: Shape) -> Tensor:
        """RETURNS (Tensor): What lies at a place, in float32 and of a shape."""
        part = place.shape_of_part(shape)
        return place.join([self._read_one(name, part) for name in place.names])

    def unused(self) -> list[str]:
        """What was not read, by the names in the file, sorted.

        RAISES (ValueError): A block is among it: config and weights are of different models.
        """
        unused = {plain: name for plain, name in self.stored.items() if plain not in self.used}
        blocks = sorted(
            name
            for plain, name in unused.items()
            if any(family.is_block(plain) for family in self.families)
        )
        if blocks:
            raise ValueError(Errors.E118.format(path=self.path, name=blocks[0], n=len(blocks)))
        return sorted(unused.values())

    def _read_one(self, name: str, shape: Shape) -> Tensor:
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


@contextmanager
def open_weights(
    folder: str | Path, families: Collection[Family], device: torch.device | str | None
) -> Iterator[Weights]:
    """Open model.safetensors, or all files of its index where that one is not there.

    folder (str | Path): Holds it.
    families (Collection[Family]): Whose names it is read by.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    YIELDS (Weights): The open weights.
    RAISES (FileNotFoundError): No such file, or only pickled weights.
    RAISES (ValueError): A broken file.
    """
    path = _path_in(Path(folder))
    place = str(device or "cpu")
    try:
        if path.name == INDEX_FILE:
            with open_shards(path, place) as shards:
                yield Weights(shards, path, families)
        else:
            with safe_open(path, framework="pt", device=place) as file:
                yield Weights(file, path, families)
    except SafetensorError as error:
        raise ValueError(Errors.E114.format(path=path, error=error)) from error


def weight_files(folder: str | Path) -> list[Path]:
    """Find the files that hold the weights of a folder.

    folder (str | Path): Holds model.safetensors, or several files and their index.
    RETURNS (list[Path]): The files, sorted; whether all are there is not looked at.
    RAISES (FileNotFoundError): No such file, or only pickled weights.
    RAISES (ValueError): A broken index.
    """
    path = _path_in(Path(folder))
    return files_of(path) if path.name == INDEX_FILE else [path]


def write_folder(folder: str | Path, raw: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write config.json and model.safetensors, neither of them in part.

    folder (str | Path): Where they go; made where missing.
    raw (dict): Content of config.json.
    tensors (Mapping): Name -> tensor of any kind of float; written as float32.
    """
    # clones, because the format refuses tensors that share memory
    copies = {
        name: tensor.detach().float().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with _replacing(path / WEIGHTS_FILE) as weights, _replacing(path / CONFIG_FILE) as header:
        save_file(copies, weights, metadata={"format": "pt"})
        grant_usual_rights(weights)
        header.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf8")


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, Shape]:
    """Name and shape of each parameter, from a model without storage.

    build (Callable): Makes the model.
    RETURNS (dict): Name -> shape.
    """
    with torch.device("meta"):
        state = build().state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _path_in(folder: Path) -> Path:
    """The path of model.safetensors, or of its index; the single file wins, as elsewhere."""
    path, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if path.is_file() or index.is_file():
        return path if path.is_file() else index
    pickled = folder / PICKLE_FILE
    message = Errors.E113 if pickled.is_file() else Errors.E111
    raise FileNotFoundError(message.format(path=path, pickled=pickled))


def _plain(name: str, prefix: str) -> str:
    plain = name.removeprefix(prefix)
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        if plain.endswith(old):
            return plain.removesuffix(old) + new
    return plain


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to, that takes the place of `path` when all went well and vanishes if not."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
