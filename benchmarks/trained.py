"""What a peer's module hands back, and how it asks for the library that it stands on."""

import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

import torch
from spacy.tokens import Doc
from thinc.util import get_torch_default_device

from spacy_llm_tasks.bench.loop import Outcome


@dataclass(frozen=True)
class Trained:
    """A finished run of a peer.

    outcome (Outcome): Scores and seconds.
    settings (dict): What decides the result besides the budget, which is the same for all sides.
    train (list[Doc]): The docs of the training data.
    dev (list[Doc]): The docs that were scored.
    versions (dict[str, str]): Versions of the libraries that only this peer has.
    """

    outcome: Outcome
    settings: dict[str, Any]
    train: list[Doc]
    dev: list[Doc]
    versions: dict[str, str] = field(default_factory=dict)


def need(package: str) -> ModuleType:
    """Import a peer's library, or end with the command that installs it.

    package (str): Its name on PyPI.
    RETURNS (ModuleType): The library.
    """
    try:
        return import_module(package.replace("-", "_"))
    except ImportError as error:
        sys.exit(
            f"This peer needs {package} ({error}). Install it with: "
            f"pip install -c constraints.txt {package}"
        )


def device() -> torch.device:
    """RETURNS (torch.device): Where the peer's model goes: where spaCy was told to work."""
    return get_torch_default_device()


def version_of(package: str) -> dict[str, str]:
    """RETURNS (dict[str, str]): The installed version by the package's name."""
    return {package: version(package)}
