"""The sides of the speed of training: each fine-tunes encoder and entity recognizer.

"ours-bf16" is "ours" with `training_precision = "bf16"`; the others train in float32. All have the
recipes of the accuracy benchmark (`recipes`), the same examples in the same batches, the same
dropout, and take each step in the same way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import fix_random_seed

from ..errors import Errors
from . import recipes, texts
from .device import use_device, wait_for_device
from .inference_sides import ENCODER, peak_memory_mb
from .invented_gold import with_entities
from .loop import DROPOUT, batches
from .sets import SETS
from .tasks import TASKS
from .update import take_step

SIDES = ("ours", "ours-bf16", "peer")
TASK = "ner"
LEARN_RATE = 1e-4
# Words of a text on average, by the kinds of texts to train on.
KINDS = {"sentences": texts.SENTENCE_WORDS, "paragraphs": texts.PARAGRAPH_WORDS}


@dataclass(frozen=True)
class Job:
    """What is trained.

    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, a key of `KINDS`, which get random entities.
    data (Path | None): Folder of the benchmark data, to train on one of its sets instead.
    set (str): The set, a name of `sets.SETS`; "" for texts of a kind.
    batch (int): Documents in a batch.
    updates (int): All steps of a side: the length of the schedule.
    threads (int): torch threads.
    gpu_id (int): The CUDA device to train on; -1: none.
    seed (int): Seeds texts, entities, heads and the order of the documents.
    """

    weights: Path
    kind: str = "sentences"
    data: Path | None = None
    set: str = ""
    batch: int = 32
    updates: int = 20
    threads: int = 1
    gpu_id: int = -1
    seed: int = 0

    def check(self) -> None:
        """RAISES (ValueError): The set or the data folder is missing, or the set has no entities
        to find."""
        if not self.set:
            return
        known = [name for name, item in SETS.items() if item.task == TASK]
        if self.set not in SETS:
            raise ValueError(Errors.E582.format(name=self.set, known=", ".join(known)))
        if self.set not in known:
            task, of = SETS[self.set].task, ", ".join(known)
            raise ValueError(Errors.E594.format(name=self.set, task=task, known=of))
        if self.data is None:
            expected = "the folder of the benchmark data, with --set"
            raise ValueError(Errors.E587.format(option="data", expected=expected, found=None))

    def docs(self, nlp: Language) -> list[Doc]:
        """RETURNS (list[Doc]): The documents to train on, in the vocabulary of a pipeline: those of
        the set, or enough of the kind for all steps, so that none comes twice."""
        if self.set and self.data is not None:
            return SETS[self.set].read(self.data, nlp, seed=self.seed)[0]
        n_docs = self.updates * self.batch
        n_words = 2 * n_docs * KINDS[self.kind]  # more than needed: lengths vary
        made = texts.generate(self.kind, n_words=n_words, seed=self.seed)[:n_docs]
        return with_entities(nlp, made, seed=self.seed)

    def about(self) -> dict[str, Any]:
        """RETURNS (dict): All of it but paths, for a result."""
        return {k: v for k, v in asdict(self).items() if k not in ("weights", "data")}


class Trainer:
    """Takes step after step, in a process of its own (`workers`).

    side (str): One of `SIDES`.
    job (Job): What is trained.
    """

    def __init__(self, side: str, job: Job) -> None:
        use_device(job.threads, job.gpu_id)
        fix_random_seed(job.seed)
        recipe = _recipe(side, job.updates)
        self.job, self.nlp = job, recipe.pipeline(job.weights)
        self.optimizer = recipe.build_optimizer()
        self.examples = TASKS[TASK].examples(job.docs(self.nlp))
        self.nlp.initialize(lambda: self.examples, sgd=self.optimizer)
        self.order = batches(len(self.examples), size=job.batch, updates=job.updates, seed=job.seed)

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `words` of the `n` next batches; `loss` of the entity recognizer in the
        last one, which each side counts in its own way; `memory_mb`: the most that the process has
        had."""
        words, losses = 0, {}
        for _ in range(n):
            batch = [self.examples[i] for i in next(self.order)]
            losses = take_step(self.nlp, self.optimizer, batch, dropout=DROPOUT)
            words += sum(texts.count_words(example.text) for example in batch)
        wait_for_device(self.job.gpu_id)
        loss = float(losses.get(self.nlp.pipe_names[-1], 0.0))
        return {"words": words, "loss": loss, "memory_mb": peak_memory_mb()}


def _recipe(side: str, updates: int) -> recipes.Recipe:
    name, _, precision = side.partition("-")
    recipe = recipes.build(name, TASK, learn_rate=LEARN_RATE, updates=updates)
    if precision:
        recipe.components[ENCODER]["model"]["training_precision"] = precision
    return recipe
