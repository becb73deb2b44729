"""Token tags to entity spans: BIO, IOB1, BIOES, BILOU, BMES and plain IO.

All schemes say the same five things with other letters (Ratinov & Roth 2009 compare them): a token
begins an entity, is inside one, ends one, is one by itself, or is outside. Tags are brought to the
letters of BILOU and decoded once. Ill-formed sequences are read as conlleval reads them (an inside
tag without an open entity of its label starts one) and every such repair is counted.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from ..errors import Errors

Scheme = Literal["bio", "iob1", "bioes", "bilou", "bmes", "io"]
SCHEMES: tuple[str, ...] = ("bio", "iob1", "bioes", "bilou", "bmes", "io")
OUTSIDE = "O"

_LETTERS: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "iob1": {"B": "B", "I": "I"},
    "bioes": {"B": "B", "I": "I", "E": "L", "S": "U"},
    "bilou": {"B": "B", "I": "I", "L": "L", "U": "U"},
    "bmes": {"B": "B", "M": "I", "I": "I", "E": "L", "S": "U"},
}


def split_tag(tag: str, scheme: str) -> tuple[str, str] | None:
    """Take a tag apart.

    tag (str): As in the file, such as "B-ORG".
    scheme (str): One of SCHEMES.
    RETURNS (tuple): (letter of BILOU, label), ("O", "") outside, or None for an illegal tag.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if scheme == "io":
        return ("I", tag) if tag else None
    letter, dash, label = tag.partition("-")
    canonical = _LETTERS[scheme].get(letter)
    if canonical is None or not dash or not label:
        return None
    return canonical, label


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Find out which scheme a file uses from all of its tags.

    sentences (Iterable[Sequence[str]]): The tags, sentence by sentence.
    RETURNS (str): One of SCHEMES. Letters decide: M means BMES, E or S means BIOES, L or U means
        BILOU. With B and I alone, IOB1 if some entity starts with I and each B follows an entity
        of its own label, which is the only place where IOB1 writes B.
    """
    letters: set[str] = set()
    prefixed = bare = starts_with_i = 0
    needless_b = False
    for tags in sentences:
        before = ""
        for tag in tags:
            letter, dash, label = tag.partition("-")
            if tag != OUTSIDE and tag:
                if dash and label and letter in "BIOESLUM" and len(letter) == 1:
                    prefixed += 1
                    letters.add(letter)
                    if letter == "I" and label != before:
                        starts_with_i += 1
                    if letter == "B" and label != before:
                        needless_b = True
                else:
                    bare += 1
            before = label if dash else ""
    if bare > prefixed:
        return "io"
    if "M" in letters:
        return "bmes"
    if letters & {"L", "U"} and not letters & {"E", "S"}:
        return "bilou"
    if letters & {"E", "S"}:
        return "bioes"
    return "iob1" if starts_with_i and not needless_b else "bio"


def decode(
    tags: Sequence[str], scheme: str
) -> tuple[list[tuple[int, int, str]], list[tuple[int, str]], list[int]]:
    """Read the entities off one sentence.

    tags (Sequence[str]): One tag per token.
    scheme (str): One of SCHEMES.
    RETURNS (tuple): Entities as (start, end, label) in tokens, end exclusive; repairs as
        (token, kind); and the tokens whose tag is illegal, which end an open entity.
    RAISES (ValueError): If the scheme is unknown.
    """
    if scheme not in SCHEMES:
        raise ValueError(Errors.E313.format(name="scheme", expected=SCHEMES, found=scheme))
    entities: list[tuple[int, int, str]] = []
    repairs: list[tuple[int, str]] = []
    illegal: list[int] = []
    closes = scheme in ("bioes", "bilou", "bmes")
    start, open_label = -1, ""

    def close(end: int, *, complete: bool) -> None:
        nonlocal start, open_label
        if start >= 0:
            entities.append((start, end, open_label))
            if closes and not complete:
                repairs.append((end - 1, "entity without its last tag"))
        start, open_label = -1, ""

    for i, tag in enumerate(tags):
        parts = split_tag(tag, scheme)
        if parts is None:
            illegal.append(i)
        letter, label = parts or (OUTSIDE, "")
        if letter == OUTSIDE:
            close(i, complete=False)
        elif letter == "U":
            close(i, complete=False)
            entities.append((i, i + 1, label))
        elif letter == "B":
            close(i, complete=False)
            start, open_label = i, label
        else:
            if start < 0 or label != open_label:
                if scheme in ("iob1", "io"):
                    pass
                elif start < 0:
                    repairs.append((i, "inside tag without a first tag"))
                else:
                    repairs.append((i, "inside tag of another label than its entity"))
                close(i, complete=False)
                start, open_label = i, label
            if letter == "L":
                close(i + 1, complete=True)
    close(len(tags), complete=False)
    return entities, repairs, illegal
