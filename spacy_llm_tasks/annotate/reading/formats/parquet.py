"""Parquet files, some rows at a time."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from ....errors import Errors
from ....streams import pyarrow
from ..arrow_types import kept_type, passing_type
from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row
from .lines import unreadable
from .row_maker import RowMaker, shown_names

BATCH_BYTES = 2**23
MAX_BATCH_ROWS = 1024
_BUFFER_BYTES = 2**20


def read_parquet(
    file: InputFile, settings: ReadSettings, *, start: int = 0
) -> Iterator[Row | BadRow]:
    """Read a Parquet file. Memory holds some megabytes of rows, whatever the size of the file and
    of its row groups.

    file (InputFile): The file.
    settings (ReadSettings): How.
    start (int): Pass over so many rows; row groups before these are not read.
    YIELDS (Row | BadRow): The documents, and the rows that are none. Where the file is damaged, a
        `BadRow` stands for the rest of it.
    RAISES (ValueError): If the file cannot be read, or has no column of texts, one for ids that
        holds other things, or two of one name.
    RAISES (ImportError): If `pyarrow` is not installed.
    """
    pa = pyarrow("pyarrow")
    maker = RowMaker(file, settings)
    number = 0  # of the last row that was read
    try:
        with closing(_open(file)) as source:
            _check(source.schema_arrow, file, settings)
            for batch in _batches(source):
                n_before, number = number, number + batch.num_rows
                if number > start:
                    skip = max(start - n_before, 0)
                    yield from _rows(maker, batch.slice(skip), n_before + skip + 1)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(file.path, error) from error
        if number >= start:
            yield maker.damaged(number, error)


def parquet_types(file: InputFile, settings: ReadSettings) -> dict[str, Any]:
    """The columns that a Parquet file carries besides its texts and ids.

    file (InputFile): The file.
    settings (ReadSettings): Which columns hold the texts and the ids.
    RETURNS (dict[str, Any]): Name -> type to write it with; none for a damaged file.
    RAISES (ValueError): As `read_parquet`.
    """
    pa = pyarrow("pyarrow")
    try:
        with closing(_open(file)) as source:
            schema = source.schema_arrow
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(file.path, error) from error
        return {}
    _check(schema, file, settings)
    taken = (settings.text_column, settings.id_column)
    return {field.name: kept_type(field.type) for field in schema if field.name not in taken}


def _open(file: InputFile) -> Any:
    # Not buffered ahead: that would hold whole row groups.
    return pyarrow("pyarrow.parquet").ParquetFile(
        file.path, pre_buffer=False, buffer_size=_BUFFER_BYTES
    )


def _check(schema: Any, file: InputFile, settings: ReadSettings) -> None:
    types = pyarrow("pyarrow.types")
    text, id = settings.text_column, settings.id_column
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise ValueError(Errors.E805.format(path=file.path, column=name))
    if text not in schema.names:
        found = shown_names(schema.names)
        raise ValueError(Errors.E803.format(path=file.path, column=text, found=found))
    kind = kept_type(schema.field(text).type)
    if not _is_text(kind):
        found = f"{text!r} of type {kind}"
        raise ValueError(Errors.E803.format(path=file.path, column=text, found=found))
    if id in schema.names:
        kind = kept_type(schema.field(id).type)
        if not (_is_text(kind) or types.is_integer(kind) or types.is_null(kind)):
            raise ValueError(Errors.E804.format(path=file.path, column=id, found=kind))


def _is_text(kind: Any) -> bool:
    types = pyarrow("pyarrow.types")
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _batches(source: Any) -> Iterator[Any]:
    """Batches that begin anew with each row group, so that they are the same wherever one starts to
    read."""
    metadata = source.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    n_bytes = sum(group.total_byte_size for group in groups) // max(metadata.num_rows, 1)
    n_rows = min(max(BATCH_BYTES // max(n_bytes, 1), 1), MAX_BATCH_ROWS)
    return chain.from_iterable(
        source.iter_batches(batch_size=n_rows, row_groups=[i], use_threads=False)
        for i in range(len(groups))
    )


def _rows(maker: RowMaker, batch: Any, number: int) -> Iterator[Row | BadRow]:
    names = batch.schema.names
    text = names.index(maker.settings.text_column)
    id = names.index(maker.settings.id_column) if maker.settings.id_column in names else None
    columns = [_values(batch.column(i), as_bytes=i in (text, id)) for i in range(len(names))]
    for row_number, values in enumerate(zip(*columns, strict=True), start=number):
        yield _row(maker, row_number, dict(zip(names, values, strict=True)))


def _row(maker: RowMaker, number: int, values: dict[str, Any]) -> Row | BadRow:
    text_column, id_column = maker.settings.text_column, maker.settings.id_column
    known = values.get(id_column)
    if isinstance(known, bytes):
        known = known.decode("utf-8", "surrogateescape")  # what is no UTF-8 is no id either
    mended = False
    for name, value in values.items():
        if isinstance(value, _Unreadable):
            reason = f"column {name!r} cannot be read ({value.reason})"
            return maker.bad(number, reason, id=known)
        if name in (text_column, id_column) and isinstance(value, bytes):
            decoded = maker.decode(value, number, id=known)
            if isinstance(decoded, BadRow):
                return decoded
            values[name], replaced = decoded
            mended = mended or replaced
    text = values[text_column]
    if not isinstance(text, str):
        return maker.no_text(number, text, id=known)
    return maker.row(number, text, id=values.get(id_column), columns=values, mended=mended)


class _Unreadable:
    """A value that Arrow has and Python cannot have, such as a date after the year 9999."""

    def __init__(self, error: Exception) -> None:
        self.reason = type(error).__name__


def _values(column: Any, *, as_bytes: bool) -> list[Any]:
    pa = pyarrow("pyarrow")
    kind = kept_type(column.type)
    if as_bytes and _is_text(kind):
        # Parquet does not promise that its strings are UTF-8.
        return column.cast(kind).cast(pa.large_binary()).to_pylist()
    values = column.cast(passing_type(kind))
    try:
        return values.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in values]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return _Unreadable(error)
