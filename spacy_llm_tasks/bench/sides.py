"""The names of the sides of a comparison."""

from collections.abc import Iterable

from ..errors import Errors


def check_sides(sides: Iterable[str], known: Iterable[str]) -> None:
    """RAISES (ValueError): A side is none of the known ones."""
    names = list(known)
    for side in sides:
        if side not in names:
            raise ValueError(Errors.E583.format(side=side, known=", ".join(names)))
