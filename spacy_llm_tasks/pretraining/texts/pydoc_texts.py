"""The English text inside the installed Python: its help topics, docstrings and long comments.

A corpus of some megabytes that is on every machine, without a network: enough to try a tokenizer or
a pretraining run on. The standard library's sources are parsed, never imported or run. Its licence
is that of Python (PSF-2.0).
"""

import ast
import re
import sysconfig
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

from ...errors import Errors

MIN_WORDS = 8
_TOPICS = ("pydoc_data", "topics.py")
# Other people's packages, and code that only exercises the library.
_OTHERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
_COMMENT = re.compile(r"^[ \t]*#[^\n]*\n(?:[ \t]*#[^\n]*\n)+", re.MULTILINE)
_HASHES = re.compile(r"^[ \t]*#+:? ?|[ \t#]+$", re.MULTILINE)
# An example of a session: a prompt and all lines up to the next blank one.
_SESSION = re.compile(r"^[ \t]*>>>[^\n]*(?:\n[ \t]*\S[^\n]*)*\n?", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def pydoc_texts(folder: Path | None = None) -> Iterator[str]:
    """Read the documentation inside a Python library. A document is a help topic, or what one class
    or function of a module, or the module itself, says in docstrings and in comments of two lines
    or more, in the order of the source. Sessions of examples (">>>") are left out, and so is a
    passage that was there before.

    folder (Path | None): The library; that of the running Python by default.
    YIELDS (str): The documents: first the topics, then the modules by name.
    RAISES (ValueError): If the folder holds no documentation, as where Python comes without its
        sources.
    """
    folder = Path(sysconfig.get_path("stdlib")) if folder is None else folder
    seen: set[str] = set()
    n_documents = 0
    for text in _topics(folder.joinpath(*_TOPICS)):
        if _is_prose(text) and text not in seen:
            seen.add(text)
            n_documents += 1
            yield text
    files = (path.relative_to(folder) for path in folder.rglob("*.py"))
    for name in sorted(files, key=lambda name: name.parts):
        if _OTHERS & set(name.parts) or name.parts == _TOPICS:
            continue
        for passages in _documents(folder / name):
            new = [text for text in dict.fromkeys(passages) if text not in seen]
            seen.update(new)
            document = "\n\n".join(new)
            if _is_prose(document):
                n_documents += 1
                yield document
    if not n_documents:
        raise ValueError(Errors.E708.format(folder=folder))


def _topics(path: Path) -> Iterator[str]:
    """The values of the one dictionary that the module of help topics consists of."""
    tree = _parse(path) if path.is_file() else None
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, value in sorted(ast.literal_eval(node.value).items()):
                if isinstance(key, str) and isinstance(value, str):
                    yield value.strip()


def _documents(path: Path) -> list[list[str]]:
    """The passages of a module, one list for itself and one for each definition in it."""
    tree = _parse(path)
    if tree is None:
        return []
    passages: list[tuple[int, str]] = []
    quoted: list[tuple[int, int]] = []  # lines of docstrings, which may show comments
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and node.body and ast.get_docstring(node, clean=False):
            text = cleandoc(ast.get_docstring(node, clean=False) or "")
            first = node.body[0]
            quoted.append((first.lineno, first.end_lineno or first.lineno))
            passages.append((first.lineno, _SESSION.sub("", text).strip()))
    source = path.read_text(encoding="utf-8", errors="replace")
    ends = [match.end() for match in re.finditer("\n", source)]
    for match in _COMMENT.finditer(source):
        line = bisect_right(ends, match.start()) + 1
        text = _HASHES.sub("", match.group()).strip()
        if _is_prose(text) and not any(first <= line <= last for first, last in quoted):
            passages.append((line, text))
    starts = [0]
    bodies = [0]
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            starts += [node.lineno, (node.end_lineno or node.lineno) + 1]
            bodies += [len(starts) - 2, 0]
    documents: dict[int, list[str]] = {}
    for line, text in sorted(passages):
        documents.setdefault(bodies[bisect_right(starts, line) - 1], []).append(text)
    return [documents[key] for key in sorted(documents)]


def _parse(path: Path) -> ast.Module | None:
    """The syntax tree, or None for a file that is not of this Python's syntax."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on escapes in other people's strings
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None


def _is_prose(text: str) -> bool:
    """Whether most characters of a text are letters of words, and there are some words."""
    words = _WORD.findall(text)
    return len(words) >= MIN_WORDS and sum(map(len, words)) > 0.5 * len(text)
