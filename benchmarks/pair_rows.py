"""A layer from docs to their pairs of entities: the mean token rows of both, side by side."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d


class Candidates(NamedTuple):
    """A doc and the pairs of entities to judge in it.

    doc (Doc): The doc.
    entities (list[tuple[int, int]]): First token and the one after the last.
    pairs (list[tuple[int, int]]): Numbers of a head and a tail among the entities.
    """

    doc: Doc
    entities: list[tuple[int, int]]
    pairs: list[tuple[int, int]]


def pair_rows(tok2vec: Model[list[Doc], list[Floats2d]]) -> Model[list[Candidates], Floats2d]:
    """Put the mean token rows of both entities of each pair side by side.

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream.
    RETURNS (Model[List[Candidates], Floats2d]): Gives (P, 2 * W), the pairs of all docs.
    """
    return Model("pair_rows", _forward, init=_init, layers=[tok2vec])


def _init(model: Model, X: list[Candidates] | None = None, Y: Any = None) -> None:
    model.layers[0].initialize(X=None if X is None else [one.doc for one in X])


def _forward(
    model: Model, X: list[Candidates], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Any]]]:
    rows, backprop_rows = model.layers[0]([one.doc for one in X], is_train)
    xp = model.ops.xp
    means = [xp.asarray(_means(one, len(row))) for one, row in zip(X, rows, strict=True)]
    ends = [xp.asarray(np.array(one.pairs, dtype="int64").reshape(-1, 2).T) for one in X]
    parts = []
    for mean, row, (head, tail) in zip(means, rows, ends, strict=True):
        entities = mean @ row
        parts.append(xp.hstack([entities[head], entities[tail]]))
    sizes = np.cumsum([len(part) for part in parts])[:-1].tolist()

    def backprop(d_pairs: Floats2d) -> list[Any]:
        d_rows = []
        d_parts = xp.split(d_pairs, sizes)
        for mean, (head, tail), d_part in zip(means, ends, d_parts, strict=True):
            d_head, d_tail = xp.hsplit(d_part, 2)
            d_entities = xp.zeros((len(mean), d_head.shape[1]), dtype="float32")
            xp.add.at(d_entities, head, d_head)
            xp.add.at(d_entities, tail, d_tail)
            d_rows.append(mean.T @ d_entities)
        backprop_rows(d_rows)
        return []

    return xp.concatenate(parts), backprop


def _means(candidates: Candidates, n_tokens: int) -> np.ndarray:
    """(E, N) the share of each token in the mean of each entity."""
    mean = np.zeros((len(candidates.entities), n_tokens), dtype="float32")
    for row, (start, end) in enumerate(candidates.entities):
        mean[row, start:end] = 1.0 / (end - start)
    return mean
