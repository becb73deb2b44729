"""Result files: one JSON a trained run, written whole or not at all, reused on the next call."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import Errors
from ..weights.checksum import sha256_of
from ..weights.folder import weight_files

Read = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class RunKey:
    """What tells one run from another.

    side (str): "ours" or "peer".
    set (str): The data set's name.
    seed (int): The seed.
    learn_rate (float): The highest rate of the schedule.
    """

    side: str
    set: str
    seed: int
    learn_rate: float

    @property
    def file_name(self) -> str:
        """RETURNS (str): The name of the run's result file."""
        return f"{self.side}-{self.set}-seed{self.seed}-lr{self.learn_rate:g}.json"


@dataclass(frozen=True)
class Record:
    """A finished run.

    key (RunKey): Which run.
    score (float): The score that the table shows first.
    scores (dict[str, float]): All scores by name.
    updates (int): Optimiser steps taken.
    seconds (dict[str, float]): Wall and process-CPU seconds of training and evaluation.
    settings (dict): All that decides the result besides the code: recipe, batch size, dropout,
        sha256 of the weights.
    about (dict): Sizes of the data, threads, versions, machine and date.
    """

    key: RunKey
    score: float
    scores: dict[str, float]
    updates: int
    seconds: dict[str, float]
    settings: dict[str, Any]
    about: dict[str, Any]


def save(folder: Path, record: Record) -> Path:
    """Write a result file atomically.

    folder (Path): The results folder; made when missing.
    record (Record): The finished run.
    RETURNS (Path): The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / record.key.file_name
    body = asdict(record)
    body = {**body.pop("key"), **body}
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(body, indent=2, sort_keys=True) + "\n", encoding="utf8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def load(path: Path) -> Record:
    """Read a result file.

    path (Path): The file.
    RETURNS (Record): The run.
    RAISES (ValueError): If the file is not a whole result file.
    """
    try:
        body = json.loads(path.read_text(encoding="utf8"))
        key = RunKey(*(body.pop(name) for name in ("side", "set", "seed", "learn_rate")))
        return Record(key=key, **body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(Errors.E585.format(path=path, error=error)) from error


def load_all(folder: Path) -> list[Record]:
    """Read every result file of a folder.

    folder (Path): The results folder; may be missing.
    RETURNS (list[Record]): The runs, sorted by file name.
    """
    return [load(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []


def find(
    folder: Path, key: RunKey, settings: dict[str, Any], *, read: Read | None = None
) -> Record | None:
    """Look for the result of a run that needs not be repeated.

    folder (Path): The results folder.
    key (RunKey): Which run.
    settings (dict): Must equal the settings in the file; a result of other settings is not used.
    read (Read | None): Another way to read the settings in a file where they differ.
    RETURNS (Record | None): The run, or `None`.
    """
    path = folder / key.file_name
    if not path.is_file():
        return None
    record = load(path)
    # Through JSON, as the file's were: tuples become lists and keys become strings.
    wanted = json.loads(json.dumps(settings))
    if record.settings == wanted or (read is not None and read(record.settings) == wanted):
        return record
    return None


def fingerprint(weights: Path) -> str:
    """Hash the weights of a folder, so that results from other weights are never mixed in.

    weights (Path): Folder with `model.safetensors`, or several files and their index.
    RETURNS (str): The sha256 in hexadecimal; of several files, that of their digests in order.
    RAISES (ValueError): If there is no such file.
    """
    try:
        digests = [sha256_of(path) for path in weight_files(weights)]
    except FileNotFoundError as error:
        raise ValueError(Errors.E586.format(path=weights)) from error
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()
