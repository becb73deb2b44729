"""Personal data and secrets replaced by placeholders that say what stood there.

Rules are for precision: what is ambiguous is left, since a corpus in which every number is a
placeholder teaches nothing about numbers. Names and postal addresses are not looked for.

Every pattern begins at the start of a word and takes a bounded stretch, or stops where it could
begin again: time is in proportion to the text, whatever stands in it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from ...errors import Errors
from .scrub_addresses import Spans, find_emails, find_machines
from .scrub_keys import find_keys
from .scrub_numbers import find_cards, find_ibans, find_phones

_FINDERS: dict[str, Callable[[str], Spans]] = {
    "KEY": find_keys,
    "EMAIL": find_emails,
    "IBAN": find_ibans,
    "CARD": find_cards,
    "IP": find_machines,
    "PHONE": find_phones,
}
KINDS = tuple(_FINDERS)
_WITHOUT_DIGITS = ("KEY", "EMAIL")
_DIGIT = re.compile(r"[0-9]")


def scrub(text: str, *, kinds: Sequence[str] = KINDS) -> tuple[str, Counter[str]]:
    """Replace personal data and secrets.

    text (str): The text.
    kinds (Sequence[str]): Which of KINDS: keys and passwords, e-mail addresses, international bank
        account numbers, payment cards, addresses on the internet (IPv4, IPv6), telephone numbers.
        Where two kinds overlap, the one that comes first in KINDS is replaced.
    RETURNS (tuple[str, Counter[str]]): The text with `<EMAIL>` and the like, and how many there are
        of each.
    RAISES (ValueError): If a kind is unknown.
    """
    for kind in kinds:
        if kind not in _FINDERS:
            expected = "some of " + ", ".join(KINDS)
            raise ValueError(Errors.E706.format(name="scrub", expected=expected, found=kind))
    counts: Counter[str] = Counter()
    for kind, find in _FINDERS.items():
        if kind not in kinds or not (kind in _WITHOUT_DIGITS or _DIGIT.search(text)):
            continue
        parts: list[str] = []
        end = 0
        for start, stop in sorted(find(text)):
            if start < end:
                continue
            parts += [text[end:start], f"<{kind}>"]
            end = stop
            counts[f"<{kind}>"] += 1
        if parts:
            text = "".join(parts) + text[end:]
    return text, counts
