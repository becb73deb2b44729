"""Where the tasks keep what they find on a `Doc`, and how it is read back as rich objects.

spaCy has homes for entities (`doc.ents`), spans and categories. For relations, questions, a
paired sentence and span confidences we keep plain lists, strings and numbers in `doc.user_data`
under string keys, and install *getter* extensions (`doc._.relations`, `span._.confidence`, ...)
that build objects when asked. So the values survive `Doc.to_bytes`,
`DocBin(store_user_data=True)`, pickle and `nlp.pipe(n_process=2)`, which dataclasses, `Span`
objects or tuple keys do not.

Everything is placed by character offsets into `doc.text`, so that it stands whatever becomes of
the tokens:

- Retokenizing keeps it; a relation whose argument no longer falls on token boundaries is an error
  when it is read.
- `span.as_doc()` and `Doc.from_docs` leave it out (the latter with spaCy's warning W102).
  `as_doc(copy_user_data=True)` copies it with offsets that are no longer true: every stored value
  carries the length of its text, and reading it from a Doc of another length is an error.
  `slice_doc(span)` cuts a Doc and re-bases what lies inside.
- Absent and empty differ: `has_relations(doc)` is true for a document that was annotated and has
  no relation, false for one that nobody looked at.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

from .errors import Errors, Warnings

RELATIONS = "spacy_llm_tasks.relations"
QUESTIONS = "spacy_llm_tasks.questions"
PAIR = "spacy_llm_tasks.pair"
CONFIDENCE = "spacy_llm_tasks.confidence"


class Relation(NamedTuple):
    """A directed relation between two spans of one Doc.

    head (Span): Where the relation starts, with its entity label.
    tail (Span): Where it points.
    label (str): The relation, such as "WORKS_FOR".
    score (float): Confidence between 0 and 1; 1.0 for gold.
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0


class GoldAnswer(NamedTuple):
    """One accepted answer: its `text` and the character `start` where it stands in the Doc."""

    text: str
    start: int


class Question(NamedTuple):
    """A question about a Doc with its accepted answers.

    id (str): Name of the question, unique within its corpus.
    question (str): The question itself.
    answers (tuple[GoldAnswer, ...]): Accepted answers; empty when the text does not answer it.
    """

    id: str
    question: str
    answers: tuple[GoldAnswer, ...] = ()


class Pair(NamedTuple):
    """A sentence to compare the whole Doc with.

    text (str): The other sentence.
    score (float): Similarity between 0 and 1.
    """

    text: str
    score: float


# ------------------------------------------------------------------------------ relations


def set_relations(doc: Doc, relations: Iterable[Relation | Sequence[Any]]) -> None:
    """Store the relations of a Doc, replacing those it had.

    doc (Doc): The Doc.
    relations (Iterable[Relation]): `Relation`s, or (head, tail, label[, score]) sequences.
    RAISES (ValueError): If a span is of another Doc or a score is not between 0 and 1.
    """
    rows: list[list[Any]] = []
    for item in relations:
        head, tail, label, score = _relation_parts(item)
        for name, span in (("head", head), ("tail", tail)):
            if span.doc is not doc:
                raise ValueError(Errors.E302.format(what=name))
        rows.append([*_place(head), *_place(tail), label, _checked_score(score, label)])
    _store(doc, RELATIONS, rows)


def get_relations(doc: Doc) -> list[Relation]:
    """The relations of a Doc, in the order they were set.

    doc (Doc): The Doc.
    RETURNS (list[Relation]): Empty also when nothing was annotated: see `has_relations`.
    RAISES (ValueError): If the stored offsets do not fit this Doc's text or tokens.
    """
    return [
        Relation(
            _span_at(doc, head_start, head_end, head_label),
            _span_at(doc, tail_start, tail_end, tail_label),
            label,
            float(score),
        )
        for (
            head_start,
            head_end,
            head_label,
            tail_start,
            tail_end,
            tail_label,
            label,
            score,
        ) in _load(doc, RELATIONS, ())
    ]


def has_relations(doc: Doc) -> bool:
    """Whether relations were annotated or predicted on this Doc, be it none."""
    return RELATIONS in doc.user_data


def clear_relations(doc: Doc) -> None:
    """Make the Doc un-annotated for relations again."""
    doc.user_data.pop(RELATIONS, None)


# ------------------------------------------------------------------------------ questions


def set_questions(doc: Doc, questions: Iterable[Question | Sequence[Any]]) -> None:
    """Store the gold questions of a Doc, replacing those it had.

    doc (Doc): The Doc.
    questions (Iterable[Question]): Questions. Answers are placed by their start character; that
        their text stands there is the reader's business (the form allows normalised answers).
    """
    rows: list[list[Any]] = []
    for item in questions:
        if not isinstance(item, Sequence) or isinstance(item, str) or not 2 <= len(item) <= 3:
            raise ValueError(
                Errors.E304.format(
                    what="A question",
                    expected="Question(id, question, answers)",
                    found=item,
                    function="set_questions",
                )
            )
        question = Question(*item)
        answers = [[str(text), int(start)] for text, start in question.answers]
        rows.append([str(question.id), str(question.question), answers])
    _store(doc, QUESTIONS, rows)


def get_questions(doc: Doc) -> list[Question]:
    """The gold questions of a Doc; empty also when none were annotated: see `has_questions`."""
    return [
        Question(name, text, tuple(GoldAnswer(answer, start) for answer, start in answers))
        for name, text, answers in _load(doc, QUESTIONS, ())
    ]


def has_questions(doc: Doc) -> bool:
    """Whether questions were annotated on this Doc, be it none."""
    return QUESTIONS in doc.user_data


# ------------------------------------------------------------------------------ pair


def set_pair(doc: Doc, pair: Pair | Sequence[Any] | None) -> None:
    """Store the sentence that the Doc is compared with; None removes it.

    doc (Doc): The Doc.
    pair (Pair): (text, score) with a score between 0 and 1.
    """
    if pair is None:
        doc.user_data.pop(PAIR, None)
        return
    text, score = pair
    _store(doc, PAIR, [str(text), _checked_score(score, text)])


def get_pair(doc: Doc) -> Pair | None:
    """The sentence that the Doc is compared with, or None when there is none."""
    stored = _load(doc, PAIR, None)
    return None if stored is None else Pair(stored[0], float(stored[1]))


# ------------------------------------------------------------------------------ confidence


def set_confidences(
    doc: Doc, spans: Sequence[Span], scores: Sequence[float], *, keep: bool = False
) -> None:
    """Store how sure the model is of each span; read back as `span._.confidence`.

    doc (Doc): The Doc.
    spans (Sequence[Span]): Labelled spans of the Doc.
    scores (Sequence[float]): One confidence between 0 and 1 per span.
    keep (bool): Keep what other components stored for other spans.
    """
    if len(spans) != len(scores):
        raise ValueError(Errors.E305.format(n_spans=len(spans), n_scores=len(scores)))
    table = dict(_load(doc, CONFIDENCE, {})) if keep else {}
    for span, score in zip(spans, scores, strict=True):
        table[_confidence_key(span)] = _checked_score(score, span.text)
    _store(doc, CONFIDENCE, table)


def get_confidence(span: Span) -> float | None:
    """The stored confidence of exactly this span (boundaries and label), or None."""
    return _load(span.doc, CONFIDENCE, {}).get(_confidence_key(span))


# ------------------------------------------------------------------------------ slicing


def slice_doc(span: Span) -> Doc:
    """Cut a Doc out of a larger one, with every annotation that lies wholly inside.

    Entities and tokens as in spaCy's `span.as_doc()`, plus categories (which describe the whole
    text and are taken over unchanged), relations with both arguments inside, answers inside
    (a question whose answers all lie outside is left out: here it would read as unanswerable)
    and confidences. The pair belongs to the whole document and is left out unless the span is it.

    span (Span): The part to cut.
    RETURNS (Doc): A new Doc.
    """
    source = span.doc
    doc = span.as_doc()
    doc.cats = dict(source.cats)
    first, last = span.start_char, span.end_char
    if has_relations(source):
        rows = [
            [row[0] - first, row[1] - first, row[2], row[3] - first, row[4] - first, *row[5:]]
            for row in _load(source, RELATIONS, ())
            if first <= min(row[0], row[3]) and max(row[1], row[4]) <= last
        ]
        _store(doc, RELATIONS, rows)
    if has_questions(source):
        kept = []
        for question in get_questions(source):
            inside = tuple(
                GoldAnswer(answer.text, answer.start - first)
                for answer in question.answers
                if first <= answer.start and answer.start + len(answer.text) <= last
            )
            if inside or not question.answers:
                kept.append(question._replace(answers=inside))
        set_questions(doc, kept)
    if len(span) == len(source):
        set_pair(doc, get_pair(source))
    table = {}
    for key, score in _load(source, CONFIDENCE, {}).items():
        start, end, label = key.split(":", 2)
        if first <= int(start) and int(end) <= last:
            table[f"{int(start) - first}:{int(end) - first}:{label}"] = score
    if table:
        _store(doc, CONFIDENCE, table)
    return doc


# ------------------------------------------------------------------------------ extensions


def install_extensions() -> None:
    """Install `doc._.relations`, `doc._.questions`, `doc._.pair` and `span._.confidence`.

    Runs once on import and may be called again. A name that another package has taken is left to
    it, with a warning: the functions of this module work all the same.
    """
    _install(Doc, "relations", get_relations, set_relations)
    _install(Doc, "questions", get_questions, set_questions)
    _install(Doc, "pair", get_pair, set_pair)
    _install(Span, "confidence", get_confidence, None)


def _install(owner: Any, name: str, getter: Callable, setter: Callable | None) -> None:
    if not owner.has_extension(name):
        owner.set_extension(name, getter=getter, setter=setter)
        return
    found = owner.get_extension(name)[2]
    # By name, not identity: the module may have been reloaded.
    if getattr(found, "__module__", None) != __name__:
        warnings.warn(Warnings.W300.format(owner=owner.__name__, name=name), stacklevel=3)


# ------------------------------------------------------------------------------ plumbing


def n_characters(doc: Doc) -> int:
    """Length of `doc.text` in characters, without building it."""
    if not len(doc):
        return 0
    last = doc[len(doc) - 1]
    return last.idx + len(last.text_with_ws)


def _store(doc: Doc, key: str, value: Any) -> None:
    doc.user_data[key] = [n_characters(doc), value]


def _load(doc: Doc, key: str, default: Any) -> Any:
    stored = doc.user_data.get(key)
    if stored is None:
        return default
    expected, value = stored
    found = n_characters(doc)
    if found != expected:
        what = key.rpartition(".")[2]
        raise ValueError(Errors.E300.format(what=what, expected=expected, found=found, key=key))
    return value


def _place(span: Span) -> list[Any]:
    return [span.start_char, span.end_char, span.label_]


def _span_at(doc: Doc, start: int, end: int, label: str) -> Span:
    span = doc.char_span(start, end, label=label)
    if span is None:
        text = doc.text[start:end]
        raise ValueError(Errors.E301.format(text=text, start=start, end=end))
    return span


def _confidence_key(span: Span) -> str:
    return f"{span.start_char}:{span.end_char}:{span.label_}"


def _checked_score(score: Any, owner: str) -> float:
    try:
        value = float(score)
    except (TypeError, ValueError):
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError(Errors.E303.format(what="score", found=owner))
    return value


def _relation_parts(item: Relation | Sequence[Any]) -> tuple[Span, Span, str, Any]:
    parts = tuple(item) if isinstance(item, Sequence) and not isinstance(item, str) else ()
    if len(parts) == 3:
        parts = (*parts, 1.0)
    if len(parts) != 4 or not isinstance(parts[0], Span) or not isinstance(parts[1], Span):
        raise ValueError(
            Errors.E304.format(
                what="A relation",
                expected="Relation(head, tail, label, score)",
                found=item,
                function="set_relations",
            )
        )
    head, tail, label, score = parts
    return head, tail, str(label), score


install_extensions()
