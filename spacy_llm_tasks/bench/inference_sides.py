"""The sides of the speed of inference: pipelines from text to entities, and plain encoders.

    ours                    encoder and entity head of this package, in each precision
    peer                    spacy-transformers and spaCy's `ner`, with their defaults
    curated                 spacy-curated-transformers and spaCy's `ner`, with their defaults
    transformers            a plain loop, padded batches of 32: token states and nothing else
    sentence-transformers   the same by its `encode`, which sorts by length

The last two read no more than 512 pieces of a text, align nothing and find nothing.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed

from ..errors import Errors
from ..packages import installed
from . import curated, recipes, texts
from .device import use_device, wait_for_device
from .peak import forward_flops
from .raw_loops import LOOPS

PIPELINES = ("ours", "peer", "curated")
# What to install for a side, by the name and range of a distribution. Versions of
# spacy-curated-transformers from 1 on are for spaCy 4.
NEEDED = {
    "peer": ("spacy-transformers", ""),
    "curated": ("spacy-curated-transformers", "<1"),
    "transformers": ("transformers", ""),
    "sentence-transformers": ("sentence-transformers", ""),
}
LABELS = ("PERSON", "ORG", "GPE", "DATE")
ENCODER = "transformer"  # the encoder component's name on both sides


@dataclass(frozen=True)
class Side:
    """What is timed.

    name (str): One of `PIPELINES` or a key of `raw_loops.LOOPS`.
    precision (str): Of the encoder's arithmetic; below "fp32" for ours only.
    windows (tuple | None): Pieces in a window of ours and from one to the next; None: the default.
    """

    name: str
    precision: str = "fp32"
    windows: tuple[int, int] | None = None


def require_installed(name: str) -> None:
    """RAISES (ValueError): The library of a side is not installed; none of them is needed by us."""
    package, versions = NEEDED.get(name, ("", ""))
    if package and not installed([package]):
        raise ValueError(Errors.E592.format(side=name, package=package + versions))


def pipeline(side: Side, weights: Path, *, seed: int) -> Language:
    """Build encoder and entity head; the head's weights are random, the encoder's are given.

    side (Side): Of `PIPELINES`.
    weights (Path): Folder of the pretrained weights.
    seed (int): Seeds the head.
    RETURNS (Language): A pipeline ready to run.
    RAISES (ValueError): The side's library is not installed.
    """
    require_installed(side.name)
    fix_random_seed(seed)
    settings: dict[str, Any] = {"learn_rate": 1e-4, "updates": 1}
    if side.name == "curated":
        recipe = curated.recipe(weights, **settings)
    else:
        recipe = recipes.build(side.name, "ner", **settings)
    if side.name == "ours":
        components = deepcopy(recipe.components)
        components[ENCODER]["model"]["precision"] = side.precision
        if side.windows is not None:
            window, stride = side.windows
            components[ENCODER]["model"].update(window=window, stride=stride)
        recipe = replace(recipe, components=components)
    nlp = recipe.pipeline(weights)
    doc = Doc(nlp.vocab, words=["Ada", "sold", "Acme", "to", "Rome", "on", "Monday"])
    doc.set_ents([Span(doc, 2 * i, 2 * i + 1, label=label) for i, label in enumerate(LABELS)])
    # The head learns its labels from this doc, and nothing else.
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=[t.text for t in doc]), doc)])
    return nlp


class Reader:
    """Reads the same texts again and again, in a process of its own (`workers`).

    side (Side): What reads.
    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`.
    n_words (int): The least number of words.
    threads (int): torch threads.
    seed (int): Seeds texts and head.
    gpu_id (int): The CUDA device to read on; -1: none.
    """

    def __init__(
        self,
        side: Side,
        weights: Path,
        *,
        kind: str,
        n_words: int,
        threads: int,
        seed: int,
        gpu_id: int = -1,
    ) -> None:
        use_device(threads, gpu_id)
        self.gpu_id = gpu_id
        self.docs = texts.generate(kind, n_words=n_words, seed=seed)
        self.encoder_s = 0.0
        self.flops: float | None = None
        if side.name in LOOPS:
            device = "cpu" if gpu_id < 0 else f"cuda:{gpu_id}"
            self.read: Callable[[Sequence[str]], None] = LOOPS[side.name](weights, device=device)
            return
        nlp = pipeline(side, weights, seed=seed)
        self.read = lambda docs: exhaust(nlp, docs)
        if side.name == "ours" and gpu_id < 0:
            self.flops = _flops_of(nlp, self.docs)
            self._time_encoder(nlp.get_pipe(ENCODER))

    def _time_encoder(self, component: Any) -> None:
        predict = component.predict

        def timed(docs: Any) -> Any:
            started = time.process_time()
            rows = predict(docs)
            self.encoder_s += time.process_time() - started
            return rows

        component.predict = timed

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `encoder_s`: CPU seconds of our encoder component, from docs to rows;
        `flops` that its blocks need for the texts, None for other sides and on a GPU; `memory_mb`:
        the most that the process has had."""
        self.encoder_s = 0.0
        for _ in range(n):
            self.read(self.docs)
        wait_for_device(self.gpu_id)
        flops = None if self.flops is None else n * self.flops
        return {"encoder_s": self.encoder_s, "flops": flops, "memory_mb": peak_memory_mb()}


def peak_memory_mb() -> float:
    """RETURNS (float): Largest resident size that this process has had, in 2**20 bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def exhaust(nlp: Language, docs: Sequence[str]) -> None:
    """Run a pipeline over texts and keep nothing."""
    for _ in nlp.pipe(docs):
        pass


def _flops_of(nlp: Language, docs: Sequence[str]) -> float:
    """Operations that the blocks of our encoder need for all windows of these texts."""
    from ..layers.doc_batch import prepare
    from ..layers.encoder import shim_of, window_of

    model: Any = nlp.get_pipe(ENCODER).model  # type: ignore[attr-defined]
    window, shim = window_of(model), shim_of(model)
    stride = min(model.attrs["stride"], window)
    made = [nlp.make_doc(text) for text in docs]
    batch = prepare(made, shim.built_tokenizer, window=window, stride=stride)
    return forward_flops(shim.encoder.config, batch.sequence_lengths)
