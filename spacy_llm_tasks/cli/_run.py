"""What every command shares: errors reach the user as one message, not as a traceback."""

import os
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, TypeVar, overload

import typer

DEBUG_VARIABLE = "SPACY_LLM_TASKS_DEBUG"
# What bad input and a bad environment raise, here and in the libraries underneath. Anything else is
# a mistake of ours, and its traceback is what helps.
EXPECTED = (ValueError, OSError, ImportError)

Command = TypeVar("Command", bound=Callable[..., Any])


class _Friendly(ContextDecorator):
    """See `friendly`."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, BrokenPipeError):
            # The reader of our output has left (`... | head`): nobody is there to be told.
            raise typer.Exit(1) from error
        if isinstance(error, KeyboardInterrupt):
            typer.secho("Interrupted.", fg=typer.colors.RED, err=True)
            raise typer.Exit(130) from error
        if isinstance(error, EXPECTED) and not debugging():
            typer.secho(f"Error: {describe(error)}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error


@overload
def friendly() -> _Friendly: ...
@overload
def friendly(command: Command) -> Command: ...
def friendly(command: Command | None = None) -> Command | _Friendly:
    """Turn an expected error into its message on stderr and exit code 1.

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
        first.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error).strip() or type(error).__name__


def debugging() -> bool:
    """RETURNS (bool): whether the user wants tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")
