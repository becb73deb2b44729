"""From the values of one line or row to a `Row`, or to a `BadRow` that says why there is none."""

from collections.abc import Mapping
from typing import Any

from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row

MAX_ID_CHARS = 1000
_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class RowMaker:
    """Makes the rows of one file.

    file (InputFile): The file.
    settings (ReadSettings): How it is read.
    """

    def __init__(self, file: InputFile, settings: ReadSettings) -> None:
        self.file = file
        self.settings = settings
        self._taken = {settings.text_column, settings.id_column}

    def row(
        self,
        number: int,
        text: str,
        *,
        id: Any = None,
        columns: Mapping[str, Any] | None = None,
        doc: bytes | None = None,
        mended: bool = False,
    ) -> Row | BadRow:
        """Make a row of a text that was read.

        number (int): Its line or row, from 1.
        text (str): The text.
        id (Any): What stands in the id column, if anything.
        columns (Mapping | None): All columns; the text's and the id's are not carried through.
        doc (bytes | None): See `Row`.
        mended (bool): See `Row`.
        RETURNS (Row | BadRow): A bad one for a text that is too long, or an id that is none.
        """
        name = self.name(number) if id is None or id == "" else known_id(id)
        if name is None and not isinstance(id, str):
            return self.bad(number, f"{self.settings.id_column!r} is {kind_of(id)}, expected text")
        if name is None and len(id) > MAX_ID_CHARS:
            n = f"{len(id):,} characters, more than {MAX_ID_CHARS:,}"
            return self.bad(number, f"{self.settings.id_column!r} has {n}")
        if name is None:
            return self.no_unicode(number, "half a surrogate pair in its id")
        limit = self.settings.max_chars
        if limit is not None and len(text) > limit:
            return self.too_long(number, f"{len(text):,}", id=name)
        others = {key: columns[key] for key in columns if key not in self._taken} if columns else {}
        return Row(name, text, others, doc, mended, self.file.name, number)

    def bad(self, number: int, reason: str, *, id: Any = None, left_out: bool = False) -> BadRow:
        """RETURNS (BadRow): What cannot be read, under what stands in the id column if that is an
        id; `number` 0 means the file itself."""
        name = known_id(id) or self.name(number)
        return BadRow(name, self.file.name, number, reason, left_out)

    def too_long(self, number: int, found: str, *, id: str | None = None) -> BadRow:
        """RETURNS (BadRow): For a text of `found` characters."""
        limit = self.settings.max_chars
        return self.bad(number, f"{found} characters, more than the limit of {limit:,}", id=id)

    def damaged(self, number: int, error: BaseException) -> BadRow:
        """RETURNS (BadRow): For the rest of a file behind row `number`."""
        lines = str(error).splitlines() or [type(error).__name__]
        place = f"after line or row {number}" if number else "from its beginning on"
        reason = f"the file is damaged or ends too early, {place} ({lines[0][:200]})"
        return self.bad(number + 1 if number else 0, reason)

    def empty(self) -> BadRow:
        """RETURNS (BadRow): For a file in which there is nothing at all."""
        return self.bad(0, "the file is empty")

    def name(self, number: int) -> str:
        """RETURNS (str): The id of a row that has none."""
        return f"{self.file.name}:{number}" if number else self.file.name

    def decode(self, data: bytes, number: int, *, id: Any = None) -> tuple[str, bool] | BadRow:
        """Decode a text as the settings say.

        data (bytes): The text.
        number (int): Its line or row.
        id (Any): What stands in the id column, as far as that is known.
        RETURNS (tuple[str, bool] | BadRow): The text, and whether something in it was replaced.
        """
        try:
            return data.decode("utf-8"), False
        except UnicodeDecodeError as error:
            found = f"byte {data[error.start]:#04x} at {error.start}, {error.reason}"
        if self.settings.encoding_errors == "replace":
            return data.decode("utf-8", "replace"), True
        return self.no_unicode(number, found, id=id)

    def no_unicode(self, number: int, found: str, *, id: Any = None) -> BadRow:
        """RETURNS (BadRow): For a text that is not replaced: an error, or left out as asked."""
        left_out = self.settings.encoding_errors == "skip"
        return self.bad(number, f"the text is no UTF-8 ({found})", id=id, left_out=left_out)

    def no_text(self, number: int, value: Any, *, id: Any = None) -> BadRow:
        """RETURNS (BadRow): For a row whose text is another kind of value."""
        reason = f"{self.settings.text_column!r} is {kind_of(value)}, expected text"
        return self.bad(number, reason, id=id)


def known_id(value: Any) -> str | None:
    """RETURNS (str | None): The id that a value of the id column is; None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return None
    is_unicode = value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
    return value if is_unicode else None


def kind_of(value: Any) -> str:
    """RETURNS (str): What kind of value this is, in words, without the value."""
    return _KINDS.get(type(value), type(value).__name__)


def shown_names(names: Any) -> str:
    """RETURNS (str): Names of columns for a message: the first twenty, none of them long."""
    listed = [str(name) for name in names]
    short = [name if len(name) <= 40 else f"{name[:37]}..." for name in listed[:20]]
    more = [f"and {len(listed) - 20} more"] if len(listed) > 20 else []
    return ", ".join(map(repr, short)) + "".join(f" {word}" for word in more) or "no columns"
