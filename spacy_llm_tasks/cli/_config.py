"""What commands that take a config have in common: overrides, code to import, the device."""

import difflib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import typer

# What spaCy's own commands read, so that both take the same settings from the environment.
OVERRIDES_VARIABLE = "SPACY_CONFIG_OVERRIDES"


def parse_overrides(arguments: list[str], options: list[str]) -> dict[str, Any]:
    """Read `--training.max_steps 100` and `--training.max_steps=100`.

    arguments (list[str]): What typer did not know.
    options (list[str]): The command's own options, for the message about a misspelt one.
    RETURNS (dict): Values by dotted key, parsed as JSON where they are JSON. Overrides in the
        environment variable SPACY_CONFIG_OVERRIDES win, as they do in spaCy.
    RAISES (typer.BadParameter): If an argument is no override.
    """
    environment = shlex.split(os.environ.get(OVERRIDES_VARIABLE, ""))
    return {**_parse(arguments, options), **_parse(environment, options)}


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
    from thinc.api import require_gpu

    try:
        require_gpu(gpu_id)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gpu-id") from error
    return f"GPU {gpu_id}"


def _parse(arguments: list[str], options: list[str]) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, has_value, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or "." not in name:
            near = difflib.get_close_matches(argument, options, n=1)
            hint = (
                f"Did you mean {near[0]}?" if near else "Overrides look like --section.key VALUE."
            )
            raise typer.BadParameter(f"unknown option '{argument}'. {hint}")
        if not has_value:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        overrides[name] = _value(value)
    return overrides


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
