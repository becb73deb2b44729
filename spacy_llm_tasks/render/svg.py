"""Pictures as SVG elements (https://www.w3.org/TR/SVG11/), one group for each document."""

from collections.abc import Iterable, Iterator, Mapping

from spacy.tokens import Doc

from .arcs import NO_MARK, Arc, find_arcs
from .lines import EDGE, LABEL_SIZE, TEXT_SIZE, Layout, label_width, lay_out
from .marks import Mark, Picture, colours, picture_of
from .words import escape, width_of

# Heights: of a level of arcs, of the words, of a row of marks below them, between lines and docs.
LEVEL = 20.0
TEXT = 24.0
ROW = 18.0
GAP = 14.0
# How an arc is drawn from this score on: the dashes, and what the legend says.
SURE = (
    (0.9, "", "0.9 or more"),
    (0.7, "7 2", "0.7 to 0.9"),
    (0.5, "4 3", "0.5 to 0.7"),
    (0.0, "1 4", "below 0.5"),
)
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"


def relations(
    docs: Doc | Iterable[Doc],
    *,
    width: float = 960.0,
    spans_key: str = "",
    colors: Mapping[str, str] | None = None,
    legend: bool = True,
) -> str:
    """Draw entities and the relations between them.

    docs (Doc | Iterable[Doc]): A doc, or several, which stand below each other.
    width (float): Of the picture in pixels, 240 at least; the text is broken into lines.
    spans_key (str): A group of `doc.spans` to draw besides `doc.ents`.
    colors (Mapping[str, str]): Colours of some labels, as CSS writes them.
    legend (bool): Explain colours and lines below.
    RETURNS (str): An `<svg>` element; a whole file if it is written to one.
    RAISES (ValueError): If relations do not fit their doc.
    """
    docs = [docs] if isinstance(docs, Doc) else docs
    pictures = [picture_of(doc, spans_key=spans_key) for doc in docs]
    palette = colours(pictures, colors)
    width, y = max(float(width), 240.0), EDGE
    parts: list[str] = []
    for picture in pictures:
        height, elements = draw(picture, palette, width=width)
        parts += [f'<g transform="translate(0 {y:.1f})">', *elements, "</g>"]
        y += height + GAP
    if legend:
        rows = list(_legend(pictures, palette, width))
        parts += [f'<g transform="translate(0 {y:.1f})">', *(text for _, text in rows), "</g>"]
        y += rows[-1][0] + ROW if rows else 0.0
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spacy-llm-tasks" width="{width:g}" '
        f'height="{y:.1f}" viewBox="0 0 {width:g} {y:.1f}" font-family="{FONT}" '
        f'style="background: #ffffff; color: #202020; max-width: 100%; height: auto">\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def draw(
    picture: Picture, palette: tuple[dict[str, str], dict[str, str]], *, width: float
) -> tuple[float, list[str]]:
    """Draw one document.

    picture (Picture): What is drawn.
    palette (tuple): Colours of marks and arrows by label.
    width (float): Of the picture.
    RETURNS (tuple): The height that it takes, and the elements.
    """
    layout = lay_out(picture, width=width)
    arcs = find_arcs(picture, layout)
    tops, height = _baselines(picture, layout, arcs)
    elements = []
    # Words stand on the marks, and arcs below both, so that nothing hides what is to be read.
    for arc in arcs:
        elements.append(_arc(arc, picture, palette[1], tops[arc.line]))
    for mark, boxes in zip(picture.marks, layout.boxes, strict=True):
        pieces = [(box.first, box.last, tops[box.line]) for box in boxes]
        elements.append(_mark(mark, pieces, palette[0][mark.label]))
    language = f' xml:lang="{escape(picture.language)}"' if picture.language else ""
    elements.append(f'<g font-size="{TEXT_SIZE:g}" fill="#202020"{language}>')
    for word in layout.words:
        if word.text.strip():
            middle, y = word.x + word.width / 2, tops[word.line]
            elements.append(_text(word.text, middle, y, word.width, to_left=word.level % 2 == 1))
    elements.append("</g>")
    return height, elements


def _baselines(picture: Picture, layout: Layout, arcs: list[Arc]) -> tuple[list[float], float]:
    """The line on which the words of each line stand, and the height of all."""
    levels, rows = [0] * layout.n_lines, [0] * layout.n_lines
    for arc in arcs:
        levels[arc.line] = max(levels[arc.line], arc.level)
    for mark, boxes in zip(picture.marks, layout.boxes, strict=True):
        for box in boxes:
            rows[box.line] = max(rows[box.line], mark.depth + 1)
    lines, y = [], 0.0
    for level, depth in zip(levels, rows, strict=True):
        y += (level * LEVEL + LEVEL if level else 0.0) + TEXT
        lines.append(y)
        y += depth * ROW + GAP
    return lines, y


def _text(
    text: str, x: float, y: float, width: float, *, to_left: bool = False, more: str = ""
) -> str:
    direction = ' direction="rtl"' if to_left else ""
    fit = f' textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"' if width > 0 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle"{fit}{direction}{more}>'
        f"{escape(text)}</text>"
    )


def _mark(mark: Mark, pieces: list[tuple[float, float, float]], colour: str) -> str:
    colour = escape(colour)
    score = "" if mark.score is None else f" ({mark.score:.2f})"
    parts = [
        f'<g class="mark" data-label="{escape(mark.label)}">',
        f"<title>{escape(f'{mark.text}: {mark.label}{score}')}</title>",
    ]
    for i, (first, last, y) in enumerate(pieces):
        width = f'x="{first:.1f}" width="{last - first:.1f}"'
        if mark.depth == 0:
            box = f'y="{y - 16:.1f}" height="21" rx="4" fill="{colour}" fill-opacity="0.16"'
            parts.append(f"<rect {width} {box}/>")
        bar = y + 6 + mark.depth * ROW
        parts.append(f'<rect {width} y="{bar:.1f}" height="2.5" fill="{colour}"/>')
        if i == 0 and mark.label.strip():
            room = width_of(mark.label, size=LABEL_SIZE)
            style = f' font-size="{LABEL_SIZE:g}" font-weight="600" fill="{colour}"'
            middle = (first + last) / 2
            parts.append(_text(mark.label, middle, bar + 13, min(room, last - first), more=style))
    return "".join([*parts, "</g>"])


def _arc(arc: Arc, picture: Picture, palette: dict[str, str], baseline: float) -> str:
    arrow = picture.arrows[arc.arrow]
    colour = escape(palette[arrow.label])
    head, tail = picture.marks[arrow.head], picture.marks[arrow.tail]
    bottom = baseline - 18.0
    top = bottom - arc.level * LEVEL + 4.0
    x, y = arc.x
    turn = min(6.0, abs(y - x) / 2) * (1 if y >= x else -1)
    path = f"M{x:.1f} {top:.1f}"
    if arc.marks[0] != NO_MARK:
        path = f"M{x:.1f} {bottom:.1f}V{top + 6:.1f}Q{x:.1f} {top:.1f} {x + turn:.1f} {top:.1f}"
    if arc.marks[1] != NO_MARK:
        path += f"H{y - turn:.1f}Q{y:.1f} {top:.1f} {y:.1f} {top + 6:.1f}V{bottom:.1f}"
        point = f"M{y:.1f} {bottom + 2:.1f}l-3.5 -7h7z"
    else:
        path += f"H{y:.1f}"
        side = -6 if y > x else 6
        point = f"M{y:.1f} {top:.1f}l{side} -3.5v7z"
    dashes = next(dash for least, dash, _ in SURE if arrow.score >= least)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    said = f"{head.text} → {arrow.label} → {tail.text} ({arrow.score:.2f})"
    parts = [
        f'<g class="relation" data-label="{escape(arrow.label)}" data-relation="{arc.arrow}">',
        f"<title>{escape(said)}</title>",
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashed}/>',
        f'<path d="{point}" fill="{colour}"/>',
    ]
    if arc.text:
        room = width_of(arc.text, size=LABEL_SIZE)
        style = f' font-size="{LABEL_SIZE:g}" fill="{colour}"'
        parts.append(_text(arc.text, arc.text_x, top - 4, room, more=style))
    return "".join([*parts, "</g>"])


def _legend(
    pictures: list[Picture], palette: tuple[dict[str, str], dict[str, str]], width: float
) -> Iterator[tuple[float, str]]:
    """The entries of the legend: how far down each begins, and its elements."""
    entries = [
        (label, f'<rect y="4" width="14" height="8" rx="2" fill="{escape(colour)}"/>')
        for label, colour in palette[0].items()
    ]
    line = '<path d="M0 8H18" stroke="{}" stroke-width="1.5"{}/>'
    entries += [(label, line.format(escape(c), "")) for label, c in palette[1].items()]
    scores = {arrow.score for picture in pictures for arrow in picture.arrows}
    if any(score < 1.0 for score in scores):
        for _, dashes, text in SURE:
            dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
            entries.append((f"score {text}", line.format("#606060", dashed)))
    x, y = EDGE, 0.0
    for text, sign in entries:
        room = label_width(text, 1.0)
        if x > EDGE and x + room + 30 > width:
            x, y = EDGE, y + ROW
        style = f' font-size="{LABEL_SIZE:g}" fill="#404040"'
        words = _text(text, 22 + room / 2, 12, room, more=style)
        yield y, f'<g class="legend" transform="translate({x:.1f} {y:.1f})">{sign}{words}</g>'
        x += room + 38
