"""Words as boxes: how wide they are, which way they run, and how they are written into XML."""

import html
import re
import unicodedata

# Characters that XML 1.0 (section 2.2) does not allow, not even as references.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NARROW = frozenset("fijlrtI.,:;'|!()[]{}/\\-` ")
_WIDE = frozenset("mwMW@%—…")


def escape(text: str) -> str:
    """RETURNS (str): The text for the inside of an element or of an attribute in quotes."""
    return html.escape(_FORBIDDEN.sub("\ufffd", text), quote=True)


def width_of(text: str, *, size: float) -> float:
    """Estimate how wide a text is in a common sans-serif font. It is then drawn exactly as wide
    (`textLength`), whatever the font of the viewer.

    text (str): The text.
    size (float): The font's size.
    RETURNS (float): In the unit of the size.
    """
    return size * sum(map(_width, text))


def _width(char: str) -> float:
    if char.isascii():
        if char in _NARROW:
            return 0.33
        return 0.9 if char in _WIDE else 0.69 if char.isupper() else 0.57
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(char) in "WF" else 0.62


def shorten(text: str, *, size: float, room: float) -> str:
    """RETURNS (str): The text, or as much of its beginning as there is room for and three dots;
    empty if there is no room for these."""
    if width_of(text, size=size) <= room:
        return text
    room -= width_of("…", size=size)
    if room < 0:
        return ""
    kept = 0
    for char in text:
        room -= _width(char) * size
        if room < 0:
            break
        kept += 1
    return text[:kept] + "…"


def runs_to_left(text: str) -> bool:
    """RETURNS (bool): Whether a text's first letter is of a script that runs from right to left."""
    return _direction(text) == "R"


def levels(words: list[str], *, to_left: bool) -> list[int]:
    """Embedding levels of words, odd for those that run to the left: the Unicode bidirectional
    algorithm (https://www.unicode.org/reports/tr9/) for whole words. Numbers go with the word in
    front of them; other signs with the words to both sides where these agree, else with the text.

    words (List[str]): The words in the order in which they are read.
    to_left (bool): Whether the text as a whole runs to the left.
    RETURNS (List[int]): A level for each word.
    """
    base = "R" if to_left else "L"
    found = [_direction(word) for word in words]
    before, last = [], base
    for kind in found:
        last = kind if kind in ("L", "R") else last
        before.append(last)
    behind, last = [], base
    for kind in reversed(found):
        last = kind if kind in ("L", "R") else last
        behind.append(last)
    behind.reverse()
    result = []
    for kind, one, other in zip(found, before, behind, strict=True):
        if kind == "number":
            kind = one
        elif not kind:
            kind = one if one == other else base
        result.append(1 if kind == "R" else 2 if to_left else 0)
    return result


def in_visual_order(levels: list[int]) -> list[int]:
    """From the order of reading to the order from left to right (rule L2 of the algorithm).

    levels (List[int]): The level of each word of a line.
    RETURNS (List[int]): Numbers of words, from the left.
    """
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = end + 1
    return order


def _direction(text: str) -> str:
    """ "L", "R", "number", or nothing for signs and spaces."""
    number = ""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("L", "R", "AL"):
            return "L" if kind == "L" else "R"
        if kind in ("EN", "AN"):
            number = "number"
    return number
