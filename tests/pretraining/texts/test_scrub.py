import random
import time

import pytest

from spacy_llm_tasks.pretraining.texts.numbering import CALLING_CODES, IBAN_LENGTHS
from spacy_llm_tasks.pretraining.texts.scrub import KINDS, scrub

from .scrubbing import text_and_expected

# Numbers of documentation: RFC 5737 and 3849 addresses, card numbers and IBANs published as
# examples, 555 numbers; keys are made up.
FOUND = {
    "EMAIL": [
        "{anna.bell@example.org}.",
        "<{x_y+tag@mail.example.co.uk}>",
        "mailto:{joe@example.com}, or",
        "schreib an {jürgen@bücher.example} bitte",
        "({A.B@EXAMPLE.NET})",
    ],
    "PHONE": [
        "{+49 30 1234567}",
        "{+1 (415) 555-0132}",
        "{+1-415-555-0132}.",
        "ring {(415) 555-0132} now",
        "{415-555-0132},",
        "{415.555.0132}",
        "{1-800-555-0199}",
        "{+4915112345678}",
        "{0049 30 1234567}",
        "{+44 20 7946 0958} (London)",
        "{+33 1 42 68 53 00}",
        "{+86 139 1234 5678}",
        "Tel.: {030/1234567}",
        "phone: {555-0132}",
        "Fax {020 7946 0958}",
        "Telefon Nr. {089 1234567}",
        "手机：{13912345678}",
        "tél. {01 42 68 53 00}",
    ],
    "CARD": [
        "{4111 1111 1111 1111}",
        "{5555-5555-5555-4444}.",
        "{378282246310005}",
        "{3782 822463 10005}",
        "{6011111111111117}",
        "{2221 0000 0000 0009}",
    ],
    "IBAN": [
        "{DE89 3704 0044 0532 0130 00}",
        "{GB29NWBK60161331926819} AND MORE",
        "{NO93 8601 1117 947},",
        "{FR14 2004 1010 0505 0001 3M02 606}",
        "{MT84 MALT 0110 0001 2345 MTLC AST0 01S}",
    ],
    "IP": [
        "{203.0.113.77}",
        "http://{198.51.100.23}/x",
        "{192.168.0.12}:8080",
        "{10.0.0.1},",
        "{2001:db8:85a3::8a2e:370:7334}",
        "[{fe80::1ff:fe23:4567:890a}]",
        "{2001:0db8:0000:0000:0000:ff00:0042:8329}",
    ],
    "KEY": [
        "{AKIA" + "Q3EXAMPLE7KEY9ZX}",
        "token {ghp_" + "a1B2" * 9 + "}",
        "{sk-" + "aB3d" * 8 + "}",
        "{sk_live_" + "9aZ4" * 6 + "}",
        "{hf_" + "aZbY9" * 7 + "}",
        "{AIza" + "Sy0aB" * 7 + "}",
        "{xoxb-" + "123456789012-" + "aBc1" * 5 + "}",
        "{eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4fw}",
        "{-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEabc1\n" * 20 + "-----END RSA PRIVATE KEY-----}",
        "password = '{tr0ub4dor9x7Kq2z1}'",
        'api_key: "{' + "0f1e2d3c" * 4 + '}"',
    ],
}

LEFT = [
    *("2024-03-15", "15.03.2024", "03/15/2024 10:30:45", "2020-2021", "1999/2000", "1914-1918"),
    *("in 1984 and 1999", "20240315", "2024-03-15T10:30:45+00:00", "the years 2001 2002 2003 2004"),
    *("ISBN 978-3-16-148410-0", "ISBN 0-306-40615-2", "ISBN 9783161484100", "ISSN 2049-3630"),
    *(
        "version 1.2.3.4",
        "v10.15.7.21",
        "1.2.3",
        "3.11.0rc1",
        "numpy==1.26.4.0",
        "Chrome/120.0.0.0",
    ),
    *("Build 19041.1.10.20", "driver 31.0.15.3623", "Section 3.2.11.4", "§ 12.10.3.1", "8.2.4.44"),
    *(
        "1.3.6.1.4.1.311",
        "$1,234,567.89",
        "EUR 12.000.000,00",
        "1 000 000 000",
        "£4,111,111,111,111",
    ),
    *("3.141592653589793", "0.4111111111111111", "6.02214076e23", "2^31 - 1 = 2147483647"),
    *(
        "1700000000000",
        "1700000000",
        "4006381333931",
        "+1000000000",
        "+2147483648",
        "x+12345678901",
    ),
    *("sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709", "d41d8cd98f00b204e9800998ecf8427e"),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    *(
        "550e8400-e29b-41d4-a716-446655440000",
        "0x7fff5fbff8c0",
        "commit 4111111",
        "#4111111111111111",
    ),
    *("x@self.weight", "a @ b.T", "@property\ndef f", "lodash@4.17.21", "user@localhost", "@user"),
    *("std::vector<int>", "Face::add", "dead::beef", "x[::2]", "a[1::2]", "::1", "A::B::C"),
    *("aa:bb:cc:dd:ee:ff", "12:30:45", "00:11:22:33:44:55:66:77", "16:9", "http://host:8080/"),
    *("127.0.0.1", "0.0.0.0", "255.255.255.0", "192.0.2", "300.300.300.300", "01.02.03.04.05"),
    *("1234567890123456", "4111 1111 1111 1112", "0000 0000 0000 0000", "4111 1111 1111"),
    *("00 01 02 03 04 05 06 07", "1 2 3 4 5 6 7 8 9", "200 300 4000", "555-12-3456", "12345-6789"),
    *("page 415-417", "10-20-30", "phone 14 Pro", "phone since 2020-12-31", "mobile 2019-2021"),
    *("telephone 01.02.2003", "+10 20 30 40 50 60", "+20 to +30 degrees", "3-2 6-4 7-5"),
    *("DE44 ist keine", "GB12 ABCD 1234 WORD WORD", "DE89 3704 0044 0532 0130 01", "RFC 2616"),
    *("sk-learn-compatible-estimators-for-all", "secret = read_secret_from(vault)"),
    *("password: correct-horse-battery-staple", "token = tokens[12345678901234567]"),
    *("range(1000000000)", "for i in range(10): x[i] = 2 * i + 1", "RGB(255, 255, 255)"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_found(kind):
    for pattern in FOUND[kind]:
        text, expected = text_and_expected(pattern, kind)
        assert scrub(text) == (expected, {f"<{kind}>": 1}), text
        in_prose = f"Zuvor und 2 mal {text} and then 3 more."
        assert scrub(in_prose)[0] == f"Zuvor und 2 mal {expected} and then 3 more."


@pytest.mark.parametrize("text", LEFT)
def test_left(text):
    for wrapped in (text, f"It says {text} here.", f'("{text}")', f"{text}\n{text}"):
        assert scrub(wrapped) == (wrapped, {})


def test_several_in_one_text():
    text = (
        "Mail a@example.org or b@example.org, ring +49 30 1234567; from 203.0.113.9 on 2024-03-15 "
        "DE89 3704 0044 0532 0130 00 GB29 NWBK 6016 1331 9268 19 paid with 4111111111111111."
    )
    scrubbed, counts = scrub(text)
    assert scrubbed == (
        "Mail <EMAIL> or <EMAIL>, ring <PHONE>; from <IP> on 2024-03-15 <IBAN> <IBAN> paid with "
        "<CARD>."
    )
    assert counts == {"<EMAIL>": 2, "<PHONE>": 1, "<IP>": 1, "<IBAN>": 2, "<CARD>": 1}
    assert scrub(scrubbed) == (scrubbed, {})


def test_only_some_kinds():
    text = "a@example.org, 203.0.113.9"
    assert scrub(text, kinds=["IP"]) == ("a@example.org, <IP>", {"<IP>": 1})
    assert scrub(text, kinds=[]) == (text, {})
    with pytest.raises(ValueError, match="E706.*NAME"):
        scrub(text, kinds=["NAME"])


def luhn_digit(number):
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(number)))
    return str(-total % 10)


def test_check_digits_decide():
    rng = random.Random(0)
    for _ in range(200):
        number = "4" + "".join(rng.choices("0123456789", k=14))
        digit = luhn_digit(number)
        assert scrub(number + digit)[0] == "<CARD>"
        wrong = str((int(digit) + rng.randrange(1, 10)) % 10)
        assert scrub(number + wrong)[0] == number + wrong
    for country in IBAN_LENGTHS:
        account = "".join(rng.choices("0123456789", k=IBAN_LENGTHS[country] - 4))
        remainder = int(account + "".join(str(ord(c) - 55) for c in country) + "00") % 97
        code = f"{country}{98 - remainder:02d}{account}"
        assert scrub(code)[0] == "<IBAN>"
        swapped = code[:-1] + str((int(code[-1]) + 1) % 10)
        assert "<IBAN>" not in scrub(swapped)[0]


def test_no_calling_code_is_the_beginning_of_another():
    assert not [a for a in CALLING_CODES for b in CALLING_CODES if a != b and b.startswith(a)]


NASTY = [
    *("1", "a", " ", "(", "+", "é", "1 ", "1-", "1.", "a@", "a.", "ab-", "+1", "+1 2", "1.1.1.1."),
    *(
        "::",
        "a:",
        "0:",
        "DE89 ",
        "DE893704",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
    ),
    *("sk-", "sk-a1", "password=", "password='", "tel ", "tel 1 ", "4111 1111 1111 ", "(415) "),
    *("415-", "00 ", "x@a.", "ghp_", "1234567890123456 ", "203.0.113.", "2001:db8::"),
]


@pytest.mark.parametrize("unit", NASTY)
def test_time_is_linear(unit):
    text = unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - start < 5.0  # most take less than a half; a square takes hours


@pytest.mark.parametrize(
    "start, unit",
    [
        *(("x@", "a."), ("x@", "a-"), ("tel", " "), ("eyJ", "a"), ("password=", "a1"), ("+1", "(")),
        *(
            ("+1", " 2"),
            ("-----BEGIN PRIVATE KEY-----", "a1"),
            ("DE89 3704", " 0044"),
            ("sk-", "a1"),
        ),
    ],
)
def test_time_is_linear_after_a_beginning(start, unit):
    text = start + unit * (1_000_000 // len(unit))
    begin = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - begin < 5.0
