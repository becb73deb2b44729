"""The side `curated`: spacy-curated-transformers with spaCy's `ner`, on the same BERT weights.

Its encoder cuts windows of 128 pieces every 96, so that a text of more than 96 is read in two, and
has the special pieces once for a document, before its first window and behind its last one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language

from ..errors import Errors
from ..tokenization.tokenizer import PieceTokenizer
from .blocks import WEIGHTS, peer_ner, peer_optimizer
from .recipes import Recipe

FAMILY = "bert"
STRIDE = 96  # pieces from one window to the next, special ones included
SPECIAL = 2  # [CLS] and [SEP]
# Names in the weights' config.json by arguments of the architecture, where they differ.
SIZES = {
    "hidden_width": "hidden_size",
    "intermediate_width": "intermediate_size",
    "vocab_size": "vocab_size",
    "num_attention_heads": "num_attention_heads",
    "num_hidden_layers": "num_hidden_layers",
    "max_position_embeddings": "max_position_embeddings",
    "model_max_length": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "layer_norm_eps": "layer_norm_eps",
    "hidden_act": "hidden_act",
}
PREFIX = "spacy-curated-transformers"


def recipe(weights: Path, *, learn_rate: float, updates: int) -> Recipe:
    """Encoder and `ner` with the defaults of that library's own configs.

    weights (Path): Folder of the pretrained weights, whose sizes the architecture is told.
    learn_rate (float): The highest rate of the schedule.
    updates (int): The length of the schedule.
    RETURNS (Recipe): The recipe.
    RAISES (ValueError): The weights are no BERT's.
    """
    config = json.loads((weights / "config.json").read_text(encoding="utf8"))
    if config.get("model_type") != FAMILY:
        found = config.get("model_type")
        raise ValueError(Errors.E593.format(path=weights, expected=FAMILY, found=found))
    sizes = {name: config[key] for name, key in SIZES.items() if key in config}
    head = peer_ner()
    head["model"]["tok2vec"] = {
        "@architectures": f"{PREFIX}.LastTransformerLayerListener.v1",
        "width": sizes["hidden_width"],
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    return Recipe(
        components={"transformer": _encoder(sizes), "ner": head},
        optimizer=peer_optimizer(learn_rate, updates),
        initialize={
            "transformer": {
                "encoder_loader": _loader("HFTransformerEncoderLoader.v1"),
                "piecer_loader": _loader("HFPieceEncoderLoader.v1"),
            }
        },
    )


def short_difference(
    ours: Language, curated: Language, docs: Sequence[str], tokenizer: PieceTokenizer
) -> float | None:
    """Compare the token rows of texts that both sides read as the same pieces in one window.

    That library cuts tokens into pieces one by one: "cannot", two tokens of spaCy, is two pieces
    there and one here.

    ours (Language): Writes its rows to `doc.tensor`.
    curated (Language): Writes `doc._.trf_data`, a row for each piece.
    docs (Sequence[str]): Texts; those that are too long, or whose pieces differ, are passed over.
    tokenizer (PieceTokenizer): Ours.
    RETURNS (float | None): The largest absolute difference, `None` if no text could be compared.
    """
    from thinc.api import reduce_mean

    pool: Any = reduce_mean()  # over the pieces of a token, as its heads receive them
    found = []
    for text in docs:
        words = [token.text for token in ours.make_doc(text) if not token.is_space]
        pieces, one_by_one = tokenizer.encode([text]).ids, tokenizer.encode(words).ids
        if 0 < len(pieces) <= STRIDE - SPECIAL and numpy.array_equal(pieces, one_by_one):
            states: Any = curated(text)._.trf_data.last_hidden_layer_state
            found.append(numpy.abs(ours(text).tensor - pool.predict(states)).max())
    return max(map(float, found), default=None)


def _encoder(sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        "factory": "curated_transformer",
        "model": {
            "@architectures": f"{PREFIX}.BertTransformer.v1",
            **sizes,
            "piece_encoder": {"@architectures": f"{PREFIX}.BertWordpieceEncoder.v1"},
            "with_spans": {"@architectures": f"{PREFIX}.WithStridedSpans.v1"},
        },
    }


def _loader(name: str) -> dict[str, Any]:
    return {"@model_loaders": f"{PREFIX}.{name}", "name": WEIGHTS}
