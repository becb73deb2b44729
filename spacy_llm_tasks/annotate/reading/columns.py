"""Columns of the input that are carried through to the output: their names and types.

What a column of the output is called and how it is typed is settled before a run starts, from the
heads of the input files alone, so that all shards of a run have one schema:

- If every file has typed or named columns (Parquet, CSV, TSV; plain text has none), each column of
  any of them is a column of the output. Those of Parquet keep their types, those of CSV are
  strings. Where files differ in a column's type, it gets a common type of numbers or of strings if
  there is one, and else holds the values as JSON.
- As soon as one file is of JSON lines or `.spacy`, whose keys may differ from row to row, or the
  standard input, all columns of a row are one object in JSON, in the column `columns`.

JSON lines as an output always have the columns as keys of the object. In both, a column whose name
the output itself needs is called "input_<name>".
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...streams import STDIN, pyarrow
from .formats.delimited import column_names
from .formats.parquet import parquet_types
from .input_files import InputFile
from .read_settings import ReadSettings

RESERVED = frozenset(
    "id text columns ents ent_scores spans relations cats embedding answers tokens sents".split()
)
TEXT, JSON = "text", "json"
_ARROW = "arrow:"
_PREFIX = "input_"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a run carries through.

    types (Mapping[str, str] | None): Name in the input -> "text", "json" for values of several
        types, or the Arrow type, serialized. None: all columns of a row as one object of JSON.
    """

    types: Mapping[str, str] | None = None

    def arrow_type(self, name: str) -> Any:
        """RETURNS (pyarrow.DataType): The type that a column is written with."""
        pa = pyarrow("pyarrow")
        written = (self.types or {})[name]
        if not written.startswith(_ARROW):
            return pa.string()
        data = base64.b64decode(written.removeprefix(_ARROW))
        return pyarrow("pyarrow.ipc").read_schema(pa.py_buffer(data)).field(0).type

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): For JSON; `from_dict` takes it back."""
        return {"types": None if self.types is None else dict(self.types)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Columns":
        """RETURNS (Columns): Those of which `to_dict` made this."""
        return cls(data["types"])


def columns_of(files: Iterable[InputFile], settings: ReadSettings) -> Columns:
    """Settle the columns that a run carries through; only the heads of files are read.

    files (Iterable[InputFile]): All files of the run.
    settings (ReadSettings): How they are read.
    RETURNS (Columns): The columns.
    RAISES (ValueError): If a file cannot be read, or has no column of texts.
    """
    types: dict[str, Any] = {}
    files = list(files)
    for file in files:
        if file.path == STDIN or file.format in ("jsonl", "spacy"):
            return Columns()
        if file.format == "txt":
            continue
        if file.format == "parquet":
            mine = parquet_types(file, settings)
        else:
            taken = (settings.text_column, settings.id_column)
            names = column_names(file, settings)
            mine = {name: TEXT for name in names if name not in taken}
        for name, kind in mine.items():
            types[name] = _common(types[name], kind) if name in types else kind
    return Columns({name: _written(kind) for name, kind in types.items()})


def output_name(name: str) -> str:
    """What a column of the input is called in the output. No two get one name.

    name (str): Its name in the input.
    RETURNS (str): The same, or with "input_" in front if the output has a column of that name.
    """
    bare = name
    while bare.startswith(_PREFIX):
        bare = bare.removeprefix(_PREFIX)
    return f"{_PREFIX}{name}" if bare in RESERVED else name


def _common(one: Any, other: Any) -> Any:
    """The type that values of two types can have: "text", "json" or one of Arrow's."""
    if isinstance(one, str) and isinstance(other, str):
        return one if one == other else JSON
    pa, types = pyarrow("pyarrow"), pyarrow("pyarrow.types")
    both = [
        pa.string() if isinstance(kind, str) and kind == TEXT else kind for kind in (one, other)
    ]
    if any(isinstance(kind, str) for kind in both):
        return JSON
    if both[0] == both[1]:
        return both[0]
    if any(map(types.is_null, both)):
        return both[1] if types.is_null(both[0]) else both[0]
    for fits in (types.is_integer, types.is_floating, _is_string):
        if all(map(fits, both)):
            schemas = [pa.schema([("x", kind)]) for kind in both]
            try:
                return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
            except pa.ArrowException:
                break
    return JSON


def _is_string(kind: Any) -> bool:
    types = pyarrow("pyarrow.types")
    return types.is_string(kind) or types.is_large_string(kind)


def _written(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    schema = pyarrow("pyarrow").schema([("x", kind)])
    return _ARROW + base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")
