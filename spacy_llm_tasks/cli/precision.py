"""`precision`: what a pipeline's scores are in float32, bfloat16 and 8-bit integers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._config import CodeOption, GpuOption, import_code, use_device
from ._run import friendly
from ._table import echo_table
from ._units import size

if TYPE_CHECKING:
    from ..training.precision_scores import PrecisionReport, Read

# What there is besides float32.
OTHERS = ("bf16", "int8")


@friendly()
def command(
    pipeline: Annotated[str, typer.Argument(help="Folder or name of a trained pipeline.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="A .spacy or .jsonl file with gold annotation, not trained on."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Without DATA: which reader of the config's [corpora].")
    ] = "dev",
    precisions: Annotated[
        str, typer.Option(help="What to compare with float32: bf16, int8 or both.")
    ] = "bf16,int8",
    reduced: Annotated[
        bool,
        typer.Option(
            "--reduced/--not-reduced",
            help="Measure each also as `quantize` saves it, with the table of pieces rounded too.",
        ),
    ] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the scores to this JSON file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    gpu_id: GpuOption = -1,
    code: CodeOption = None,
) -> None:
    """Show what fewer bits cost on your own data, before you choose them.

        precision training/mine/model-best
        precision training/mine/model-best held_out.spacy --precisions int8

    Changes are in points, hundredths of a score. A precision is chosen when a pipeline is loaded,
    spacy.load(path, config={"components.transformer.model.precision": "int8"}), or for good, with
    files a quarter as large, by `quantize`.
    """
    import_code(code)
    use_device(gpu_id)
    import json

    from ..files import write_json
    from ..training.precision_scores import Setting, compare

    names = _names(precisions)
    settings = [Setting(name) for name in names]
    settings += [Setting(name, name) for name in names if reduced]
    report = compare(pipeline, reader(split, data), settings)
    found: dict[str, Any] = {"pipeline": pipeline, **report.to_dict()}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        echo_report(report)
    if output is not None:
        write_json(output, found)


def _names(precisions: str) -> list[str]:
    """RETURNS (list[str]): What to compare. RAISES (typer.BadParameter): If it is anything else."""
    names = [name.strip() for name in precisions.split(",") if name.strip()]
    if not names or not set(names) <= {*OTHERS}:
        problem = f"expected {' or '.join([*OTHERS, ','.join(OTHERS)])}, found '{precisions}'"
        raise typer.BadParameter(problem, param_hint="--precisions")
    return list(dict.fromkeys(names))


def reader(split: str, data: Path | None) -> "Read":
    """RETURNS (Callable): Reads the examples of a pipeline, as `evaluate` does."""
    from .evaluate import read_examples

    def read(nlp: Any) -> Any:
        corpora = nlp.config.interpolate().get("corpora", {})
        return read_examples(nlp, corpora, split=split, data=data)

    return read


def echo_report(report: "PrecisionReport") -> None:
    """Print scores and their changes, a line a setting."""
    metrics = list(report.rows[0].scores)
    rows = [["precision", "encoder", "CPU s"]]
    for metric in metrics:
        rows[0] += [metric, "points"]
    for row in report.rows:
        measured = [size(row.encoder_bytes), f"{row.cpu_s:.1f}"]
        line = [row.setting, *(["-", "-"] if row.unavailable else measured)]
        for metric in metrics:
            line += [_show(row.scores[metric], ".4f"), _show(row.change.get(metric), "+.2f")]
        rows.append(line)
    echo_table(rows, title=f"Scores on {report.n_docs} documents")
    for row in report.rows:
        if row.unavailable:
            typer.echo(f"\n{row.setting} is not available: {row.unavailable}")


def _show(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
