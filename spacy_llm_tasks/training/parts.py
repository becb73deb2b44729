"""What the components of a config need of each other, told without making them."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import (
    get_lang_class,
    get_model_meta,
    get_package_path,
    is_package,
    load_config,
    registry,
)
from thinc.api import Config

from .config_blocks import reference_of
from .config_references import dot_get

# A listener with the upstream "*" reads every component before it that assigns one of these.
ROWS = frozenset({"doc.tensor", "doc._.trf_data"})
ANY_UPSTREAM = "*"


@dataclass(frozen=True)
class Part:
    """What config and factory say about a component.

    requires, assigns (FrozenSet[str]): Attributes, such as "doc.ents".
    families (FrozenSet[str]): Its scores' first words: "ents" of `ents_f`. Scorers give more scores
        than a factory has weights for, under the same first word.
    upstreams (FrozenSet[str]): Names of the encoders that it listens to.
    """

    requires: frozenset[str] = frozenset()
    assigns: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    upstreams: frozenset[str] = frozenset()

    def needs(self, name: str, other: "Part") -> str:
        """Whether this component needs one that comes before it.

        name (str): Name of the other one.
        other (Part): The other one.
        RETURNS (str): What for, empty if it does not.
        """
        if name in self.upstreams or (ANY_UPSTREAM in self.upstreams and other.assigns & ROWS):
            return "listens to it"
        shared = sorted(self.requires & other.assigns)
        return f"needs {', '.join(shared)} of it" if shared else ""


def read_parts(config: Config) -> dict[str, Part]:
    """Read what factories and config say about the components of a pipeline.

    config (Config): A correct training config, interpolated.
    RETURNS (Dict[str, Part]): By name, in the pipeline's order. A part is empty if its factory is
        not known.
    """
    language = get_lang_class(config["nlp"]["lang"])
    language()  # registers the factories, stock ones and those of installed packages
    pipeline = config["nlp"]["pipeline"]
    return {name: _read_part(language, name, config["components"][name]) for name in pipeline}


def _read_part(language: type[Language], name: str, block: Mapping[str, Any]) -> Part:
    if "source" in block:
        block = _block_of_source(block["source"], block.get("component", name))
    factory = block.get("factory")
    if not factory or not language.has_factory(factory):
        return Part()
    meta = language.get_factory_meta(factory)
    # The listener may be the factory's own, when the config says nothing about the model.
    filled = Config({"block": meta.default_config}).merge({"block": dict(block)})["block"]
    return Part(
        requires=frozenset(meta.requires),
        assigns=frozenset(meta.assigns),
        families=frozenset(map(family, meta.default_score_weights or ())),
        upstreams=frozenset(_upstreams(filled)),
    )


def _block_of_source(source: str, name: str) -> Mapping[str, Any]:
    """RETURNS (dict): A component's block in the config of a trained pipeline, a folder or package;
    empty if it is not there, which spaCy reports when it makes the pipeline."""
    path = Path(source)
    if is_package(source):
        package = get_package_path(source)
        meta = get_model_meta(package)
        path = package / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    if not (path / "config.cfg").is_file():
        return {}
    return dot_get(load_config(path / "config.cfg", interpolate=True), f"components.{name}") or {}


def _upstreams(value: Any) -> Iterator[str]:
    """YIELDS (str): The `upstream` of every listener in a block, whichever package it is from."""
    if not isinstance(value, Mapping):
        return
    reference = reference_of(value)
    if reference is not None and registry.has(*reference):
        parameter = inspect.signature(registry.get(*reference)).parameters.get("upstream")
        if parameter is not None:
            yield str(value.get("upstream", parameter.default))
    for below in value.values():
        yield from _upstreams(below)


def family(score: str) -> str:
    """RETURNS (str): A score's first word."""
    return score.partition("_")[0]
