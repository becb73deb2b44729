"""What a set of Docs is annotated with, counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from spacy.tokens import Doc

from .. import annotations
from .report import Report


@dataclass
class Summary:
    """Counts over Docs. `annotated_*` count Docs that carry the annotation, be it an empty one."""

    documents: int = 0
    tokens: int = 0
    annotated_ents: int = 0
    annotated_relations: int = 0
    annotated_questions: int = 0
    ents: Counter[str] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    cats: Counter[str] = field(default_factory=Counter)
    documents_with_cats: int = 0
    relations: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    answers: int = 0
    unanswerable: int = 0
    pairs: int = 0
    negatives: int = 0


def summarize(docs: Iterable[Doc]) -> Summary:
    """Count what Docs are annotated with.

    docs (Iterable[Doc]): The Docs.
    RETURNS (Summary): The counts. A category counts where its value is 0.5 or more.
    """
    counts = Summary()
    for doc in docs:
        counts.documents += 1
        counts.tokens += len(doc)
        counts.annotated_ents += doc.has_annotation("ENT_IOB")
        counts.ents.update(ent.label_ for ent in doc.ents)
        for key, group in doc.spans.items():
            counts.spans.update(f"{key}: {span.label_}" for span in group)
        counts.documents_with_cats += bool(doc.cats)
        counts.cats.update({label: 0 for label in doc.cats})
        counts.cats.update(label for label, score in doc.cats.items() if score >= 0.5)
        if annotations.has_relations(doc):
            counts.annotated_relations += 1
            counts.relations.update(relation.label for relation in annotations.get_relations(doc))
        if annotations.has_questions(doc):
            counts.annotated_questions += 1
            for question in annotations.get_questions(doc):
                counts.questions += 1
                counts.answers += len(question.answers)
                counts.unanswerable += not question.answers
        pair = annotations.get_pair(doc)
        if pair is not None:
            counts.pairs += 1
            counts.negatives += len(pair.negatives)
    return counts


def as_text(counts: Summary, report: Report) -> str:
    """A plain table of the counts and of what could not be used, with its places.

    counts (Summary): From `summarize`.
    report (Report): From the reader.
    RETURNS (str): Lines to print.
    """
    rows: list[tuple[str, str, str]] = [("documents", "", f"{counts.documents:,}")]
    rows.append(("tokens", "", f"{counts.tokens:,}"))

    def table(name: str, counter: Counter[str], annotated: int) -> None:
        if annotated:
            rows.append((name, "documents annotated", f"{annotated:,}"))
            rows.extend(("", label, f"{n:,}") for label, n in counter.most_common())

    table("entities", counts.ents, counts.annotated_ents)
    table("spans", counts.spans, len(counts.spans))
    table("categories", counts.cats, counts.documents_with_cats)
    table("relations", counts.relations, counts.annotated_relations)
    if counts.annotated_questions:
        rows.append(("questions", "documents annotated", f"{counts.annotated_questions:,}"))
        rows.append(("", "questions", f"{counts.questions:,}"))
        rows.append(("", "without an answer", f"{counts.unanswerable:,}"))
        rows.append(("", "answers", f"{counts.answers:,}"))
    if counts.pairs:
        rows.append(("pairs", "", f"{counts.pairs:,}"))
        if counts.negatives:
            rows.append(("", "negatives", f"{counts.negatives:,}"))
    rows.extend(("skipped", kind, f"{n:,}") for kind, n in report.skipped.most_common())
    rows.extend(("repaired", kind, f"{n:,}") for kind, n in report.repaired.most_common())
    rows.extend(("unusable", reason, f"{n:,}") for reason, n in report.unusable.most_common())
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {what:<{widths[1]}}  {number:>{widths[2]}}".rstrip()
        for name, what, number in rows
    ]
    total = report.unusable + report.repaired
    for reason, places in report.places.items():
        lines.append("")
        more = f" (first {len(places)} of {total[reason]:,})" if total[reason] > len(places) else ""
        lines.append(f"{reason}{more}:")
        lines.extend(f"  {place}" for place in places)
    return "\n".join(lines)
