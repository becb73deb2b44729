"""Where addresses of mail and of machines stand in a text.

Four numbers with dots are an address, a version or the number of a section. Those after a word for
a version, those of networks (10.1.0.0) and those that every machine has (127.0.0.1, 0.0.0.0) are
left, and so are those whose first three numbers have one digit each, as 1.2.3.4: these are
addresses only where they belong to a well-known name server (8.8.8.8, 8.8.4.4, 1.1.1.1, 9.9.9.9)
or follow `://` or a word such as server, host, DNS or ping. Of IPv6 (RFC 4291) only what is given
to machines counts: global unicast, unique local and link-local addresses.
"""

import re
from ipaddress import AddressValueError, IPv6Address, IPv6Network

from .numbering import GENERIC_DOMAINS

Spans = list[tuple[int, int]]

# What an address or a number that touches it would be a part of: digits and the letters of scripts
# with spaces between words (Latin, Greek, Cyrillic, and their accents). In Chinese, Japanese, Thai
# and Korean a word or a particle follows an address without a space, so `\w` is too much.
LETTERS = (
    "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0300-\u0373\u0376-\u037d"
    "\u0386-\u0481\u048a-\u052f\u1e00-\u1fff"
)
WORD = f"0-9_{LETTERS}"

_EMAIL = re.compile(
    rf"(?<![{WORD}.+%@-])[{WORD}][{WORD}.+%-]{{0,63}}"
    rf"@(?:[0-9{LETTERS}](?:[{WORD}-]{{0,61}}[0-9{LETTERS}])?\.){{1,8}}"
    rf"([A-Za-z]{{2,24}})(?![{WORD}@(\[-]|\.[{WORD}])"
)
# A password and a machine, not a person and a domain.
_USER = re.compile(r"://[^\s/@:]{0,64}:$")

_IPV4 = re.compile(
    rf"(?<![{WORD}.-])(?<![A-Za-z]/)(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{{2}}|[1-9]?[0-9])\.){{3}}"
    rf"(?:25[0-5]|2[0-4][0-9]|1[0-9]{{2}}|[1-9]?[0-9])(?![{WORD}-]|\.[0-9A-Za-z])"
)
_NAME_SERVERS = frozenset(["8.8.8.8", "8.8.4.4", "1.1.1.1", "9.9.9.9"])
# What stands before four numbers that are a version or the number of a section.
_VERSION = re.compile(
    r"(?:\bv(?:ersions?|er)?\.?|\breleases?|\bbuild|\brevision|\bfirmware|\bdriver|\bsections?"
    r"|\bchapters?|\bclauses?|\bparagraphs?|\btables?|\bfigures?|\bappendix|\u00a7|[=<>~^!])"
    r"[ \t:\"'(]{0,3}$",
    re.IGNORECASE,
)
# What stands before four numbers that are a machine.
_MACHINE = re.compile(
    r"(?:://|(?:(?<![A-Za-z])(?<!SQL )(?<!Windows )(?:(?:name)?(?:servers?|hosts?)"
    r"|dns|resolvers?|gateway|ip(?:v4)?(?:[ -]address)?|ping|nslookup|traceroute|ssh|telnet)"
    r"|\u670d\u52a1\u5668|\u4f3a\u670d\u5668|\u30b5\u30fc\u30d0\u30fc?|\u5730\u5740|\u30a2\u30c9\u30ec\u30b9)"
    r"[ \t:=\"'(\uff1a]{0,3})$",
    re.IGNORECASE,
)
_LONGEST_WORD_BEFORE = 20

_IPV6 = re.compile(
    rf"(?<![{WORD}:.])((?:[0-9A-Fa-f]{{0,4}}:){{2,7}}[0-9A-Fa-f]{{0,4}})(?:%[0-9A-Za-z]{{1,15}})?"
    rf"(?![{WORD}:]|\.[0-9])"
)
_GIVEN_TO_MACHINES = tuple(IPv6Network(n) for n in ("2000::/3", "fc00::/7", "fe80::/10"))
_DIGIT = re.compile(r"[0-9]")


def find_emails(text: str) -> Spans:
    """Addresses of mail (RFC 5322, without quotes and comments)."""
    spans: Spans = []
    if "@" not in text:
        return spans
    for match in _EMAIL.finditer(text):
        start = match.start()
        if len(match.group(1)) != 2 and match.group(1).lower() not in GENERIC_DOMAINS:
            continue
        before = text[start - 1 : start]
        # In a path it is a package and its version, unless another address stands before.
        if before == "/" and not (spans and spans[-1][1] == start - 1):
            continue
        if before == ":" and _USER.search(text, max(0, start - 70), start):
            continue
        spans.append(match.span())
    return spans


def find_machines(text: str) -> Spans:
    """Addresses of IPv4 and IPv6."""
    spans: Spans = []
    if "." in text:
        for match in _IPV4.finditer(text):
            before = text[max(0, match.start() - _LONGEST_WORD_BEFORE) : match.start()]
            if _is_ipv4(match.group(), before):
                spans.append(match.span())
    if ":" in text:
        spans += [match.span() for match in _IPV6.finditer(text) if _is_ipv6(match.group(1))]
    return spans


def _is_ipv4(address: str, before: str) -> bool:
    parts = [int(part) for part in address.split(".")]
    if parts[0] in (0, 127, 255) or parts[2] == parts[3] == 0:
        return False
    if _MACHINE.search(before):
        return True
    if _VERSION.search(before):
        return False
    return max(parts[:3]) >= 10 or address in _NAME_SERVERS


def _is_ipv6(address: str) -> bool:
    groups = [group for group in address.split(":") if group]
    # `Face::add` is C++, x[2000::2] is Python, ten pairs of digits are bytes, ::1 is every machine.
    if all(len(group) <= 2 for group in groups) or not _DIGIT.search(address):
        return False
    if len(groups) < 2 or (len(groups) == 2 and not _is_short_local(groups)):
        return False
    try:
        number = IPv6Address(address)
    except AddressValueError:
        return False
    return any(number in network for network in _GIVEN_TO_MACHINES)


def _is_short_local(groups: list[str]) -> bool:
    """Such as fe80::1 and fd00::2."""
    return groups[0][0] in "fF" and len(groups[0]) == 4 and groups[1][0].isdigit()
