"""Buffers of docs in runs of a bounded size, so that a component's memory stays bounded."""

from collections.abc import Callable, Iterator, Sequence

from spacy.tokens import Doc


def bounded_groups(
    docs: Sequence[Doc], size_of: Callable[[Doc], int], limit: int
) -> Iterator[list[Doc]]:
    """Cut docs into runs, in order; a doc that is larger than the limit makes a run of its own.

    docs (Sequence[Doc]): The docs.
    size_of (Callable): The size of a doc.
    limit (int): The size that a run of several docs does not exceed.
    YIELDS (List[Doc]): The runs.
    """
    group: list[Doc] = []
    size = 0
    for doc in docs:
        added = size_of(doc)
        if group and size + added > limit:
            yield group
            group, size = [], 0
        group.append(doc)
        size += added
    if group:
        yield group
