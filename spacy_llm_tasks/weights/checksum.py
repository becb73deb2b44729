"""The checksum by which files are told apart."""

import hashlib
from collections.abc import Callable
from pathlib import Path


def sha256_of(path: Path, *, on_block: Callable[[], None] | None = None) -> str:
    """Read a file to its end.

    path (Path): The file.
    on_block (Callable | None): Called for each MB; may raise, to stop.
    RETURNS (str): The hex digest of its content.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            if on_block is not None:
                on_block()
    return digest.hexdigest()
