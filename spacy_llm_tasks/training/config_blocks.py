"""Compare blocks of a config with the functions and schemas that they are for."""

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from spacy.util import registry

SCALARS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


class Problems:
    """What is wrong in a config, a line each, with its place."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, place: str, text: str) -> None:
        self.lines.append(f"  {place}: {text}")

    def unknown(self, place: str, name: str, known: Iterable[str], *, what: str = "key") -> None:
        """Report a name that is not among the known ones, with the nearest of these."""
        self.add(place, f"unknown {what} '{name}'. {suggest(name, known)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """RETURNS (str): The known name nearest to one that is not known, or all of them."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if nearest:
        return f"Did you mean '{nearest[0]}'?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"Known: {shown or '(none)'}."


def check_value(
    problems: Problems, place: str, value: Any, *, annotation: Any = Any, default: Any = None
) -> None:
    """Check one value of a config, and all below it.

    problems (Problems): Gets what is wrong.
    place (str): The value's dotted name.
    value (Any): The value.
    annotation (Any): The type that its owner asks for.
    default (Any): What it is merged with: tells the function of a block that does not name one.
    """
    if isinstance(value, dict):
        if reference_of(value) is None and reference_of(default) is not None:
            value = {**_reference_only(default), **value}
        check_block(problems, place, value, default)
    else:
        check_scalar(problems, place, value, annotation)


def check_block(problems: Problems, place: str, block: Mapping[str, Any], default: Any) -> None:
    """Check a dictionary: the arguments of a registered function, or free entries."""
    reference = reference_of(block)
    if reference is None:
        for key, value in block.items():
            check_value(problems, f"{place}.{key}", value, default=_below(default, key))
        return
    kind, name = reference
    kinds = registry.get_registry_names()
    for written in [k for k in block if k.startswith("@") and k[1:] not in kinds]:
        problems.unknown(place, written, [f"@{k}" for k in kinds], what="registry")
    if kind not in kinds:
        return
    if not registry.has(kind, name):
        problems.unknown(place, name, getattr(registry, kind).get_all(), what=f"{kind} function")
        return
    same = reference_of(default) == reference
    arguments = {k: v for k, v in block.items() if not k.startswith("@")}
    check_arguments(
        problems, place, arguments, registry.get(kind, name), default=default if same else None
    )


def check_arguments(
    problems: Problems,
    place: str,
    arguments: Mapping[str, Any],
    function: Callable,
    *,
    default: Any = None,
    also: Iterable[str] = (),
    without: Iterable[str] = (),
) -> None:
    """Check that a function takes the arguments that a config gives it.

    problems (Problems): Gets what is wrong.
    place (str): Dotted name of the block.
    arguments (Mapping): Argument values by name.
    function (Callable): The function.
    default (Any): The block that these arguments are merged with.
    also (Iterable[str]): Further keys that the block may have.
    without (Iterable[str]): Parameters that a config does not give.
    """
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = {n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    known = (known - set(without)) | set(also)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        known.add("*")
    hints = _hints(function)
    for name, value in arguments.items():
        if name not in known and not takes_any:
            problems.unknown(place, name, known, what="argument")
        else:
            check_value(
                problems,
                f"{place}.{name}",
                value,
                annotation=hints.get(name, Any),
                default=_below(default, name),
            )


def check_scalar(problems: Problems, place: str, value: Any, annotation: Any) -> None:
    """Report text where a number or a truth value is asked for, as in `width = "32"`.

    spaCy lets some of these pass, and they fail deep inside of a layer.
    """
    wanted = _scalars(annotation)
    if wanted and isinstance(value, str):
        expected = " or ".join(SCALARS[t] for t in wanted)
        problems.add(place, f'found the text "{value}", expected {expected}. Remove the quotes.')


def reference_of(block: Any) -> tuple[str, str] | None:
    """RETURNS (tuple | None): Registry and function that a block names, e.g. of `@layers = "x"`."""
    if isinstance(block, Mapping):
        for key, value in block.items():
            if key.startswith("@"):
                return key[1:], str(value)
    return None


def _reference_only(block: Any) -> dict[str, Any]:
    return {k: v for k, v in block.items() if k.startswith("@")}


def _below(default: Any, key: str) -> Any:
    return default.get(key) if isinstance(default, Mapping) else None


def _hints(function: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=False)
    except (NameError, TypeError, AttributeError):  # unresolvable names: nothing to compare with
        return {}


def _scalars(annotation: Any) -> list[Any]:
    """RETURNS (list): The scalar types that are allowed, empty if anything else is allowed too."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _scalars(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        branches = [a for a in get_args(annotation) if a is not type(None)]
        found = [_scalars(b) for b in branches]
        return [t for f in found for t in f] if all(found) else []
    return [annotation] if annotation in SCALARS else []
