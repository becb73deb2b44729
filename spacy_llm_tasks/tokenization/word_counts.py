"""How often each word of a corpus occurs, as the trainers of vocabularies need it.

Words are those of the tokenizer that will be made: normalised and split by its own rules. Stretches
between blanks are counted first and split afterwards, each different one once, which is many times
less work and gives the same counts, because no rule reaches across a blank.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

# Different stretches that are held at most, some hundred megabytes: a gigabyte of prose has fewer.
MOST_STRETCHES = 3_000_000
_STRETCH = re.compile(r"[^ \t\r\n]+")


def count_words(
    texts: Iterable[str], *, normalizer: Any, splitter: Any, most: int = MOST_STRETCHES
) -> dict[str, int]:
    """Count the words of texts.

    texts (iterable of str): the texts, without lone surrogates; read once, one at a time.
    normalizer (Normalizer | None): of the `tokenizers` library.
    splitter (PreTokenizer): of the `tokenizers` library; splits at blanks and maybe elsewhere.
    most (int): different stretches between blanks to hold at most. When there are more, the rarest
        are forgotten, so that memory stays bounded.
    RETURNS (dict): count of each word, in the order of the words' code points.
    """
    stretches: Counter[str] = Counter()
    for text in texts:
        stretches.update(_STRETCH.findall(text))
        if len(stretches) > most:
            stretches = _frequent(stretches, most // 2)
    words: Counter[str] = Counter()
    for stretch, count in stretches.items():
        plain = stretch if normalizer is None else normalizer.normalize_str(stretch)
        for word, _ in splitter.pre_tokenize_str(plain):
            words[word] += count
    return dict(sorted(words.items()))


def choose_alphabet(slots: Mapping[str, int], counts: Mapping[str, int], *, most: int) -> list[str]:
    """Choose the characters that a vocabulary can spell, the frequent ones first.

    slots (mapping): pieces that each character takes.
    counts (mapping): how often each character occurs.
    most (int): pieces that all of them may take together.
    RETURNS (list of str): the chosen characters, in the order of their code points.
    """
    chosen = []
    for character in sorted(slots, key=lambda c: (-counts[c], c)):
        if slots[character] > most:
            break
        most -= slots[character]
        chosen.append(character)
    return sorted(chosen)


def count_characters(words: Mapping[str, int]) -> dict[str, int]:
    """RETURNS (dict): how often each character occurs in words that occur so often."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    return dict(counts)


def _frequent(counts: "Counter[str]", most: int) -> "Counter[str]":
    """At most so many entries, without all those of the lowest counts."""
    lowest = 0
    while len(counts) > most:
        lowest += 1
        counts = Counter({word: count for word, count in counts.items() if count > lowest})
    return counts
