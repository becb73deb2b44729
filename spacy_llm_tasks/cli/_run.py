"""What every command shares: errors reach the user as one message."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def friendly() -> Iterator[None]:
    """Turn a ValueError or OSError into its message on stderr and exit code 1. Works as a decorator
    of a command (`@friendly()`) and as a context manager.

    RAISES (typer.Exit): With code 1, instead of the error.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
