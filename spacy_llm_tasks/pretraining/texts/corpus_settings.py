"""`[corpus]` of a pretraining config: where the text comes from and what is done to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import Errors
from .scrub import KINDS


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """`[corpus]`

    paths (Sequence[str]): Files, folders, patterns, or "pydoc:"; see `sources.read_texts`.
    folder (str | None): Where the prepared corpus is kept. None: where the run keeps it.
    text_column (str): Key or column of the text in JSON lines and Parquet.
    txt_documents (str): What a document is in a `.txt` file: "file", "line" or "paragraph".
    invalid (str): What becomes of text that is no UTF-8 and of damaged compressed files: "strict",
        "replace" or "skip".
    min_characters (int): Shorter documents are left out.
    max_characters (int | None): Longer documents are cut here; None: they are taken whole.
    min_letters (float): Least share of letters among the visible characters of a document.
    keep_spaces (bool): Runs of spaces and indentation stay, as source code needs it.
    scrub (Sequence[str]): Personal data and secrets to replace by placeholders: "all", or some of
        "KEY", "EMAIL", "IBAN", "CARD", "IP" and "PHONE"; none by default.
    exact_duplicates (bool): Of documents that are the same, only the first is kept.
    near_duplicates (bool): Of documents that are nearly the same, too. Needs the extra `pretrain`.
    near_threshold (float): From which Jaccard index of their runs of five words they are so.
    held_out (float): Share of the documents that is held out for evaluation. Which ones depends on
        each document's text and the seed only, and with a larger share the same ones stay held out.
    seed (int): Of the split.
    RAISES (ValueError): If there is no path or a value is out of its range.
    """

    paths: Sequence[str]
    folder: str | None = None
    text_column: str = "text"
    txt_documents: str = "file"
    invalid: str = "strict"
    min_characters: int = 16
    max_characters: int | None = None
    min_letters: float = 0.4
    keep_spaces: bool = False
    scrub: Sequence[str] = ()
    exact_duplicates: bool = True
    near_duplicates: bool = False
    near_threshold: float = 0.8
    held_out: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ("paths", bool(self.paths) and not isinstance(self.paths, str), "a list of paths"),
            ("min_characters", self.min_characters >= 1, "1 or more"),
            ("max_characters", (self.max_characters or 1) >= 1, "1 or more"),
            ("min_letters", 0.0 <= self.min_letters <= 1.0, "between 0 and 1"),
            ("near_threshold", 0.0 < self.near_threshold <= 1.0, "above 0 and at most 1"),
            ("held_out", 0.0 <= self.held_out < 1.0, "0 or more and below 1"),
            ("seed", -(2**63) <= self.seed < 2**63, "an integer of 64 bits"),
            ("scrub", set(self.scrub) <= {"all", *KINDS}, f"some of all, {', '.join(KINDS)}"),
        ):
            if not fits:
                found = getattr(self, name)
                raise ValueError(Errors.E706.format(name=name, expected=expected, found=found))
