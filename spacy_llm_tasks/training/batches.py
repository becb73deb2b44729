"""The stream of training batches, which can be brought back to any place in it.

spaCy's generator decides what a batch is. Its draws may consume randomness (the shuffle at each
epoch's start, an augmenter in a stream), and a batcher may carry a schedule from batch to batch, so
no position is known from numbers alone. We therefore note the random state before each draw that
used any, and come back by drawing everything again, each draw from the state it had.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import create_train_batches

from ..errors import Errors
from ..randomness import RandomState


class Batches:
    """Iterate over `(epoch, batch)` exactly as `spacy train` does, for as long as it does.

    nlp (Language): The pipeline, handed to the reader.
    corpus (Callable): The reader.
    batcher (Callable): Examples to lists of examples.
    max_epochs (int): 0 for no limit, -1 for a stream that is read anew in each epoch.
    """

    def __init__(
        self,
        nlp: Language,
        corpus: Callable[[Language], Iterable[Example]],
        batcher: Callable[[Iterable[Example]], Iterable[Example]],
        max_epochs: int,
    ) -> None:
        self._source = create_train_batches(nlp, corpus, batcher, max_epochs)
        self.drawn = 0
        self.randomness: dict[int, RandomState] = {}

    def __iter__(self) -> Iterator[tuple[int, list[Example]]]:
        return self

    def __next__(self) -> tuple[int, list[Example]]:
        before = RandomState.now()
        epoch, batch = next(self._source)
        moved = RandomState.now().moved_since(before)
        if moved.arrays:
            self.randomness[self.drawn] = moved
        self.drawn += 1
        return epoch, list(batch)

    def replay(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Go to the place that `to_state` described. Leaves the generators in any state.

        RAISES (ValueError): If the data ends before that place.
        """
        self.randomness = _unpack(state["randomness"], arrays)
        for i in range(state["drawn"]):
            if i in self.randomness:
                self.randomness[i].restore()
            try:
                next(self._source)
            except StopIteration:
                raise ValueError(Errors.E502.format(drawn=i, wanted=state["drawn"])) from None
        self.drawn = state["drawn"]

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """RETURNS (tuple): The place in JSON types, and the arrays it refers to by number."""
        numbers, arrays = _pack(self.randomness)
        return {"drawn": self.drawn, "randomness": numbers}, arrays


def _pack(
    randomness: dict[int, RandomState],
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Words of state rarely change between draws (a twister renews them every 624): kept once."""
    arrays: dict[str, np.ndarray] = {}
    latest: dict[str, str] = {}
    records = []
    for draw, state in randomness.items():
        record: dict[str, Any] = {"draw": draw, "arrays": {}, "numbers": state.numbers}
        for name, words in state.arrays.items():
            if name not in latest or not np.array_equal(arrays[latest[name]], words):
                latest[name] = f"draws/{name}/{draw}"
                arrays[latest[name]] = words
            record["arrays"][name] = latest[name]
        records.append(record)
    return records, arrays


def _unpack(records: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> dict[int, RandomState]:
    return {
        record["draw"]: RandomState(
            {name: arrays[key] for name, key in record["arrays"].items()}, record["numbers"]
        )
        for record in records
    }
