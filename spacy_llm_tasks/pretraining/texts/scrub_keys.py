"""Where keys, tokens and passwords stand in a text.

A key is known by the form that its provider gave it, by the marks around a block, by its place in
a web address, or by the name that it is assigned to. After a name alone a value must look random:
code assigns names, paths and calls to `secret_key` far more often than keys.
"""

import re

from .scrub_addresses import Spans

# Providers give their keys a prefix so that they can be found in places where they should not be.
_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{36,255}"
    r"|github_pat_[A-Za-z0-9_]{36,255}"
    r"|glpat-[A-Za-z0-9_-]{20,64}"
    r"|xox[abeprs]-[A-Za-z0-9-]{20,255}"
    r"|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}"
    r"|sk-[A-Za-z0-9_-]{20,255}"
    r"|hf_[A-Za-z0-9]{30,64}"
    r"|npm_[A-Za-z0-9]{36}"
    r"|do[opr]_v1_[0-9a-f]{64}"
    r"|pypi-[A-Za-z0-9_-]{60,255}"
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000})"
)
# The marks around a block of RFC 7468 (PEM) or RFC 9580 (PGP).
_MARK = re.compile(r"-----(BEGIN|END) [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{8,}")
_SHORTEST_BLOCK = 40
# RFC 3986: `scheme://user:password@host`.
_PASSWORD_IN_ADDRESS = re.compile(
    r"(?<=[A-Za-z0-9])://[^\s/@:<>\"'`?#]{0,64}:([^\s/<>{}\"'`?#,;()\[\]|\\]{1,256})(?=@[^\s/@])"
)
# An assignment to a name that says that this is a secret: in quotes anything may follow, without
# them nothing that another sign could belong to.
_SECRET = re.compile(
    r"(?:(?<![A-Za-z0-9])(?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret"
    r"|(?:auth|access|refresh)?[_-]?token|secret|passwd|password)|\u5bc6[\u7801\u78bc\u94a5\u9470]|\u53e3\u4ee4"
    r"|\u30d1\u30b9\u30ef\u30fc\u30c9)"
    r"['\"]?[ \t]{0,8}[:=\uff1a][ \t]{0,8}"
    r"(?:['\"]([^\s'\"`\\<>{}]{16,512})['\"]"
    r"|['\"]?([A-Za-z0-9+/_.-]{15,511}[A-Za-z0-9+/]={0,2})(?!\.?[A-Za-z0-9_(\[]))",
    re.IGNORECASE,
)
# RFC 6750.
_BEARER = re.compile(
    r"(?<![A-Za-z0-9])bearer[ \t]{1,4}([A-Za-z0-9+/_.~-]{15,511}[A-Za-z0-9+/]={0,2})"
    r"(?!\.?[A-Za-z0-9_(\[])",
    re.IGNORECASE,
)
# The secret of an AKIA key has no prefix, but a name and a length.
_SECRET_ACCESS_KEY = re.compile(
    r"secret[_-]?access[_-]?key['\"]?[ \t]{0,8}[:=][ \t]{0,8}['\"]?"
    r"(?-i:(?=[A-Za-z/+]{0,39}[0-9])(?=[A-Z0-9/+]{0,39}[a-z])(?=[a-z0-9/+]{0,39}[A-Z])"
    r"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+_.(\[-]))",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"[0-9]")
_HEX = re.compile(r"[0-9A-Fa-f-]+")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def find_keys(text: str) -> Spans:
    """Keys, tokens, passwords in web addresses, blocks of private keys."""
    spans = _blocks(text) if "PRIVATE KEY" in text else []
    if "@" in text:
        spans += [match.span(1) for match in _PASSWORD_IN_ADDRESS.finditer(text)]
    if not _DIGIT.search(text):
        return spans
    spans += [m.span() for m in _KEY.finditer(text) if not _is_plain(m.group())]
    spans += [match.span(1) for match in _SECRET_ACCESS_KEY.finditer(text)]
    for match in _SECRET.finditer(text):
        if _is_random(match.group(match.lastindex or 0)):
            spans.append(match.span(match.lastindex or 0))
    spans += [match.span(1) for match in _BEARER.finditer(text) if _is_random(match.group(1))]
    return spans


def _blocks(text: str) -> Spans:
    """Every end with the beginning right before it, however long what stands between them is. An
    article that names both marks has words between them, a key has lines of Base64."""
    spans: Spans = []
    begin: re.Match[str] | None = None
    for mark in _MARK.finditer(text):
        if mark.group(1) == "BEGIN":
            begin = mark
            continue
        if begin is not None and mark.start() - begin.end() >= _SHORTEST_BLOCK:
            body = text[begin.end() : mark.start()]
            if sum(len(run) for run in _BASE64.findall(body)) >= 0.6 * len(body):
                spans.append((begin.start(), mark.end()))
        begin = None
    return spans


def _is_plain(key: str) -> bool:
    """Whether what has a short prefix of keys is made of words, as `sk-learn-compatible-models`."""
    if not key.startswith("sk-"):
        return False
    return not (_is_random(key) and re.search("[A-Za-z0-9]{16}", key))


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed as no name or sentence mixes them. In names and paths,
    which have signs between their words, they change at the end of a word: every four or five
    characters; in random ones at every second."""
    n_digits = len(_DIGIT.findall(value))
    n_letters = sum(c.isalpha() for c in value)
    if n_digits < 3 or n_letters < 3 or n_digits + n_letters < 0.7 * len(value):
        return False
    if not re.search("[._/-]", value) or _HEX.fullmatch(value):
        return True
    return n_digits + n_letters < 2.5 * len(_RUN.findall(value))
