"""The evaluation of SemEval-2010 Task 8: one directed relation between two nominals per sentence.

Hendrickx et al. (2010), "SemEval-2010 Task 8: Multi-way classification of semantic relations
between pairs of nominals". The rules are those of the task's scorer, version 1.2, and its three
readings: 19 ways (nine relations in two directions, and Other), 10 ways with the direction
ignored, and, officially, 10 ways with the direction taken into account.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..annotations import Relation, get_relations, has_relations
from ..errors import Errors

OTHER = "Other"
_DIRECTED = re.compile(r"(.+)(\(e1,e2\)|\(e2,e1\))")


class _Averages(NamedTuple):
    macro_p: float
    macro_r: float
    macro_f: float
    micro_f: float
    per_type: dict[str, dict[str, float]]


def semeval_macro_f1(gold: Sequence[str], predicted: Sequence[str | None]) -> float | None:
    """The official score: see `semeval_scores`, of which it is `semeval_macro_f`.

    gold (Sequence[str]): Labels such as "Cause-Effect(e1,e2)" or "Other".
    predicted (Sequence[str]): The predicted labels, in the same order; None where skipped.
    RETURNS (float): Between 0 and 1; None if no gold label is a relation.
    RAISES (ValueError): As `semeval_scores`.
    """
    return semeval_scores(gold, predicted)["semeval_macro_f"]


def semeval_scores(gold: Sequence[str], predicted: Sequence[str | None]) -> dict[str, Any]:
    """All figures of the task's scorer. Any relation names are taken, not only the nine.

    With the direction taken into account, the precision of a relation is the number of right
    labels (direction too) over all predictions of the relation in either direction, its recall the
    same number over all gold of the relation in either direction: the right relation in the wrong
    direction is both a false positive and a miss. Averages are over the relations *in the gold*,
    without Other; a skipped text and a predicted relation that no gold text has are as good as
    Other, so the latter lowers recall but nobody's precision. Macro F1 is the mean of the F1s.

    gold (Sequence[str]): Labels such as "Cause-Effect(e1,e2)" or "Other".
    predicted (Sequence[str]): The predicted labels, in the same order; None where skipped.
    RETURNS (dict): Between 0 and 1. `semeval_macro_p/r/f` (F is the official score) and
        `semeval_micro_f`; `semeval_undirected_macro_f`: direction ignored;
        `semeval_19way_macro_f`: each direction a class of its own; `semeval_acc`: share of texts
        with the right label, Other included; `semeval_per_type`: {relation: {"p", "r", "f"}},
        official. All None if no gold label is a relation, but for `semeval_acc`, which is None
        without any text.
    RAISES (ValueError): If there are not as many predictions as gold labels, or a label has
        another form.
    """
    if len(gold) != len(predicted):
        raise ValueError(
            Errors.E331.format(what="labels", found=(len(predicted),), other=(len(gold),))
        )
    given = [OTHER if label is None else label for label in predicted]
    gold_relations, relations = [_relation(x) for x in gold], [_relation(x) for x in given]
    right = [x == y for x, y in zip(gold, given, strict=True)]
    right_relation = [x == y for x, y in zip(gold_relations, relations, strict=True)]
    official = _averages(gold_relations, relations, right)
    undirected = _averages(gold_relations, relations, right_relation)
    directed = _averages(gold, given, right)
    return {
        "semeval_macro_p": official.macro_p if official else None,
        "semeval_macro_r": official.macro_r if official else None,
        "semeval_macro_f": official.macro_f if official else None,
        "semeval_micro_f": official.micro_f if official else None,
        "semeval_undirected_macro_f": undirected.macro_f if undirected else None,
        "semeval_19way_macro_f": directed.macro_f if directed else None,
        "semeval_acc": sum(right) / len(right) if right else None,
        "semeval_per_type": official.per_type if official else None,
    }


def make_semeval_scorer() -> Callable[..., dict[str, Any]]:
    """`spacy_llm_tasks.semeval_scorer.v1`.

    RETURNS (Callable): A scorer for components whose documents hold one relation at most.
    """
    return score_semeval


def score_semeval(examples: Iterable[Example], **_settings: Any) -> dict[str, Any]:
    """`semeval_scores` of the one relation that each document may have; none means Other.

    e1 is the argument that begins first in the text, as in the task's data: a relation from it to
    the other is "LABEL(e1,e2)", the reverse "LABEL(e2,e1)". A label that already ends in its
    direction is taken as it is.

    examples (Iterable[Example]): Predicted and reference Docs; their tokens may differ. Documents
        whose reference was never annotated are left out. The pair in question is that of the gold
        relation, or else the reference's entities if there are two: predictions for other pairs
        are ignored, and of several for the pair the most confident counts.
    RETURNS (dict): As `semeval_scores`.
    RAISES (ValueError): If a reference has several relations.
    """
    gold: list[str] = []
    predicted: list[str] = []
    for example in examples:
        if not has_relations(example.reference):
            continue
        relations = get_relations(example.reference)
        if len(relations) > 1:
            raise ValueError(Errors.E361.format(found=len(relations)))
        gold.append(_label(relations[0]) if relations else OTHER)
        predicted.append(_predicted_label(example.predicted, _pair(example.reference, relations)))
    return semeval_scores(gold, predicted)


def _relation(label: str) -> str:
    if label == OTHER:
        return label
    match = _DIRECTED.fullmatch(label)
    if match is None:
        raise ValueError(Errors.E360.format(found=label))
    return match.group(1)


def _averages(
    gold: Sequence[str], predicted: Sequence[str], right: Sequence[bool]
) -> _Averages | None:
    """Averages over the classes of gold but Other; `right` says which predictions are."""
    n_gold, n_predicted = Counter(gold), Counter(predicted)
    n_right = Counter(label for label, hit in zip(gold, right, strict=True) if hit)
    counts = {
        label: PRFScore(
            tp=n_right[label],
            fp=n_predicted[label] - n_right[label],
            fn=n_gold[label] - n_right[label],
        )
        for label in sorted(n_gold)
        if label != OTHER
    }
    if not counts:
        return None
    micro = PRFScore()
    for prf in counts.values():
        micro += prf
    return _Averages(
        macro_p=sum(prf.precision for prf in counts.values()) / len(counts),
        macro_r=sum(prf.recall for prf in counts.values()) / len(counts),
        macro_f=sum(prf.fscore for prf in counts.values()) / len(counts),
        micro_f=micro.fscore,
        per_type={label: prf.to_dict() for label, prf in counts.items()},
    )


def _label(relation: Relation) -> str:
    if _DIRECTED.fullmatch(relation.label):
        return relation.label
    forward = _place(relation.head) <= _place(relation.tail)
    return f"{relation.label}({'e1,e2' if forward else 'e2,e1'})"


def _place(span: Span) -> tuple[int, int]:
    return span.start_char, span.end_char


def _pair(reference: Doc, relations: Sequence[Relation]) -> frozenset[tuple[int, int]] | None:
    if relations:
        return frozenset((_place(relations[0].head), _place(relations[0].tail)))
    if len(reference.ents) == 2:
        return frozenset(_place(span) for span in reference.ents)
    return None


def _predicted_label(doc: Doc, pair: frozenset[tuple[int, int]] | None) -> str:
    candidates = [
        relation
        for relation in get_relations(doc)
        if relation.label != OTHER
        and (pair is None or pair == {_place(relation.head), _place(relation.tail)})
    ]
    if not candidates:
        return OTHER
    return _label(max(candidates, key=lambda relation: relation.score))
