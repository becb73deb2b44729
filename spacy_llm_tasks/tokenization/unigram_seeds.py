"""Candidates for a Unigram vocabulary: the frequent substrings of a corpus's words.

As in SentencePiece, a piece never mixes letters, digits and other characters, so words are cut
where these meet: fewer different strings are left to count, and pieces rarely cross the borders of
spaCy tokens. Substrings that are always followed by the same character are left out, because the
longer one does all they could.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from .pieces import Ints1d, bounds_of
from .unigram_lattice import Floats1d, Int32s
from .word_counts import choose_alphabet, count_characters

META = "\u2581"
MOST_CHARACTERS = 16  # in a piece, as in SentencePiece
_LONGEST = 32  # longer strings are learned from in parts
_BLOCK = 50_000  # words that are cut at once
_UNKNOWN, _LETTER, _DIGIT, _OTHER, _META = range(5)


@dataclass(frozen=True)
class Seeds:
    """Candidates and the strings that they were found in.

    starts (int64 array): where each of S strings starts in the text of C characters. *Shape: (S,)*
    lengths (int64 array): characters of each string. *Shape: (S,)*
    weights (float64 array): how often each string occurs. *Shape: (S,)*
    table (list of int32 array): for each length from 1, the candidate of that length that starts at
        each character of the text, or -1. *Shape of each: (C,)*
    pieces (list of str): the V candidates, single characters first.
    n_single (int): how many single characters there are.
    places (int64 array): where in the text each candidate occurs once. *Shape: (V,)*
    counts (float64 array): how often each occurs. *Shape: (V,)*
    n_found (int): candidates that the words gave, before the best were chosen.
    n_left_out (int): frequent characters that are not among them, for want of room.
    """

    starts: Ints1d
    lengths: Ints1d
    weights: Floats1d
    table: list[Int32s]
    pieces: list[str]
    n_single: int
    places: Ints1d
    counts: Floats1d
    n_found: int
    n_left_out: int


def find_seeds(
    words: Mapping[str, int],
    *,
    most_single: int,
    most: int,
    min_frequency: int,
    most_characters: int = 2_000_000,
) -> Seeds:
    """Find candidates.

    words (mapping): how often each word occurs, with "\u2581" in front, in a fixed order.
    most_single (int): single characters to keep, the frequent ones first.
    most (int): candidates to keep, those first that cover most characters.
    min_frequency (int): characters and substrings that occur less often are left out.
    most_characters (int): characters of different strings to learn from, the frequent strings
        first. Memory is about 500 bytes for each.
    RETURNS (Seeds): the candidates.
    """
    counts = count_characters(words)
    frequent = {c: 1 for c, count in counts.items() if count >= min_frequency}
    known = set(choose_alphabet(frequent, counts, most=most_single))
    strings = _strings(words, known, most_characters)
    text = "".join(strings)
    singles = sorted(set(text))
    lengths = np.fromiter(map(len, strings), dtype=np.int64, count=len(strings))
    weights = np.fromiter(strings.values(), dtype=np.float64, count=len(strings))
    bounds = bounds_of(lengths)
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    numbers = np.searchsorted(np.array([ord(c) for c in singles], dtype=np.uint32), codes)
    room = np.repeat(bounds[1:], lengths) - np.arange(len(codes))
    levels = _substrings(numbers, room, np.repeat(weights, lengths), len(singles), min_frequency)
    chosen, n_found = _choose(levels, most)
    n_chosen = bounds_of([len(ids) for ids in chosen])
    table = []
    for level, ids, first_id in zip(levels, chosen, n_chosen.tolist(), strict=False):
        candidate = np.full(len(level.counts), -1, dtype=np.int32)
        candidate[ids] = np.arange(first_id, first_id + len(ids), dtype=np.int32)
        row = np.full(len(codes), -1, dtype=np.int32)
        row[level.starts] = candidate[level.numbers]
        table.append(row)
    places = np.concatenate([level.places[i] for level, i in zip(levels, chosen, strict=True)])
    sums = np.concatenate([level.counts[i] for level, i in zip(levels, chosen, strict=True)])
    spans = np.repeat(np.arange(1, len(levels) + 1), np.diff(n_chosen))
    pieces = [text[a : a + n] for a, n in zip(places.tolist(), spans.tolist(), strict=True)]
    return Seeds(
        starts=bounds[:-1],
        lengths=lengths,
        weights=weights,
        table=table,
        pieces=pieces,
        n_single=len(singles),
        places=places,
        counts=sums,
        n_found=n_found,
        n_left_out=len(frequent) - len(known),
    )


@dataclass
class _Level:
    """The different substrings of one length, numbered from 0.

    starts (int64 array): characters of the text at which they start. *Shape: (n,)*
    numbers (int64 array): which of them starts there. *Shape: (n,)*
    places (int64 array): where each occurs once. *Shape: (k,)*
    counts (float64 array): how often each occurs. *Shape: (k,)*
    redundant (bool array): whether the same character always follows. *Shape: (k,)*
    """

    starts: Ints1d
    numbers: Ints1d
    places: Ints1d
    counts: Floats1d
    redundant: npt.NDArray[np.bool_]


def _substrings(
    numbers: Ints1d, room: Ints1d, weight: Floats1d, n_single: int, min_frequency: int
) -> list[_Level]:
    """The frequent substrings by length.

    What starts at a character is the shorter substring there and one character more; where that
    was rare already, nothing longer is frequent.

    numbers (int64 array): number of each character of the text. *Shape: (C,)*
    room (int64 array): characters to the end of the string from each. *Shape: (C,)*
    weight (float64 array): how often the string of each occurs. *Shape: (C,)*
    """
    everywhere = np.arange(len(numbers))
    first_seen = np.zeros(n_single, dtype=np.int64)
    first_seen[numbers[::-1]] = everywhere[::-1]
    singles = _sums(numbers, weight, n_single)
    never = np.zeros(n_single, dtype=bool)
    levels = [_Level(everywhere, numbers, first_seen, singles, never)]
    for length in range(2, MOST_CHARACTERS + 1):
        below = levels[-1]
        fits = room[below.starts] >= length
        starts = below.starts[fits]
        keys, first, numbered = np.unique(
            below.numbers[fits] * n_single + numbers[starts + length - 1],
            return_index=True,
            return_inverse=True,
        )
        counts = _sums(numbered, weight[starts], len(keys))
        frequent = counts >= min_frequency
        if length > 2:  # single characters are candidates in any case
            longer = np.zeros(len(below.counts))
            np.maximum.at(longer, keys // n_single, np.where(frequent, counts, 0.0))
            below.redundant = longer >= below.counts
        renumbered = np.cumsum(frequent) - 1
        going_on = frequent[numbered]
        levels.append(
            _Level(
                starts[going_on],
                renumbered[numbered[going_on]],
                starts[first[frequent]],
                counts[frequent],
                np.zeros(int(frequent.sum()), dtype=bool),
            )
        )
    return levels


def _choose(levels: list[_Level], most: int) -> tuple[list[Ints1d], int]:
    """Which substrings of each length become candidates, and how many could: all single characters,
    and those that cover most characters."""
    eligible = [np.flatnonzero(~level.redundant) for level in levels]
    n_found = sum(map(len, eligible))
    longer = list(zip(levels, eligible, strict=True))[1:]
    covered = np.concatenate(
        [level.counts[ids] * length for length, (level, ids) in enumerate(longer, start=2)]
    )
    best = np.argsort(-covered, kind="stable")[: max(0, most - len(eligible[0]))]
    is_best = np.zeros(len(covered), dtype=bool)
    is_best[best] = True
    parts = np.split(is_best, bounds_of([len(ids) for _, ids in longer])[1:-1])
    picked = [ids[part] for (_, ids), part in zip(longer, parts, strict=True)]
    return [eligible[0], *picked], n_found


def _sums(numbers: Ints1d, weights: Floats1d, n: int) -> Floats1d:
    return np.asarray(np.bincount(numbers, weights=weights, minlength=n), dtype=np.float64)


def _strings(words: Mapping[str, int], known: set[str], most_characters: int) -> dict[str, int]:
    """The words cut where kinds of characters meet, with their counts."""
    kind_of = np.full(0x110000, _UNKNOWN, dtype=np.uint8)
    for character in known:
        kind_of[ord(character)] = _kind(character)
    strings: Counter[str] = Counter()
    remaining = iter(words.items())
    while block := dict(islice(remaining, _BLOCK)):
        for string, owner in _cut(list(block), kind_of):
            strings[string] += block[owner]
    ranked = sorted(strings, key=lambda string: (-strings[string], string))
    total = np.cumsum([len(string) for string in ranked])
    kept = ranked[: int(np.searchsorted(total, most_characters, side="right"))]
    return {string: strings[string] for string in sorted(kept)}


def _cut(words: list[str], kind_of: npt.NDArray[np.uint8]) -> Iterator[tuple[str, str]]:
    """Strings of one kind of known characters, each with the word that it is from."""
    text = "".join(words)
    sizes = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    bounds = bounds_of(sizes)
    kinds = kind_of[np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)]
    inside = np.arange(len(kinds)) - bounds[:-1].repeat(sizes)
    begins = inside % _LONGEST == 0
    # The mark of a word's start goes with whatever follows it.
    joined = (kinds[1:] == kinds[:-1]) | ((kinds[:-1] == _META) & (kinds[1:] != _UNKNOWN))
    begins[1:] |= ~joined
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(kinds))
    usable = kinds[starts] != _UNKNOWN
    owners = np.searchsorted(bounds, starts[usable], side="right") - 1
    places = (starts[usable].tolist(), ends[usable].tolist(), owners.tolist())
    for start, end, owner in zip(*places, strict=True):
        yield text[start:end], words[owner]


def _kind(character: str) -> int:
    if character == META:
        return _META
    return {"L": _LETTER, "M": _LETTER, "N": _DIGIT}.get(unicodedata.category(character)[0], _OTHER)
