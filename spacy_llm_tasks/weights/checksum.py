"""The checksum by which files are told apart."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """RETURNS (str): The hex digest of a file's content."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
