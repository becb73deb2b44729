"""Text category scores, exclusive and multi-label, with partial gold and a threshold per label."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.scorer import PRFScore
from spacy.training import Example

from ..errors import Errors, Warnings
from .ranks import mean_ranks


def make_textcat_scorer(positive_label: str = "") -> Callable[..., dict[str, Any]]:
    """`spacy_llm_tasks.textcat_scorer.v1`.

    positive_label (str): For two exclusive labels: `cats_score` is the F1 of this one.
    RETURNS (Callable): A scorer for components.
    """
    return partial(score_textcat, positive_label=positive_label)


def score_textcat(
    examples: Iterable[Example],
    *,
    labels: Sequence[str],
    exclusive: bool = True,
    thresholds: Mapping[str, float] | None = None,
    threshold: float = 0.5,
    positive_label: str = "",
    **_settings: Any,
) -> dict[str, Any]:
    """Scores of `doc.cats`, under the names and with the meanings that spaCy gives them.

    examples (Iterable[Example]): Predicted and reference Docs. A label counts as true in the
        reference when its value is above 0.5.
    labels (Sequence[str]): The labels to score.
    exclusive (bool): One label per text: the highest prediction counts, thresholds play no part.
    thresholds (Mapping[str, float]): For several labels per text: predicted when its score is at
        least this.
    threshold (float): For labels that `thresholds` does not name.
    positive_label (str): See `make_textcat_scorer`.
    RETURNS (dict): `cats_score` with `cats_score_desc`: macro F for exclusive labels (F1 of the
        positive label if one is named), macro AUC otherwise; `cats_acc` (exclusive: share of texts
        with the right label; else share with the right set of labels, over fully annotated texts);
        `cats_micro_p/r/f`, `cats_macro_p/r/f`, `cats_macro_auc`, `cats_f_per_type`,
        `cats_auc_per_type`. All None without any gold.
        Gold is never guessed: a label that a reference does not carry is skipped, and a text whose
        reference has no true exclusive label is left out. A true label that is not among `labels`
        makes a text wrong in `cats_acc`; where labels are exclusive, the one that is predicted in
        its place is a false positive, and where they are not, it takes no part in the others, both
        as in spaCy. W303 names such labels. A text without predicted categories counts as
        predicting none.
    RAISES (ValueError): If the positive label is none of the labels.
    """
    labels = list(labels)
    if positive_label and positive_label not in labels:
        raise ValueError(
            Errors.E313.format(name="positive_label", expected=labels, found=positive_label)
        )
    gold, scores, others = _matrices(examples, labels)
    if exclusive:
        gold, scores, others = _told_only(gold, scores, others)
    beyond = np.array([bool(names) for names in others], dtype=bool)
    if labels and beyond.any():
        numbers = Counter(name for names in others for name in names)
        found = ", ".join(f"{name!r} ({n})" for name, n in sorted(numbers.items()))
        warnings.warn(Warnings.W303.format(found=found, known=labels), stacklevel=2)
    counts = {label: PRFScore() for label in labels}
    if not labels or not np.any(~np.isnan(gold)):
        return _empty()
    if exclusive:
        filled = np.nan_to_num(scores, nan=-np.inf)
        guess = ~np.isnan(scores) & (filled == filled.max(axis=1, keepdims=True))
        # The first of equal scores, as `max` over a dict would take it.
        chosen = guess & (np.cumsum(guess, axis=1) == 1)
    else:
        limits = np.array([(thresholds or {}).get(label, threshold) for label in labels])
        chosen = np.nan_to_num(scores, nan=-np.inf) >= limits
    known = ~np.isnan(gold)
    true = known & (gold > 0.5)
    for i, label in enumerate(labels):
        counts[label].tp = int(np.sum(chosen[:, i] & true[:, i]))
        counts[label].fp = int(np.sum(chosen[:, i] & known[:, i] & ~true[:, i]))
        counts[label].fn = int(np.sum(~chosen[:, i] & true[:, i]))
    whole = known.all(axis=1)
    right = ((chosen == true).all(axis=1) & ~beyond)[whole]
    return _results(counts, _aucs(labels, scores, known, true), right, exclusive, positive_label)


def unknown_labels(cats: Mapping[str, float], labels: Collection[str]) -> list[str]:
    """The labels that are true in a reference and that nothing can predict.

    cats (Mapping[str, float]): The categories of the reference.
    labels (Collection[str]): The labels that can be predicted.
    RETURNS (list[str]): Those of value above 0.5 that are not among them.
    """
    return [label for label, value in cats.items() if value > 0.5 and label not in labels]


def _matrices(
    examples: Iterable[Example], labels: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[list[str]]]:
    """Gold and predicted values, (B, L) each, NaN where there is none; and for each text the true
    labels beyond these."""
    gold: list[list[float]] = []
    scores: list[list[float]] = []
    others: list[list[str]] = []
    for example in examples:
        reference, predicted = example.reference.cats, example.predicted.cats
        gold.append([float(reference.get(label, np.nan)) for label in labels])
        scores.append([float(predicted.get(label, np.nan)) for label in labels])
        others.append(unknown_labels(reference, labels))
    shape = (len(gold), len(labels))
    return (
        np.array(gold, dtype=float).reshape(shape),
        np.array(scores, dtype=float).reshape(shape),
        others,
    )


def _told_only(
    gold: NDArray[np.float64], scores: NDArray[np.float64], others: list[list[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[list[str]]]:
    """Exclusive gold: texts with exactly one true label, the other labels false; and those where
    only labels beyond ours are true, with all of ours false."""
    n_true = np.sum(np.nan_to_num(gold) > 0.5, axis=1)
    others = [[] if n else names for n, names in zip(n_true, others, strict=True)]
    keep = (n_true == 1) | np.array([bool(names) for names in others], dtype=bool)
    gold = (np.nan_to_num(gold[keep]) > 0.5).astype(float)
    return gold, scores[keep], list(compress(others, keep))


def _aucs(
    labels: list[str],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    true: NDArray[np.bool_],
) -> dict[str, float | None]:
    aucs: dict[str, float | None] = {}
    for i, label in enumerate(labels):
        rows = known[:, i]
        aucs[label] = roc_auc(np.nan_to_num(scores[rows, i]), true[rows, i])
    return aucs


def roc_auc(scores: NDArray[np.float64], gold: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve: how often a positive outscores a negative, ties counting half
    (the Mann-Whitney statistic; Hanley & McNeil 1982).

    scores (ndarray): Scores, (N,).
    gold (ndarray): Truth, (N,).
    RETURNS (float): The area, or None if gold is not of both kinds.
    """
    gold = np.asarray(gold, dtype=bool)
    n_true = int(gold.sum())
    n_false = len(gold) - n_true
    if not n_true or not n_false:
        return None
    return float(
        (mean_ranks(scores)[gold].sum() - n_true * (n_true + 1) / 2.0) / (n_true * n_false)
    )


def _results(
    counts: dict[str, PRFScore],
    aucs: dict[str, float | None],
    right: NDArray[np.bool_],
    exclusive: bool,
    positive_label: str,
) -> dict[str, Any]:
    micro = PRFScore()
    for prf in counts.values():
        micro += prf
    n_labels = len(counts)
    results = _empty()
    results["cats_acc"] = float(right.mean()) if len(right) else None
    results["cats_micro_p"] = micro.precision
    results["cats_micro_r"] = micro.recall
    results["cats_micro_f"] = micro.fscore
    results["cats_macro_p"] = sum(prf.precision for prf in counts.values()) / n_labels
    results["cats_macro_r"] = sum(prf.recall for prf in counts.values()) / n_labels
    results["cats_macro_f"] = sum(prf.fscore for prf in counts.values()) / n_labels
    # As in spaCy: a label without both kinds of gold counts 0, so that a set with few labels
    # annotated does not look better than a full one.
    results["cats_macro_auc"] = sum(auc or 0.0 for auc in aucs.values()) / n_labels
    results["cats_f_per_type"] = {label: prf.to_dict() for label, prf in counts.items()}
    results["cats_auc_per_type"] = aucs
    if exclusive and positive_label and n_labels == 2:
        results["cats_score"] = counts[positive_label].fscore
        results["cats_score_desc"] = f"F ({positive_label})"
    elif exclusive:
        results["cats_score"] = results["cats_macro_f"]
        results["cats_score_desc"] = "macro F"
    else:
        results["cats_score"] = results["cats_macro_auc"]
        results["cats_score_desc"] = "macro AUC"
    return results


def _empty() -> dict[str, Any]:
    names = ["score", "score_desc", "acc", "micro_p", "micro_r", "micro_f", "macro_p", "macro_r"]
    names += ["macro_f", "macro_auc", "f_per_type", "auc_per_type"]
    return {f"cats_{name}": None for name in names}
