"""Relation scores: strict, by boundaries, and among the entities that were found.

The three are never mixed: Taillé et al. (2020), "Let's stop incorrect comparisons in end-to-end
relation extraction!", show how much a comparison of one with another overstates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..annotations import get_relations, has_relations
from .cooccurrence import UnrelatedPairs


class _Place(NamedTuple):
    """An entity without its Doc, by characters, so that tokens may differ."""

    start: int
    end: int
    label: str


class _Triple(NamedTuple):
    label: str
    head: _Place
    tail: _Place


def make_relation_scorer(
    symmetric: Sequence[str] = (), spans_key: str = "trf_ner", max_distance: int = 100
) -> Callable[..., dict[str, Any]]:
    """`spacy_llm_tasks.relation_scorer.v1`.

    symmetric (Sequence[str]): Labels of relations without direction.
    spans_key (str): Where entities are found besides `doc.ents`.
    max_distance (int): Most tokens between the entities of an unrelated pair.
    RETURNS (Callable): A scorer for components.
    """
    return partial(
        score_relations, symmetric=symmetric, spans_key=spans_key, max_distance=max_distance
    )


def score_relations(
    examples: Iterable[Example],
    *,
    labels: Iterable[str],
    symmetric: Iterable[str] = (),
    inverse: Mapping[str, str] | None = None,
    spans_key: str = "trf_ner",
    max_distance: int = 100,
    **_settings: Any,
) -> dict[str, Any]:
    """Precision, recall and F1 of `doc._.relations`, over all documents together.

    examples (Iterable[Example]): Predicted and reference Docs; their tokens may differ. A document
        whose reference was never annotated (`has_relations`) is skipped; one annotated with no
        relation counts, and so does what is predicted in it.
    labels (Iterable[str]): Labels to report on even if they do not occur. Others that occur count
        all the same: a relation that the component cannot know is a miss.
    symmetric (Iterable[str]): Labels of relations without direction: head and tail may be swapped,
        and a relation given in both directions is one.
    inverse (Mapping[str, str]): Labels that are another one read backwards: each counts as that
        one, and a relation given both ways is one.
    spans_key (str): Where entities are found besides `doc.ents`, for `rel_gold_f` and
        `rel_unrelated_fpr`.
    max_distance (int): Most tokens between the entities of an unrelated pair.
    RETURNS (dict): Each relation counts once, however often it was given.
        `rel_micro_p/r/f`: strict: boundaries and entity labels of head and tail, direction and
        relation label must be right; a relation whose entities were not found is a miss.
        `rel_macro_f`: mean of the strict F1 of each label that has gold.
        `rel_boundary_micro_f`: as strict, without the entity labels.
        `rel_gold_f`: strict F1 among gold entities that were found, which shows the relations
        without the errors of the entities: a gold relation counts only if both its entities were
        predicted exactly, a predicted one only if both its entities are gold. Equal to
        `rel_micro_f` when gold entities are given, and never the score of a whole pipeline.
        Entities are `doc.ents`, `doc.spans[spans_key]` and the arguments of relations.
        `rel_per_type`: {label: {"p", "r", "f"}}, strict.
        All None without any gold: if no reference was annotated, or if those that were have no
        relation and none was predicted. `rel_macro_f` and `rel_gold_f` are None also when there is
        nothing that they could count.
        `rel_unrelated_fpr`: the co-occurrence test, the share of the unrelated pairs for which some
        relation was predicted, in either direction. These are two gold entities, both found with
        the right boundaries, near each other (at most `max_distance` tokens between them, and in
        one sentence where the reference has sentence boundaries), without a gold relation in either
        direction.
        `rel_unrelated_n`: how many pairs these are.
        `rel_unrelated_per_type`: {label: {"fpr", "n"}}: the share for which this label was
        predicted, of those whose two entity labels have this relation anywhere in the gold, in
        either order. "fpr" is None without such a pair.
        These three are None without an unrelated pair, and only then: nothing predicted is 0.0.
    """
    undirected, inverse = frozenset(symmetric), inverse or {}
    per_type = {label: PRFScore() for label in labels}
    boundary, among_found = PRFScore(), PRFScore()
    unrelated = UnrelatedPairs(max_distance=max_distance)
    for example in examples:
        if not has_relations(example.reference):
            continue
        found = _triples(example.predicted, undirected, inverse)
        gold = _triples(example.reference, undirected, inverse)
        for label in {triple.label for triple in found | gold}:
            per_type.setdefault(label, PRFScore()).score_set(
                {triple for triple in found if triple.label == label},
                {triple for triple in gold if triple.label == label},
            )
        boundary.score_set(set(map(_bare, found)), set(map(_bare, gold)))
        found_entities = _entities(example.predicted, found, spans_key)
        gold_entities = _entities(example.reference, gold, spans_key)
        among_found.score_set(_within(found, gold_entities), _within(gold, found_entities))
        unrelated.add(
            example.reference,
            gold_entities=gold_entities,
            gold=gold,
            found_entities=found_entities,
            found=found,
        )
    return _results(per_type, boundary, among_found) | unrelated.scores(per_type)


def _triples(doc: Doc, undirected: frozenset[str], inverse: Mapping[str, str]) -> set[_Triple]:
    triples = set()
    for relation in get_relations(doc):
        label = inverse.get(relation.label, relation.label)
        ends = [_place(relation.head), _place(relation.tail)]
        if relation.label in inverse:
            ends.reverse()
        if label in undirected:
            ends.sort()
        triples.add(_Triple(label, *ends))
    return triples


def _place(span: Span) -> _Place:
    return _Place(span.start_char, span.end_char, span.label_)


def _bare(triple: _Triple) -> tuple[str, tuple[int, int], tuple[int, int]]:
    return triple.label, triple.head[:2], triple.tail[:2]


def _entities(doc: Doc, triples: set[_Triple], spans_key: str) -> set[_Place]:
    places = {_place(span) for span in doc.ents}
    if spans_key in doc.spans:
        places.update(_place(span) for span in doc.spans[spans_key])
    for triple in triples:
        places.update((triple.head, triple.tail))
    return places


def _within(triples: set[_Triple], entities: set[_Place]) -> set[_Triple]:
    return {triple for triple in triples if triple.head in entities and triple.tail in entities}


def _results(
    per_type: dict[str, PRFScore], boundary: PRFScore, among_found: PRFScore
) -> dict[str, Any]:
    results: dict[str, Any] = dict.fromkeys(
        (
            "rel_micro_p",
            "rel_micro_r",
            "rel_micro_f",
            "rel_macro_f",
            "rel_boundary_micro_f",
            "rel_gold_f",
            "rel_per_type",
        )
    )
    micro = PRFScore()
    for prf in per_type.values():
        micro += prf
    if not len(micro):
        return results
    with_gold = [prf.fscore for prf in per_type.values() if prf.tp + prf.fn]
    results["rel_micro_p"] = micro.precision
    results["rel_micro_r"] = micro.recall
    results["rel_micro_f"] = micro.fscore
    results["rel_macro_f"] = sum(with_gold) / len(with_gold) if with_gold else None
    results["rel_boundary_micro_f"] = boundary.fscore
    results["rel_gold_f"] = among_found.fscore if len(among_found) else None
    results["rel_per_type"] = {label: prf.to_dict() for label, prf in per_type.items()}
    return results
