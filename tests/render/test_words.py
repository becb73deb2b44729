"""Widths, directions and XML of words."""

import xml.etree.ElementTree as ET

import pytest

from spacy_llm_tasks.render.words import (
    escape,
    in_visual_order,
    levels,
    runs_to_left,
    shorten,
    width_of,
)

HOSTILE = ["<b>&\"'", "\x00\x1f\x0b", "]]>", "\ufffe\uffff", "😀\u200d👩", "\u202eabc", "\t\n", "é"]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_fits_into_xml(text):
    element = ET.fromstring(f'<x y="{escape(text)}">{escape(text)}</x>')
    kept = "".join(c if c.isprintable() or c in "\t\n\u202e\u200d" else "\ufffd" for c in text)
    assert element.text == kept
    assert "<b" not in escape(text)


def test_widths():
    assert width_of("", size=10) == 0
    assert width_of("iiii", size=10) < width_of("nnnn", size=10) < width_of("WWWW", size=10)
    assert width_of("ab", size=20) == 2 * width_of("ab", size=10)
    assert width_of("日本", size=10) > width_of("ab", size=10)
    assert width_of("e\u0301", size=10) == width_of("e", size=10)


def test_shortened_texts():
    text = "LOCATED_IN"
    assert shorten(text, size=10, room=1000) == text
    assert shorten(text, size=10, room=width_of(text, size=10)) == text
    some = shorten(text, size=10, room=30)
    assert some.endswith("…") and text.startswith(some[:-1]) and width_of(some, size=10) <= 30
    assert shorten(text, size=10, room=1) == ""


@pytest.mark.parametrize(
    "text, to_left",
    [("", False), ("1903 .", False), ("Pell", False), ("מרתה Pell", True), ("12 فرس", True)],
)
def test_direction_of_a_text(text, to_left):
    assert runs_to_left(text) == to_left


@pytest.mark.parametrize(
    "words, to_left, seen",
    [
        ("a b c", False, "a b c"),
        ("א ב ג", True, "ג ב א"),
        # A name in the other script keeps the order of its words.
        ("א ב Lorne Bay ג", True, "ג Lorne Bay ב א"),
        ("a א ב b", False, "a ב א b"),
        # Signs go with what is around them, numbers with what is in front of them.
        ("a א , ב b", False, "a ב , א b"),
        ("a א , b", False, "a א , b"),
        ("א a - b .", True, ". a - b א"),
        ("א 1903 ב", True, "ב 1903 א"),
        ("א a 7 ב", True, "ב a 7 א"),
        ("", True, ""),
    ],
)
def test_order_in_which_words_are_seen(words, to_left, seen):
    words = words.split()
    order = in_visual_order(levels(words, to_left=to_left))
    assert [words[i] for i in order] == seen.split()
