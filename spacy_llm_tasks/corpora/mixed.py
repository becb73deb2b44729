"""`spacy_llm_tasks.MixedCorpus.v1`: several corpora in one, each as often as it is wanted.

Tasks that share an encoder rarely share their data: one file has entities, another categories. A
Doc trains those tasks that it has gold for, and the others not at all, so files can be mixed as
they are.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spacy.language import Language
from spacy.training import Example

from ..errors import Errors

Reader = Callable[[Language], Iterable[Example]]


def make_mixed_corpus(
    corpora: dict[str, Any], weights: dict[str, float] | None = None, seed: int = 0
) -> "MixedCorpus":
    """`spacy_llm_tasks.MixedCorpus.v1`, a reader of examples for `[corpora.train]`.

    corpora (Dict[str, Callable]): Readers by name, each a block of its own.
    weights (Dict[str, float]): How often an example comes from each of them, in relation to the
        others; 1 for those not named. Empty or null: as often as they are long, each example once.
    seed (int): For the order.
    RETURNS (MixedCorpus): The reader.
    RAISES (ValueError): If there are no corpora, or a weight is not above 0, not finite, or of none
        of them.
    """
    weights = dict(weights or {})
    if not corpora:
        raise ValueError(Errors.E350)
    for name, weight in weights.items():
        if name not in corpora or not 0 < weight < math.inf:
            known = ", ".join(corpora)
            raise ValueError(Errors.E351.format(name=name, weight=weight, known=known))
    return MixedCorpus(dict(corpora), weights, seed)


@dataclass(frozen=True)
class MixedCorpus:
    """Reads examples anew at every call; see `make_mixed_corpus` for the settings."""

    corpora: dict[str, Reader]
    weights: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples of all corpora in one random order.

        A pass is as long as it takes to see every example once: the corpora that come more often
        than they are long start again, in another order.

        nlp (Language): As for any reader.
        YIELDS (Example): The examples.
        RAISES (ValueError): If one of them has no examples.
        """
        found = {name: list(reader(nlp)) for name, reader in self.corpora.items()}
        for name, examples in found.items():
            if not examples:
                raise ValueError(Errors.E352.format(name=name))
        counts = self._counts({name: len(examples) for name, examples in found.items()})
        rng = random.Random(self.seed)
        mixed: list[Example] = []
        for name, examples in found.items():
            for _ in range(counts[name] // len(examples)):
                mixed.extend(examples)
            mixed.extend(rng.sample(examples, counts[name] % len(examples)))
        rng.shuffle(mixed)
        yield from mixed

    def _counts(self, sizes: dict[str, int]) -> dict[str, int]:
        """How many examples of each corpus a pass has."""
        if not self.weights:
            return sizes
        weights = {name: self.weights.get(name, 1.0) for name in sizes}
        per_weight = max(size / weights[name] for name, size in sizes.items())
        return {name: max(sizes[name], round(per_weight * weights[name])) for name in sizes}
