"""`evaluate`: the scores of a pipeline on data, read as the pipeline's own config says."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import Errors
from ..files import require_writable, write_json
from ._config import CodeOption, GpuOption, import_code, split_arguments, use_device
from ._run import friendly
from ._table import echo_table

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
OPTIONS = ["--output", "--split", "--config", "--gpu-id", "--code", "--help"]
OWN_READER = "spacy_llm_tasks.Corpus.v1"
STOCK_READERS = ("spacy.Corpus.v1",)


@friendly()
def command(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="Folder or name of a trained pipeline.")],
    data: Annotated[
        str | None,
        typer.Argument(help="A .spacy or .jsonl file to read instead of the config's."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Which reader of the config's [corpora]: dev, test, ...")
    ] = "dev",
    config: Annotated[
        Path | None,
        typer.Option(help="Take [corpora] from this config, not from the pipeline's own."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the scores to this JSON file.")
    ] = None,
    gpu_id: GpuOption = -1,
    code: CodeOption = None,
) -> None:
    """Score a pipeline, every component by its own scorer.

        evaluate training/mine/model-best --split test --output metrics/mine.json
        evaluate training/mine/model-best other.spacy
        evaluate training/mine/model-best --paths.dev other.spacy

    Data is read by the reader that the pipeline was trained with, which may set up more than text
    (gold entities for relations, for example). A score for which the data has no gold is null.

    Options of dotted names replace settings of the pipeline's config.
    """
    given = [pipeline, *([] if data is None else [data]), *context.args]
    arguments, overrides = split_arguments(given, OPTIONS, most=2)
    if not arguments:
        raise typer.BadParameter("missing, after all the settings", param_hint="PIPELINE")
    require_writable(output)
    import_code(code)
    use_device(gpu_id)
    scores = evaluate(
        arguments[0],
        data=Path(arguments[1]) if len(arguments) > 1 else None,
        split=split,
        config=config,
        overrides=overrides,
    )
    echo_scores(scores)
    if output is not None:
        write_json(output, scores)
        typer.echo(f"\nSaved to {output}")


def evaluate(
    pipeline: str | Path,
    *,
    data: Path | None = None,
    split: str = "dev",
    config: Path | None = None,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Load a pipeline and score it. The arguments are the command's.

    RETURNS (dict): Scores in JSON types: numbers, None, and tables by label.
    RAISES (ValueError): If the data cannot be read or holds no example.
    """
    import spacy
    from spacy.util import load_config

    from ..training.config_check import check_overrides

    nlp = spacy.load(pipeline, config=overrides or {})
    if overrides:
        check_overrides(nlp.path, overrides)
    source = nlp.config.interpolate() if config is None else load_config(config, interpolate=True)
    examples = read_examples(nlp, source.get("corpora", {}), split=split, data=data)
    typer.echo(f"Evaluating {', '.join(nlp.pipe_names)} on {len(examples)} documents")
    return to_json(nlp.evaluate(examples))


def read_examples(
    nlp: "Language", corpora: Mapping[str, Any], *, split: str, data: Path | None
) -> list["Example"]:
    """Read data by a reader of a config.

    nlp (Language): The pipeline.
    corpora (Mapping): The config's [corpora].
    split (str): Name of the reader.
    data (Path | None): Read this instead of what the reader names.
    RETURNS (list[Example]): At least one.
    RAISES (ValueError): If there is no such reader, no such file or no example.
    """
    from spacy.util import registry
    from thinc.api import ConfigValidationError

    from ..training.config_blocks import suggest
    from ..training.config_check import explain

    block = corpora.get(split)
    if block is None and data is None:
        raise ValueError(Errors.E513.format(split=split, hint=suggest(split, corpora)))
    block = dict(block or {"@readers": OWN_READER, "path": None})
    if data is not None:
        if data.suffix == ".jsonl" and block.get("@readers") in STOCK_READERS:
            block = {"@readers": OWN_READER}
        elif "path" not in block:
            raise ValueError(Errors.E514.format(split=split, reader=block.get("@readers")))
        block["path"] = str(data)
    path = block.get("path", "")
    if path is None:
        raise ValueError(Errors.E515.format(split=split))
    if path and not Path(path).exists():
        raise FileNotFoundError(Errors.E516.format(path=path, here=Path.cwd(), split=split))
    try:
        reader = registry.resolve({"reader": block})["reader"]
    except ConfigValidationError as error:
        raise ValueError(Errors.E520.format(split=split, text=explain(error))) from error
    examples = list(reader(nlp))
    if not examples:
        raise ValueError(Errors.E517.format(path=path or split))
    return examples


def to_json(value: Any) -> Any:
    """RETURNS (Any): Scores in JSON types. None stays null; so does what is not a number."""
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def echo_scores(scores: Mapping[str, Any]) -> None:
    """Print single scores, then a table for each that is given by label."""
    tables = {k: v for k, v in scores.items() if isinstance(v, dict) and v}
    rows = [
        [name, show(name, value)]
        for name, value in scores.items()
        if not isinstance(value, dict | list)
    ]
    echo_table(rows, title="Scores")
    for name, table in tables.items():
        nested = all(isinstance(v, dict) for v in table.values())
        columns = list(next(iter(table.values()))) if nested else []
        if nested:
            rows = [["", *columns]]
            rows += [[k, *(show(c, v.get(c)) for c in columns)] for k, v in table.items()]
        else:
            rows = [[k, show(name, v)] for k, v in table.items()]
        echo_table(rows, title=name)


def show(name: str, value: Any) -> str:
    """RETURNS (str): A score for people: no gold is a dash, the speed has no decimals."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if name == "speed" else f"{value:.4f}"
    return str(value)
