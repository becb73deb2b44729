"""What a model can learn from text alone, one objective a file.

    encoder    masked         fill in hidden pieces                       (BERT, SpanBERT)
               replaced       find pieces that a generator made up        (ELECTRA)
               next_sentence  tell whether two texts belong together      (BERT, ALBERT)
               contrastive    give a text the same vector twice           (SimCSE)
    decoder    causal         go on with a text                           (GPT-2)
    seq2seq    denoising      write a text whole from one with holes      (BART)

Each prepares micro-batches with numpy, for all chunks at once (`framing`, `masking`, `infilling`),
and computes its loss on the rows that something is predicted from (`predictions`, `decision`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import Errors
from ..hints import hint_for
from .causal import CausalLM
from .contrastive import Contrastive
from .denoising import Denoising
from .masked import MaskedLM
from .next_sentence import NextSentence
from .objective import Objective
from .replaced import ReplacedPieces

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    kind.name: kind
    for kind in (MaskedLM, ReplacedPieces, NextSentence, Contrastive, CausalLM, Denoising)
}


def make_objective(name: str, settings: Mapping[str, Any]) -> Objective:
    """Build an objective from a config.

    name (str): A key of `OBJECTIVES`.
    settings (Mapping[str, Any]): Its settings.
    RETURNS (Objective): The objective.
    RAISES (ValueError): An unknown name or setting, or a value out of range.
    """
    if name not in OBJECTIVES:
        raise ValueError(Errors.E732.format(name=name, known=", ".join(OBJECTIVES)))
    known = list(inspect.signature(OBJECTIVES[name]).parameters)
    for setting in settings:
        if setting not in known:
            hint = hint_for(setting, known)
            raise ValueError(Errors.E733.format(objective=name, name=setting, hint=hint))
    return OBJECTIVES[name](**settings)


__all__ = [
    "OBJECTIVES",
    "CausalLM",
    "Contrastive",
    "Denoising",
    "MaskedLM",
    "NextSentence",
    "ReplacedPieces",
    "make_objective",
]
