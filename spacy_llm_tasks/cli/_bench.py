"""What the commands of `bench` have in common: options, and lists in them."""

from enum import Enum
from pathlib import Path
from typing import Annotated

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
    """How to print a report."""

    table = "table"
    json = "json"


Weights = Annotated[
    Path,
    typer.Option(help="Folder with config.json, a tokenizer and model.safetensors."),
]
Sides = Annotated[str, typer.Option(help="Which sides to run: 'ours', 'peer' or both.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]


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


def say(line: str) -> None:
    """Tell what is being done, beside the output."""
    typer.echo(line, err=True)
