"""`render`: documents as pictures, entities in colour and relations as arcs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._run import friendly

if TYPE_CHECKING:
    from spacy.tokens import Doc

FORMATS = ("html", "svg")


@friendly()
def command(
    input: Annotated[Path, typer.Argument(help="Documents to draw: name.spacy or name.jsonl.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write here, name.html or name.svg, not to the terminal."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="html (a page with a legend), svg (one picture), or auto: by the name of the "
            "output, html without one.",
        ),
    ] = "auto",
    limit: Annotated[int, typer.Option(help="Draw the first so many documents; 0 for all.")] = 20,
    width: Annotated[int, typer.Option(help="Width in pixels, 240 or more.")] = 960,
    title: Annotated[str, typer.Option(help="Heading of the page; the file's name.")] = "",
    lang: Annotated[
        str, typer.Option(help="jsonl: language of the tokenizer, a code of spaCy.")
    ] = "en",
    spans_key: Annotated[
        str, typer.Option(help="Draw the spans of doc.spans[KEY] too, where they may overlap.")
    ] = "",
) -> None:
    """Draw the entities of documents, and the relations between them as arcs.

        render corpus/dev.spacy --output dev.html

        render corpus/dev.spacy --output first.svg --limit 1

    Entities stand on a bar in the colour of their label. An arc goes from the head of a relation to
    its tail, with the label on it; between entities on different lines it goes to the edge of the
    one and comes from the edge of the other. What a pipeline was less sure of has a dashed line and
    its score. Pointing at an arc or an entity shows all of its text.

    To look at what a trained pipeline finds, save its documents first:

        DocBin(docs=nlp.pipe(texts), store_user_data=True).to_disk("found.spacy")
    """
    from ..errors import Errors
    from ..files import require_writable, write_text
    from ..render import page, relations

    if format == "auto":
        format = "svg" if output is not None and output.suffix.lower() == ".svg" else "html"
    if format not in FORMATS:
        names = ("auto", *FORMATS)
        raise ValueError(Errors.E313.format(name="--format", expected=names, found=format))
    if limit < 0 or width < 240:
        found, expected = f"--limit {limit} --width {width}", "--limit 0 or more, --width 240 up"
        raise ValueError(Errors.E313.format(name="the size", expected=expected, found=found))
    require_writable(output)
    docs = _read(input, lang=lang, limit=limit)
    if format == "svg":
        text = relations(docs, width=width, spans_key=spans_key) + "\n"
    else:
        text = page(docs, title=title or input.name, width=width, spans_key=spans_key)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_text(output, text)
    typer.echo(f"Drew {len(docs):,} documents in {output}")


def _read(path: Path, *, lang: str, limit: int) -> "list[Doc]":
    from itertools import islice

    from ..corpora.files import read_docs
    from ..corpora.formats import blank
    from ..corpora.jsonl import read_jsonl
    from ..corpora.report import Report
    from ..errors import Errors

    if path.suffix not in (".spacy", ".jsonl"):
        raise ValueError(Errors.E437.format(path=path))
    nlp, report = blank(lang), Report(path)
    found = read_docs(path, nlp.vocab) if path.suffix == ".spacy" else read_jsonl(path, nlp, report)
    docs = list(islice(found, limit or None))
    if not docs:
        raise ValueError(Errors.E517.format(path=path))
    for reason, n in report.unusable.items():
        typer.echo(f"Left out: {n} x {reason}, first {report.places[reason][0]}", err=True)
    return docs
