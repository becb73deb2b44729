"""`report`: metrics files as one page that people read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Errors
from ._run import friendly
from .evaluate import show

# Those of these that a file has stand for it in the overview.
MAIN_SCORES = (
    "ents_f",
    "rel_micro_f",
    "rel_gold_f",
    "semeval_macro_f",
    "cats_score",
    "cats_acc",
    "sim_spearman",
    "qa_f1",
    "qa_em",
)
# Words per second of the machine that ran the evaluation: no score of the pipeline.
NOT_SCORES = ("speed",)
SHARING_NOTE = (
    "A point is a hundredth; a minus says that the task is worse off in company. Alone is a "
    "pipeline with one component and what that one needs: relations come with the entities between "
    "which they hold. Of several that give a score, the one that gives the fewest stands here."
)


@friendly()
def command(
    metrics: Annotated[
        list[Path], typer.Argument(help="JSON files that `evaluate` wrote, or folders of them.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the page here (Markdown), not to the terminal."),
    ] = None,
    single: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the metrics of its tasks, each trained alone (`train --only`): "
            "COMPONENT.json."
        ),
    ] = None,
    adoption: Annotated[
        Path | None,
        typer.Option(help="What `adopt --metrics` wrote, for a section on it."),
    ] = None,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "Scores",
) -> None:
    """Gather the scores of one or several evaluations on one Markdown page.

        report metrics/mine.json --output metrics/report.md

        report metrics

        report metrics/tasks.json --single metrics/single

    An overview of all files comes first, then for each file every score, and a table for the scores
    that are given by label. With --single there is also what sharing costs: the main scores of a
    joint pipeline beside those of its tasks alone; with --adoption, whether it was trained from
    weights that went on being pretrained.
    """
    files = metric_files(metrics)
    scores = {name: read_scores(path) for name, path in files.items()}
    shared = None if single is None else sharing(scores, single)
    adopted = None if adoption is None else read_scores(adoption)
    page = render(scores, title=title, shared=shared, adopted=adopted)
    if output is None:
        typer.echo(page, nl=False)
    else:
        from ..files import write_text

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


def sharing(scores: Mapping[str, Mapping[str, Any]], folder: Path) -> list[list[str]]:
    """Compare a joint pipeline with its tasks trained alone.

    scores (Mapping): Scores of the joint pipeline, by the name of their one file.
    folder (Path): Metrics of the others, by component.
    RETURNS (list[list[str]]): Rows of component, score, joint, alone and the difference in points.
    RAISES (ValueError): If there are several joint pipelines, or no score to compare.
    """
    if len(scores) != 1:
        raise ValueError(Errors.E523.format(found=len(scores), names=", ".join(scores)))
    ((name, joint),) = scores.items()
    alone = {name: main_scores(read_scores(path)) for name, path in metric_files([folder]).items()}
    rows = []
    for key, value in main_scores(joint).items():
        owners = [name for name, found in alone.items() if found.get(key) is not None]
        if value is None or not owners:
            continue
        # Relations alone have scores of entities too, but entities alone have no others.
        owner = min(owners, key=lambda name: len(alone[name]))
        other = alone[owner][key]
        # Adding nothing makes a plain 0 of a rounded -0.
        points = round(100 * (value - other), 1) + 0.0
        rows.append([owner, key, show(key, value), show(key, other), f"{points:+.1f}"])
    if not rows:
        raise ValueError(Errors.E524.format(joint=name, folder=folder))
    return rows


def main_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Those of the main scores that there are; None without gold."""
    return {key: scores[key] for key in MAIN_SCORES if key in scores}


def render(
    scores: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
    shared: Sequence[Sequence[str]] | None = None,
    adopted: Mapping[str, Any] | None = None,
) -> str:
    """Write the page.

    scores (Mapping): Scores by the name of their file.
    title (str): The heading.
    shared (Sequence | None): What `sharing` found, for a section on it.
    adopted (Mapping | None): What `adopt` found, for a section on it.
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
    if shared is not None:
        head = ["component", "score", "joint", "alone", "difference in points"]
        blocks += ["## What sharing costs", table(head, shared), SHARING_NOTE]
    if adopted is not None:
        blocks += ["## The weights", *adoption_blocks(adopted)]
    for name, found in scores.items():
        blocks.append(f"## {name}")
        blocks.extend(details(found))
    return "\n\n".join(blocks) + "\n"


def adoption_blocks(found: Mapping[str, Any]) -> Iterator[str]:
    """YIELDS (str): What `adopt` found, as a sentence and a table."""
    fallen = ", ".join(found["fallen"])
    yield (
        "The pipeline was trained from weights whose pretraining went on with its own texts: no "
        "score on dev fell."
        if found["adopted"]
        else "The pipeline was trained from the published weights. Those whose pretraining went on "
        f"with its own texts were not adopted, because these scores on dev fell: {fallen}."
    ) + f" Scores after {found['steps']} steps from either:"
    rows = [
        [name, show(name, before), show(name, found["after"][name])]
        for name, before in found["before"].items()
    ]
    yield table(["score", "published", "continued"], rows)


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
