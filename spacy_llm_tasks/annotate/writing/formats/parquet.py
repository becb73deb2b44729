"""Parquet, with the schema of `schema.py`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....errors import Errors
from ....streams import pyarrow
from ...reading.arrow_types import passing_type
from ...reading.columns import JSON, Columns, output_name
from ..json_text import to_json
from ..schema import output_schema
from .writer import Writer

# A row group ends with so many rows or so many characters, whichever comes first.
GROUP_ROWS = 4096
GROUP_CHARS = 2**24


class ParquetWriter(Writer):
    """Writes a Parquet file: row groups of a fixed size, compressed with zstd.

    path (Path): The file.
    columns (Columns): The columns that the run carries through.
    parts (Collection[str]): What to write, see `outputs.PARTS`.
    embedding_width (int | None): Numbers in each embedding; None if not known.
    RAISES (ImportError): If `pyarrow` is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: Columns,
        parts: Collection[str],
        embedding_width: int | None = None,
    ) -> None:
        self.schema = output_schema(columns=columns, parts=parts, embedding_width=embedding_width)
        self.columns = columns
        self._waiting: list[Any] = []  # tables, the rows of the next group
        self._n_rows = self._n_chars = 0
        super().__init__(path)
        self._table = pyarrow("pyarrow.parquet").ParquetWriter(
            self.file, self.schema, compression="zstd"
        )

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        records = list(records)
        if not records:
            return
        table = self._table_of(records)
        start = 0
        for i, record in enumerate(records, start=1):
            self._n_chars += len(record.get("text") or "")
            if self._n_rows + i - start >= GROUP_ROWS or self._n_chars >= GROUP_CHARS:
                self._keep(table.slice(start, i - start))
                self._write_group()
                start = i
        self._keep(table.slice(start))

    def finish(self) -> None:
        self._write_group()
        self._table.close()

    def abandon(self) -> None:
        self._table.is_open = False  # else it would write the end of the file when it is deleted
        super().abandon()

    def _keep(self, table: Any) -> None:
        if table.num_rows:
            self._waiting.append(table)
            self._n_rows += table.num_rows

    def _write_group(self) -> None:
        if not self._waiting:
            return
        # In one piece: the bytes of the file do not tell in what batches rows came.
        pa = pyarrow("pyarrow")
        try:
            table = pa.concat_tables(self._waiting).combine_chunks()
            self._table.write_table(table, row_group_size=table.num_rows)
        except pa.ArrowException as error:
            # Each row for itself fits, so that it is no row's: not to be written one by one.
            reason = type(error).__name__
            raise OSError(Errors.E815.format(path=self.path, reason=reason)) from error
        self._waiting, self._n_rows, self._n_chars = [], 0, 0

    def _table_of(self, records: Sequence[Mapping[str, Any]]) -> Any:
        arrays: dict[str, Any] = {"id": [record["id"] for record in records]}
        rows = [record["columns"] for record in records]
        if self.columns.types is None:
            arrays["columns"] = [to_json(row) if row else None for row in rows]
        else:
            for name, kind in self.columns.types.items():
                values = [row.get(name) for row in rows]
                arrays[output_name(name)] = self._carried(name, kind, values)
        for part in self.schema.names:
            if part not in arrays:
                arrays[part] = [record[part] for record in records]
        self._check_embeddings(records)
        pa = pyarrow("pyarrow")
        made = [
            array if isinstance(array, pa.Array) else pa.array(array, type=field.type)
            for field, array in ((field, arrays[field.name]) for field in self.schema)
        ]
        return pa.Table.from_arrays(made, schema=self.schema)

    def _carried(self, name: str, kind: str, values: Sequence[Any]) -> Any:
        """A column of the input as an array of the type that was settled for it."""
        pa = pyarrow("pyarrow")
        expected = self.columns.arrow_type(name)
        if kind == JSON:
            values = [None if value is None else to_json(value) for value in values]
        try:
            return pa.array(values, type=passing_type(expected)).cast(expected)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            reason = type(error).__name__
            raise ValueError(
                Errors.E808.format(column=name, expected=expected, reason=reason)
            ) from error

    def _check_embeddings(self, records: Sequence[Mapping[str, Any]]) -> None:
        if "embedding" not in self.schema.names:
            return
        kind = self.schema.field("embedding").type
        if not pyarrow("pyarrow.types").is_fixed_size_list(kind):
            return
        for record in records:
            vector = record["embedding"]
            if vector is not None and len(vector) != kind.list_size:
                raise ValueError(
                    Errors.E807.format(id=record["id"], found=len(vector), expected=kind.list_size)
                )
