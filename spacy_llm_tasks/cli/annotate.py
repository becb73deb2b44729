"""`annotate`: a pipeline over a corpus of any size, by many processes, resumable."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._config import CodeOption, GpuOption
from ._run import friendly
from .search import Precision, Unit

if TYPE_CHECKING:
    from ..annotate.running.progress import Progress
    from ..annotate.running.summary import Summary

SECONDS_BETWEEN_LINES = 10.0


@friendly()
def command(
    pipeline: Annotated[str, typer.Argument(help="Folder or package of any spaCy pipeline.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files (.txt, .jsonl, .csv, .tsv, also with .gz or .zst behind, .parquet, "
            ".spacy), folders, patterns in quotes, or - for the standard input."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the output.")],
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="How many processes annotate.")
    ] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="Where they are: local, processes of this machine, or ray, "
            "`pip install 'spacy-llm-tasks[ray]'`. A run may go on with the other."
        ),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster, host:port or auto. Default: a Ray of its own on this machine."
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(help="GPUs that Ray gives each worker; with 0.5, two share one."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on with the run in --output. Starts at the beginning if there is none, so "
            "scripts can always pass it."
        ),
    ] = False,
    format: Annotated[
        str, typer.Option(help="Of the output: parquet, jsonl or spacy.")
    ] = "parquet",
    parts: Annotated[
        str | None,
        typer.Option(
            help="What is written, such as text,ents,cats; also spans, relations, embedding, "
            "answers, tokens, sents. Default: all but the last two."
        ),
    ] = None,
    question: Annotated[
        list[str], typer.Option(help="Ask trf_qa this about every document. May be repeated.")
    ] = [],  # noqa: B006  (typer's form for options given several times)
    index: Annotated[
        bool,
        typer.Option(
            "--index",
            help="Make a search index of the documents as well, in the folder index of the output; "
            "needs trf_similarity in the pipeline.",
        ),
    ] = False,
    index_unit: Annotated[
        Unit | None,
        typer.Option(help="What can be found in the index; given alone, it means --index too."),
    ] = None,
    index_precision: Annotated[
        Precision, typer.Option(help="What candidates are searched in, in the index.")
    ] = Precision.float32,
    text_column: Annotated[str, typer.Option(help="Column or key of the text.")] = "text",
    id_column: Annotated[
        str, typer.Option(help="Column or key of the id. Rows without one get file:number.")
    ] = "id",
    per_line: Annotated[
        bool, typer.Option("--per-line", help="In .txt files, each line is a document.")
    ] = False,
    separator: Annotated[str, typer.Option(help="Between the fields of .csv files.")] = ",",
    stdin_format: Annotated[
        str, typer.Option(help="Of the standard input: jsonl, txt, csv or tsv.")
    ] = "jsonl",
    encoding_errors: Annotated[
        str,
        typer.Option(
            help="Documents that are no UTF-8: strict makes them errors, replace puts U+FFFD, skip "
            "leaves them out; all are counted."
        ),
    ] = "strict",
    duplicate_ids: Annotated[
        str, typer.Option(help="An id that is there twice: refuse to begin, or number it.")
    ] = "refuse",
    max_chars: Annotated[
        int | None, typer.Option(help="A longer document is an error; no limit by default.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="A document that takes longer is an error; no limit by default."),
    ] = None,
    shard_rows: Annotated[int, typer.Option(help="Most documents of a file of output.")] = 1000,
    shard_characters: Annotated[
        int, typer.Option(help="A file of output is closed with so many characters.")
    ] = 4_000_000,
    batch_rows: Annotated[
        int, typer.Option(help="Most documents that go through the pipeline together.")
    ] = 128,
    batch_characters: Annotated[
        int, typer.Option(help="Most characters of them; a longer document goes alone.")
    ] = 200_000,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of each worker. Default: the cores, shared among the workers."),
    ] = None,
    code: CodeOption = None,
    gpu_id: GpuOption = -1,
    json_summary: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
) -> None:
    """Run a pipeline over a corpus. Every document is in the output exactly once.

        annotate training/mine/model-best texts/ --output annotated --workers 4

        annotate en_core_web_sm 'news/*.jsonl.gz' -o annotated --text-column body --resume

    The folder then holds part-00000.parquet and so on, errors.jsonl with the documents that failed,
    summary.json, and report.html for people, and with --index the folder index for `search query`.
    Ctrl-C (or SIGTERM) stops at the end of a shard; with --resume the same command goes on from
    there, or from wherever it was killed, to the same files.

    With --engine ray the workers are actors of Ray, on this machine or on a cluster, for the same
    files:

        annotate MODEL texts/ -o annotated --engine ray --ray-address HOST:6379 --workers 32
    """
    from ..annotate import annotate_corpus
    from ..interrupts import StopSignals

    options: dict[str, Any] = dict(
        format=format,
        questions=tuple(question),
        text_column=text_column,
        id_column=id_column,
        per_line=per_line,
        separator=separator,
        stdin_format=stdin_format,
        encoding_errors=encoding_errors,
        duplicate_ids=duplicate_ids,
        max_chars=max_chars,
        seconds=seconds,
        shard_rows=shard_rows,
        shard_characters=shard_characters,
        batch_rows=batch_rows,
        batch_characters=batch_characters,
        threads=threads,
        code=None if code is None else str(code),
        gpu_id=gpu_id,
    )
    if index or index_unit is not None:
        options["index"] = (index_unit or Unit.doc).value
        options["index_precision"] = index_precision.value
    if parts is not None:
        options["parts"] = tuple(part.strip() for part in parts.split(",") if part.strip())
    with StopSignals() as signals, _Display() as display:
        summary = annotate_corpus(
            pipeline,
            inputs,
            output,
            workers=workers,
            engine=engine,
            ray_address=ray_address,
            gpus_per_worker=gpus_per_worker,
            resume=resume,
            stop=lambda: signals.received is not None,
            on_progress=display.show,
            **options,
        )
    if json_summary:
        typer.echo(json.dumps(summary.to_dict(), ensure_ascii=False))
    else:
        _show(summary)
    if not summary.is_finished:
        typer.echo("Stopped: add --resume to go on from there.", err=True)
        raise typer.Exit(128 + (signals.received or 0))


class _Display:
    """A bar on a terminal, with speed, errors and time left; plain lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES

    def __enter__(self) -> "_Display":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.percentage:3.0f}%"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[told]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("annotate", total=None, told="reading the corpus")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: "Progress") -> None:
        """Show how far the run is. Elsewhere than on a terminal, a line now and then."""
        told = describe(progress)
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.rows, total=progress.total, told=told)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            typer.echo(told, err=True)


def describe(progress: "Progress") -> str:
    """RETURNS (str): How far a run is, for people."""
    of = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.rows:,}{of} rows", f"{progress.rows_per_second:,.0f} rows/s"]
    if progress.seconds_left is not None:
        parts.append(f"{_clock(progress.seconds_left)} left")
    parts.append(f"{progress.errors:,} errors")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _show(summary: "Summary") -> None:
    from ..annotate.reading.input_files import shown_passed_by
    from ._table import echo_facts
    from ._units import size

    facts = {
        "documents": f"{summary.rows:,}",
        "errors": f"{summary.errors:,}",
        "files": f"{summary.shards:,}",
        "rows/s": f"{summary.rows_per_second:,.1f}",
        "words/s": f"{summary.words_per_second:,.0f}",
    }
    if summary.index_entries is not None:
        facts["entries of the index"] = f"{summary.index_entries:,}"
    for sample in summary.memory:
        workers = ", ".join(size(n) for n in sample["workers"])
        facts[f"memory at {100 * sample['share']:.0f} %"] = (
            f"{size(sample['parent'])}, workers {workers}"
        )
    echo_facts(facts, title=f"Annotated in {summary.output}")
    if summary.passed_by:
        typer.echo(f"\nNot read: {shown_passed_by(summary.passed_by)}")
    for name in ("ents", "spans", "relations", "cats"):
        counts = getattr(summary.labels, name).most_common(10)
        if counts:
            echo_facts({label: f"{n:,}" for label, n in counts}, title=name)
