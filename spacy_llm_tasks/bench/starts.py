"""What the heads of a comparison may start from: encoders as they are, and twins of them that know
nothing.

A twin has the shape and the tokenizer of an encoder and random weights. An encoder that only went
on being pretrained has the twin of the one that it came from, so that both are compared with it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..nn.encoder import TransformerEncoder
from ..tokenization.tokenizer import PieceTokenizer
from ..weights.checkpoint import read_config, save_encoder
from ..weights.folder import read_raw
from .records import fingerprint

RANDOM = "random"


@dataclass(frozen=True)
class Start:
    """An encoder to start from.

    name (str): What tables and result files call it.
    folder (Path): Holds the encoder, or the one whose twin it is.
    is_random (bool): Whether it is a twin.
    """

    name: str
    folder: Path
    is_random: bool = False

    @cached_property
    def shape(self) -> str:
        """RETURNS (str): A digest of shape and tokenizer: all that a twin takes over. Rates of
        dropout are left out, for the training sets its own."""
        config = replace(read_config(self.folder), dropout=0.0, attention_dropout=0.0)
        tokenizer = json.loads(PieceTokenizer.from_folder(self.folder).to_bytes())
        shape = json.dumps([config.to_dict(), tokenizer], sort_keys=True)
        return sha256(shape.encode()).hexdigest()

    def digest(self) -> str:
        """RETURNS (str): Tells its weights from others; those of a twin hang on the seed alone."""
        return f"{RANDOM} {self.shape}" if self.is_random else fingerprint(self.folder)

    @contextmanager
    def weights(self, seed: int) -> Iterator[Path]:
        """Have its weights in a folder.

        seed (int): Decides the weights of a twin.
        YIELDS (Path): The folder; that of a twin is there for as long as the context.
        """
        if not self.is_random:
            yield self.folder
            return
        with TemporaryDirectory() as name, torch.random.fork_rng():
            torch.manual_seed(seed)
            encoder = TransformerEncoder(read_config(self.folder))
            save_encoder(name, encoder, family=read_raw(self.folder)["model_type"])
            PieceTokenizer.from_folder(self.folder).to_folder(name)
            yield Path(name)


def with_twins(folders: Mapping[str, Path]) -> dict[str, Start]:
    """Put a twin in front of each shape of encoder.

    folders (Mapping[str, Path]): Encoders by name.
    RETURNS (dict[str, Start]): They and their twins by name, each twin before all of its shape.
    RAISES (OSError): A folder holds no encoder.
    RAISES (ValueError): An encoder cannot be used.
    """
    by_shape: dict[str, list[Start]] = {}
    for name, folder in folders.items():
        start = Start(name, folder)
        by_shape.setdefault(start.shape, []).append(start)
    found: dict[str, Start] = {}
    for alike in by_shape.values():
        # the last is the one that the others came from, where they came from one
        twin = Start(f"{RANDOM}-{alike[-1].name}", alike[-1].folder, is_random=True)
        found |= {start.name: start for start in [twin, *alike]}
    return found


def twin_of(start: Start, starts: Mapping[str, Start]) -> Start | None:
    """RETURNS (Start | None): The twin of an encoder; None for a twin."""
    if start.is_random:
        return None
    return next(other for other in starts.values() if other.is_random and _alike(other, start))


def _alike(start: Start, other: Start) -> bool:
    return start.shape == other.shape
