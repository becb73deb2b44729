import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.pretraining.texts.clean import Cleaner, clean, letter_share


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Cafe\u0301 au lait", "Café au lait"),
        ("e\u200b\u0301", "é"),
        ("\ufeffa\x00b\x1fc\u200bd\xade", "abcde"),
        ("one\r\ntwo\rthree\x0bfour\u2028five\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("  a \t\xa0 b\u3000c  \n   d ", "a b c\nd"),
        ("a\n\n \n\n\nb", "a\n\nb"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 x", "👩\u200d🚀 x"),
        ("ﬁ ² Å", "ﬁ ² Å"),  # NFC, not NFKC
        ("", ""),
        ("\n \t", ""),
    ],
)
def test_clean(text, expected):
    assert clean(text) == expected


def test_keeping_spaces():
    source = "def f(x):\r\n\tif x:  \r\n        return  x\n\n\n\n# end\xa0\n"
    assert clean(source, keep_spaces=True) == "def f(x):\n\tif x:\n        return  x\n\n# end"


PIECES = st.sampled_from(
    [*"ab1 \t\n\r\xa0\u0301\u0327\u200b\ufeff\x00\u2028\x85é한", "\r\n", "ᄒ", "ᅡ"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.characters(), max_size=30).map("".join), st.booleans())
def test_cleaning_again_changes_nothing(text, keep_spaces):
    once = clean(text, keep_spaces=keep_spaces)
    assert clean(once, keep_spaces=keep_spaces) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")
    assert not any(unicodedata.category(c) == "Cc" for c in once if c not in "\n\t")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("A sentence that is long enough.", None),
        ("Too short", "too short"),
        ("a   " * 3 + "b \n \n ", "too short"),  # counted after cleaning
        ("12.5 13.7 99.1 | 14.2 18.8 | 71.3", "too few letters"),
        ("----------------- ========= ++++", "too few letters"),
        ("हिन्दी में लिखा हुआ एक साधारण वाक्य।", None),
        ("这是一个足够长的中文句子，用来测试。", None),
        ("ภาษาไทยไม่มีช่องว่างระหว่างคำ", None),
        ("\x00\x01\x02PNG binary data of a file\x03", "binary"),
        ("latin letters \ufffd\ufffd read as UTF-8 \ufffd", "binary"),
        ("One bad \ufffd character in a long text is no reason to drop all of its words.", None),
    ],
)
def test_what_is_left_out(text, reason):
    assert Cleaner()(text)[1] == reason


def test_limits():
    text = "word " * 100
    assert Cleaner(max_characters=17)(text) == ("word word word wo", None)
    assert Cleaner(max_characters=20)(text) == ("word word word word", None)
    assert Cleaner(min_characters=499)(text)[1] is None
    assert Cleaner(min_characters=500)(text)[1] == "too short"
    assert Cleaner(min_letters=0.0)("1" * 20)[1] is None


def test_letter_share():
    assert letter_share("ab 12") == 0.5 and letter_share(" \n") == 0.0
    assert letter_share("हिन्दी") == 1.0


@pytest.mark.parametrize(
    "text",
    [
        " " * 10**6 + "x",
        "\n" * 10**6,
        " \n" * 500_000,
        "a" + "\u0301\u0327" * 500_000,
        "\x00" * 10**6,
    ],
    ids=["spaces", "newlines", "both", "marks", "controls"],
)
def test_time_is_linear(text):
    start = time.perf_counter()
    clean(text)
    clean(text, keep_spaces=True)
    assert time.perf_counter() - start < 5.0


def test_runs_of_marks_are_cut_where_no_language_goes():
    marks = "\u0301\u0327"
    assert len(clean("a" + marks * 1000)) < 40
    assert clean("a" + marks * 10) == unicodedata.normalize("NFC", "a" + marks * 10)
