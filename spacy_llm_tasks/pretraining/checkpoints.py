"""Checkpoints of a pretraining run: folders that are whole, or passed over.

    step-00000200/
        model.safetensors        one file for each set of tensors, by name
        optimizer.safetensors
        state.json               step, score, size and sha256 of the files, what the run remembers,
                                 and the sha256 of all this

A folder is written beside its place, flushed to the disk and renamed, so a kill or a full disk
leaves those before it untouched. Nothing here is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import Errors, Warnings
from ..files import (
    clean_parts,
    error_number,
    grant_usual_rights,
    restore_replaced,
    whole_folder,
    write_json,
)
from ..weights.checksum import sha256_of

STATE = "state.json"
STEP = "step-"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole.

    path (Path): Its folder.
    step (int): The last step that it includes.
    score (float | None): How good it is; higher is better.
    tensors (Mapping[str, dict[str, Tensor]]): Its sets of tensors, on the CPU. Each is read when it
        is asked for.
    state (dict): What the run remembers besides, in JSON types.
    """

    path: Path
    step: int
    score: float | None
    tensors: Mapping[str, dict[str, Tensor]]
    state: dict[str, Any]


class TensorFiles(Mapping[str, dict[str, Tensor]]):
    """Sets of tensors in files, read when they are asked for.

    folder (Path): Where the files are.
    names (Sequence[str]): Those of the sets.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = list(names)

    def __getitem__(self, name: str) -> dict[str, Tensor]:
        if name not in self.names:
            raise KeyError(name)
        return load_file(self.folder / f"{name}{SUFFIX}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Checkpoints:
    """The checkpoints of one run. One process writes; others may read meanwhile.

    folder (Path): Where they lie.
    keep_last (int): How many of the newest to keep, at least 1.
    keep_best (int): How many of the best to keep besides.
    """

    def __init__(self, folder: Path, *, keep_last: int = 2, keep_best: int = 1) -> None:
        for what, value, low in (("keep_last", keep_last, 1), ("keep_best", keep_best, 0)):
            if value < low:
                found = {"what": f"training.{what}", "value": value, "low": low, "high": "any"}
                raise ValueError(Errors.E741.format(**found))
        self.folder = folder
        self.keep_last = keep_last
        self.keep_best = keep_best

    def save(
        self,
        step: int,
        *,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: dict[str, Any],
        score: float | None = None,
    ) -> Path:
        """Write a checkpoint, and remove those that it makes superfluous once it is found whole.

        Those of later steps are among these: they belong to a course that the run has given up.

        step (int): The last step that it includes.
        tensors (Mapping): Sets of tensors, by the name of their file and their own.
        state (dict): JSON types.
        score (float | None): How good it is; higher is better, and NaN is worse than none.
        RETURNS (Path): The checkpoint's folder.
        RAISES (OSError): It could not be written. The others are as they were.
        """
        path = self.folder / f"{STEP}{step:08d}"
        content = {"step": step, "score": score, "state": state}
        try:
            clean_parts(self.folder)
            with whole_folder(path) as part:
                for name, named in tensors.items():
                    save_file(_storable(named), part / f"{name}{SUFFIX}")
                    grant_usual_rights(part / f"{name}{SUFFIX}")
                files = {p.name: _facts(p) for p in sorted(part.iterdir())}
                content = {**content, "files": files}
                write_json(part / STATE, {**content, "sha256": _digest(content)})
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            message = Errors.E747.format(path=path, error=reason)
            number = error_number(error)
            raise (OSError(message) if number is None else OSError(number, message)) from error
        self._prune(path)
        return path

    def load_latest(self) -> Checkpoint | None:
        """RETURNS (Checkpoint | None): The newest that is whole, None if there is none at all.
        Warns of each damaged one. RAISES (ValueError): There are some, but none is whole."""
        return self._first_whole(self._by_step())

    def load_best(self) -> Checkpoint | None:
        """RETURNS (Checkpoint | None): The best that is whole, None if there is none at all.
        Warns of each damaged one. RAISES (ValueError): There are some, but none is whole."""
        return self._first_whole(self._by_score())

    def clear(self) -> None:
        """Remove all checkpoints, for a run that starts from the beginning."""
        clean_parts(self.folder)
        for path in self._by_step():
            shutil.rmtree(path)

    def _first_whole(self, paths: Sequence[Path]) -> Checkpoint | None:
        for path in paths:
            content, problem = examine(path)
            if problem is None:
                names = [name.removesuffix(SUFFIX) for name in content["files"]]
                tensors = TensorFiles(path, names)
                step, score, state = (content[key] for key in ("step", "score", "state"))
                return Checkpoint(path, step, score, tensors, state)
            warnings.warn(Warnings.W740.format(path=path, problem=problem), stacklevel=3)
        if paths:
            raise ValueError(Errors.E746.format(folder=self.folder))
        return None

    def _prune(self, saved: Path) -> None:
        _, problem = examine(saved)
        if problem is not None:  # what the disk gives back is not what was written
            warnings.warn(Warnings.W741.format(path=saved, problem=problem), stacklevel=3)
            return
        earlier = [path for path in self._by_step() if path.name <= saved.name]
        best = [p for p in self._by_score() if p in earlier and _score_of(p) < math.inf]
        kept = {*earlier[: self.keep_last], *best[: self.keep_best]}
        for path in self._by_step():
            if path not in kept:
                shutil.rmtree(path)

    def _by_step(self) -> list[Path]:
        """The newest first."""
        restore_replaced(self.folder, f"{STEP}*")
        return sorted((p for p in self.folder.glob(f"{STEP}*") if p.is_dir()), reverse=True)

    def _by_score(self) -> list[Path]:
        """The best first; of equal ones, the newest. Before them those that cannot be read: they
        may have been the best, so whoever wants that is told of them."""
        return sorted(self._by_step(), key=_score_of, reverse=True)


def examine(path: Path) -> tuple[dict[str, Any], str | None]:
    """Compare a checkpoint with what it says of itself.

    path (Path): Its folder.
    RETURNS (tuple): What `state.json` holds, and what is wrong, None if it is whole.
    """
    try:
        content = json.loads((path / STATE).read_text(encoding="utf8"))
        if content.pop("sha256") != _digest(content):
            return {}, f"the content of {STATE} was changed"
        for name, expected in content["files"].items():
            file_ = path / name
            if not file_.is_file():
                return {}, f"{name} is missing"
            if file_.stat().st_size != expected["size"]:
                size = file_.stat().st_size
                return {}, f"{name} has {size} bytes instead of {expected['size']}"
            if sha256_of(file_) != expected["sha256"]:
                return {}, f"the content of {name} was changed"
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}, f"{STATE} cannot be read"
    return content, None


def _facts(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def _digest(content: Mapping[str, Any]) -> str:
    """RETURNS (str): The sha256 of JSON types, whatever the layout of their file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf8")).hexdigest()


def _score_of(path: Path) -> float:
    """RETURNS (float): What a checkpoint that need not be whole says of its score: the lowest for
    none, and infinity where nothing can be read."""
    try:
        score = json.loads((path / STATE).read_text(encoding="utf8"))["score"]
        return -math.inf if score is None or not math.isfinite(score) else float(score)
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as the format wants them: contiguous, on the CPU, none sharing memory."""
    storable: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
        storage = plain.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != plain.nbytes:
            plain = plain.clone()
        seen.add(plain.untyped_storage().data_ptr())
        storable[name] = plain
    return storable
