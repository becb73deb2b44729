"""What a config refers to: its own variables by `${...}`, and files by their paths."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thinc.api import Config

from .config_blocks import Problems, suggest

REFERENCE = re.compile(r"\$\{([\w.:]+)\}")
INIT_FILES = ("init_tok2vec", "vocab_data")


def all_references(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """YIELDS (tuple): Dotted place of a value, and dotted name of a variable in it."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from all_references(below, f"{place}.{key}".strip("."))
    elif isinstance(value, list):
        for below in value:
            yield from all_references(below, place)
    elif isinstance(value, str):
        for found in REFERENCE.findall(value):
            yield place, found.replace(":", ".")


def dot_get(config: Mapping[str, Any], name: str) -> Any:
    """RETURNS (Any): The value of a dotted name, None if there is none."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def check_references(problems: Problems, config: Config) -> None:
    """Report each `${...}` that names nothing, with the nearest name beside it."""
    for place, reference in all_references(config):
        section: Any = config
        for part in reference.split("."):
            if not isinstance(section, Mapping) or part not in section:
                near = suggest(part, section if isinstance(section, Mapping) else ())
                problems.add(
                    place, f"${{{reference}}} refers to nothing: there is no '{part}'. {near}"
                )
                break
            section = section[part]


def check_variables(
    problems: Problems, config: Config, sections: Iterable[str], default: Config
) -> None:
    """Report variables that nothing refers to: most likely a name was misspelt."""
    references = {reference for _, reference in all_references(config)}
    for section in sections:
        known = set(default.get(section, {}))
        used = {r.split(".")[1] for r in references if r.startswith(f"{section}.")}
        if section in references:
            continue
        for name in config.get(section, {}):
            if name not in known | used:
                problems.add(
                    f"[{section}]",
                    f"nothing refers to '{name}'. {suggest(name, known | used)} "
                    f"A variable is used as ${{{section}.{name}}}.",
                )


def check_paths(problems: Problems, raw: Config, config: Config) -> None:
    """Report files that training will ask for and that are not there.

    problems (Problems): Gets what is wrong.
    raw (Config): Not interpolated: tells which variable a path came from.
    config (Config): Interpolated.
    """
    for key, fallback in (("train_corpus", "corpora.train"), ("dev_corpus", "corpora.dev")):
        corpus = dot_get(config, f"training.{key}") or fallback
        for place in _paths_below(corpus, dot_get(config, corpus)):
            _check_path(problems, place, dot_get(config, place), dot_get(raw, place))
    for name in INIT_FILES:
        place = f"initialize.{name}"
        if dot_get(config, place):
            _check_path(problems, place, dot_get(config, place), dot_get(raw, place))


def _paths_below(place: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            if key == "path" and not isinstance(below, Mapping):
                yield f"{place}.path"
            else:
                yield from _paths_below(f"{place}.{key}", below)


def _check_path(problems: Problems, place: str, path: Any, written: Any) -> None:
    variables = REFERENCE.findall(written) if isinstance(written, str) else []
    setting = variables[0].replace(":", ".") if variables else place
    if path is None:
        problems.add(place, f"is not set. Set {setting} in the config, or pass --{setting} FILE.")
    elif isinstance(path, str) and not Path(path).exists():
        problems.add(
            place,
            f"there is no file or folder {path} (seen from {Path.cwd()}). "
            f"Correct {setting}, or pass --{setting} FILE.",
        )
