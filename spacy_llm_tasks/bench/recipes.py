"""What each side of a comparison is: pipeline components and optimiser, as plain spaCy config.

A recipe is data, not code, so that a result file can hold it word for word and a later run can
tell whether an old result still belongs to it.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import registry
from thinc.api import Optimizer

from ..errors import Errors

WEIGHTS = "{weights}"  # stands for the weights folder, whose path is no part of a result
WARM_UP = 0.1  # share of the updates

# Our heads learn faster than the encoder, as in the shipped configs; the rate of the grid is the
# encoder's on both sides.
ENCODER_SCALE = {"ner": 0.25, "textcat": 0.5}
# All other settings of our optimiser: weight decay and clipping as on the other side.
OUR_OPTIMIZER = {
    "layer_decay": 0.95,
    "weight_decay": 0.01,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "clip_norm": 1.0,
    "grad_clip": 1.0,
}


@dataclass(frozen=True)
class Recipe:
    """One side of a comparison on one task.

    components (dict[str, dict]): Component configs by name, in pipeline order, each with
        its `factory`.
    optimizer (dict): A block for thinc's `optimizers` registry.
    initialize (dict[str, dict]): `[initialize.components]` by component name.
    """

    components: dict[str, dict[str, Any]]
    optimizer: dict[str, Any]
    initialize: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pipeline(self, weights: Path | str) -> Language:
        """Build the untrained pipeline.

        weights (Path | str): Folder with `config.json`, a tokenizer and `model.safetensors`.
        RETURNS (Language): An English pipeline, not initialised.
        """
        nlp = spacy.blank("en")
        for name, block in self.components.items():
            config = _fill(deepcopy(block), str(weights))
            nlp.add_pipe(config.pop("factory"), name=name, config=config)
        nlp.config["initialize"]["components"] = _fill(deepcopy(self.initialize), str(weights))
        return nlp

    def build_optimizer(self) -> Optimizer:
        """RETURNS (Optimizer): A new optimiser at the start of its schedule."""
        return registry.resolve({"optimizer": deepcopy(self.optimizer)})["optimizer"]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The recipe for a result file."""
        blocks = {"components": self.components, "optimizer": self.optimizer}
        if self.initialize:
            blocks["initialize"] = self.initialize
        return deepcopy(blocks)


def build(side: str, task: str, *, learn_rate: float, updates: int) -> Recipe:
    """Look up the recipe of a side.

    side (str): "ours" or "peer".
    task (str): "ner" or "textcat".
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    RETURNS (Recipe): The recipe.
    RAISES (ValueError): If the side or the task is unknown.
    """
    if side not in SIDES:
        raise ValueError(Errors.E583.format(side=side, known=", ".join(SIDES)))
    if task not in ("ner", "textcat"):
        raise ValueError(Errors.E584.format(task=task))
    return SIDES[side](task, learn_rate, updates)


def peer(task: str, learn_rate: float, updates: int) -> Recipe:
    """spacy-transformers with the stock head, as spaCy's own quickstart configs put them together:
    128-token spans every 96 tokens, `ner` without the upper layer, `textcat` as an ensemble with
    a linear bag-of-words model. Adam as in spaCy's default `[training.optimizer]`.

    task (str): "ner" or "textcat".
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    RETURNS (Recipe): The recipe.
    """
    encoder = {
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
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    if task == "ner":
        head = {
            "factory": "ner",
            "model": {
                "@architectures": "spacy.TransitionBasedParser.v2",
                "state_type": "ner",
                "extra_state_tokens": False,
                "hidden_width": 64,
                "maxout_pieces": 2,
                "use_upper": False,
                "nO": None,
                "tok2vec": listener,
            },
        }
    else:
        head = {
            "factory": "textcat",
            "model": {
                "@architectures": "spacy.TextCatEnsemble.v2",
                "nO": None,
                "tok2vec": listener,
                "linear_model": {
                    "@architectures": "spacy.TextCatBOW.v3",
                    "exclusive_classes": True,
                    "length": 262144,
                    "ngram_size": 1,
                    "no_output_layer": False,
                },
            },
        }
    optimizer = {
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
    return Recipe(components={"transformer": encoder, task: head}, optimizer=optimizer)


def ours(task: str, learn_rate: float, updates: int) -> Recipe:
    """Our encoder and our head, each with the defaults of its factory, and our AdamW.

    task (str): "ner" or "textcat".
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    RETURNS (Recipe): The recipe, defaults filled in: a result is then kept apart from those of
        other defaults.
    """
    head = {"ner": "trf_ner", "textcat": "trf_textcat"}[task]
    components = {"transformer": {"factory": "trf_encoder"}, head: {"factory": head}}
    optimizer = {
        "@optimizers": "spacy_llm_tasks.AdamW.v1",
        **OUR_OPTIMIZER,
        "encoder_scale": ENCODER_SCALE[task],
        "learn_rate": schedule(learn_rate / ENCODER_SCALE[task], updates),
    }
    return Recipe(
        components=Recipe(components, {}).pipeline(WEIGHTS).config["components"],
        optimizer=optimizer,
        initialize={"transformer": {"weights": WEIGHTS}},
    )


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


def _fill(block: Any, weights: str) -> Any:
    if isinstance(block, dict):
        return {key: _fill(value, weights) for key, value in block.items()}
    return weights if block == WEIGHTS else block


SIDES = {"ours": ours, "peer": peer}
