"""Pictures are well-formed, show everything, and nothing in them hides a label."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_llm_tasks import render
from spacy_llm_tasks.annotations import set_confidences, set_relations

VOCAB = spacy.blank("en").vocab
SVG = "{http://www.w3.org/2000/svg}"
XHTML = "{http://www.w3.org/1999/xhtml}"
IDA, BRASK, TARN, OSLO = (0, 2, "PERSON"), (3, 4, "ORG"), (5, 7, "ORG"), (8, 9, "PLACE")
WORDS = "Ida Holm left Brask for Tarn Mills in Oslo ."
RELATIONS = [(IDA, BRASK, "LEFT", 0.97), (IDA, TARN, "WORKS_FOR", 0.72), (TARN, OSLO, "IN")]


def make_doc(words=WORDS, ents=(IDA, BRASK, TARN, OSLO), relations=RELATIONS, spaces=None):
    words = words.split() if isinstance(words, str) else words
    doc = Doc(VOCAB, words=words, spaces=spaces)
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        rows = [(Span(doc, *h), Span(doc, *t), *rest) for h, t, *rest in relations]
        set_relations(doc, rows)
    return doc


def draw(docs, **options):
    return ET.fromstring(render.relations(docs, **options))


def of_class(root, name):
    return [g for g in root.iter(f"{SVG}g") if g.get("class") == name]


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


class Line:
    """An arc as it was drawn: its level line, its legs, its label."""

    def __init__(self, group):
        path, _ = group.findall(f"{SVG}path")
        steps = re.findall(r"([MVHQ])([^MVHQ]*)", path.get("d"))
        numbers = [(kind, [float(x) for x in values.split()]) for kind, values in steps]
        x, y = numbers[0][1]
        (h,) = (values[0] for kind, values in numbers if kind == "H")
        verticals = [values[0] for kind, values in numbers if kind == "V"]
        turns = [values for kind, values in numbers if kind == "Q"]
        self.legs = []
        if numbers[1][0] == "V":  # from a mark
            self.legs.append((x, y))
            self.top = turns[0][1]
        else:
            self.top = y
        end = h
        if numbers[-1][0] == "V":  # to a mark
            end = turns[-1][2]
            self.legs.append((end, verticals[-1]))
        self.first, self.last = sorted((x, end))
        self.number = int(group.get("data-relation"))
        self.title = group.find(f"{SVG}title").text
        label = group.find(f"{SVG}text")
        self.text = None if label is None else label.text
        if label is not None:
            middle, width = float(label.get("x")), float(label.get("textLength"))
            y = float(label.get("y"))
            self.box = (middle - width / 2, middle + width / 2, y - 9.0, y + 2.5)


def lines_of(root):
    return [Line(group) for group in of_class(root, "relation")]


def assert_labels_are_free(lines, width):
    """No label meets another one, or any line of any arc."""
    for line in lines:
        if line.text is None:
            continue
        left, right, top, bottom = line.box
        assert 0 <= left and right <= width
        for other in lines:
            level = other.top
            meets = other.first < right and left < other.last and top < level < bottom
            assert not meets, f"{other.title} runs through {line.title}"
            for x, end in other.legs:
                crosses = left < x < right and level < bottom and top < end
                assert not crosses, f"a leg of {other.title} crosses {line.title}"
            if other is not line and other.text is not None:
                a, z, up, down = other.box
                assert not (a < right and left < z and up < bottom and top < down)


def test_everything_is_drawn():
    root = draw(make_doc())
    assert root.tag == f"{SVG}svg"
    assert "".join(texts(root)[7:]).find("PERSON") >= 0
    for word in WORDS.split():
        assert word in texts(root)
    lines = lines_of(root)
    assert [(line.number, line.text) for line in lines] == [
        (0, "LEFT 0.97"),
        (1, "WORKS_FOR 0.72"),
        (2, "IN"),
    ]
    assert lines[1].title == "Ida Holm → WORKS_FOR → Tarn Mills (0.72)"
    marks = of_class(root, "mark")
    assert [mark.get("data-label") for mark in marks] == ["PERSON", "ORG", "ORG", "PLACE"]
    dashes = [g.find(f"{SVG}path").get("stroke-dasharray") for g in of_class(root, "relation")]
    assert dashes == [None, "7 2", None]
    legend = [g.find(f"{SVG}text").text for g in of_class(root, "legend")]
    assert legend[:6] == ["ORG", "PERSON", "PLACE", "IN", "LEFT", "WORKS_FOR"]
    assert legend[6:] == [
        f"score {x}" for x in ("0.9 or more", "0.7 to 0.9", "0.5 to 0.7", "below 0.5")
    ]
    assert not of_class(draw(make_doc(), legend=False), "legend")


def test_words_stand_beside_each_other():
    root = draw(make_doc())
    words = WORDS.split()
    found = {}
    for text in root.iter(f"{SVG}text"):
        if text.text in words:
            middle, width = float(text.get("x")), float(text.get("textLength"))
            found[text.text] = (middle - width / 2, middle + width / 2)
    boxes = [found[word] for word in words]
    for (_, end), (start, _) in zip(boxes[:-1], boxes[1:], strict=True):
        assert start >= end
    # An arc ends on its marks.
    line = lines_of(root)[0]
    assert found["Ida"][0] <= line.first <= found["Holm"][1]
    assert found["Brask"][0] - 30 <= line.last <= found["Brask"][1] + 30


@pytest.mark.parametrize(
    "doc",
    [
        make_doc([], [], None),
        make_doc([], [], []),
        make_doc(["  ", "\n", "\n"], [], []),
        make_doc(["\n"], [(0, 1, "X")], [((0, 1, "X"), (0, 1, "X"), "SELF")]),
        make_doc("Pell", [(0, 1, "PLACE")], []),
        make_doc("Pell", [(0, 1, "")], [((0, 1, ""), (0, 1, ""), "")]),
        make_doc(["x" * 3000], [(0, 1, "X")], [((0, 1, "X"), (0, 1, "X"), "SELF")]),
        make_doc(WORDS, (), None),
        make_doc(["a"], [(0, 1, "L" * 400)], [((0, 1, "L" * 400), (0, 1, "L" * 400), "R" * 400)]),
    ],
    ids=lambda doc: doc.text[:10],
)
@pytest.mark.parametrize("width", [1, 240, 960])
def test_odd_docs(doc, width):
    root = draw([doc, doc], width=width)
    assert len(lines_of(root)) >= 2 * len(doc._.relations)
    assert_labels_are_free(lines_of(draw(doc, width=width)), max(width, 240))
    assert "".join(t for t in texts(draw(doc, legend=False)) if "x" in t).count("x") in (0, 3000)
    ET.fromstring(render.page([doc], width=width))


def test_nothing_to_draw():
    assert texts(draw([])) == []
    assert ET.fromstring(render.page([])).tag == f"{XHTML}html"


EVIL = "<script>alert('&\"')</script>"


def test_everything_is_escaped():
    words = [EVIL, "]]>", "\x00&amp;", "\u202eevil", "<!--"]
    ents = [(0, 1, EVIL), (1, 3, "\x01'\">")]
    doc = make_doc(words, ents, [(ents[0], ents[1], f"{EVIL}\x02", 0.5)])
    settings = {"colors": {EVIL: '"/><script>'}}
    for text in (render.relations(doc, **settings), render.page([doc], title=EVIL, **settings)):
        root = ET.fromstring(text)
        assert not [element for element in root.iter() if element.tag.endswith("script")]
        assert "<script" not in text and "\x00" not in text
        names = {name for element in root.iter() for name in element.attrib}
        assert not [name for name in names if name.startswith("on")]
    root = draw(doc)
    assert EVIL in texts(root) and "\ufffd&amp;" in texts(root)
    assert of_class(root, "mark")[0].get("data-label") == EVIL


def test_colours():
    doc = make_doc()
    root = draw(doc, colors={"ORG": "tomato", "LEFT": "#123456"})
    fills = [mark.find(f"{SVG}rect").get("fill") for mark in of_class(root, "mark")]
    assert fills[1] == fills[2] == "tomato" and len(set(fills)) == 3
    strokes = [g.find(f"{SVG}path").get("stroke") for g in of_class(root, "relation")]
    assert strokes[0] == "#123456" and len(set(strokes)) == 3
    # One label, one colour, in all docs of a picture.
    other = make_doc("Vask", [(0, 1, "PLACE")], [])
    both = of_class(draw([other, doc]), "mark")
    assert both[0].find(f"{SVG}rect").get("fill") == both[4].find(f"{SVG}rect").get("fill")


def test_spans_that_overlap_and_confidences():
    outer, inner = (0, 7, "EVENT"), (5, 6, "NAME")
    doc = make_doc(relations=[(outer, inner, "OF")])
    set_confidences(doc, [doc.ents[0]], [0.5])
    doc.spans["more"] = [Span(doc, 7, 9, label="PART")]
    root = draw(doc)
    marks = of_class(root, "mark")
    assert [mark.get("data-label") for mark in marks] == [
        "EVENT",
        "PERSON",
        "ORG",
        "ORG",
        "NAME",
        "PLACE",
    ]
    assert marks[1].find(f"{SVG}title").text == "Ida Holm: PERSON (0.50)"
    # Each row of marks has its own height.
    bars = [float(mark.findall(f"{SVG}rect")[-1].get("y")) for mark in marks]
    assert bars[0] == bars[5] < bars[1] == bars[2] == bars[3] < bars[4]
    labels = [mark.get("data-label") for mark in of_class(draw(doc, spans_key="more"), "mark")]
    assert "PART" in labels


# Lines -------------------------------------------------------------------------------------------

LONG = f"{WORDS} And nobody there had ever seen a boat like hers , they said . ".split() * 4
PART = len(LONG) // 4


def shifted(span, k):
    return span[0] + k * PART, span[1] + k * PART, span[2]


def long_doc():
    ents = [shifted(span, k) for k in range(4) for span in (IDA, BRASK, TARN, OSLO)]
    relations = [
        (ents[0], ents[1], "LEFT"),
        (ents[0], ents[15], "FAR_AWAY", 0.6),
        (ents[12], ents[1], "BACK"),
    ]
    return make_doc(LONG, ents, relations)


def test_arcs_between_lines_go_to_the_edge():
    root = draw(long_doc(), width=400)
    lines = lines_of(root)
    assert [line.number for line in lines] == [0, 1, 1, 2, 2]
    out, into = lines[1], lines[2]
    assert out.last == 398 and len(out.legs) == 1 and into.first == 2 and len(into.legs) == 1
    assert out.top < into.top and out.text == into.text == "FAR_AWAY 0.60"
    back, home = lines[3], lines[4]
    assert back.first == 2 and home.last == 398 and back.top > home.top
    assert_labels_are_free(lines, 400)
    for text in root.iter(f"{SVG}text"):
        middle, width = float(text.get("x")), float(text.get("textLength"))
        assert 0 <= middle - width / 2 and middle + width / 2 <= 400
    # On one line there is no edge to go to.
    assert len(lines_of(draw(long_doc(), width=9000))) == 3


def test_a_mark_is_not_broken_where_it_fits():
    words = ["word"] * 30
    ents = [(i, i + 3, "X") for i in range(0, 30, 3)]
    for width in (240, 300, 333, 500):
        for mark in of_class(draw(make_doc(words, ents, []), width=width), "mark"):
            assert len(mark.findall(f"{SVG}rect")) == 2
    # A longer one has a piece on each line, and its label once.
    (mark,) = of_class(draw(make_doc(words, [(0, 30, "X")], []), width=240), "mark")
    assert len(mark.findall(f"{SVG}rect")) > 6 and len(mark.findall(f"{SVG}text")) == 1


def test_line_ends_of_the_text():
    root = draw(make_doc(["a", "\n", "b", "\n\n", "c"], [], []))
    heights = {t.text: float(t.get("y")) for t in root.iter(f"{SVG}text")}
    assert heights["a"] < heights["b"] < heights["c"]


def test_text_from_right_to_left():
    words = "מרתה קויל מפליגה מפל אל Lorne Bay בשנת 1903 .".split()
    ents = [(0, 2, "PERSON"), (5, 7, "PLACE")]
    doc = make_doc(words, ents, [(ents[0], ents[1], "TO")])
    root = draw(doc)
    places = {t.text: t for t in root.iter(f"{SVG}text")}
    x = {word: float(places[word].get("x")) for word in words}
    assert (
        x["מרתה"] > x["קויל"] > x["מפליגה"] > x["Bay"] > x["Lorne"] > x["בשנת"] > x["1903"] > x["."]
    )
    assert x["מרתה"] > 900
    assert places["מרתה"].get("direction") == "rtl" and places["Lorne"].get("direction") is None
    (line,) = lines_of(root)
    assert line.legs[0][0] > line.legs[1][0]
    # Reading goes on at the left edge.
    far = make_doc(words * 6, ents + [(50, 52, "PERSON")], [(ents[0], (50, 52, "PERSON"), "FAR")])
    out, into = lines_of(draw(far, width=300))
    assert out.first == 2 and into.last == 298


# Labels ------------------------------------------------------------------------------------------


def test_related_neighbours_leave_room_for_the_label():
    ents = [(0, 1, "A"), (1, 2, "B"), (2, 3, "C")]
    relations = [
        (ents[0], ents[1], "A_VERY_LONG_RELATION"),
        (ents[1], ents[2], "ANOTHER_LONG_RELATION"),
        (ents[2], ents[1], "AND_ITS_REVERSE"),
        (ents[1], ents[1], "TO_ITSELF"),
    ]
    lines = lines_of(draw(make_doc("x y z", ents, relations)))
    assert [line.text for line in lines] == [label for *_, label in relations]
    assert_labels_are_free(lines, 960)


@pytest.mark.parametrize("seed", range(25))
def test_labels_are_free_in_any_picture(seed):
    random = np.random.default_rng(seed)
    n_words = int(random.integers(4, 60))
    words = [
        str(w) for w in random.choice(["a", "boat", "Lorne", "日本", "מפל", "12", ","], n_words)
    ]
    ents, at = [], 0
    while at < n_words:
        size = int(random.integers(1, 4))
        if random.random() < 0.6:
            ents.append((at, min(at + size, n_words), str(random.choice(["X", "PERSON"]))))
        at += size
    ents = ents or [(0, 1, "X")]
    spans = [*ents, (0, min(3, n_words), "OUTER")]
    relations = []
    for _ in range(int(random.integers(1, 14))):
        a, b = random.integers(0, len(spans), size=2)
        label = str(random.choice(["TO", "WORKS_FOR", "A_VERY_LONG_LABEL_OF_A_RELATION"]))
        relations.append((spans[a], spans[b], label, float(random.random())))
    for width in (240, 500, 960):
        doc = make_doc(words, ents, relations)
        lines = lines_of(draw(doc, width=width))
        assert {line.number for line in lines} == set(range(len(relations)))
        assert_labels_are_free(lines, width)


def test_most_labels_are_whole():
    ents = [(i, i + 1, "X") for i in range(12)]
    relations = [
        (ents[i], ents[j], f"R{i}_{j}")
        for i in range(12)
        for j in range(12)
        if i != j and (7 * i + 3 * j) % 5 == 0
    ]
    lines = lines_of(draw(make_doc([f"word{i}" for i in range(12)], ents, relations)))
    assert sum(line.text == relations[line.number][2] for line in lines) >= 0.9 * len(lines)


def test_page():
    text = render.page([make_doc(), long_doc()], title="Ships & <sails>")
    root = ET.fromstring(text)
    assert root.find(f"{XHTML}body/{XHTML}h1").text == "Ships & <sails>"
    figures = list(root.iter(f"{XHTML}figure"))
    captions = [figure.find(f"{XHTML}figcaption").text for figure in figures]
    assert captions == [
        "Document 1: 4 entities, 3 relations",
        "Document 2: 16 entities, 3 relations",
    ]
    assert [len({line.number for line in lines_of(figure)}) for figure in figures] == [3, 3]
    legend = ["".join(item.itertext()) for item in root.iter(f"{XHTML}li")]
    assert "PERSON (5)" in legend and "LEFT (2)" in legend and "score 0.7 to 0.9" in legend
    assert "http://" not in text.replace("http://www.w3.org/", "")
    gold = ET.fromstring(render.page([make_doc(relations=[(IDA, BRASK, "LEFT")])]))
    assert not [li for li in gold.iter(f"{XHTML}li") if "score" in "".join(li.itertext())]


def test_relations_that_do_not_fit():
    doc = make_doc()
    other = make_doc("Ida", [], None)
    other.user_data.update(doc.user_data)
    with pytest.raises(ValueError, match="E30"):
        render.relations(other)
