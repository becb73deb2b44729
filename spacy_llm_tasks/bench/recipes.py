"""What each side of a comparison is: pipeline components and optimiser, as plain spaCy config.

A recipe is data, not code, so that a result file can hold it word for word and a later run can
tell whether an old result still belongs to it.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import registry
from thinc.api import Optimizer

from ..errors import Errors
from .blocks import WEIGHTS, peer_encoder, peer_ner, peer_optimizer, peer_textcat, schedule
from .sides import check_sides

# Our heads learn faster than the encoder, as in the shipped configs; the rate of the grid is the
# encoder's on both sides.
ENCODER_SCALE = {
    "ner": 0.25,
    "textcat": 0.5,
    "relation": 0.25,
    "ner_relation": 0.25,
    "similarity": 1.0,
    "qa": 0.5,
}
# What of the weights is evaluated, as in the shipped configs.
AVERAGES: dict[str, dict[str, float]] = {
    "ner": {"average_decay": 0.995},
    "textcat": {"average_decay": 0.995, "start_share": 0.15},
    "similarity": {"average_decay": 0.998, "start_share": 0.3},
}
# Our heads in pipeline order, with what the task needs besides the defaults of their factories.
OUR_HEADS: dict[str, dict[str, dict[str, Any]]] = {
    "ner": {"trf_ner": {}},
    "textcat": {"trf_textcat": {}},
    "relation": {"trf_relation": {"exclusive": True}},
    "ner_relation": {"trf_ner": {}, "trf_relation": {}},
    "similarity": {"trf_similarity": {"objective": "cosent"}},
    "qa": {"trf_qa": {}},
}
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


def build(
    side: str,
    task: str,
    *,
    learn_rate: float,
    updates: int,
    options: Mapping[str, dict[str, Any]] | None = None,
) -> Recipe:
    """Look up the recipe of a side.

    side (str): "ours" or "peer".
    task (str): A name of `tasks.TASKS`.
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    options (Mapping[str, dict]): Settings of our components, by component, beyond the defaults.
    RETURNS (Recipe): The recipe.
    RAISES (ValueError): If the side or the task is unknown, or the side has no recipe for the task.
    """
    check_sides([side], SIDES)
    if task not in OUR_HEADS:
        raise ValueError(Errors.E584.format(task=task, known=", ".join(OUR_HEADS)))
    if is_scripted(side, task):
        raise ValueError(Errors.E590.format(task=task))
    return SIDES[side](task, learn_rate, updates, options or {})


def is_scripted(side: str, task: str) -> bool:
    """RETURNS (bool): Whether the runs of a side on a task are made by a script, for lack of a
    component to write a recipe with."""
    return side == "peer" and task not in PEER_HEADS


def peer(
    task: str, learn_rate: float, updates: int, options: Mapping[str, dict[str, Any]]
) -> Recipe:
    """spacy-transformers with the stock head, as spaCy's own quickstart configs put them together.

    task (str): "ner" or "textcat".
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    options (Mapping[str, dict]): Not used: they are ours.
    RETURNS (Recipe): The recipe.
    """
    return Recipe(
        components={"transformer": peer_encoder(), task: PEER_HEADS[task]()},
        optimizer=peer_optimizer(learn_rate, updates),
    )


def ours(
    task: str, learn_rate: float, updates: int, options: Mapping[str, dict[str, Any]]
) -> Recipe:
    """Our encoder and our heads, each with the defaults of its factory, and our AdamW.

    task (str): A name of `tasks.TASKS`.
    learn_rate (float): The highest rate of the schedule, for the encoder.
    updates (int): The length of the schedule.
    options (Mapping[str, dict]): Settings by component, beyond the defaults.
    RETURNS (Recipe): The recipe, defaults filled in: a result is then kept apart from those of
        other defaults.
    """
    components: dict[str, dict[str, Any]] = {"transformer": {"factory": "trf_encoder"}}
    for head, needed in OUR_HEADS[task].items():
        components[head] = {"factory": head, **needed, **options.get(head, {})}
    optimizer = {
        "@optimizers": "spacy_llm_tasks.AdamW.v1",
        **OUR_OPTIMIZER,
        **AVERAGES.get(task, {}),
        "encoder_scale": ENCODER_SCALE[task],
        "learn_rate": schedule(learn_rate / ENCODER_SCALE[task], updates),
    }
    return Recipe(
        components=Recipe(components, {}).pipeline(WEIGHTS).config["components"],
        optimizer=optimizer,
        initialize={"transformer": {"weights": WEIGHTS}},
    )


def with_new_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Fill in the arguments of registered functions that are younger than a result.

    What such a function does under a published name never changes, so an argument that a result
    does not name stood, in effect, at what is its default today. A default that changes is another
    matter: results name all the arguments of their time.

    settings (dict): From a result file.
    RETURNS (dict): The settings with all arguments of today, or as they are if they name something
        that is not there any more.
    """
    try:
        recipe = Recipe(settings["components"], {})
        components = recipe.pipeline(WEIGHTS).config["components"]
    except (KeyError, ValueError, ImportError):
        return settings
    return {**settings, "components": components}


def _fill(block: Any, weights: str) -> Any:
    if isinstance(block, dict):
        return {key: _fill(value, weights) for key, value in block.items()}
    return weights if block == WEIGHTS else block


PEER_HEADS = {"ner": peer_ner, "textcat": peer_textcat}
SIDES = {"ours": ours, "peer": peer}
