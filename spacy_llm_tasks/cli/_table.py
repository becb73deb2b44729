"""Plain tables: aligned columns, nothing that a log file or a pipe would garble."""

from collections.abc import Sequence

import typer


def echo_table(rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print rows with the columns aligned; all but the first column to the right.

    rows (Sequence): Texts, the same number in every row.
    title (str): Printed above.
    """
    if title:
        typer.secho(f"\n{title}", bold=True)
    if not rows:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        typer.echo(("  " + "  ".join(cells)).rstrip())


def echo_facts(facts: dict[str, str], *, title: str = "") -> None:
    """Print names and values, each value on the line of its name."""
    if title:
        typer.secho(f"\n{title}", bold=True)
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        typer.echo(f"  {name.ljust(width)}  {value}")
