"""Scores of answers, equal to the published evaluation scripts.

SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018) compare words without articles and punctuation.
They do so for every language, as XQuAD does, but Chinese, which is not written in words: it
follows the script of CMRC 2018 (Cui et al. 2019), by which DRCD is evaluated too.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotations import Question
from ..errors import Errors

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
# What CMRC 2018 takes out. ASCII marks such as the full stop stay, and so does a single …
_CHINESE_MARKS = str.maketrans("", "", "，。、；：？！“”’《》「」『』（）·－～-:_*^/\\~`+=")
# One Chinese character, or a word of another script as the Penn Treebank cuts them, by whose rules
# (NLTK's) CMRC cuts what is not Chinese: these signs stand alone, and so do several full stops, a
# comma without a digit behind it, and a full stop that ends a run of words.
_SIGNS = r';@#$%&?!\[\](){}<>"‘„«»\u2012-\u2015'
_ENDS_RUN = r"[\])}>\"'» ]*\s*(?:[\u4e00-\u9fa5]|$)"
_CHINESE_TOKEN = re.compile(
    rf"[\u4e00-\u9fa5]|\.{{2,}}|[{_SIGNS}]|,(?![0-9])"
    rf"|(?:[^\s\u4e00-\u9fa5,.{_SIGNS}]|,(?=[0-9])|\.(?!\.|{_ENDS_RUN}))+|\."
)


def normalize_answer(text: str, *, lang: str = "en") -> str:
    """What is left of an answer to compare.

    In this order: lower case, no ASCII punctuation, no English articles, single spaces; so "a.m."
    becomes "am", which it would not if articles went first. For Chinese: lower case, no space
    around, without the punctuation that CMRC names.

    text (str): An answer.
    lang (str): "zh" for Chinese; any other for SQuAD's rules.
    RETURNS (str): May be empty.
    """
    if lang == "zh":
        return text.lower().strip().translate(_CHINESE_MARKS)
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, gold: str, *, lang: str = "en") -> bool:
    """Whether two answers are equal after `normalize_answer`."""
    return normalize_answer(prediction, lang=lang) == normalize_answer(gold, lang=lang)


def f1(prediction: str, gold: str, *, lang: str = "en", empty_agree: bool = True) -> float:
    """Overlap of the words of two answers: F1 of the words they share, however ordered.

    For Chinese, tokens are characters, and words of other scripts ("30℃", "1,000"); what counts is
    the longest run of tokens that both have, not all they share. Unlike in the CMRC script, which
    calls NLTK for these words, clitics stay with their word ("don't" is one token, not two).

    prediction (str): The predicted answer.
    gold (str): The accepted answer.
    lang (str): As in `normalize_answer`.
    empty_agree (bool): Whether two answers without a word agree (SQuAD 2.0, where it means that
        there is no answer) or share nothing (1.1 and CMRC).
    RETURNS (float): Between 0 and 1.
    """
    a, b = _tokens(prediction, lang), _tokens(gold, lang)
    if not a or not b:
        return float(empty_agree and a == b)
    if lang == "zh":
        matcher = SequenceMatcher(None, a, b, autojunk=False)
        shared = matcher.find_longest_match(0, len(a), 0, len(b)).size
    else:
        shared = sum((Counter(a) & Counter(b)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(a), shared / len(b)
    return 2 * precision * recall / (precision + recall)


def best_over_golds(
    metric: Callable[..., float], prediction: str, golds: Iterable[str], **settings: Any
) -> float:
    """The highest value of `exact_match` or `f1` over all accepted answers; 0 without any."""
    return max((float(metric(prediction, gold, **settings)) for gold in golds), default=0.0)


def score_squad(
    questions: Iterable[Question],
    predictions: Mapping[str, str],
    *,
    version: str | None = None,
    no_answer_scores: Mapping[str, float] | None = None,
    threshold: float = 1.0,
    lang: str = "en",
) -> dict[str, float | None]:
    """Exact match and F1 of predicted answers, as the evaluation scripts count them, but between 0
    and 1 (they print per cent).

    questions (Iterable[Question]): Questions with their accepted answers; none if unanswerable.
    predictions (Mapping[str, str]): Answers by question id; "" means that there is none. A question
        without prediction counts 0 (in 2.0, whose script stops there, too).
    version (str): "1.1" or "2.0". They differ in answers that consist of articles and punctuation,
        and only 2.0 scores unanswerable questions. None: 2.0 if there are any, or no-answer scores.
    no_answer_scores (Mapping[str, float]): By question id, how sure the model is that there is no
        answer (2.0). Needed for the best scores.
    threshold (float): Above this no-answer score the prediction is "no answer".
    lang (str): "zh" for Chinese; any other for SQuAD's rules.
    RETURNS (dict): `qa_em` and `qa_f1`. For 2.0 also `qa_has_ans_em/f1` and `qa_no_ans_em/f1` over
        the answerable and the other questions, and with no-answer scores `qa_best_em/f1`: the
        highest value that some threshold reaches, and `qa_best_em/f1_threshold`, that threshold
        (0 if it is best never to answer). What does not apply is None.
    RAISES (ValueError): If the version is unknown, a question for 1.1 has no answer, or a
        prediction has no no-answer score.
    """
    questions = list(questions)
    answerable = np.array([bool(q.answers) for q in questions], dtype=bool)
    if version is None:
        version = "1.1" if answerable.all() and no_answer_scores is None else "2.0"
    if version not in ("1.1", "2.0"):
        raise ValueError(
            Errors.E313.format(name="version", expected="'1.1' or '2.0'", found=version)
        )
    if version == "1.1" and not answerable.all():
        first = questions[int(np.argmin(answerable))]
        raise ValueError(Errors.E362.format(id=first.id))
    results: dict[str, float | None] = dict.fromkeys(_NAMES)
    if not questions:
        return results
    raw = _raw_scores(questions, predictions, version, lang)
    refused = np.zeros(len(questions), dtype=bool)
    if version == "2.0" and no_answer_scores is not None:
        refusals = _refusals(questions, predictions, no_answer_scores)
        refused = refusals > threshold
        predicted = np.array([bool(predictions.get(q.id)) for q in questions], dtype=bool)
        order = _official_order(questions, refusals, no_answer_scores)
        for name, scores in raw.items():
            best, at = _best(scores, answerable, predicted, refusals, order)
            results[f"qa_best_{name}"], results[f"qa_best_{name}_threshold"] = best, at
    for name, scores in raw.items():
        scores = np.where(refused, ~answerable, scores)
        results[f"qa_{name}"] = float(scores.mean())
        if version == "2.0":
            results[f"qa_has_ans_{name}"] = _mean(scores[answerable])
            results[f"qa_no_ans_{name}"] = _mean(scores[~answerable])
    return results


_NAMES = [
    f"qa_{part}{name}" for part in ("", "has_ans_", "no_ans_", "best_") for name in ("em", "f1")
]
_NAMES += ["qa_best_em_threshold", "qa_best_f1_threshold"]


def _tokens(text: str, lang: str) -> list[str]:
    text = normalize_answer(text, lang=lang)
    return _CHINESE_TOKEN.findall(text) if lang == "zh" else text.split()


def _raw_scores(
    questions: Sequence[Question], predictions: Mapping[str, str], version: str, lang: str
) -> dict[str, NDArray[np.float64]]:
    """Scores of the predicted texts, whatever the no-answer scores say; (N,) each."""
    em, overlap = np.zeros(len(questions)), np.zeros(len(questions))
    for row, question in enumerate(questions):
        prediction = predictions.get(question.id)
        if prediction is None:
            continue
        golds = [answer.text for answer in question.answers]
        if version == "2.0":
            golds = [gold for gold in golds if normalize_answer(gold, lang=lang)] or [""]
        em[row] = best_over_golds(exact_match, prediction, golds, lang=lang)
        overlap[row] = best_over_golds(
            f1, prediction, golds, lang=lang, empty_agree=version == "2.0"
        )
    return {"em": em, "f1": overlap}


def _refusals(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float],
) -> NDArray[np.float64]:
    """(N,) no-answer scores; NaN, which no threshold reaches, without prediction."""
    refusals = np.full(len(questions), np.nan)
    for row, question in enumerate(questions):
        if question.id in predictions:
            if question.id not in no_answer_scores:
                raise ValueError(Errors.E363.format(id=question.id))
            refusals[row] = no_answer_scores[question.id]
    return refusals


def _official_order(
    questions: Sequence[Question],
    refusals: NDArray[np.float64],
    no_answer_scores: Mapping[str, float],
) -> NDArray[np.int64]:
    """Rows with a prediction, by no-answer score; equal ones as they stand in the mapping, because
    the script may draw its line between them."""
    place = {name: i for i, name in enumerate(no_answer_scores)}
    rows = np.flatnonzero(~np.isnan(refusals))
    places = np.array([place[questions[row].id] for row in rows.tolist()], dtype=np.int64)
    return rows[np.lexsort((places, refusals[rows]))]


def _best(
    scores: NDArray[np.float64],
    answerable: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    refusals: NDArray[np.float64],
    order: NDArray[np.int64],
) -> tuple[float, float]:
    """Start from answering nothing, and answer one question after the other."""
    nothing = float((~answerable[order]).sum())
    steps = np.where(answerable[order], scores[order], -predicted[order].astype(float))
    totals = np.cumsum(np.concatenate([[nothing], steps]))
    best = int(np.argmax(totals))
    at = float(refusals[order[best - 1]]) if best else 0.0
    return float(totals[best]) / len(scores), at


def _mean(scores: NDArray[np.float64]) -> float | None:
    return float(scores.mean()) if len(scores) else None
