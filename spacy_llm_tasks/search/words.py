"""Words of texts and of queries, for the half of a search that is by keywords.

SQLite's own rules for words are of 2012: they tear Hindi apart, take an emoji for a letter and a
Japanese sentence for one word. So texts are brought into a form here in which its rules are right.
"""

import re
import unicodedata
from itertools import groupby

# For FTS5 (https://sqlite.org/fts5.html, "Unicode61 Tokenizer"): marks belong to words, so that
# vowel signs do; accents of Latin letters are left out.
TOKENIZER = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
# Every word of a query reads the list of all texts that have it, so a whole document as a query
# would take seconds.
MOST_WORDS = 64

# What stands between the words of a query, beyond spaces: also the wide forms of these signs, and
# Chinese and Japanese punctuation but the signs that `_UNSPACED` has.
_BETWEEN = re.compile(
    r"""[\s"()\[\]{}<>:;*^|=+!?~“”，（）［］｛｝＜＞：；＊＾｜＝＋！？～"""
    "\u3000-\u3004\u3008-\u303f\uff61-\uff65]+"
)
_ASCII_SIGNS = re.compile(r"[^0-9a-z]+")
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Bopomofo, and Chinese
# characters with the zero and the mark of repetition that stand among them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31a0-\u31bf"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class _Letters(dict[int, str]):
    """What each character becomes; found out once for each."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char)[0] not in "LMN":
            char = " "
        elif _UNSPACED.match(char):
            char = f" {char} "
        self[code] = char
        return char


_LETTERS = _Letters()


def spaced(text: str) -> str:
    """A text as its words with spaces between: no case, no signs, compatible forms of letters
    alike. In scripts without spaces every character is a word."""
    if text.isascii():
        return _ASCII_SIGNS.sub(" ", text.lower()).strip()
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.translate(_LETTERS).split())


def match_expression(text: str) -> str:
    """Write a text as a query of FTS5: any of its words, and none of its operators.

    Quoted words are only ever words (https://sqlite.org/fts5.html, "FTS5 Strings"), so stars,
    colons and "AND" in a text mean nothing. A word with a sign inside, such as "state-of-the-art"
    or "don't", is searched as its parts in a row, and a text without spaces as every two
    characters in a row.

    text (str): Any text. Of more than `MOST_WORDS` different words the longest count.
    RETURNS (str): The query; empty if the text has no words.
    """
    phrases: dict[str, None] = {}
    for word in _BETWEEN.split(text):
        for unspaced, parts in groupby(spaced(word).split(), key=_is_unspaced):
            run = list(parts)
            pairs = [" ".join(pair) for pair in zip(run, run[1:], strict=False)]
            phrases.update(dict.fromkeys((pairs or run) if unspaced else [" ".join(run)]))
    words = sorted(phrases, key=len, reverse=True)[:MOST_WORDS]
    return " OR ".join(f'"{word}"' for word in words)


def _is_unspaced(word: str) -> bool:
    return _UNSPACED.match(word) is not None
