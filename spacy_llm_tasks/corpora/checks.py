"""What a hand-annotated corpus must satisfy beyond parsing, checked with file, line and remedy."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spacy.language import Language

from .markup import NO_ENTITY, MarkedDocument, Problem

_FIGURE = "0123456789"


@dataclass(frozen=True)
class Schema:
    """The rules of a corpus.

    topics, labels (Sequence[str]): What may occur.
    relations (Mapping): Relation -> (label of its head, label of its tail).
    n_questions, n_pairs (int): How many each document has.
    min_sentences, max_sentences (int): Length of a document, inclusive.
    """

    topics: Sequence[str]
    labels: Sequence[str]
    relations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    n_questions: int = 2
    n_pairs: int = 1
    min_sentences: int = 3
    max_sentences: int = 8


def check_documents(
    documents: Iterable[MarkedDocument], schema: Schema, nlp: Language
) -> Iterator[Problem]:
    """Check documents against the rules of their corpus.

    documents (Iterable[MarkedDocument]): All documents of the corpus.
    schema (Schema): The rules.
    nlp (Language): Tokenizes, and has a `sentencizer` that counts sentences.
    YIELDS (Problem): Every breach.
    """
    names: dict[str, MarkedDocument] = {}
    texts: dict[str, MarkedDocument] = {}
    for document in documents:
        problems = _Problems(document)
        other = names.setdefault(document.name, document)
        if other is not document:
            problems.add(document.line, f"{document.name} is taken by {other.path}:{other.line}")
        other = texts.setdefault(document.text, document)
        if other is not document and document.text:
            problems.add(document.line, f"same text as {other.name}: write another")
        _check_header(document, schema, problems)
        _check_entities(document, schema, problems)
        _check_relations(document, schema, problems)
        _check_extras(document, schema, problems)
        _check_repeats(document, problems)
        _check_tokens(document, schema, nlp, problems)
        yield from sorted(problems.found, key=lambda problem: problem.line)


class _Problems:
    def __init__(self, document: MarkedDocument) -> None:
        self.document = document
        self.found: list[Problem] = []

    def add(self, line: int, message: str) -> None:
        self.found.append(Problem(self.document.path, line, message))


def _check_header(document: MarkedDocument, schema: Schema, problems: _Problems) -> None:
    topic, _, number = document.name.rpartition("-")
    if not number.isdigit() or not topic:
        problems.add(document.line, f"name {document.name!r}: write <topic>-<number>")
    if document.topic not in schema.topics:
        expected = ", ".join(schema.topics)
        found = f"topic {document.topic!r}" if document.topic else "no topic"
        problems.add(document.line, f"{found}: write 'topic: ' and one of {expected}")
    elif topic != document.topic:
        problems.add(document.line, f"name {document.name!r} but topic {document.topic!r}")


def _check_entities(document: MarkedDocument, schema: Schema, problems: _Problems) -> None:
    for entity in document.entities:
        if entity.label not in schema.labels and entity.label != NO_ENTITY:
            surface = document.text[entity.start : entity.end]
            expected = ", ".join(schema.labels)
            problems.add(
                entity.line, f"[{surface}|{entity.label}]: the label is none of {expected}"
            )


def _check_relations(document: MarkedDocument, schema: Schema, problems: _Problems) -> None:
    seen: set[tuple[int, str, int]] = set()
    for relation in document.relations:
        if schema.relations and relation.label not in schema.relations:
            expected = ", ".join(schema.relations)
            problems.add(relation.line, f"relation {relation.label!r} is none of {expected}")
            continue
        if (key := (relation.head, relation.label, relation.tail)) in seen:
            problems.add(relation.line, "the same relation is given twice: remove one")
        seen.add(key)
        if relation.head == relation.tail:
            problems.add(relation.line, "an entity is related to itself: use another id")
        if relation.label not in schema.relations:
            continue
        for role, number, label in zip(
            ("head", "tail"),
            (relation.head, relation.tail),
            schema.relations[relation.label],
            strict=True,
        ):
            entity = document.by_id(number)
            if entity is not None and entity.label != label:
                message = f"{role} #{number} of {relation.label} is {entity.label}, must be {label}"
                problems.add(relation.line, message)


def _check_extras(document: MarkedDocument, schema: Schema, problems: _Problems) -> None:
    for name, found, wanted in (
        ("question (@q)", len(document.questions), schema.n_questions),
        ("pair (@pair)", len(document.pairs), schema.n_pairs),
    ):
        if found != wanted:
            problems.add(document.line, f"{document.name} has {found} x {name}, must have {wanted}")
    asked = [question.question for question in document.questions]
    for question in document.questions:
        if asked.count(question.question) > 1:
            problems.add(question.line, "the same question is asked twice: ask another")
        if not question.question.endswith(("?", "？")):
            problems.add(question.line, "question without a question mark at its end")
    for score, sentence, line in document.pairs:
        if not 0.0 <= score <= 1.0:
            problems.add(line, f"score {score} of the pair: write a number from 0 to 1")
        if sentence in document.text:
            problems.add(line, "the pair's sentence stands in the text: write a new one")


def _check_repeats(document: MarkedDocument, problems: _Problems) -> None:
    """Every further mention of a marked surface must be marked too."""
    marked = [False] * len(document.text)
    for entity in document.entities:
        marked[entity.start : entity.end] = [True] * (entity.end - entity.start)
    reported: set[int] = set()
    surfaces = {
        document.text[entity.start : entity.end]: entity.label
        for entity in document.entities
        if entity.label != NO_ENTITY
    }
    for surface in sorted(surfaces, key=len, reverse=True):
        for start in _mentions(document.text, surface):
            taken = any(marked[start : start + len(surface)])
            if not taken and start not in reported:
                reported.add(start)
                label = surfaces[surface]
                message = (
                    f"{surface!r} is marked {label} elsewhere in {document.name} but not here: "
                    f"mark it [{surface}|{label}], or [{surface}|{NO_ENTITY}] if it is on purpose "
                    "no entity here"
                )
                problems.add(document.line_of(start), message)


def _mentions(text: str, surface: str) -> Iterator[int]:
    """Where a surface stands as whole words. "5" does not stand in "5,000" or "3.5"."""
    for match in re.finditer(re.escape(surface), text):
        before, after = text[: match.start()][-2:], text[match.end() :][:2]
        if before and _is_word(before[-1]) and _is_word(surface[0]):
            continue
        if after and _is_word(after[0]) and _is_word(surface[-1]):
            continue
        if surface[-1] in _FIGURE and after[:1] in (".", ",") and after[1:] in tuple(_FIGURE):
            continue
        if surface[0] in _FIGURE and before[-1:] in (".", ",") and before[:1] in tuple(_FIGURE):
            continue
        yield match.start()


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _check_tokens(
    document: MarkedDocument, schema: Schema, nlp: Language, problems: _Problems
) -> None:
    if not document.text:
        return
    doc = nlp(document.text)
    for entity in document.entities:
        if entity.label != NO_ENTITY and doc.char_span(entity.start, entity.end) is None:
            surface = document.text[entity.start : entity.end]
            message = f"[{surface}|{entity.label}] is no whole number of spaCy's tokens"
            problems.add(entity.line, f"{message}: set it apart from its neighbours or reword")
    # Chats and letters end lines without a full stop, so a line break may end a sentence as well:
    # too short is what is short counting those too, too long what is long without them.
    few = [sent for sent in doc.sents if any(token.is_alpha for token in sent)]
    many = [part for sent in few for part in sent.text.split("\n") if any(map(str.isalpha, part))]
    if len(many) < schema.min_sentences or len(few) > schema.max_sentences:
        n = len(many) if len(many) < schema.min_sentences else len(few)
        wanted = f"{schema.min_sentences} to {schema.max_sentences}"
        message = f"{document.name} has {n} sentences, must have {wanted}"
        problems.add(document.text_lines[0][1], message)
