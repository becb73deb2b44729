"""`corpus`: raw text to a cleaned, deduplicated and split corpus for pretraining."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._run import friendly

if TYPE_CHECKING:
    from ..pretraining.texts.corpus import CorpusReport


@friendly()
def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files (.txt, .jsonl, also with .gz or .zst behind, .parquet, .spacy), folders, "
            "patterns in quotes, or pydoc: for the documentation inside Python."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the corpus.")],
    text_column: Annotated[
        str, typer.Option(help="Key or column of the text in JSON lines and Parquet.")
    ] = "text",
    txt_documents: Annotated[
        str, typer.Option(help="What a document is in a .txt file: file, line or paragraph.")
    ] = "file",
    invalid: Annotated[
        str,
        typer.Option(
            help="Text that is no UTF-8, and damaged compressed files: strict is an error; replace "
            "puts U+FFFD and skip leaves the document out, and both count it."
        ),
    ] = "strict",
    min_characters: Annotated[int, typer.Option(help="Leave out shorter documents.")] = 16,
    max_characters: Annotated[
        int | None, typer.Option(help="Cut longer documents here; no limit by default.")
    ] = None,
    min_letters: Annotated[
        float, typer.Option(help="Leave out documents with a smaller share of letters.")
    ] = 0.4,
    keep_spaces: Annotated[
        bool, typer.Option("--keep-spaces", help="Keep runs of spaces, as source code needs.")
    ] = False,
    scrub: Annotated[
        str,
        typer.Option(
            help="Replace personal data and secrets: all, or a list such as EMAIL,PHONE (of KEY, "
            "EMAIL, IBAN, CARD, IP, PHONE)."
        ),
    ] = "",
    exact_duplicates: Annotated[
        bool, typer.Option(help="Keep the first of documents that are the same.")
    ] = True,
    near_duplicates: Annotated[
        bool,
        typer.Option(help="Keep the first of documents that are nearly the same, too."),
    ] = False,
    near_threshold: Annotated[
        float | None,
        typer.Option(
            help="From which Jaccard index of runs of five words they are so; 0.8 by default."
        ),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of documents to hold out.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    json_report: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
) -> None:
    """Prepare a corpus for pretraining: clean it, drop duplicates, hold some of it out.

        corpus texts/ --output corpus/mine

        corpus 'wiki/*.jsonl.gz' news.parquet --output corpus/mine --near-duplicates --scrub all

        corpus pydoc: --output corpus/try

    The folder then holds train.jsonl.gz and held_out.jsonl.gz, with a "text" a line, and the report
    in corpus.json. Whatever was left out or changed is counted by reason, unreadable lines with
    the first places as file:line. With the same options and files the folder is used as it is.
    """
    import json

    from ..corpora.spacy_texts import spacy_texts
    from ..pretraining.texts.corpus import CorpusSettings, prepare

    if near_threshold is not None and not near_duplicates:
        raise typer.BadParameter(
            "has no effect without --near-duplicates", param_hint="--near-threshold"
        )
    default = CorpusSettings.near_threshold
    settings = CorpusSettings(
        paths=inputs,
        text_column=text_column,
        txt_documents=txt_documents,
        invalid=invalid,
        min_characters=min_characters,
        max_characters=max_characters,
        min_letters=min_letters,
        keep_spaces=keep_spaces,
        scrub=[kind.strip() for kind in scrub.split(",") if kind.strip()],
        exact_duplicates=exact_duplicates,
        near_duplicates=near_duplicates,
        near_threshold=default if near_threshold is None else near_threshold,
        held_out=held_out,
        seed=seed,
    )
    readers = {".spacy": spacy_texts}
    corpus = prepare(settings, folder=output, readers=readers, say=_say)
    if json_report:
        typer.echo(json.dumps(corpus.report.to_dict(), indent=2, ensure_ascii=False))
    else:
        _show(corpus.report)
        typer.echo(f"The corpus is in {corpus.folder}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _show(report: "CorpusReport") -> None:
    from ._table import echo_table

    echo_table(report.rows(), title="Corpus")
    if report.places:
        typer.secho("\nThe first places", bold=True)
        for reason, places in report.places.items():
            typer.echo(f"  {reason}")
            for place in places:
                typer.echo(f"    {place}")
    if report.duplicate_bytes:
        typer.echo(f"\nMemory for duplicates: {report.duplicate_bytes:,} bytes per document kept")
