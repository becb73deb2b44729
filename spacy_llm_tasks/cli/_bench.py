"""What the commands of `bench` have in common: options, and lists in them."""

import json
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from ..errors import Errors


class Kind(str, Enum):
    """The kinds of texts to read."""

    sentences = "sentences"
    paragraphs = "paragraphs"
    long = "long"
    mix = "mix"


class ShortKind(str, Enum):
    """The kinds of texts that fit a training batch."""

    sentences = "sentences"
    paragraphs = "paragraphs"


class Format(str, Enum):
    """How to print results that lie in files."""

    table = "table"
    json = "json"


class ReportFormat(str, Enum):
    """How to print a report."""

    table = "table"
    json = "json"
    svg = "svg"


Weights = Annotated[
    Path,
    typer.Option(help="Folder with config.json, a tokenizer and model.safetensors."),
]
Sides = Annotated[str, typer.Option(help="Which sides to run: 'ours', 'peer' or both.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]
FormatOption = Annotated[
    ReportFormat, typer.Option(help="A readable table, one JSON object, or a picture of bars.")
]


def names(option: str, name: str) -> list[str]:
    """RETURNS (list[str]): The names in an option. RAISES (ValueError): There are none."""
    found = [part.strip() for part in option.split(",") if part.strip()]
    if not found:
        raise ValueError(Errors.E587.format(option=name, expected="names", found=option))
    return found


def numbers(option: str, name: str, kind: type) -> list:
    """RETURNS (list): The numbers in an option. RAISES (ValueError): Something is none."""
    try:
        return [kind(part) for part in option.split(",")]
    except ValueError:
        expected = "numbers with commas between them"
        raise ValueError(Errors.E587.format(option=name, expected=expected, found=option)) from None


def show(found: dict[str, Any], bench: ModuleType, format: ReportFormat) -> None:
    """Print a report.

    found (dict): The report.
    bench (ModuleType): The benchmark that made it, with `render` and `PLOT`.
    format (ReportFormat): As a table, as JSON, or as a picture.
    """
    if format is ReportFormat.json:
        typer.echo(json.dumps(found, indent=2))
    elif format is ReportFormat.svg:
        from ..bench.plot import draw

        typer.echo(draw(bench.PLOT, found))
    else:
        typer.echo(bench.render(found))


def say(line: str) -> None:
    """Tell what is being done, beside the output."""
    typer.echo(line, err=True)
