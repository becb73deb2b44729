"""Check the hand-annotated corpus and turn it into the project's formats.

    python assets/build.py --corpus assets/corpus --output corpus/assets

writes train, dev and test, each as .jsonl and .spacy, split by document. `--check` only checks.
Every mistake is printed as file:line with its remedy, and then nothing is written.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer

from spacy_llm_tasks.corpora.checks import Schema, check_documents
from spacy_llm_tasks.corpora.files import replacing, write_docs
from spacy_llm_tasks.corpora.jsonl import record_to_doc
from spacy_llm_tasks.corpora.markup import MarkedDocument, Problem, parse_markup, to_record
from spacy_llm_tasks.corpora.report import Report

TOPICS = ("business", "technology", "sports", "health", "travel", "arts")
SCHEMA = Schema(
    topics=TOPICS,
    labels=("PERSON", "ORG", "GPE", "PRODUCT", "DATE", "MONEY"),
    relations={
        "WORKS_FOR": ("PERSON", "ORG"),
        "FOUNDED": ("PERSON", "ORG"),
        "BASED_IN": ("ORG", "GPE"),
        "LIVES_IN": ("PERSON", "GPE"),
        "MAKES": ("ORG", "PRODUCT"),
        "ACQUIRED": ("ORG", "ORG"),
        "COSTS": ("PRODUCT", "MONEY"),
    },
)
# By place in the corpus (topic by topic, then by number): of six documents four train.
SPLITS = ("train", "train", "dev", "train", "train", "test")


def load(corpus: Path) -> tuple[list[MarkedDocument], list[Problem]]:
    """Parse and check every .txt file of a folder.

    corpus (Path): The folder.
    RETURNS (tuple): The documents by topic and number, and every mistake.
    RAISES (ValueError): If the folder has no .txt file.
    """
    files = sorted(corpus.glob("*.txt"))
    if not files:
        raise ValueError(f"No .txt file in {corpus}: --corpus must name the folder of the texts.")
    documents: list[MarkedDocument] = []
    problems: list[Problem] = []
    for file in files:
        found, mistakes = parse_markup(file)
        documents.extend(found)
        problems.extend(mistakes)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    problems.extend(check_documents(documents, SCHEMA, nlp))
    return sorted(documents, key=_place), problems


def _place(document: MarkedDocument) -> tuple[int, int, str]:
    number = document.name.rpartition("-")[2]
    topic = TOPICS.index(document.topic) if document.topic in TOPICS else len(TOPICS)
    return topic, int(number) if number.isdigit() else 0, document.name


def split(documents: list[MarkedDocument]) -> dict[str, list[MarkedDocument]]:
    """Deal the documents out to train, dev and test.

    documents (list): Sorted as `load` returns them.
    RETURNS (dict): Split -> documents.
    """
    parts: dict[str, list[MarkedDocument]] = {"train": [], "dev": [], "test": []}
    for i, document in enumerate(documents):
        parts[SPLITS[i % len(SPLITS)]].append(document)
    return parts


def write(parts: dict[str, list[MarkedDocument]], output: Path) -> None:
    """Write each split as .jsonl and .spacy, after reading every fact back from the Docs.

    parts (dict): From `split`.
    output (Path): The folder to write to.
    RAISES (ValueError): If anything would be lost on the way to a Doc.
    """
    nlp = spacy.blank("en")
    for name, documents in parts.items():
        records: list[dict[str, Any]] = [to_record(item, list(TOPICS)) for item in documents]
        docs = []
        for document, record in zip(documents, records, strict=True):
            report = Report(document.path)
            doc = record_to_doc(record, nlp, report, document.line)
            if doc is None or report.unusable:
                raise ValueError(f"{document.path}:{document.line}: {dict(report.unusable)}")
            docs.append(doc)
        with replacing(output / f"{name}.jsonl") as temporary:
            lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
            temporary.write_text("".join(lines), encoding="utf-8")
        write_docs(output / f"{name}.spacy", docs)


def counts(parts: dict[str, list[MarkedDocument]]) -> str:
    """A table of what each split holds.

    parts (dict): From `split`.
    RETURNS (str): Lines to print.
    """
    columns: dict[str, Counter[str]] = {}
    for name, documents in parts.items():
        counter = columns[name] = Counter({"documents": len(documents)})
        for document in documents:
            counter[f"topic {document.topic}"] += 1
            counter.update(f"entity {entity.label}" for entity in document.entities)
            counter.update(f"relation {relation.label}" for relation in document.relations)
            counter["questions"] += len(document.questions)
            counter.update(_height(score) for score, _, _ in document.pairs)
    rows = sorted(set().union(*columns.values()), key=lambda row: (row != "documents", row))
    width = max(len(row) for row in rows)
    head = [*columns, "total"]
    lines = [" " * width + "".join(f"{name:>8}" for name in head)]
    for row in rows:
        numbers = [columns[name][row] for name in columns]
        cells = "".join(f"{number:>8,}" for number in [*numbers, sum(numbers)])
        lines.append(f"{row:<{width}}{cells}")
    return "\n".join(lines)


def _height(score: float) -> str:
    return "pairs high" if score >= 0.8 else "pairs low" if score <= 0.2 else "pairs middle"


def main(
    corpus: Annotated[Path, typer.Option(help="Folder of the annotated texts.")] = Path(
        "assets/corpus"
    ),
    output: Annotated[Path, typer.Option(help="Folder to write the splits to.")] = Path(
        "corpus/assets"
    ),
    check: Annotated[bool, typer.Option("--check", help="Check only, write nothing.")] = False,
) -> None:
    """Check the hand-annotated corpus and write train, dev and test as .jsonl and .spacy."""
    try:
        documents, problems = load(corpus)
        for problem in problems:
            typer.echo(str(problem), err=True)
        if problems:
            typer.echo(f"{len(problems)} mistakes; nothing was written.", err=True)
            raise typer.Exit(1)
        parts = split(documents)
        if not check:
            write(parts, output)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(counts(parts))
    typer.echo("All checks passed." if check else f"Wrote train, dev and test to {output}")


if __name__ == "__main__":
    typer.run(main)
