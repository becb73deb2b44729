"""Personal data and secrets replaced by placeholders that say what stood there.

Rules are for precision: what is ambiguous is left. Dates, years, prices, ISBNs, version numbers,
sums and hashes look much like telephone and card numbers, and a corpus in which every number is a
placeholder teaches nothing about numbers. So numbers must pass their check digits, telephone
numbers must be written as such or follow a word that says so, and four numbers with dots are no
address where they are a version. Names and postal addresses are not looked for.

Every pattern begins at the start of a word and takes a bounded stretch, or stops where it could
begin again: time is in proportion to the text, whatever stands in it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import AddressValueError, IPv6Address

from ...errors import Errors
from .numbering import CALLING_CODES, GENERIC_DOMAINS, IBAN_LENGTHS

# ------------------------------------------------------------------------------------------- keys

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
    r"|pypi-[A-Za-z0-9_-]{60,255}"
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,2000}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----)){40,8000}-----END [A-Z ]{0,40}"
    r"PRIVATE KEY-----)"
)
# An assignment to a name that says that this is a secret.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|auth[_-]?token"
    r"|access[_-]?token|secret|passwd|password)['\"]?[ \t]{0,8}[:=][ \t]{0,8}['\"]?"
    r"([A-Za-z0-9+/_.-]{16,512}={0,2})(?![A-Za-z0-9(\[])",
    re.IGNORECASE,
)

# ----------------------------------------------------------------------------------------- e-mail

_EMAIL = re.compile(
    r"(?<![\w.+%@/-])[\w][\w.+%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"([A-Za-z]{2,24})(?![\w@(\[-]|\.\w)"
)

# ---------------------------------------------------------------------------------------- numbers

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?= ?[A-Z0-9]{4})")
_CARD = re.compile(
    r"(?<![\w.,/#=+-])(?:"
    r"[3-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}"
    r"|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5}"
    r"|2[2-7][0-9]{2}([ -])[0-9]{4}\3[0-9]{4}\3[0-9]{4}"
    r"|[2-6][0-9]{14,15})(?![\w/]|[ .,-]?[0-9])"
)
_ISSUERS = re.compile(
    r"4[0-9]{15}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)[0-9]{12,13}"
    r"|3[47][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
)
_IPV4 = re.compile(
    r"(?<![\w.-])(?<![A-Za-z]/)(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}"
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?![\w-]|\.[0-9A-Za-z])"
)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|\.[0-9])")
# What stands before four numbers that are a version or the number of a section.
_VERSION = re.compile(
    r"(?:\bv(?:ersions?|er)?\.?|\breleases?|\bbuild|\brevision|\bfirmware|\bdriver|\bsections?"
    r"|\bchapters?|\bclauses?|\bparagraphs?|\btables?|\bfigures?|\bappendix|\u00a7|[=<>~^!])"
    r"[ \t:\"'(]{0,3}$",
    re.IGNORECASE,
)

# -------------------------------------------------------------------------------------- telephone

_INTERNATIONAL = re.compile(
    r"(?<![\w.,+*/=^-])(?:\+|(?<![0-9][ .-])00(?=[1-9][0-9]{0,2}[ (/]))[ ]?[1-9][0-9]{0,14}"
    r"(?:[ ./-]?\(?[0-9]{1,12}\)?){0,7}(?![0-9A-Za-z_])"
)
_AMERICAN = re.compile(
    r"(?<![\w.,+*/=(-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[.-][0-9]{4}"
    r"|[2-9][0-9]{2}([.-])[2-9][0-9]{2}\1[0-9]{4})(?![\w/=]|[.,-][0-9])"
)
_AFTER_WORD = re.compile(
    r"(?:(?<![A-Za-z])(?:tel|telephone|phone|telefon|t\u00e9l|t\u00e9l\u00e9phone|tel\u00e9fono|fax"
    r"|telefax|mobile|mobil|cell|handy|hotline|whatsapp)(?![A-Za-z])|\u7535\u8bdd|\u96fb\u8a71"
    r"|\u624b\u673a|\u624b\u6a5f)"
    r"(?:[ \t]{0,3}(?:numbers?|nummer|no|nr|num\u00e9ro|n\u00famero)(?![A-Za-z]))?"
    r"[ \t.:\uff1a#]{0,6}"
    r"(\(?[0-9](?:[ ./()-]{0,2}[0-9]){6,14})(?![0-9A-Za-z_])",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([ ./-])(?:0?[1-9]|1[0-2])\1[0-3]?[0-9](?![0-9])"
    r"|[0-3]?[0-9]([ ./-])[0-3]?[0-9]\2(?:19|20)[0-9]{2}(?![0-9])"
    r"|(?:19|20)[0-9]{2}[ /-]{1,3}(?:19|20)[0-9]{2}(?![0-9])"
)
_DIGIT = re.compile(r"[0-9]")

_AS_NUMBERS = {ord(c): str(int(c, 36)) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

Spans = list[tuple[int, int]]


def _keys(text: str) -> Spans:
    spans = [m.span() for m in _KEY.finditer(text) if not _is_plain("sk-", m.group())]
    for match in _SECRET.finditer(text):
        if _is_random(match.group(1)):
            spans.append(match.span(1))
    return spans


def _is_plain(prefix: str, key: str) -> bool:
    """Whether what has a short prefix of keys is made of words, as `sk-learn-compatible-models`."""
    return key.startswith(prefix) and not _is_random(key)


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed as no name or sentence mixes them."""
    n_digits = len(_DIGIT.findall(value))
    n_letters = sum(c.isalpha() for c in value)
    return n_digits >= 3 and n_letters >= 3 and n_digits + n_letters >= 0.8 * len(value)


def _emails(text: str) -> Spans:
    if "@" not in text:
        return []
    return [
        match.span()
        for match in _EMAIL.finditer(text)
        if len(match.group(1)) == 2 or match.group(1).lower() in GENERIC_DOMAINS
    ]


def _ibans(text: str) -> Spans:
    spans: Spans = []
    end = 0
    for match in _IBAN.finditer(text):
        length = IBAN_LENGTHS.get(match.group()[:2])
        if length is None or match.start() < end:
            continue
        whole = _iban_of(length).match(text, match.start())
        if whole is not None and _passes_mod_97(whole.group().replace(" ", "")):
            end = whole.end()
            spans.append(whole.span())
    return spans


@cache
def _iban_of(length: int) -> re.Pattern[str]:
    """With or without a space after every four characters, up to the country's length."""
    groups, rest = divmod(length - 4, 4)
    last = f" ?[A-Z0-9]{{{rest}}}" if rest else ""
    return re.compile(f"[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]{{4}}){{{groups}}}{last}(?![A-Za-z0-9])")


def _passes_mod_97(code: str) -> bool:
    """ISO 13616: the first four characters at the end, letters as 10 to 35."""
    return int((code[4:] + code[:4]).translate(_AS_NUMBERS)) % 97 == 1


def _cards(text: str) -> Spans:
    spans: Spans = []
    for match in _CARD.finditer(text):
        number = re.sub("[ -]", "", match.group())
        if _ISSUERS.fullmatch(number) and _passes_luhn(number):
            spans.append(match.span())
    return spans


def _passes_luhn(number: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled, its own digits summed."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return (doubled + sum(int(digit) for digit in number[-1::-2])) % 10 == 0


def _addresses(text: str) -> Spans:
    spans: Spans = []
    if "." in text:
        for match in _IPV4.finditer(text):
            if not _is_version(match.group(), text[max(0, match.start() - 16) : match.start()]):
                spans.append(match.span())
    if ":" in text:
        spans += [match.span() for match in _IPV6.finditer(text) if _is_ipv6(match.group())]
    return spans


def _is_version(address: str, before: str) -> bool:
    """Whether four numbers are a version, a network's mask, or an address that every machine has:
    127.0.0.1 and 0.0.0.0 say nothing about anybody."""
    parts = [int(part) for part in address.split(".")]
    if parts[0] in (0, 127, 255) or parts[2] == parts[3] == 0 or max(parts[:3]) < 10:
        return True
    return _VERSION.search(before) is not None


def _is_ipv6(address: str) -> bool:
    groups = [group for group in address.split(":") if group]
    # `Face::add` is C++, ten pairs of digits are bytes, and ::1 is every machine.
    if len(groups) < 3 or all(len(group) <= 2 for group in groups):
        return False
    if not _DIGIT.search(address):
        return False
    try:
        IPv6Address(address)
    except AddressValueError:
        return False
    return True


def _phones(text: str) -> Spans:
    spans: Spans = []
    for match in _INTERNATIONAL.finditer(text):
        number = match.group().lstrip("+ ")
        digits = "".join(_DIGIT.findall(number)).removeprefix("00")
        code = next((n for n in (1, 2, 3) if digits[:n] in CALLING_CODES), 0)
        if code == 1 and not (len(digits) == 11 and digits[1] in "23456789"):
            continue
        # A number that was counted or computed has no separators, or zeros at its end.
        grouped = len(digits) < len(number)
        least = 8 if grouped else 10
        if code and least <= len(digits) <= 15 and not digits.endswith("00000"):
            if len(set(digits[code:])) > 1 and number.count("(") == number.count(")"):
                spans.append(match.span())
    spans += [match.span() for match in _AMERICAN.finditer(text)]
    for match in _AFTER_WORD.finditer(text):
        if not _DATE.search(match.group(1)):
            spans.append(match.span(1))
    return spans


_FINDERS: dict[str, Callable[[str], Spans]] = {
    "KEY": _keys,
    "EMAIL": _emails,
    "IBAN": _ibans,
    "CARD": _cards,
    "IP": _addresses,
    "PHONE": _phones,
}
KINDS = tuple(_FINDERS)


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
        if kind not in kinds or not (kind == "EMAIL" or _DIGIT.search(text)):
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
