"""What every command shares: errors reach the user as one message, not as a traceback."""

import os
import re
import warnings
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, TypeVar, overload

import typer

from ..files import is_full

DEBUG_VARIABLE = "SPACY_LLM_TASKS_DEBUG"
# What bad input and a bad environment raise, here and in the libraries underneath. Anything else is
# a mistake of ours, and its traceback is what helps.
EXPECTED = (ValueError, OSError, ImportError)
# What a message of the catalogue begins with.
CODE = re.compile(r"\[[EW]\d{3}\] ")
FULL = (
    "The disk, or what you may use of it, is full. Free some space and run the command again; runs "
    "of `pretrain` and `annotate` go on with --resume."
)

Command = TypeVar("Command", bound=Callable[..., Any])


class _Friendly(ContextDecorator):
    """See `friendly`."""

    def __init__(self) -> None:
        self._before: list[Callable[..., str]] = []  # a decorated command may call itself

    def __enter__(self) -> None:
        self._before.append(warnings.formatwarning)
        # Their form only: whether and where they are shown is Python's and the user's affair.
        _set_form(_plain_form(warnings.formatwarning))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _set_form(self._before.pop())
        if isinstance(error, BrokenPipeError):
            # The reader of our output has left (`... | head`): nobody is there to be told.
            raise typer.Exit(1) from error
        if isinstance(error, KeyboardInterrupt):
            typer.secho("Interrupted.", fg=typer.colors.RED, err=True)
            raise typer.Exit(130) from error
        if error is None or debugging():
            return
        if isinstance(error, EXPECTED) or is_full(error):
            typer.secho(f"Error: {describe(error)}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error


@overload
def friendly() -> _Friendly: ...
@overload
def friendly(command: Command) -> Command: ...
def friendly(command: Command | None = None) -> Command | _Friendly:
    """Turn an expected error into its message on stderr and exit code 1, and show our warnings as
    their messages, without the place in the source that Python adds.

    Works as a decorator of a command, `@friendly` or `@friendly()` (below `@app.command`), and as a
    context manager, `with friendly():`. With the environment variable SPACY_LLM_TASKS_DEBUG=1 the
    error is left alone, for its traceback.

    command (callable | None): the command, when used without parentheses.
    RETURNS (callable): the command, wrapped, or the decorator.
    RAISES (typer.Exit): with code 1 instead of the error, or 130 after Ctrl-C.
    """
    return _Friendly() if command is None else _Friendly()(command)


def describe(error: BaseException) -> str:
    """Say what went wrong, for somebody who does not read Python.

    error (BaseException): the error.
    RETURNS (str): its message; for errors of the operating system without one of ours, the file
        first, and what to do where the disk is full.
    """
    message = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        if CODE.match(error.strerror):
            return error.strerror  # says itself what to do
        if error.filename is not None:
            message = f"{error.filename}: {error.strerror}"
    return f"{message}. {FULL}" if is_full(error) and not CODE.match(message) else message


def _plain_form(before: Callable[..., str]) -> Callable[..., str]:
    """RETURNS (callable): as `warnings.formatwarning`; for warnings of others it is `before`."""

    def form(message: Warning | str, *args: Any, **options: Any) -> str:
        if CODE.match(str(message)):
            return f"Warning: {message}\n"
        return before(message, *args, **options)

    return form


def _set_form(form: Callable[..., str]) -> None:
    setattr(warnings, "formatwarning", form)  # noqa: B010


def debugging() -> bool:
    """RETURNS (bool): whether the user wants tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")
