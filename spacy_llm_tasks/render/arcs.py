"""Which way arcs take: where they leave a mark, how high they run, where their labels stand.

Arcs of one mark leave it beside each other, in an order in which they lie in one another like the
layers of an onion. A longer arc runs above all that it overlaps. Two arcs then meet only where they
cross, and the label of an arc stands where nothing crosses it.
"""

from collections import defaultdict
from dataclasses import dataclass

from .lines import EDGE, LABEL_SIZE, STEP, Layout, label_of
from .marks import Picture
from .words import shorten, width_of

NO_MARK = -1


@dataclass
class Arc:
    """What is drawn of a relation on one line.

    arrow (int): Its relation.
    line (int): The line.
    marks (Tuple[int, int]): Where it comes from and goes to; `NO_MARK` for the edge of the picture.
    x (List[float]): Where it begins and ends.
    level (int): How high it runs, from 1.
    text (str): Its label, as far as there is room for it.
    text_x (float): The middle of the label.
    """

    arrow: int
    line: int
    marks: tuple[int, int]
    x: list[float]
    level: int = 0
    text: str = ""
    text_x: float = 0.0

    @property
    def first(self) -> float:
        return min(self.x)

    @property
    def last(self) -> float:
        return max(self.x)


def find_arcs(picture: Picture, layout: Layout) -> list[Arc]:
    """Draw up the arcs of a picture.

    picture (Picture): What is drawn.
    layout (Layout): Where the marks stand.
    RETURNS (List[Arc]): One for each relation; two for one between different lines.
    """
    arcs: list[Arc] = []
    for number, arrow in enumerate(picture.arrows):
        head, tail = layout.anchor(arrow.head), layout.anchor(arrow.tail)
        if head.line == tail.line:
            x = [head.middle, tail.middle]
            arcs.append(Arc(number, head.line, (arrow.head, arrow.tail), x))
            continue
        # Reading goes on at the far edge of a line, and begins at the near one.
        far, near = (2.0, layout.width - 2.0) if layout.to_left else (layout.width - 2.0, 2.0)
        out, into = (far, near) if head.line < tail.line else (near, far)
        arcs.append(Arc(number, head.line, (arrow.head, NO_MARK), [head.middle, out]))
        arcs.append(Arc(number, tail.line, (NO_MARK, arrow.tail), [into, tail.middle]))
    _spread(arcs, picture, layout)
    by_line = defaultdict(list)
    for arc in arcs:
        by_line[arc.line].append(arc)
    for line in by_line.values():
        _stack(line, picture, layout)
    return arcs


def _spread(arcs: list[Arc], picture: Picture, layout: Layout) -> None:
    """Give each end of an arc a place of its own on its mark."""
    ends: dict[int, list[tuple[tuple[float, ...], Arc, int]]] = defaultdict(list)
    for k, arc in enumerate(arcs):
        for side, mark in enumerate(arc.marks):
            if mark == NO_MARK:
                continue
            # From the left: arcs to the left, the shortest first, then those to the right, the
            # longest first. Arcs between the same two marks turn their order round.
            away = arc.x[1 - side] - arc.x[side]
            if arc.marks[0] == arc.marks[1]:
                key = (0.0, float("inf"), k) if side == 0 else (1.0, -float("inf"), -k)
            else:
                key = (0.0, -away, -k) if away < 0 else (1.0, -away, k)
            ends[mark].append((key, arc, side))
    for mark, found in ends.items():
        found.sort(key=lambda end: end[0])
        steps = [STEP] * (len(found) + 1)
        for i, (_, arc, side) in enumerate(found):
            if arc.marks[0] == arc.marks[1] and side == 0:
                # An arc back to its own mark holds its label between its two ends.
                steps[i + 1] += _width(arc, picture)
        box = layout.anchor(mark)
        scale, x = (box.last - box.first) / sum(steps), box.first
        for (_, arc, side), step in zip(found, steps, strict=False):
            x += step * scale
            arc.x[side] = x


def _stack(arcs: list[Arc], picture: Picture, layout: Layout) -> None:
    """Choose levels and places of labels on one line."""
    placed: list[Arc] = []
    for arc in sorted(arcs, key=lambda a: (a.last - a.first, a.arrow)):
        below = [p.level for p in placed if p.first < arc.last and arc.first < p.last]
        arc.level = 1 + max(below, default=0)
        placed.append(arc)
    # One that finds no room for its label is lifted above all others, where nothing crosses it.
    for arc in placed:
        if not _write(arc, arcs, picture, layout):
            arc.level = 1 + max(other.level for other in arcs)
    for arc in placed:
        _write(arc, arcs, picture, layout)


def _write(arc: Arc, others: list[Arc], picture: Picture, layout: Layout) -> bool:
    """Put the label of an arc where no leg of a higher one crosses it. RETURNS (bool): Whether it
    fits whole."""
    text = label_of(picture.arrows[arc.arrow].label, picture.arrows[arc.arrow].score)
    text = shorten(text, size=LABEL_SIZE, room=layout.width - EDGE - 4.0)
    legs = sorted(
        x
        for other in others
        if other.level > arc.level
        for x, mark in zip(other.x, other.marks, strict=True)
        if mark != NO_MARK and arc.first < x < arc.last
    )
    stops = [arc.first, *legs, arc.last]
    gaps = list(zip(stops[:-1], stops[1:], strict=True))
    wanted, middle = width_of(text, size=LABEL_SIZE) + EDGE, (arc.first + arc.last) / 2
    fitting = [(a, z) for a, z in gaps if z - a >= wanted]
    if fitting:
        places = [min(max(middle, a + wanted / 2), z - wanted / 2) for a, z in fitting]
        arc.text, arc.text_x = text, min(places, key=lambda x: abs(x - middle))
        return True
    # An arc that is narrower than its label holds it all the same if nothing is beside it.
    first = min(max(middle - wanted / 2, 2.0), max(layout.width - wanted - 2.0, 2.0))
    if not any(_is_in_the_way(other, arc, first, first + wanted, picture) for other in others):
        arc.text, arc.text_x = text, first + wanted / 2
        return True
    a, z = max(gaps, key=lambda gap: gap[1] - gap[0])
    arc.text = shorten(text, size=LABEL_SIZE, room=z - a - EDGE)
    arc.text_x = (a + z) / 2
    return False


def _is_in_the_way(other: Arc, arc: Arc, first: float, last: float, picture: Picture) -> bool:
    """Whether an arc, or its label, may meet a label of another one that reaches beyond its arc."""
    if other is arc or other.level < arc.level:
        return False
    if other.level > arc.level:
        ends = zip(other.x, other.marks, strict=True)
        return any(mark != NO_MARK and first < x < last for x, mark in ends)
    more = max(_width(other, picture) - (other.last - other.first), 0.0)
    return other.first - more < last and first < other.last + more


def _width(arc: Arc, picture: Picture) -> float:
    arrow = picture.arrows[arc.arrow]
    return width_of(label_of(arrow.label, arrow.score), size=LABEL_SIZE) + EDGE
