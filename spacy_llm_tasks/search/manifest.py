"""What an index says of itself, and checks before it is used."""

import json
import re
import sqlite3
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..errors import Errors
from .entries import check_unit
from .quantize import form_of

# Written into the header of the database, where SQLite keeps them for its users: "sltX".
APPLICATION_ID = 0x736C7458
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What an index says of itself.

    unit (str): What an entry is: "doc", "sent" or "ent".
    width (int): Numbers in a vector.
    precision (str): What candidates are searched in: "float32", "int8" or "binary".
    fingerprint (str): Name of what made the vectors, usually a checksum of the pipeline.
    format (int): Version of the layout on disk.
    count (int): How many entries there are.
    n_rows (int): How many rows the files of vectors have, with those of replaced entries.
    generation (int): Number of the files of vectors in use.
    version (int): Grows with every change.
    graph (str): File name of the graph; empty without one.
    graph_rows (int): How many rows it covers.
    graph_checksum (int): Its CRC-32.
    """

    unit: str
    width: int
    precision: str
    fingerprint: str = ""
    format: int = FORMAT
    count: int = 0
    n_rows: int = 0
    generation: int = 1
    version: int = 0
    graph: str = ""
    graph_rows: int = 0
    graph_checksum: int = 0

    def check(self) -> None:
        """RAISES (ValueError): If no index can be made like this."""
        check_unit(self.unit)
        form_of(self.precision, 1)
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise ValueError(
                Errors.E612.format(name="width", expected="1 or more", found=self.width)
            )
        if not isinstance(self.fingerprint, str):
            raise ValueError(
                Errors.E612.format(name="fingerprint", expected="text", found=self.fingerprint)
            )


def write_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Store the manifest as part of the running transaction."""
    text = json.dumps(asdict(manifest))
    connection.execute("INSERT OR REPLACE INTO manifest (one, value) VALUES (1, ?)", (text,))


def read_manifest(connection: sqlite3.Connection, path: Path) -> Manifest:
    """Read the manifest and check that this package can use the index.

    connection (sqlite3.Connection): The database.
    path (Path): Folder of the index, for the message.
    RETURNS (Manifest): The manifest.
    RAISES (ValueError): If there is none, or it was written by a later version.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise ValueError(Errors.E602.format(path=path))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise ValueError(Errors.E604.format(path=path, found=version, expected=FORMAT))
    row = connection.execute("SELECT value FROM manifest").fetchone()
    try:
        manifest = Manifest(**json.loads(row[0]))
        manifest.check()
        _check_kinds(manifest)
    except (TypeError, ValueError) as error:
        problem = f"its manifest cannot be used ({error})"
        raise ValueError(Errors.E603.format(path=path, problem=problem)) from error
    return manifest


def _check_kinds(manifest: Manifest) -> None:
    for field in fields(manifest):
        value = getattr(manifest, field.name)
        if type(value) is not field.type or (field.type is int and value < 0):
            raise ValueError(f"{field.name} is {value!r}")
    # It names a file in the folder of the index, and nothing elsewhere.
    if manifest.graph and not re.fullmatch(r"graph-\d+\.usearch", manifest.graph):
        raise ValueError(f"graph is {manifest.graph!r}")
