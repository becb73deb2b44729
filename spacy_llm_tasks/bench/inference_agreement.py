"""Whether the pipelines that are timed give the same token rows: what a report says of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tokenization.tokenizer import PieceTokenizer
from . import agreement, curated, texts
from .inference_sides import PIPELINES, Side, pipeline

SHORT, LONG, CURATED = "max_abs_difference", "max_abs_difference_long", "max_abs_difference_curated"


def differences(
    names: Sequence[str], weights: Path, tokenizer: PieceTokenizer, *, seed: int
) -> dict[str, float | None]:
    """Compare our rows with those of the other pipelines that were timed beside ours, in float32
    and on the CPU.

    names (Sequence[str]): Names of sides.
    weights (Path): Folder of the pretrained weights.
    tokenizer (PieceTokenizer): Ours.
    seed (int): Seeds texts and heads.
    RETURNS (dict[str, float | None]): Largest absolute differences, for a report; empty where there
        is nothing to compare.
    """
    others = [name for name in PIPELINES[1:] if name in names]
    if "ours" not in names or not others:
        return {}
    made = {name: pipeline(Side(name), weights, seed=seed) for name in ("ours", *others)}
    short = [
        text
        for kind in ("sentences", "paragraphs")
        for text in texts.generate(kind, n_words=1000, seed=seed)
    ]
    ours, found = made["ours"], {}
    if "peer" in made:
        windows = Side("ours", windows=(agreement.WINDOW, agreement.STRIDE))
        like_peer = pipeline(windows, weights, seed=seed)
        found[SHORT] = agreement.short_difference(ours, made["peer"], short)
        found[LONG] = agreement.long_difference(like_peer, made["peer"], tokenizer)
    if "curated" in made:
        found[CURATED] = curated.short_difference(ours, made["curated"], short, tokenizer)
    return found


def render(found: Mapping[str, Any]) -> list[str]:
    """RETURNS (list[str]): What a report says of it, a line for each of the others."""
    lines = []
    where = {
        SHORT: f"in docs of at most {agreement.WINDOW} tokens",
        LONG: "in longer ones whose windows agree",
    }
    told = [f"{found[k]:.1e} {place}" for k, place in where.items() if found.get(k) is not None]
    if told:
        lines.append(
            "Largest difference between our token rows and the peer's in float32: "
            f"{', '.join(told)}."
        )
    if found.get(CURATED) is not None:
        lines.append(
            "Between ours and those of curated: "
            f"{found[CURATED]:.1e} in docs of one window with the same pieces."
        )
    return lines
