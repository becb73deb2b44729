"""How the files of a run are read."""

from dataclasses import dataclass

from ...errors import Errors

ENCODING_ERRORS = ("strict", "replace", "skip")
DUPLICATE_IDS = ("refuse", "number")


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How the files of a run are read.

    text_column (str): Column or key of the text, in all formats that have some.
    id_column (str): Column or key of the document's id, a string or a whole number. Rows without
        one are called "<file name>:<number>".
    per_line (bool): Each line of a `.txt` file that is not blank is a document, not the file.
    encoding_errors (str): What becomes of a document that is no UTF-8: "strict" makes it an error,
        "replace" puts U+FFFD for what cannot be decoded, "skip" leaves it out and counts it.
    duplicate_ids (str): What becomes of a document whose id an earlier one has: "refuse" refuses
        the corpus, "number" calls it "<id>#2".
    max_chars (int | None): A longer document is an error, and of a `.txt` file no more than that is
        read; None sets no limit.
    separator (str): What stands between the fields of a `.csv` file.
    RAISES (ValueError): If a value is not possible, with its name.
    """

    text_column: str = "text"
    id_column: str = "id"
    per_line: bool = False
    encoding_errors: str = "strict"
    duplicate_ids: str = "refuse"
    max_chars: int | None = None
    separator: str = ","

    def __post_init__(self) -> None:
        _check("text_column", self.text_column, bool(self.text_column), "a name")
        other = self.id_column != self.text_column
        _check("id_column", self.id_column, bool(self.id_column) and other, "another name")
        for name, known in (
            ("encoding_errors", ENCODING_ERRORS),
            ("duplicate_ids", DUPLICATE_IDS),
        ):
            found = getattr(self, name)
            _check(name, found, found in known, "one of " + ", ".join(known))
        limit = self.max_chars
        _check("max_chars", limit, limit is None or limit >= 1, "1 or more")
        single = len(self.separator) == 1 and self.separator not in '"\r\n\ufeff'
        _check("separator", self.separator, single, "one character, no quote and no line end")


def _check(name: str, found: object, is_good: bool, expected: str) -> None:
    if not is_good:
        raise ValueError(Errors.E806.format(name=name, expected=expected, found=found))
