"""Texts made uniform, and the ones told that are no text to learn from.

Every step takes time in proportion to the text, whatever stands in it.
"""

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache

# All that Unicode counts among the ends of lines, as one newline.
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# Controls, surrogates, byte order marks, soft hyphens, zero-width spaces and non-characters. Stays:
# joiners (U+200C, U+200D) and marks of direction, which Persian or Hindi is written with.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    "\ud800-\udfff]"
)
_SPACES = re.compile("[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_ODD_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANK_LINES = re.compile("\n{3,}")
_BINARY = re.compile("[\x00-\x08\x0e-\x1b\x7f\ufffd]")
# Of the characters, at most so many may be controls or stand for bytes that could not be decoded.
MAX_BINARY = 0.02
# More marks in a row are in no language (Unicode's Annex 15, Stream-Safe Text Format), and bringing
# them into their canonical order takes time in the square of their number.
MAX_MARKS = 30


@dataclass(frozen=True)
class Cleaner:
    """What a text must be like, and how it is made so.

    min_characters (int): A shorter text, after cleaning, is left out.
    max_characters (int | None): A longer one is cut here.
    min_letters (float): Least share of letters (of any script, with their marks) among the
        characters that are no white space; below it a text is taken for a table, a dump or noise.
    keep_spaces (bool): Runs of spaces and the indentation of lines stay, as in source code. False
        makes one space of each run and none at the ends of lines.
    """

    min_characters: int = 16
    max_characters: int | None = None
    min_letters: float = 0.4
    keep_spaces: bool = False

    def __call__(self, text: str) -> tuple[str, str | None]:
        """Clean a text.

        text (str): The text.
        RETURNS (tuple[str, str | None]): The cleaned text, and why it should be left out, or None.
        """
        if len(_BINARY.findall(text)) > MAX_BINARY * len(text):
            return text, "binary"
        text = clean(text, keep_spaces=self.keep_spaces)
        if self.max_characters is not None:
            text = text[: self.max_characters].rstrip()
        if len(text) < self.min_characters:
            return text, "too short"
        if letter_share(text) < self.min_letters:
            return text, "too few letters"
        return text, None


def clean(text: str, *, keep_spaces: bool = False) -> str:
    """Normalise a text: Unicode's form NFC, newline as the only end of a line and at most one blank
    line in a row, no control characters and nothing else that cannot be seen.

    text (str): The text.
    keep_spaces (bool): See `Cleaner`.
    RETURNS (str): The clean text. Cleaning it once more changes nothing.
    """
    # What cannot be seen goes first: it may stand between a letter and its accent.
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", _long_runs_of_marks().sub(r"\1", text))
    if keep_spaces:
        text = _ODD_SPACES.sub(" ", text)
        text = "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    else:
        text = _SPACES.sub(" ", text)
        # Each run is one space by now, so that there is at most one on either side of a newline.
        text = text.replace(" \n", "\n").replace("\n ", "\n").strip()
    return _BLANK_LINES.sub("\n\n", text)


def letter_share(text: str) -> float:
    """RETURNS (float): Letters and their marks among the characters that are no white space."""
    n_visible = n_letters = 0
    for word in text.split():
        n_visible += len(word)
        if word.isalpha():
            n_letters += len(word)
        else:
            n_letters += sum(unicodedata.category(c)[0] in "LM" for c in word)
    return n_letters / n_visible if n_visible else 0.0


@cache
def _long_runs_of_marks() -> re.Pattern[str]:
    # As ranges: all characters of a combining class, or that begin with one when taken apart.
    marks = [
        c
        for c in range(sys.maxunicode + 1)
        if unicodedata.combining(unicodedata.normalize("NFD", chr(c))[0])
    ]
    ranges: list[list[int]] = []
    for c in marks:
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    kind = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"([{kind}]{{{MAX_MARKS}}})[{kind}]+")
