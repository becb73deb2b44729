"""Long lists in runs of a bounded size, so that a component's memory stays bounded."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def bounded_groups(
    items: Sequence[Item], size_of: Callable[[Item], int], limit: int
) -> Iterator[list[Item]]:
    """Cut a list into runs, in order; an item larger than the limit makes a run of its own.

    items (Sequence[Item]): Docs, or whatever has a size.
    size_of (Callable): The size of an item.
    limit (int): The size that a run of several items does not exceed.
    YIELDS (List[Item]): The runs.
    """
    group: list[Item] = []
    size = 0
    for item in items:
        added = size_of(item)
        if group and size + added > limit:
            yield group
            group, size = [], 0
        group.append(item)
        size += added
    if group:
        yield group
