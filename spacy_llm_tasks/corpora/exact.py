"""Docs that keep a text to the character, and entities placed in them by characters.

Annotators mark what they like, also a part of what is one token here: "moss" in "mossland". Such a
token is cut, so that every entity comes out exactly as it was annotated, and each cut is counted.
(To keep the tokenizer's own tokens instead, convert to JSONL, which stores characters, and convert
that with `--align`.) `doc.ents` holds no overlapping entities: of those that overlap the longest is
kept, the earlier of two that are equally long, and the others are counted.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spacy.language import Language
from spacy.tokens import Doc, Span

from .report import Report


@dataclass(frozen=True)
class Mark:
    """An entity at characters [start, end) of a text.

    start (int): Its first character.
    end (int): The character after its last.
    label (str): Its label.
    line (int): Line of the file, for the report.
    """

    start: int
    end: int
    label: str
    line: int


def exact_doc(nlp: Language, text: str, report: Report, line: int) -> Doc | None:
    """Tokenize a text, making sure that the Doc holds exactly this text.

    nlp (Language): Its tokenizer is used.
    text (str): The text.
    report (Report): Takes a text that cannot be used.
    line (int): Line of the file, for the report.
    RETURNS (Doc): The Doc, or None for an empty text, one that is no Unicode (half a surrogate
        pair, from a broken escape in JSON) and one that the tokenizer changes.
    """
    if not text.strip():
        report.reject("empty text", line)
        return None
    if not is_unicode(text):
        report.reject("text with half a surrogate pair", line, ascii(text))
        return None
    doc = tokenize(nlp, text)
    if doc.text != text:
        report.reject("text that the tokenizer changes (choose another --lang)", line, text)
        return None
    return doc


def tokenize(nlp: Language, text: str) -> Doc:
    """A Doc of a text of any length.

    `nlp.make_doc` refuses more than `nlp.max_length` characters, to spare the memory of spaCy's own
    parser and entity recognizer. A tokenizer needs no such limit.

    nlp (Language): Its tokenizer is used.
    text (str): The text.
    RETURNS (Doc): The tokens.
    """
    doc: Doc = nlp.tokenizer(text)
    return doc


def is_unicode(text: str) -> bool:
    """Whether a text can be stored: JSON's escapes may leave half a surrogate pair in it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def set_marks(doc: Doc, marks: Sequence[Mark], report: Report) -> tuple[Doc, list[Span | None]]:
    """Make entities of marked characters; all other tokens are marked outside.

    doc (Doc): A Doc without annotation.
    marks (Sequence[Mark]): The entities, in any order.
    report (Report): Takes marks that are unusable, and cut tokens.
    RETURNS (tuple): The Doc, which is another one where tokens had to be cut, and the entity of
        each mark; None for those that could not be kept. A mark that says the same as another one
        shares its entity.
    """
    text = doc.text
    chosen: list[Mark | None] = [_trimmed(mark, text, report) for mark in marks]
    _drop_overlaps(chosen, text, report)
    doc = _cut(doc, [mark for mark in chosen if mark is not None], report)
    spans: dict[tuple[int, int], Span] = {}
    found: list[Span | None] = []
    for mark in chosen:
        span: Span | None = None
        if mark is not None:
            span = spans.get((mark.start, mark.end))
            if span is None:
                span = doc.char_span(mark.start, mark.end, label=mark.label)
        if mark is not None and span is not None:
            spans[mark.start, mark.end] = span
        found.append(span)
    doc.set_ents(list(spans.values()), default="outside")
    return doc, found


def shown(mark: Mark, text: str) -> str:
    """RETURNS (str): A mark as the report's places show it."""
    return f"{mark.label} {text[mark.start : mark.end]!r} at {mark.start}-{mark.end}"


def _trimmed(mark: Mark, text: str, report: Report) -> Mark | None:
    """The mark without white space at its ends, which spaCy's entities must not have."""
    if not 0 <= mark.start < mark.end <= len(text):
        report.reject("entity outside the text or empty", mark.line, shown(mark, text))
        return None
    surface = text[mark.start : mark.end]
    start = mark.start + len(surface) - len(surface.lstrip())
    end = mark.end - len(surface) + len(surface.rstrip())
    if start >= end:
        report.reject("entity of white space", mark.line, shown(mark, text))
        return None
    if (start, end) == (mark.start, mark.end):
        return mark
    report.repair("entity with white space at its ends (trimmed)", mark.line, shown(mark, text))
    return replace(mark, start=start, end=end)


def _drop_overlaps(chosen: list[Mark | None], text: str, report: Report) -> None:
    taken = bytearray(len(text))
    kept: set[tuple[int, int, str]] = set()
    usable = [(i, mark) for i, mark in enumerate(chosen) if mark is not None]
    usable.sort(key=lambda item: (item[1].start - item[1].end, item[1].start, item[0]))
    for i, mark in usable:
        if (mark.start, mark.end, mark.label) in kept:
            report.repair("entity annotated twice (kept once)", mark.line, shown(mark, text))
        elif any(taken[mark.start : mark.end]):
            reason = "entity that overlaps a longer or earlier one"
            report.reject(reason, mark.line, shown(mark, text))
            chosen[i] = None
        else:
            kept.add((mark.start, mark.end, mark.label))
            taken[mark.start : mark.end] = b"\1" * (mark.end - mark.start)


def _cut(doc: Doc, marks: Sequence[Mark], report: Report) -> Doc:
    """A Doc in which every mark's ends are token boundaries; the same Doc if they are already."""
    lines = {edge: mark.line for mark in marks for edge in (mark.start, mark.end)}
    edges = sorted(lines)
    words: list[str] = []
    spaces: list[bool] = []
    for token in doc:
        first, last = token.idx, token.idx + len(token)
        inner = edges[bisect_right(edges, first) : bisect_left(edges, last)]
        if inner:
            report.repair("token cut where an entity begins or ends", lines[inner[0]], token.text)
        bounds = [first, *inner, last]
        for start, end in zip(bounds, bounds[1:], strict=False):
            words.append(token.text[start - first : end - first])
            spaces.append(end == last and bool(token.whitespace_))
    return doc if len(words) == len(doc) else Doc(doc.vocab, words=words, spaces=spaces)
