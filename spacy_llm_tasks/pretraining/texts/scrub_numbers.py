"""Where numbers of accounts, cards and telephones stand in a text.

Dates, years, prices, ISBNs, sums and hashes look much like them. So the numbers of accounts and
cards must pass their check digits, and those of telephones must be written as such or follow a word
that says so. `mobile 5000000 sold` is a sum: after a word that has other meanings, with nothing but
a space between, a number must also have a form that sums don't have.
"""

import re
from functools import cache

from .numbering import CALLING_CODES, IBAN_LENGTHS
from .scrub_addresses import WORD, Spans

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9]{4})")
_AS_NUMBERS = {ord(c): str(int(c, 36)) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_CARD = re.compile(
    rf"(?<![{WORD}.,/#=+-])(?:"
    r"[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
    r"|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5}"
    rf"|[2-6][0-9]{{13,18}})(?![{WORD}/]|[ .,-]?[0-9])"
)
# Visa, Mastercard, American Express, Discover, JCB, Diners Club, Maestro and Dankort, UnionPay: how
# their numbers begin (ISO/IEC 7812) and how long they are. Maestro's may have 12 digits, but 13 are
# a British bar code.
_ISSUERS = re.compile(
    r"4[0-9]{15}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
    r"|3(?:0[0-5][0-9]|095|[689][0-9]{2})[0-9]{10}"
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{12,15}|5019[0-9]{12}"
    r"|62[0-9]{14,17}"
)

_INTERNATIONAL = re.compile(
    rf"(?<![{WORD}.,+*/=^-])"
    r"(?:\+|(?<![0-9][ .-])00(?=[1-9][0-9]{0,2}[ (/]))[ ]?[1-9][0-9]{0,14}"
    r"(?:[ ./-]?\(?[0-9]{1,12}\)?){0,7}(?![0-9A-Za-z_])"
)
_AMERICAN = re.compile(
    rf"(?<![{WORD}.,+*/=(-])(?:1[ .-])?(?:\([2-9][0-9]{{2}}\) ?[2-9][0-9]{{2}}[.-][0-9]{{4}}"
    rf"|[2-9][0-9]{{2}}([.-])[2-9][0-9]{{2}}\1[0-9]{{4}})(?![{WORD}/=]|[.,-][0-9])"
)
_AFTER_WORD = re.compile(
    # Words that are said of telephone numbers only, then those with other meanings, then both in
    # Chinese, Japanese and Korean.
    r"(?:(?<![A-Za-z])(?:(?P<tel>tel|telephone|telefon|t\u00e9l|t\u00e9l\u00e9phone|tel\u00e9fono"
    r"|fax|telefax|hotline|whatsapp)|phone|mobile|mobil|cell|handy)(?![A-Za-z])"
    r"|(?P<tel_cjk>\u7535\u8bdd|\u96fb\u8a71|\uc804\ud654)"
    r"|\u624b\u673a|\u624b\u6a5f|\u643a\u5e2f|\ud734\ub300\ud3f0)"
    r"(?P<says>(?:[ \t]{0,3}(?:(?:numbers?|nummer|no|nr|num\u00e9ro|n\u00famero)(?![A-Za-z])"
    r"|[\u53f7\u865f]\u7801?\u78bc?|\u756a\u53f7|\ubc88\ud638))?"
    r"(?:[ \t]{0,3}(?:(?<![A-Za-z])(?:is|ist|est|es)(?![A-Za-z])|[\u662f\u4e3a\u70ba\u306f]))?"
    r"[ \t\u3000.:\uff1a#]{0,6})"
    r"(?P<number>\(?[0-9](?:[ ./()-]{0,2}[0-9]){6,14})(?![0-9A-Za-z_])",
    re.IGNORECASE,
)
# What a sum never looks like: a zero or a bracket first, `555-0123`, or ten digits in one piece.
_WRITTEN_AS_PHONE = re.compile(r"0[0-9]|\(|[2-9][0-9]{2}-[0-9]{4}(?<!000)$|[0-9]{10,15}(?<!000)$")
_ROUND = re.compile(r"(?!0).*00000$")
_ONE_BY_ONE = re.compile(r"[0-9](?:[^0-9]+[0-9])*")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([ ./-])(?:0?[1-9]|1[0-2])\1[0-3]?[0-9](?![0-9])"
    r"|[0-3]?[0-9]([ ./-])[0-3]?[0-9]\2(?:19|20)[0-9]{2}(?![0-9])"
    r"|(?:19|20)[0-9]{2}[ /-]{1,3}(?:19|20)[0-9]{2}(?![0-9])"
)
_DIGIT = re.compile(r"[0-9]")


def find_ibans(text: str) -> Spans:
    """International bank account numbers (ISO 13616), in one piece or in groups of four."""
    spans: Spans = []
    end = 0
    for match in _IBAN.finditer(text):
        length = IBAN_LENGTHS.get(match.group()[:2].upper())
        if length is None or match.start() < end:
            continue
        whole = _iban_of(length).match(text, match.start())
        if whole is not None and _passes_mod_97(re.sub("[ -]", "", whole.group()).upper()):
            end = whole.end()
            spans.append(whole.span())
    return spans


@cache
def _iban_of(length: int) -> re.Pattern[str]:
    """With or without a sign after every four characters, up to the country's length."""
    groups, rest = divmod(length - 4, 4)
    last = f"[ -]?[A-Za-z0-9]{{{rest}}}" if rest else ""
    return re.compile(
        f"[A-Za-z]{{2}}[0-9]{{2}}(?:[ -]?[A-Za-z0-9]{{4}}){{{groups}}}{last}(?![A-Za-z0-9])"
    )


def _passes_mod_97(code: str) -> bool:
    """ISO 13616: the first four characters at the end, letters as 10 to 35."""
    return int((code[4:] + code[:4]).translate(_AS_NUMBERS)) % 97 == 1


def find_cards(text: str) -> Spans:
    """Numbers of payment cards (ISO/IEC 7812), in one piece or in the groups on the card."""
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


def find_phones(text: str) -> Spans:
    """Numbers of telephones (ITU-T E.123): international, North American, or after a word."""
    spans = [m.span() for m in _INTERNATIONAL.finditer(text) if _is_international(m.group())]
    spans += [match.span() for match in _AMERICAN.finditer(text)]
    spans += [m.span("number") for m in _AFTER_WORD.finditer(text) if _is_meant(m)]
    return spans


def _is_international(written: str) -> bool:
    number = written.lstrip("+ ")
    digits = "".join(_DIGIT.findall(number)).removeprefix("00")
    code = next((n for n in (1, 2, 3) if digits[:n] in CALLING_CODES), 0)
    if code == 1 and not (len(digits) == 11 and digits[1] in "23456789"):
        return False
    # A number that was counted or computed has no separators, or zeros at its end.
    least = 8 if len(digits) < len(number) else 10
    if not code or not least <= len(digits) <= 15 or digits.endswith("00000"):
        return False
    return len(set(digits[code:])) > 1 and number.count("(") == number.count(")")


def _is_meant(match: re.Match[str]) -> bool:
    """Whether the number after a word for a telephone is its number."""
    number = match["number"]
    if _DATE.search(number) or _ONE_BY_ONE.fullmatch(number) or re.fullmatch(r"0\.[0-9]+", number):
        return False
    if _ROUND.match("".join(_DIGIT.findall(number))):
        return False
    sure = match["tel"] or match["tel_cjk"] or match["says"].strip(" \t\u3000.")
    return bool(sure) or _WRITTEN_AS_PHONE.match(number) is not None
