"""What commands that take a config have in common: overrides, code to import, the device."""

import difflib
import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

# What spaCy's own commands read, so that both take the same settings from the environment.
OVERRIDES_VARIABLE = "SPACY_CONFIG_OVERRIDES"

GpuOption = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU to use; -1: the CPU.")]
CodeOption = Annotated[
    Path | None,
    typer.Option("--code", "-c", help="Python file that registers functions of the config."),
]


def split_arguments(
    arguments: list[str], options: list[str], *, most: int
) -> tuple[list[str], dict[str, Any]]:
    """Tell arguments from overrides, `--training.max_steps 100` or `--training.max_steps=100`.

    typer takes options that it does not know for arguments, so both come mixed.

    arguments (list[str]): All arguments in their order, then what typer had no place for.
    options (list[str]): The command's own options, for the message about a misspelt one.
    most (int): Number of arguments that the command has.
    RETURNS (tuple): The arguments, and the overrides by dotted key, parsed as JSON where they are
        JSON. Overrides in the variable SPACY_CONFIG_OVERRIDES win, as they do in spaCy.
    RAISES (typer.BadParameter): If there is anything else.
    """
    found, overrides = _split(arguments, options)
    if len(found) > most:
        raise typer.BadParameter(f"unexpected argument '{found[most]}'")
    environment = shlex.split(os.environ.get(OVERRIDES_VARIABLE, ""))
    return found, {**overrides, **_split(environment, options)[1]}


def import_code(path: Path | None) -> None:
    """Run a Python file that registers functions which the config names."""
    if path is None:
        return
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {path}", param_hint="--code")
    from spacy.util import import_file

    import_file("python_code", path)


def use_device(gpu_id: int) -> str:
    """Choose the device.

    RETURNS (str): Its name.
    RAISES (typer.BadParameter): If it is not there.
    """
    if gpu_id < 0:
        return "CPU"
    from ..devices import use_gpu

    try:
        use_gpu(gpu_id)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gpu-id") from error
    return f"GPU {gpu_id}"


def _split(arguments: list[str], options: list[str]) -> tuple[list[str], dict[str, Any]]:
    plain: list[str] = []
    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            plain.append(argument)
            continue
        name, has_value, value = argument.removeprefix("--").partition("=")
        if "." not in name:
            near = difflib.get_close_matches(argument, options, n=1)
            form = "Settings of the config look like --section.key VALUE."
            hint = f"Did you mean {near[0]}?" if near else form
            raise typer.BadParameter(f"unknown option '{argument}'. {hint}")
        if not has_value:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        overrides[name] = _value(value)
    return plain, overrides


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
