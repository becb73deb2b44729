"""English texts for speed measurements, made from the standard library's own documentation.

They need no network and no data files, are the same for the same seed on the same Python, and their
words are those of running English, so that word pieces and lengths are realistic.
"""

import ast
import random
import re
import sysconfig
from functools import lru_cache
from pathlib import Path

from ..errors import Errors

KINDS = ("sentences", "paragraphs", "long", "mix")
SENTENCE_WORDS = 20
PARAGRAPH_WORDS = 120
LONG_WORDS = 3000

# Modules with prose in their docstrings; they are read, not run.
_MODULES = (
    "argparse", "ast", "calendar", "codecs", "collections", "configparser", "contextlib", "copy",
    "csv", "datetime", "decimal", "difflib", "doctest", "email.message", "enum", "fractions",
    "functools", "heapq", "http.client", "http.cookiejar", "inspect", "io", "json",
    "logging", "mailbox", "optparse", "os", "pathlib", "pdb", "pickle", "pickletools", "pprint",
    "random", "re", "sched", "shelve", "shutil", "smtplib", "socket", "statistics", "string",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "tokenize", "trace",
    "typing", "unittest.case", "unittest.mock", "urllib.request", "weakref", "xml.dom.minidom",
    "zipfile",
)  # fmt: skip
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_WORD = re.compile(r"(?<![\w.(])[A-Za-z]+(?:['-][A-Za-z]+)*(?![\w(=]|\.\w),?")


def generate(kind: str, *, n_words: int, seed: int) -> list[str]:
    """Make texts of one kind until they have a number of words.

    kind (str): "sentences" (20 words on average), "paragraphs" (120), "long" (3,000), or "mix" (as
        many words of each).
    n_words (int): The least number of words in all texts together.
    seed (int): Decides the texts.
    RETURNS (list[str]): The texts.
    """
    rng = random.Random(f"{kind}/{seed}")
    if kind == "mix":
        texts = [
            text
            for part in ("sentences", "paragraphs", "long")
            for text in generate(part, n_words=n_words // 3, seed=seed)
        ]
        rng.shuffle(texts)
        return texts
    texts, made = [], 0
    while made < n_words:
        if kind == "sentences":
            text = _sentence(rng, _length(rng, SENTENCE_WORDS))
        else:
            text = _paragraph(rng, PARAGRAPH_WORDS if kind == "paragraphs" else LONG_WORDS)
        texts.append(text)
        made += count_words(text)
    return texts


def count_words(text: str) -> int:
    """Count words as both sides are billed for them: runs between white space.

    text (str): A text.
    RETURNS (int): The number of words.
    """
    return len(text.split())


@lru_cache(maxsize=1)
def running_words() -> tuple[str, ...]:
    """Read the words of the documentation strings, in their order.

    RETURNS (tuple[str, ...]): Words, some with a comma behind them.
    """
    words: list[str] = []
    seen: set[str] = set()
    for name in _MODULES:
        # From the source, not from the imported module: other packages patch modules in place,
        # and the texts must not depend on what else a process has imported.
        source = _source(name)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, _DOCUMENTED):
                text = ast.get_docstring(node)
                if text and text not in seen:
                    seen.add(text)
                    words.extend(_WORD.findall(text))
    return tuple(words)


def _source(name: str) -> str:
    stem = Path(sysconfig.get_path("stdlib"), *name.split("."))
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path.read_text(encoding="utf8")
    raise ValueError(Errors.E588.format(name=name))


def _length(rng: random.Random, average: int) -> int:
    # Lengths of sentences are skewed: log-normal with mean `average`, cut at 4 and 80 words.
    sigma = 0.5
    drawn = average * rng.lognormvariate(-sigma * sigma / 2, sigma)
    return min(max(round(drawn), 4), 80)


def _sentence(rng: random.Random, n_words: int) -> str:
    words = running_words()
    start = rng.randrange(len(words) - n_words)
    text = " ".join(words[start : start + n_words]).rstrip(",")
    return f"{text[0].upper()}{text[1:]}."


def _paragraph(rng: random.Random, average: int) -> str:
    wanted = round(average * rng.uniform(0.75, 1.25))
    sentences, made = [], 0
    while made < wanted:
        # The last sentence is as long as is left, so that the average comes out right.
        n_words = max(4, min(_length(rng, SENTENCE_WORDS), wanted - made))
        sentences.append(_sentence(rng, n_words))
        made += n_words
    return " ".join(sentences)
