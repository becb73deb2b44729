"""Where words and marks stand: words in lines, from left to right as they are seen."""

from dataclasses import dataclass
from typing import NamedTuple

from .marks import Picture
from .words import in_visual_order, levels, runs_to_left, width_of

TEXT_SIZE = 16.0
LABEL_SIZE = 11.0
# Room between the ends of arcs that meet at one mark, and around labels.
STEP = 12.0
EDGE = 8.0


@dataclass
class Word:
    """A token, or a part of one that is wider than a line.

    text (str): What is written.
    token (int): Its token.
    width (float): Of the text.
    space (float): Behind the text.
    left, right (float): Room in front and behind that marks need for labels and arcs; "left" is
        where reading comes from.
    gap (float): More room in front, which no mark covers, for the label of an arc.
    level (int): See `words.levels`.
    line, place (int): Its line, and its place there, seen from the left.
    x (float): Where its text begins, seen from the left.
    """

    text: str
    token: int
    width: float
    space: float
    left: float = 0.0
    right: float = 0.0
    gap: float = 0.0
    level: int = 0
    line: int = 0
    place: int = 0
    x: float = 0.0

    @property
    def room(self) -> float:
        return self.left + self.width + self.right

    @property
    def first_x(self) -> float:
        """Where its room begins, seen from the left."""
        return self.x - (self.right if self.level % 2 else self.left)


class Box(NamedTuple):
    """A piece of a mark that stands together on one line."""

    mark: int
    line: int
    first: float
    last: float

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2


@dataclass
class Layout:
    """The words and marks of one Doc on lines.

    words (List[Word]): All words, in the order of reading.
    boxes (List[List[Box]]): The pieces of each mark, line by line.
    n_lines (int): How many lines there are.
    to_left (bool): Whether the text runs from right to left.
    width (float): Of the picture.
    """

    words: list[Word]
    boxes: list[list[Box]]
    n_lines: int
    to_left: bool
    width: float

    def anchor(self, mark: int) -> Box:
        """RETURNS (Box): The piece of a mark at which arcs end: the widest on its first line."""
        pieces = [box for box in self.boxes[mark] if box.line == self.boxes[mark][0].line]
        return max(pieces, key=lambda box: box.last - box.first)


def lay_out(picture: Picture, *, width: float) -> Layout:
    """Place the words of a picture.

    picture (Picture): What is drawn.
    width (float): Of the picture; lines are broken before it.
    RETURNS (Layout): Where everything stands. Marks that fit into a line are never broken.
    """
    to_left = runs_to_left(" ".join(picture.words))
    words = _words(picture, width / 3)
    _make_room(picture, words, width / 3)
    for word, level in zip(words, levels([w.text for w in words], to_left=to_left), strict=True):
        word.level = level
    # Arcs to other lines end at the edge, and need room for their labels there.
    widest = max((label_width(a.label, a.score) for a in picture.arrows), default=0.0)
    edge = min(widest + 2 * EDGE, width / 5) if widest else EDGE
    groups = _groups(picture, words)
    lines = _break(words, groups, width - 2 * EDGE)
    if len(lines) > 1:
        lines = _break(words, groups, width - 2 * edge)
    else:
        edge = EDGE
    for number, line in enumerate(lines):
        _place(line, number, edge, width if to_left else None)
    return Layout(words, _boxes(picture, words), len(lines), to_left, width)


def label_of(label: str, score: float) -> str:
    """RETURNS (str): What is written at an arc: its label, and how sure it is unless it is gold."""
    return label if score >= 1.0 else f"{label} {score:.2f}"


def label_width(label: str, score: float) -> float:
    """RETURNS (float): How wide the text at an arc is."""
    return width_of(label_of(label, score), size=LABEL_SIZE)


def _words(picture: Picture, most: float) -> list[Word]:
    words = []
    for token, (text, spaced) in enumerate(zip(picture.words, picture.spaces, strict=True)):
        parts = _parts(text, most) if width_of(text, size=TEXT_SIZE) > most else [text]
        for part in parts:
            words.append(Word(part, token, width_of(part, size=TEXT_SIZE), 0.0))
        words[-1].space = width_of(" ", size=TEXT_SIZE) if spaced else 0.0
    return words


def _parts(text: str, most: float) -> list[str]:
    parts, start, width = [], 0, 0.0
    for i, char in enumerate(text):
        step = width_of(char, size=TEXT_SIZE)
        if width + step > most and i > start:
            parts.append(text[start:i])
            start, width = i, 0.0
        width += step
    return [*parts, text[start:]]


def _make_room(picture: Picture, words: list[Word], most: float) -> None:
    """Spread words, so that the label of a mark fits below it, the ends of its arcs beside each
    other above it, and the label of an arc between two neighbours."""
    first, last = _word_bounds(picture, words)
    ends = [0] * len(picture.marks)
    needed = [width_of(mark.label, size=LABEL_SIZE) + 4.0 for mark in picture.marks]
    loops = [0.0] * len(picture.marks)
    for arrow in picture.arrows:
        ends[arrow.head] += 1
        ends[arrow.tail] += 1
        if arrow.head == arrow.tail:
            loops[arrow.head] += label_width(arrow.label, arrow.score)
    for i in range(len(picture.marks)):
        wanted = max(needed[i], STEP * (ends[i] + 1) + loops[i])
        own = words[first[i] : last[i]]
        lack = min(wanted, most) - _length(own)
        if lack > 0:
            own[0].left += lack / 2
            own[-1].right += lack / 2
    for arrow in picture.arrows:
        a, b = sorted((arrow.head, arrow.tail), key=lambda i: picture.marks[i].start)
        if last[a] > first[b] or first[b] - last[a] > 20:
            continue
        between = words[last[a] - 1].space + words[first[b]].gap
        between += sum(word.room + word.space + word.gap for word in words[last[a] : first[b]])
        lack = label_width(arrow.label, arrow.score) + 2 * EDGE + STEP - between
        if ends[a] == ends[b] == 1:
            lack -= sum(w.room for w in words[first[a] : last[a]]) / 2
            lack -= sum(w.room for w in words[first[b] : last[b]]) / 2
        words[first[b]].gap = min(words[first[b]].gap + max(lack, 0.0), most)


def _length(words: list[Word]) -> float:
    total = sum(word.room + word.space + word.gap for word in words)
    return total - (words[-1].space if words else 0.0)


def _word_bounds(picture: Picture, words: list[Word]) -> tuple[list[int], list[int]]:
    """The first word of each mark, and the one after its last."""
    start = [0] * (len(picture.words) + 1)
    for i in range(len(words) - 1, -1, -1):
        start[words[i].token] = i
    start[len(picture.words)] = len(words)
    return [start[mark.start] for mark in picture.marks], [start[m.end] for m in picture.marks]


def _groups(picture: Picture, words: list[Word]) -> list[tuple[int, int]]:
    """Words that stay together: each mark, with those that overlap it."""
    first, last = _word_bounds(picture, words)
    groups: list[tuple[int, int]] = []
    done = 0
    for a, z in sorted(zip(first, last, strict=True)):
        if groups and a < done:
            groups[-1] = (groups[-1][0], max(z, done))
        else:
            groups += [(i, i + 1) for i in range(done, a)]
            groups.append((a, z))
        done = max(done, z)
    return groups + [(i, i + 1) for i in range(done, len(words))]


def _break(words: list[Word], groups: list[tuple[int, int]], room: float) -> list[list[Word]]:
    lines: list[list[Word]] = [[]]
    x = 0.0

    def put(some: list[Word]) -> None:
        nonlocal x
        length = _length(some)
        if x and x + length > room:
            lines.append([])
            x = 0.0
        lines[-1].extend(some)
        x += length + some[-1].space

    for a, z in groups:
        group = words[a:z]
        if _length(group) <= room:
            put(group)
        else:
            for word in group:
                put([word])
        if "\n" in group[-1].text and lines[-1]:
            lines.append([])
            x = 0.0
    if not lines[-1] and len(lines) > 1:
        lines.pop()
    return lines


def _place(line: list[Word], number: int, edge: float, right: float | None) -> None:
    """Set the words of a line beside each other, from the left, or up to the right."""
    numbers = in_visual_order([word.level for word in line])
    order = [line[i] for i in numbers]
    x = edge
    for place, word in enumerate(order):
        word.line, word.place = number, place
        if place:
            # Neighbours that are read one after the other have the space of the first; where
            # directions change they are not, and a space stands there if one does in reading.
            one, other = sorted(numbers[place - 1 : place + 1])
            spaces = [line[i].space for i in ((one,) if other == one + 1 else (one, other))]
            x += max(spaces)
        # The gap is in front of a word: to its right where reading goes to the left.
        x += 0.0 if word.level % 2 else word.gap
        word.x = x + (word.right if word.level % 2 else word.left)
        x += word.room + (word.gap if word.level % 2 else 0.0)
    if right is not None:
        for word in order:
            word.x += right - edge - x


def _boxes(picture: Picture, words: list[Word]) -> list[list[Box]]:
    first, last = _word_bounds(picture, words)
    boxes: list[list[Box]] = []
    for mark, (a, z) in enumerate(zip(first, last, strict=True)):
        pieces: list[Box] = []
        before = (-1, -1)
        for word in sorted(words[a:z], key=lambda w: (w.line, w.place)):
            end = word.first_x + word.room
            if before == (word.line, word.place - 1):
                pieces[-1] = pieces[-1]._replace(last=end)
            else:
                pieces.append(Box(mark, word.line, word.first_x, end))
            before = (word.line, word.place)
        boxes.append(pieces)
    return boxes
