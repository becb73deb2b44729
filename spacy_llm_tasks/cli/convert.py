"""`convert`: public formats to `.spacy` or JSONL, counting everything that was not usable."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Errors
from ..files import require_writable
from ._run import friendly

if TYPE_CHECKING:
    from spacy.tokens import Doc

    from ..corpora.report import Report

# Formats that are read from folders too, and the files that these have.
FOLDERS = {"brat": "*.ann", "markup": "*.txt"}


@friendly()
def command(
    input: Annotated[Path, typer.Argument(help="File to read; for markup and brat also a folder.")],
    output: Annotated[Path, typer.Argument(help="File to write: name.spacy or name.jsonl.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="columns (a token and its tag a line), labels (a text and its label a line), "
            "semeval2010, conll04, tool-jsonl, brat (relations), squad (questions), pairs "
            "(sentence pairs), jsonl, markup, spacy, or auto: by the layout and the name.",
        ),
    ] = "auto",
    lang: Annotated[
        str, typer.Option(help="Language of the tokenizer: a code of spaCy, as en or zh.")
    ] = "en",
    encoding: Annotated[str, typer.Option(help="Encoding of the input.")] = "utf-8",
    scheme: Annotated[
        str,
        typer.Option(help="columns: bio, iob1, bioes, bilou, bmes, io, or auto (from all tags)."),
    ] = "auto",
    separator: Annotated[
        str, typer.Option(help="columns: tab or space; labels: tab, comma or space; or auto.")
    ] = "auto",
    token_column: Annotated[
        int, typer.Option(help="columns: where the token stands; -1 is the last column.")
    ] = 0,
    tag_column: Annotated[int, typer.Option(help="columns: where the tag stands.")] = -1,
    spaces: Annotated[
        str,
        typer.Option(
            help="columns: single puts a space after every token; none puts none, for files of "
            "Chinese or Japanese characters."
        ),
    ] = "single",
    group: Annotated[
        int,
        typer.Option(
            help="columns: sentences per document; 0 for whole documents (-DOCSTART- lines)."
        ),
    ] = 1,
    comment: Annotated[str, typer.Option(help="columns: skip lines that start with this.")] = "",
    order: Annotated[
        str,
        typer.Option(
            help="labels: label-text, text-label, or auto: the label is the column with fewer "
            "different values."
        ),
    ] = "auto",
    header: Annotated[str, typer.Option(help="labels, pairs: yes, no or auto.")] = "auto",
    text_column: Annotated[
        str, typer.Option(help="labels: position or header name of the text, with --label-column.")
    ] = "",
    label_column: Annotated[
        str, typer.Option(help="labels: position or header name of the label.")
    ] = "",
    label_separator: Annotated[
        str,
        typer.Option(help="labels: cut the label cell into several labels here (multi-label)."),
    ] = "",
    labels: Annotated[
        str,
        typer.Option(
            help="labels: what raw labels mean, as 0=negative,1=positive. Names every label: also "
            "those of which this file has no example."
        ),
    ] = "",
    align: Annotated[
        str,
        typer.Option(
            help="jsonl: an entity off the token boundaries is left out (strict), or moved out to "
            "(expand) or in to (contract) the next ones."
        ),
    ] = "strict",
    spans_key: Annotated[
        str,
        typer.Option(help="jsonl: entities go to doc.spans[KEY], where they may overlap."),
    ] = "",
    first_column: Annotated[
        str,
        typer.Option(
            help="pairs: position (from 0) or header name of the first sentence, with "
            "--second-column. Not needed for the layout of the STS benchmark, a header that says "
            "sentence1 and sentence2, or files of two or three columns."
        ),
    ] = "",
    second_column: Annotated[
        str, typer.Option(help="pairs: position or header name of the second sentence.")
    ] = "",
    score_column: Annotated[
        str,
        typer.Option(
            help="pairs: position or header name of the score; without one, pairs belong together "
            "(score 1)."
        ),
    ] = "",
    score_max: Annotated[
        float,
        typer.Option(
            help="pairs: the score of sentences that mean the same; scores are divided by it. 0: "
            "5 in the layout of the STS benchmark, else 1 if no score is higher."
        ),
    ] = 0.0,
    limit: Annotated[int, typer.Option(help="Stop after so many documents; 0 for all.")] = 0,
    hold_out: Annotated[
        Path | None,
        typer.Option(
            help="Write every --every-th document (the first included) to this file. In a set "
            "that numbers its examples (semeval2010) those whose number --every divides."
        ),
    ] = None,
    every: Annotated[int, typer.Option(help="See --hold-out.")] = 10,
) -> None:
    """Convert a data set to what training reads, and count what could not be used.

    A file of tokens and tags (CoNLL and the like), of labelled texts (TSV, CSV), of relations, of
    questions, of sentence pairs, of hand-written markup, or the project's JSONL becomes a .spacy
    file, and a .spacy file becomes JSONL:

        convert train.conll corpus/train.spacy

        convert sentiment.tsv corpus/train.spacy --labels 0=negative,1=positive

        convert resume.bmes corpus/train.spacy --lang zh --spaces none

        convert TRAIN_FILE.TXT corpus/train.spacy --hold-out corpus/dev.spacy --every 10

        convert annotated-with-brat/ corpus/train.spacy

        convert squad.json corpus/train.spacy

        convert sick.tsv corpus/train.spacy --format pairs --first-column sentence_A
        --second-column sentence_B --score-column relatedness_score --score-max 5

        convert corpus/train.spacy train.jsonl

    Ill-formed tags, entities that do not fit the tokens, texts without labels, answers that are not
    where they should be: everything that was repaired or left out is counted by kind, with the
    first places as file:line.
    """
    from ..corpora.files import replacing
    from ..corpora.formats import Options, read_any
    from ..corpora.hold_out import split_docs
    from ..corpora.report import Report
    from ..corpora.summary import as_text, summarize

    outputs = [output, hold_out] if hold_out is not None else [output]
    for path in outputs:
        if path.suffix not in (".spacy", ".jsonl"):
            raise ValueError(Errors.E319.format(path=path, expected=".spacy or .jsonl"))
    require_writable(*outputs)
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise ValueError(Errors.E533.format(path=output))
    if every < 2 or limit < 0:
        found = f"--every {every} --limit {limit}"
        expected = "--every 2 or more, --limit 0 or more"
        raise ValueError(Errors.E313.format(name="the count", expected=expected, found=found))
    _check_folder(input, format)
    report = Report(input)
    options = Options(
        format=format,
        lang=lang,
        encoding=encoding,
        scheme=scheme,
        separator=separator,
        token_column=token_column,
        tag_column=tag_column,
        spaces=spaces,
        group=group,
        comment=comment,
        order=order,
        header=header,
        text_column=text_column,
        label_column=label_column,
        label_separator=label_separator,
        labels=labels,
        align=align,
        spans_key=spans_key,
        first_column=first_column,
        second_column=second_column,
        score_column=score_column,
        score_max=score_max,
    )
    docs: list[Doc] = []
    for doc in read_any(input, options, report):
        docs.append(doc)
        if limit and len(docs) == limit:
            break
    if not docs:
        typer.echo(as_text(summarize(docs), report), err=True)
        reasons = ", ".join(f"{n} x {reason}" for reason, n in report.unusable.most_common())
        raise ValueError(Errors.E318.format(path=input, reasons=reasons or "no documents"))
    parts = [docs] if hold_out is None else [*split_docs(docs, every)]
    with ExitStack() as stack:  # all of them, or none
        for path, part in zip(outputs, parts, strict=True):
            _write(stack.enter_context(replacing(path)), path.suffix, part, report, spans_key)
    typer.echo(as_text(summarize(docs), report))
    for path, part in zip(outputs, parts, strict=True):
        typer.echo(f"Wrote {len(part):,} documents to {path}")


def _check_folder(path: Path, format: str) -> None:
    """Refuse a folder, unless it is of a format that is read from one."""
    if not path.is_dir() or format in FOLDERS:
        return
    if format != "auto" or not any(any(path.glob(names)) for names in FOLDERS.values()):
        raise ValueError(Errors.E534.format(path=path))


def _write(path: Path, suffix: str, docs: "list[Doc]", report: "Report", spans_key: str) -> None:
    from ..corpora.files import write_docs
    from ..corpora.jsonl import jsonl_lines

    if suffix == ".spacy":
        write_docs(path, docs)
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in jsonl_lines(docs, report, spans_key=spans_key):
            file.write(line + "\n")
