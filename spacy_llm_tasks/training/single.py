"""One task of a joint config alone: the config without what only its other tasks need.

What the tasks cost each other shows when one of them is trained alone under the same settings: same
data in the same order, same number of steps, same optimizer. So everything stays that does not
belong to a component, the readers of data too: each task then sees its examples as often as before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spacy.language import DEFAULT_CONFIG
from thinc.api import Config

from ..errors import Errors
from .config_check import SECTIONS
from .config_references import all_references, dot_get
from .parts import Part, family, read_parts

NAME_LISTS = (
    "nlp.pipeline",
    "nlp.disabled",
    "training.frozen_components",
    "training.annotating_components",
)


class Reduced(NamedTuple):
    """A part of a config.

    config (Config): The config that is left, not interpolated.
    kept (Dict[str, str]): Components that were not asked for but are needed, and what for.
    """

    config: Config
    kept: dict[str, str]


def reduce_config(config: Config, names: Sequence[str]) -> Reduced:
    """Take out of a config all components but some, and all that was there only for the others.

    config (Config): A correct training config, not interpolated, with overrides applied.
    names (Sequence[str]): The components to train. The encoders that they listen to are kept, and
        so are components before them that assign what they require: relations are scored between
        entities that `trf_ner` has found, so it is trained too. What a factory does not declare
        (`requires`, see `Language.factory`) must be named.
    RETURNS (Reduced): The new config, and what was kept besides.
    RAISES (ValueError): If a name is not in the pipeline.
    """
    whole = config.interpolate()
    pipeline: list[str] = dot_get(whole, "nlp.pipeline") or []
    for name in names:
        if name not in pipeline:
            raise ValueError(Errors.E522.format(name=name, known=", ".join(pipeline)))
    parts = read_parts(whole)
    needed = _needed(parts, names)
    reduced = config.copy()
    _keep_components(reduced, whole, needed)
    _keep_weights(reduced, whole, parts, needed)
    _fill_references(reduced, whole)
    _drop_variables(reduced, {reference for _, reference in all_references(config)})
    return Reduced(reduced, {name: why for name, why in needed.items() if why})


def _needed(parts: Mapping[str, Part], names: Sequence[str]) -> dict[str, str]:
    """RETURNS (dict): Names that stay, in the pipeline's order; what for, if not asked for."""
    found = dict.fromkeys(names, "")
    order, waiting = list(parts), list(names)
    while waiting:
        name = waiting.pop(0)
        for other in order[: order.index(name)]:
            why = parts[name].needs(other, parts[other])
            if why and other not in found:
                found[other] = f"{name} {why}"
                waiting.append(other)
    return {name: found[name] for name in order if name in found}


# The sections of the config -----------------------------------------------------------------------


def _keep_components(config: Config, whole: Config, needed: Mapping[str, str]) -> None:
    for place in ("components", "initialize.components"):
        section = dot_get(config, place)
        for name in [name for name in section or () if name not in needed]:
            del section[name]
    for place in NAME_LISTS:
        names = dot_get(whole, place)
        if isinstance(names, list):
            _set(config, place, [name for name in names if name in needed])
    pretrained = dot_get(whole, "pretraining.component")
    if pretrained in dot_get(whole, "nlp.pipeline") and pretrained not in needed:
        # What was pretrained has no place in what is left.
        config["pretraining"] = {}
        if dot_get(config, "initialize.init_tok2vec"):
            _set(config, "initialize.init_tok2vec", None)


def _keep_weights(
    config: Config, whole: Config, parts: Mapping[str, Part], needed: Mapping[str, str]
) -> None:
    weights = dot_get(whole, "training.score_weights")
    if not weights:
        return
    given = {one for name in needed for one in parts[name].families}
    gone = {one for part in parts.values() for one in part.families} - given
    kept = {score: weight for score, weight in weights.items() if family(score) not in gone}
    if any(weights.values()) and not any(kept.values()):
        # All that counted is gone: every evaluation would be as good as the first, before any
        # training. spaCy puts in the factories' weights for those that are missing.
        kept = {score: weight for score, weight in kept.items() if weight is None}
    _set(config, "training.score_weights", kept)


def _fill_references(config: Config, whole: Config) -> None:
    """Put the value in the place of each `${...}` whose target is gone."""
    for place, reference in list(all_references(config)):
        if not _exists(config, reference):
            _set(config, place, dot_get(whole, place))


def _drop_variables(config: Config, before: set[str]) -> None:
    """Drop variables that only what is gone referred to: the check would call them misspelt.

    before (Set[str]): All references of the whole config.
    """
    # One at a time: a variable may refer to others, which then are without use too.
    while True:
        used = {reference for _, reference in all_references(config)}
        unused = [
            name
            for name in before
            if _is_variable(name)
            and _exists(config, name)
            and not any(f"{other}.".startswith(f"{name}.") for other in used)
            and not any(f"{name}.".startswith(f"{other}.") for other in used)
        ]
        if not unused:
            return
        _drop(config, unused[0])


def _is_variable(name: str) -> bool:
    section, _, key = name.partition(".")
    default = DEFAULT_CONFIG.get(section, {})
    return section not in SECTIONS and name not in DEFAULT_CONFIG and key not in default


def _exists(config: Config, name: str) -> bool:
    section, _, key = name.rpartition(".")
    found = dot_get(config, section) if section else config
    return isinstance(found, Mapping) and key in found


def _drop(config: Config, name: str) -> None:
    section, _, key = name.rpartition(".")
    del (dot_get(config, section) if section else config)[key]
    if section and not dot_get(config, section) and section not in DEFAULT_CONFIG:
        _drop(config, section)


def _set(config: Config, place: str, value: Any) -> None:
    section, _, key = place.rpartition(".")
    dot_get(config, section)[key] = value
