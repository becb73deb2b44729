"""The co-occurrence test: how often entities that merely stand near each other are called related.

Precision does not tell: it is a share of what was predicted, and most test sets have few pairs of
entities in no relation. So the pairs that were annotated, found and left unrelated are counted by
themselves, and the share of them in which a relation was predicted is the false-positive rate.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
from spacy.tokens import Doc

# An entity by characters, as (start, end, label), so that tokens may differ.
Place = tuple[int, int, str]
# A relation as (label, head, tail).
Fact = tuple[str, Place, Place]
Bounds = tuple[int, int]
Types = tuple[str, str]


class UnrelatedPairs:
    """Pairs of gold entities that stand in no relation, and what was predicted for them.

    A pair is two entities without order; the same characters are one entity, whatever its labels.
    It counts if both were found with the right boundaries, no gold relation holds between them in
    either direction, at most `max_distance` tokens of the reference lie between them, and they
    begin in one sentence, where the reference has sentence boundaries.

    max_distance (int): Most tokens between two entities.
    """

    def __init__(self, *, max_distance: int) -> None:
        self.max_distance = max_distance
        # How many pairs have these types, of which they may be, and these predicted labels.
        self._pairs: Counter[tuple[frozenset[Types], frozenset[str]]] = Counter()
        self._types: defaultdict[str, set[Types]] = defaultdict(set)

    def add(
        self,
        reference: Doc,
        *,
        gold_entities: Iterable[Place],
        gold: Iterable[Fact],
        found_entities: Iterable[Place],
        found: Iterable[Fact],
    ) -> None:
        """Count the pairs of a document.

        reference (Doc): The gold doc, for distances and sentences.
        gold_entities (Iterable[Place]): Its entities.
        gold (Iterable[Fact]): Its relations.
        found_entities (Iterable[Place]): The predicted entities.
        found (Iterable[Fact]): The predicted relations.
        """
        kinds = _kinds(gold_entities)
        related = set()
        for label, head, tail in gold:
            related.add(_pair(head[:2], tail[:2]))
            # An end that came without a label has those that its characters were given elsewhere.
            ends = ([place[2]] if place[2] else kinds[place[:2]] for place in (head, tail))
            self._types[label].update(_types(*ends))
        predicted = defaultdict(set)
        for label, head, tail in found:
            predicted[_pair(head[:2], tail[:2])].add(label)
        known = kinds.keys() & {place[:2] for place in found_entities}
        for pair in _near(reference, sorted(known), self.max_distance):
            if pair not in related:
                types = _types(kinds[pair[0]], kinds[pair[1]])
                self._pairs[types, frozenset(predicted.get(pair, ()))] += 1

    def scores(self, labels: Iterable[str]) -> dict[str, Any]:
        """Share of the pairs that were called related.

        labels (Iterable[str]): Labels to report on.
        RETURNS (dict): See `score_relations`. All None without a pair.
        """
        n_pairs = sum(self._pairs.values())
        results: dict[str, Any] = dict.fromkeys(
            ("rel_unrelated_fpr", "rel_unrelated_n", "rel_unrelated_per_type")
        )
        if not n_pairs:
            return results
        results["rel_unrelated_fpr"] = sum(n for (_, f), n in self._pairs.items() if f) / n_pairs
        results["rel_unrelated_n"] = n_pairs
        results["rel_unrelated_per_type"] = {label: self._of_label(label) for label in labels}
        return results

    def _of_label(self, label: str) -> dict[str, Any]:
        n_pairs = n_wrong = 0
        for (types, predicted), n in self._pairs.items():
            if not types.isdisjoint(self._types.get(label, ())):
                n_pairs += n
                n_wrong += n * (label in predicted)
        return {"fpr": n_wrong / n_pairs if n_pairs else None, "n": n_pairs}


def _kinds(entities: Iterable[Place]) -> dict[Bounds, set[str]]:
    """The labels of each entity; none at all only where nobody gave one."""
    kinds: defaultdict[Bounds, set[str]] = defaultdict(set)
    for start, end, label in entities:
        kinds[start, end].add(label)
    return {bounds: (labels - {""}) or labels for bounds, labels in kinds.items()}


def _types(first: Iterable[str], second: Iterable[str]) -> frozenset[Types]:
    return frozenset((min(a, b), max(a, b)) for a, b in product(first, second))


def _pair(first: Bounds, second: Bounds) -> tuple[Bounds, Bounds]:
    return (first, second) if first <= second else (second, first)


def _near(doc: Doc, bounds: list[Bounds], max_distance: int) -> Iterator[tuple[Bounds, Bounds]]:
    """YIELDS (tuple): Each two entities, given in order, that are near enough."""
    first = {token.idx: token.i for token in doc}
    last = {token.idx + len(token): token.i + 1 for token in doc}
    sentence = np.zeros(len(doc), dtype=np.int64)
    if doc.has_annotation("SENT_START"):
        sentence = np.cumsum(doc.to_array("SENT_START") == 1)
    for i, left in enumerate(bounds):
        for right in bounds[i + 1 :]:
            # Those that follow begin even later, so that a long document costs no square.
            if first[right[0]] - last[left[1]] > max_distance:
                break
            if sentence[first[left[0]]] != sentence[first[right[0]]]:
                break
            yield left, right
