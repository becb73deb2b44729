"""`report`: metrics files as one page that people read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Errors
from ._run import friendly
from .evaluate import show

# The first of these that a file has stands for it in the overview, one per task.
MAIN_SCORES = (
    "ents_f",
    "rel_micro_f",
    "semeval_macro_f",
    "cats_score",
    "cats_acc",
    "sim_spearman",
    "qa_f1",
    "qa_em",
)
# Words per second of the machine that ran the evaluation: no score of the pipeline.
NOT_SCORES = ("speed",)


@friendly()
def command(
    metrics: Annotated[
        list[Path], typer.Argument(help="JSON files that `evaluate` wrote, or folders of them.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the page here (Markdown), not to the terminal."),
    ] = None,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "Scores",
) -> None:
    """Gather the scores of one or several evaluations on one Markdown page.

        report metrics/mine.json --output metrics/report.md

        report metrics

    An overview of all files comes first, then for each file every score, and a table for the scores
    that are given by label.
    """
    files = metric_files(metrics)
    page = render({name: read_scores(path) for name, path in files.items()}, title=title)
    if output is None:
        typer.echo(page, nl=False)
    else:
        from ..training.files import write_text

        write_text(output, page)
        typer.echo(f"Saved the scores of {', '.join(files)} to {output}")


def metric_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Find the metrics files.

    paths (Sequence[Path]): Files, or folders of which every .json file is taken.
    RETURNS (dict[str, Path]): By name: of the file, with its folder where two are named alike.
    RAISES (ValueError): If there is none.
    """
    files: list[Path] = []
    for path in paths:
        files.extend(sorted(path.glob("*.json")) if path.is_dir() else [path])
    if not files:
        raise ValueError(Errors.E521.format(paths=", ".join(map(str, paths))))
    stems = [path.stem for path in files]
    return {path.stem if stems.count(path.stem) == 1 else str(path): path for path in files}


def read_scores(path: Path) -> dict[str, Any]:
    """Read what `evaluate --output` wrote.

    path (Path): The file.
    RETURNS (dict[str, Any]): Scores: numbers, null, texts, and tables by label.
    RAISES (ValueError): If it is no JSON object.
    RAISES (OSError): If it cannot be read.
    """
    try:
        scores = json.loads(path.read_text(encoding="utf8"))
    except ValueError as error:
        raise ValueError(Errors.E519.format(path=path, error=error)) from error
    if not isinstance(scores, dict):
        raise ValueError(Errors.E519.format(path=path, error="it is not a JSON object of scores"))
    return scores


def render(scores: Mapping[str, Mapping[str, Any]], *, title: str) -> str:
    """Write the page.

    scores (Mapping): Scores by the name of their file.
    title (str): The heading.
    RETURNS (str): Markdown.
    """
    blocks = [f"# {title}"]
    columns = [key for key in MAIN_SCORES if any(key in found for found in scores.values())]
    if columns:
        rows = [
            [name, *(show(key, found.get(key)) for key in columns)]
            for name, found in scores.items()
        ]
        blocks.append(table(["", *columns], rows))
    for name, found in scores.items():
        blocks.append(f"## {name}")
        blocks.extend(details(found))
    return "\n\n".join(blocks) + "\n"


def details(scores: Mapping[str, Any]) -> Iterator[str]:
    """YIELDS (str): Markdown tables: the single scores, then each score that is given by label."""
    single = {
        key: value
        for key, value in scores.items()
        if not isinstance(value, dict | list) and key not in NOT_SCORES
    }
    known = {key: value for key, value in single.items() if value is not None}
    if known:
        yield table(["score", "value"], [[key, show(key, value)] for key, value in known.items()])
    if missing := [key for key in single if key not in known]:
        yield f"The data has no gold for: {', '.join(missing)}."
    for key, value in scores.items():
        if isinstance(value, dict) and value:
            yield f"### {key}"
            yield by_label(key, value)


def by_label(name: str, found: Mapping[str, Any]) -> str:
    """RETURNS (str): A Markdown table of a score that is given by label, sorted by label."""
    labels = sorted(found)
    if not all(isinstance(value, dict) for value in found.values()):
        return table(["label", name], [[label, show(name, found[label])] for label in labels])
    columns = list(dict.fromkeys(key for label in labels for key in found[label]))
    rows = [[label, *(show(key, found[label].get(key)) for key in columns)] for label in labels]
    return table(["label", *columns], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """RETURNS (str): A Markdown table; all columns but the first aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
