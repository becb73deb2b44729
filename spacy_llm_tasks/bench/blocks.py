"""Pieces of the recipes: the schedule of both sides, and the peer's encoder, heads and optimiser.

They are plain spaCy config, as spaCy's own quickstart puts them together.
"""

from typing import Any

WEIGHTS = "{weights}"  # stands for the weights folder, whose path is no part of a result
WARM_UP = 0.1  # share of the updates


def schedule(learn_rate: float, updates: int) -> dict[str, Any]:
    """Linear warm-up over the first tenth of the updates, then a linear decline to 0.

    learn_rate (float): The highest rate.
    updates (int): The number of updates.
    RETURNS (dict[str, Any]): A block for thinc's `schedules` registry.
    """
    return {
        "@schedules": "warmup_linear.v1",
        "initial_rate": learn_rate,
        "warmup_steps": round(WARM_UP * updates),
        "total_steps": updates,
    }


def peer_encoder() -> dict[str, Any]:
    """RETURNS (dict): The peer's encoder: 128-token spans every 96 tokens."""
    return {
        "factory": "transformer",
        "max_batch_items": 4096,
        "model": {
            "@architectures": "spacy-transformers.TransformerModel.v3",
            "name": WEIGHTS,
            "tokenizer_config": {"use_fast": True},
            "get_spans": {
                "@span_getters": "spacy-transformers.strided_spans.v1",
                "window": 128,
                "stride": 96,
            },
        },
    }


def peer_listener() -> dict[str, Any]:
    """RETURNS (dict): How the peer's heads read its encoder."""
    return {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }


def peer_ner() -> dict[str, Any]:
    """RETURNS (dict): `ner` without the upper layer."""
    return {
        "factory": "ner",
        "model": {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": "ner",
            "extra_state_tokens": False,
            "hidden_width": 64,
            "maxout_pieces": 2,
            "use_upper": False,
            "nO": None,
            "tok2vec": peer_listener(),
        },
    }


def peer_textcat() -> dict[str, Any]:
    """RETURNS (dict): `textcat` as an ensemble with a linear bag-of-words model."""
    return {
        "factory": "textcat",
        "model": {
            "@architectures": "spacy.TextCatEnsemble.v2",
            "nO": None,
            "tok2vec": peer_listener(),
            "linear_model": {
                "@architectures": "spacy.TextCatBOW.v3",
                "exclusive_classes": True,
                "length": 262144,
                "ngram_size": 1,
                "no_output_layer": False,
            },
        },
    }


def peer_optimizer(learn_rate: float, updates: int) -> dict[str, Any]:
    """Adam as in spaCy's default `[training.optimizer]`.

    learn_rate (float): The highest rate of the schedule.
    updates (int): The length of the schedule.
    RETURNS (dict): A block for thinc's `optimizers` registry.
    """
    return {
        "@optimizers": "Adam.v1",
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "L2": 0.01,
        "L2_is_weight_decay": True,
        "grad_clip": 1.0,
        "use_averages": False,
        "learn_rate": schedule(learn_rate, updates),
    }
