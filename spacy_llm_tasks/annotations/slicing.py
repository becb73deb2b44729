"""Cut a Doc out of a larger one, with what is stored on it."""

from spacy.tokens import Doc, Span

from .confidence import CONFIDENCE
from .pairs import get_pair, set_pair
from .questions import GoldAnswer, get_questions, has_questions, set_questions
from .relations import RELATIONS, has_relations
from .store import load, store


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
            for row in load(source, RELATIONS, ())
            if first <= min(row[0], row[3]) and max(row[1], row[4]) <= last
        ]
        store(doc, RELATIONS, rows)
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
    for key, score in load(source, CONFIDENCE, {}).items():
        start, end, label = key.split(":", 2)
        if first <= int(start) and int(end) <= last:
            table[f"{int(start) - first}:{int(end) - first}:{label}"] = score
    if table:
        store(doc, CONFIDENCE, table)
    return doc
