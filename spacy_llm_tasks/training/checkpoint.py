"""Checkpoints: folders that hold all a training run needs to go on as if nothing had happened.

    checkpoints/step-00000200/
        pipeline/           nlp.to_disk
        state.safetensors   moments of the optimizer, random states
        state.json          step, losses, scores, names of the arrays' places, config, data
        manifest.json       size and sha256 of all the others

The two latest are kept, so that one is left if the other turns out to be damaged.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ..errors import Errors, Warnings
from ..files import clean_parts, files_under, grant_usual_rights, whole_folder, write_json
from ..weights.checksum import sha256_of

MANIFEST = "manifest.json"
NUMBERS = "state.json"
ARRAYS = "state.safetensors"
PIPELINE = "pipeline"
STEP = "step-"
FINISHED = "finished"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole.

    path (Path): Its folder.
    numbers (dict): What `state.json` holds.
    arrays (dict[str, ndarray]): What `state.safetensors` holds.
    """

    path: Path
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def is_finished(self) -> bool:
        return self.path.name == FINISHED

    @property
    def pipeline(self) -> Path:
        return self.path / PIPELINE


class Checkpoints:
    """The checkpoints of one training run.

    folder (Path): Where they lie.
    keep (int): How many of the latest to keep.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(
        self,
        step: int,
        save_pipeline: Callable[[Path], object],
        numbers: dict[str, Any],
        arrays: dict[str, np.ndarray],
    ) -> Path:
        """Write a checkpoint, and remove those that it makes superfluous once it is whole.

        step (int): The last step that it includes.
        save_pipeline (Callable): Writes the pipeline to the folder that it is given.
        numbers (dict): JSON types.
        arrays (dict[str, ndarray]): Any dtype and shape.
        RETURNS (Path): The checkpoint's folder.
        """
        path = self.folder / f"{STEP}{step:08d}"
        with whole_folder(path) as part:
            save_pipeline(part / PIPELINE)
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, part / ARRAYS)
            grant_usual_rights(part / ARRAYS)
            write_json(part / NUMBERS, numbers)
            _write_manifest(part)
        for old in self._by_step()[self.keep :]:
            shutil.rmtree(old)
        return path

    def finish(self, numbers: dict[str, Any]) -> None:
        """Say that the run is over. The checkpoints are not needed any more and are removed."""
        with whole_folder(self.folder / FINISHED) as part:
            write_json(part / NUMBERS, numbers)
            _write_manifest(part)
        for old in self._by_step():
            shutil.rmtree(old)

    def clear(self) -> None:
        """Remove all checkpoints, for a run that starts from the beginning."""
        clean_parts(self.folder)
        for path in self._all():
            shutil.rmtree(path)

    @property
    def is_unfinished(self) -> bool:
        """Whether a run was stopped here that could go on."""
        return bool(self._by_step())

    def latest(self, warn: Callable[[str], object]) -> Checkpoint | None:
        """Read the latest checkpoint that is whole.

        warn (Callable[[str], object]): Told about each damaged one that was passed over.
        RETURNS (Checkpoint | None): None if there is none at all.
        RAISES (ValueError): If there are some, but none is whole.
        """
        clean_parts(self.folder)
        found = self._all()
        for path in found:
            problem = damage(path)
            if problem is None:
                return _read(path)
            warn(Warnings.W501.format(path=path, problem=problem))
        if found:
            raise ValueError(Errors.E506.format(folder=self.folder))
        return None

    def _all(self) -> list[Path]:
        """That of a finished run first, then the latest."""
        return [p for p in [self.folder / FINISHED] if p.is_dir()] + self._by_step()

    def _by_step(self) -> list[Path]:
        """The latest first."""
        return sorted((p for p in self.folder.glob(f"{STEP}*") if p.is_dir()), reverse=True)


def damage(path: Path) -> str | None:
    """Compare a checkpoint with its manifest.

    RETURNS (str | None): What is wrong with it, None if it is whole.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf8"))
        for name, expected in manifest.items():
            file_ = path / name
            if not file_.is_file():
                return f"{name} is missing"
            if file_.stat().st_size != expected["size"]:
                return f"{name} has {file_.stat().st_size} bytes instead of {expected['size']}"
            if sha256_of(file_) != expected["sha256"]:
                return f"the content of {name} was changed"
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return f"{MANIFEST} cannot be read"
    return None if NUMBERS in manifest else f"{MANIFEST} is incomplete"


def _write_manifest(folder: Path) -> None:
    write_json(
        folder / MANIFEST,
        {
            p.relative_to(folder).as_posix(): {"size": p.stat().st_size, "sha256": sha256_of(p)}
            for p in files_under(folder)
        },
    )


def _read(path: Path) -> Checkpoint:
    numbers = json.loads((path / NUMBERS).read_text(encoding="utf8"))
    arrays = load_file(path / ARRAYS) if (path / ARRAYS).exists() else {}
    return Checkpoint(path, numbers, arrays)
