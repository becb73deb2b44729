"""Markers stand exactly where they are said to stand, and nothing else of the text changes."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from spacy_llm_tasks.layers.candidates import pair_up
from spacy_llm_tasks.pipeline.markers import BORDERS, mark_entities

VOCAB = spacy.blank("en").vocab
KINDS = ["PERSON", "WORK_OF_ART", " odd\tkind\n@*", "_"]


def make_doc(words, spaces=None):
    return Doc(VOCAB, words=words, spaces=spaces)


def make_pairs(spans, *, max_distance=100):
    """Spans of each doc as (first, last, number of the kind)."""
    rows = [(i, *span) for i, found in enumerate(spans) for span in found]
    doc, first, last, kind = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return pair_up(doc, first, last, kind, n_docs=len(spans), max_distance=max_distance)


def mark(docs, spans, *, kinds=KINDS, **options):
    return mark_entities(docs, make_pairs(spans, **options), kinds)


def border(number):
    return BORDERS[number % len(BORDERS)]


def regions(texts, pairs):
    """The marked region of each span of a doc with a text."""
    place = pairs.place
    return [
        texts[place.text[doc]][a:z] if place.text[doc] >= 0 else None
        for doc, a, z in zip(pairs.doc, place.first, place.last, strict=True)
    ]


def test_as_the_docstring_says():
    doc = make_doc("Nora Quill founded Quill Boats .".split())
    texts, pairs = mark([doc], [[(0, 2, 1), (3, 5, 2)]], kinds=["PERSON", "ORG"])
    assert texts == ["@ * person * Nora Quill @ founded # * org * Quill Boats # . "]
    assert regions(texts, pairs) == ["@ * person * Nora Quill @", "# * org * Quill Boats #"]


def test_words_of_kinds():
    doc = make_doc(list("abcdef"))
    spans = [[(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 4), (4, 5, 0)]]
    assert regions(*mark([doc], spans)) == [
        "@ * person * a @",
        "# * work of art * b #",
        "$ * odd kind @* * c $",
        "% d %",
        "@ e @",
    ]
    # One kind alone says nothing.
    assert regions(*mark([doc], [[(0, 1, 1), (2, 3, 1)]], kinds=["PERSON"])) == ["@ a @", "# c #"]


def test_docs_without_pairs_have_no_text():
    docs = [make_doc(words) for words in (["a", "b"], [], ["c"], ["   "], ["d", "e", "f"], ["g"])]
    spans = [[(0, 1, 1), (1, 2, 1)], [], [(0, 1, 1)], [], [(0, 1, 1), (2, 3, 1)], []]
    texts, pairs = mark(docs, spans, kinds=["X"])
    assert texts == ["@ a @ # b # ", "@ d @ e # f # "]
    assert pairs.place.text.tolist() == [0, -1, -1, -1, 1, -1]
    assert regions(texts, pairs) == ["@ a @", "# b #", None, "@ d @", "# f #"]
    texts, pairs = mark(docs[1:4], [[], [(0, 1, 1)], []])
    assert texts == [] and pairs.place.text.tolist() == [-1, -1, -1]
    # Of spans that are too far apart there is no text either.
    assert mark([docs[4]], [[(0, 1, 1), (2, 3, 1)]], max_distance=0)[0] == []


def test_nested_equal_and_crossing_spans():
    doc = make_doc(list("abcd"))
    spans = [[(0, 2, 1), (0, 2, 2), (0, 4, 1), (1, 2, 1), (1, 3, 0), (2, 3, 1)]]
    texts, pairs = mark([doc], spans)
    signs = {*BORDERS, "*", "person", "work", "of", "art"}
    found = zip(spans[0], regions(texts, pairs), strict=True)
    for e, ((first, last, _), region) in enumerate(found):
        assert region[0] == region[-1] == border(e)
        words = [word for word in region.split() if word not in signs]
        assert words == list("abcd")[first:last]
    # What begins later ends earlier, so equal spans stand in one another.
    assert regions(texts, pairs)[1] in regions(texts, pairs)[0]
    assert regions(texts, pairs)[3] in regions(texts, pairs)[1]


HOSTILE = [
    ["👩‍👩‍👧", "é", "日本", "語", "😀"],
    ["مرحبا", "\u202e", "@", "* person *", "@"],
    ["\u200b", "\ufeff", "ﬃ", "İ", "ß" * 50],
    ["a\u0301\u0302", "\n\n", "\t", "\u2028", "b"],
    ["𝕏", "\x07", "\U0010ffff", "\u00a0", "\u0000x"],
]


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("spaced", [True, False])
def test_offsets_are_exact(words, spaced):
    doc = make_doc(words, [spaced] * len(words))
    for a, z, b, y in [(0, 1, 4, 5), (0, 5, 1, 2), (0, 3, 2, 5), (1, 4, 2, 3), (3, 4, 3, 4)]:
        texts, pairs = mark([doc], [[(a, z, 1), (b, y, 2)]])
        found = regions(texts, pairs)
        for region, sign in zip(found, "@#", strict=True):
            assert region.startswith(f"{sign} * ") and region.endswith(f" {sign}")
        person, art = "@ * person * ", "# * work of art * "
        if y <= z or z <= b:
            second = f"{art}{doc[b:y].text} #"
            first = f"{person}{doc[a:z].text} @"
            if y <= z:
                inside = doc[b].idx - doc[a].idx
                end = inside + len(doc[b:y].text)
                outer = doc[a:z].text
                first = f"{person}{outer[:inside]}{second}{outer[end:]} @"
            assert found == [first, second]
        # Without its signs the text is what it was.
        signs = []
        for e, opening in enumerate((person, art)):
            start, end = int(pairs.place.first[e]), int(pairs.place.last[e])
            signs += [(start, start + len(opening)), (end - 2, end)]
        text = texts[0]
        for start, end in sorted(signs, reverse=True):
            text = text[:start] + text[end:]
        assert text == doc.text


def test_any_spans_of_any_text():
    random = np.random.default_rng(5)
    letters = ["a", "bb", "日", "😀", "e\u0301", "@", "#", "*", " ", "\n"]
    for _ in range(60):
        words = [str(w) for w in random.choice(letters, size=random.integers(1, 14))]
        doc = make_doc(words, [bool(b) for b in random.integers(0, 2, size=len(words))])
        found = set()
        for _ in range(int(random.integers(2, 7))):
            a = int(random.integers(0, len(words)))
            found.add((a, int(random.integers(a + 1, len(words) + 1)), int(random.integers(0, 5))))
        spans = sorted(found)
        texts, pairs = mark([doc], [spans])
        if len(spans) < 2:
            assert texts == []
            continue
        cut = set()
        for e, (_, _, kind) in enumerate(spans):
            word = ["", "person", "work of art", "odd kind @*", ""][kind]
            opening = f"{border(e)} * {word} * " if word else f"{border(e)} "
            first, last = int(pairs.place.first[e]), int(pairs.place.last[e])
            region = texts[0][first:last]
            assert region.startswith(opening) and region.endswith(f" {border(e)}")
            signs = {*range(first, first + len(opening)), last - 2, last - 1}
            assert not signs & cut
            cut |= signs
        own = [i for i in range(len(texts[0])) if i not in cut]
        assert "".join(texts[0][i] for i in own) == doc.text
        for e, (a, z, _) in enumerate(spans):
            inside = [i for i in own if pairs.place.first[e] <= i < pairs.place.last[e]]
            assert "".join(texts[0][i] for i in inside) == doc[a:z].text
