"""Trained pipelines in fewer bits: computing so for a run, or with weights that are kept so.

The precision of an encoder is a setting of its architecture. An encoder stands in the config under
its own component, or under a head's that has one of its own (`replace_listeners`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from thinc.api import Model

from ..errors import Errors
from ..layers.encoder_shim import EncoderShim

ARCHITECTURE = "spacy_llm_tasks.Transformer.v1"


def load_with(
    pipeline: str | Path, precision: str, *, config: Mapping[str, Any] | None = None
) -> Language:
    """Load a pipeline whose encoders predict in a precision.

    pipeline (str / Path): Folder or name of a trained pipeline.
    precision (str): "fp32", "bf16" or "int8".
    config (Mapping): Other settings by dotted name.
    RETURNS (Language): The pipeline.
    RAISES (ValueError): if it has no encoder, or one whose weights were reduced to another
        precision.
    """
    given = dict(config or {})
    nlp = spacy.load(pipeline, config=given)
    settings = list(_settings(nlp.config["components"], "components"))
    if not settings:
        raise ValueError(Errors.E444.format(path=pipeline, components=", ".join(nlp.pipe_names)))
    for shim in encoders(nlp):
        if shim.stored and shim.precision != precision:
            raise ValueError(Errors.E461.format(path=pipeline, found=shim.precision))
    chosen = {name: precision for name, found in settings if found != precision}
    return spacy.load(pipeline, config={**given, **chosen}) if chosen else nlp


def reduce_weights(nlp: Language, *, embeddings: str) -> None:
    """Round the weights of all encoders to the precision that they predict in.

    What was said of the pipeline's precision holds for good: it is saved and loaded with these
    weights, the float32 ones are gone, and it cannot be trained.

    nlp (Language): The pipeline, with a precision below fp32.
    embeddings (str): Precision of the tables of pieces: "fp32", "bf16" or "int8".
    RAISES (ValueError): if the precision is fp32, or weights were reduced before.
    """
    for shim in encoders(nlp):
        if shim.is_built:
            shim.reduce(embeddings=embeddings)


def encoders(nlp: Language) -> Iterator[EncoderShim]:
    """YIELDS (EncoderShim): Every encoder of a pipeline, shared or a head's own."""
    for _, component in nlp.components:
        model = getattr(component, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            yield from (shim for shim in node.shims if isinstance(shim, EncoderShim))


def _settings(block: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Dotted names and values of the precisions below a block of a config."""
    if block.get("@architectures") == ARCHITECTURE:
        yield f"{path}.precision", block.get("precision", "fp32")
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{path}.{name}")
