"""Which scores the components of a pipeline give, and whether a config asks for others."""

import difflib
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress

from spacy.language import Language
from spacy.training import Example

from ..errors import Errors, Warnings

# How alike two names must be for one to be the other misspelt: `ents_ff` and `ents_f` are, and
# `spans_sc_f` and `spans_mine_f`, say, are not.
ALIKE = 0.85


def known_scores(nlp: Language, example: Example | None) -> set[str]:
    """Names of the scores that a pipeline gives, also of those for which there is no gold.

    nlp (Language): The pipeline, initialized.
    example (Example | None): Of the dev data; it is predicted on and scored.
    RETURNS (set[str]): What the components declare, and what they score on the example.
    """
    known = {
        score
        for name in nlp.pipe_names
        for score in nlp.get_pipe_meta(name).default_score_weights or ()
    }
    if example is not None:
        # A scorer may need more than one example. What else is wrong, the first evaluation raises.
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known.update(nlp.evaluate([example]))
    return known


def check_names(weights: Mapping[str, float | None], known: Iterable[str]) -> None:
    """Refuse a score that is a known one misspelt. Any other may be given by other data.

    weights (Mapping): As in `training.score_weights`.
    known (Iterable[str]): See `known_scores`.
    RAISES (ValueError): If there is such a score.
    """
    names = set(known)
    for name, weight in weights.items():
        near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=ALIKE)
        if weight and name not in names and near:
            raise ValueError(Errors.E536.format(name=name, near=near[0]))


def idle_weights(
    weights: Mapping[str, float | None], scores: Mapping[str, object], known: Iterable[str]
) -> list[str]:
    """RETURNS (list[str]): Warnings about the weights that count for nothing in an evaluation: the
    data has no gold for their scores, or no component gives them."""
    idle = [name for name, weight in weights.items() if weight and name not in scores]
    without_gold = [name for name in idle if name in set(known)]
    unknown = [name for name in idle if name not in without_gold]
    found = []
    if without_gold:
        found.append(Warnings.W505.format(names=", ".join(without_gold)))
    if unknown:
        given = ", ".join(sorted(k for k, v in scores.items() if isinstance(v, int | float)))
        found.append(Warnings.W504.format(names=", ".join(unknown), known=given))
    return found
