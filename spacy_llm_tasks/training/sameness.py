"""Whether a run that goes on is the run that was stopped: its config, its data, its machine."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from thinc.api import Config

from ..errors import Errors, Warnings
from ..files import files_under
from ..packages import installed
from ..weights.checksum import sha256_of

# What the run shows of itself may change, what it computes may not.
FREE_SECTIONS = ("training.logger.",)
PACKAGES = ("spacy", "thinc", "torch", "numpy", "spacy-llm-tasks")


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """RETURNS (dict): Values by dotted key: `{"training.optimizer.learn_rate": 0.001, ...}`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def fingerprint(config: Config) -> dict[str, str]:
    """Hash the files that the training and the development reader name.

    config (Config): Interpolated.
    RETURNS (dict[str, str]): sha256 by config key, e.g. `corpora.train.path`.
    """
    found = {}
    for dot_name in (config["training"]["train_corpus"], config["training"]["dev_corpus"]):
        section: Any = config
        for part in dot_name.split("."):
            section = section[part]
        for key, value in _texts(section, f"{dot_name}."):
            if os.path.exists(value):
                found[key] = _hash(Path(value))
    return found


def describe(config: Config) -> dict[str, Any]:
    """RETURNS (dict): Everything that a resumed run must share, in JSON types."""
    flat = {k: v for k, v in flatten(config).items() if not k.startswith(FREE_SECTIONS)}
    description = {
        "config": flat,
        "data": fingerprint(config),
        "machine": {"threads": torch.get_num_threads(), **installed(PACKAGES)},
    }
    # Through JSON, because it is compared with one that was read from a file.
    return json.loads(json.dumps(description, default=str))


def require_same(saved: dict[str, Any], config: Config) -> list[str]:
    """Refuse to go on with another run's checkpoint.

    saved (dict): What `describe` gave then.
    config (Config): The config now, interpolated.
    RETURNS (list[str]): Warnings about differences that can change the last bits of the result.
    RAISES (ValueError): Naming the keys of config or data that changed.
    """
    now = describe(config)
    for what, error in (("config", Errors.E507), ("data", Errors.E508)):
        changed = _differences(saved[what], now[what], show=what == "config")
        if changed:
            raise ValueError(error.format(changes="\n".join(changed)))
    return [
        Warnings.W502.format(change=change.strip())
        for change in _differences(saved["machine"], now["machine"], show=True)
    ]


def _differences(old: dict[str, Any], new: dict[str, Any], *, show: bool) -> list[str]:
    lines = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key, "(not set)"), new.get(key, "(not set)")
        if was != now:
            lines.append(f"  {key}: {was!r} -> {now!r}" if show else f"  {key}")
    return lines


def _texts(section: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(section, dict):
        for key, value in flatten(section, prefix).items():
            if isinstance(value, str) and value:
                yield key, value


def _hash(path: Path) -> str:
    if path.is_file():
        return sha256_of(path)
    names = ((p.relative_to(path).as_posix(), p) for p in files_under(path))
    listing = "".join(f"{name} {sha256_of(p)}\n" for name, p in names)
    return hashlib.sha256(listing.encode("utf8")).hexdigest()
