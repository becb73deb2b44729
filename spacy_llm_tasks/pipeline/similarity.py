"""`trf_similarity`: a vector for each document, to compare and to search by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Config
from torch import Tensor
from torch.nn import functional

from ..annotations import get_pair, set_embedding
from ..errors import Errors
from ..layers.checks import at_least
from ..layers.similarity_losses import angle_similarity, cosent, cosine_error, ranking
from ..layers.task_head import HeadInput
from ..scoring.similarity import pearson, spearman
from .hooks import install
from .register import register_task
from .task import Task
from .task_pipe import TaskPipe

DEFAULT_SIMILARITY_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.SentenceHead.v1"

    [model.tok2vec]
    @architectures = "spacy_llm_tasks.Listener.v1"
    """
)["model"]

Objective = Literal["cosent", "angle", "cosine", "ranking", "simcse"]
# From this grade on, a pair counts as a positive one for the ranking objective; the others are
# negatives.
POSITIVE_FROM = 0.5
# Texts that are encoded at once where many are asked for.
TEXTS_PER_PASS = 256


@dataclass(frozen=True)
class PairTargets:
    """Pairs of a batch: docs by number, the texts to compare them with, and grades.

    docs (Tensor): (K,) int64.
    texts (List[str]): K texts.
    grades (Tensor): (K,) float32, 0 to 1.
    """

    docs: Tensor
    texts: list[str]
    grades: Tensor


class SimilarityPipe(TaskPipe):
    """A `TaskPipe` that also makes vectors of plain texts."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Make vectors of texts.

        texts (Sequence[str]): Any texts; long ones are read in windows.
        RETURNS (ndarray): (N, D) float32 unit vectors, comparable with those of docs.
        """
        task: SimilarityTask = self.task  # type: ignore[assignment]
        return task.embed(texts)

    def attach(self, docs: Iterable[Doc]) -> None:
        """Put the hooks of `doc.vector` and `doc.similarity` back, which spaCy drops when a doc
        goes through bytes.

        docs (Iterable[Doc]): Docs with embeddings.
        """
        for doc in docs:
            install(doc)


@register_task(
    "trf_similarity",
    model=DEFAULT_SIMILARITY_MODEL,
    assigns=["doc._.embedding"],
    score_weights={"sim_spearman": 1.0, "sim_pearson": 0.0},
    pipe=SimilarityPipe,
)
@dataclass(kw_only=True)
class SimilarityTask(Task):
    """Give documents vectors that are near when their meanings are.

    objective (str): What training teaches. From graded pairs: "cosent" (their order), "angle" (the
        same by complex angles), "cosine" (the grades themselves). From positive pairs: "ranking"
        (each finds its partner within the batch). From raw text alone: "simcse" (each text finds
        itself under another dropout).
    temperature (float): How sharp comparisons are; small is sharp.
    dims (List[int]): Train these first numbers of each vector to be a good vector alone, too
        (Matryoshka representations: Kusupati et al. 2022, https://arxiv.org/abs/2205.13147).
    keep (int): Keep only so many first numbers of each vector; null keeps all.
    """

    objective: Objective = "cosent"
    temperature: float = 0.05
    dims: list[int] = field(default_factory=list)
    keep: int | None = None

    needs_labels = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(
                Errors.E425.format(name="temperature", expected="above 0", found=self.temperature)
            )
        for dim in [*self.dims, *([] if self.keep is None else [self.keep])]:
            at_least("dims", dim, 1)

    # Training ------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        return ()

    def targets(self, examples: Sequence[Example]) -> PairTargets | None:
        if self.objective == "simcse":
            pairs = [(i, eg.reference.text, 1.0) for i, eg in enumerate(examples)]
            pairs = [pair for pair in pairs if pair[1].strip()]
        else:
            known = ((i, get_pair(eg.reference)) for i, eg in enumerate(examples))
            pairs = [(i, pair.text, pair.score) for i, pair in known if pair is not None]
        if not pairs:
            return None
        docs, texts, grades = zip(*pairs, strict=True)
        return PairTargets(torch.tensor(docs), list(texts), torch.tensor(grades))

    def inputs(self, docs: Sequence[Doc], targets: PairTargets | None = None) -> HeadInput:
        return HeadInput(docs, texts=targets.texts if targets else None)

    def loss(self, logits: Tensor, targets: PairTargets) -> Tensor:
        n_docs = len(logits) - len(targets.texts)
        a = logits[:n_docs][targets.docs.to(logits.device)]
        b = logits[n_docs:]
        grades = targets.grades.to(logits)
        widths = [d for d in self.dims if d < logits.shape[1]] or []
        losses = [
            self._loss(
                functional.normalize(a[:, :d]), functional.normalize(b[:, :d]), grades, targets
            )
            for d in [*widths, logits.shape[1]]
        ]
        return torch.stack(losses).mean()

    def _loss(self, a: Tensor, b: Tensor, grades: Tensor, targets: PairTargets) -> Tensor:
        scale = 1.0 / self.temperature
        if self.objective == "cosent":
            return cosent((a * b).sum(dim=1), grades, scale=scale)
        if self.objective == "angle":
            return cosent(angle_similarity(a, b), grades, scale=scale)
        if self.objective == "cosine":
            return cosine_error((a * b).sum(dim=1), grades)
        positive = grades >= POSITIVE_FROM
        if not positive.any():
            return (a * 0).sum()
        same = _equal_texts(targets.texts).to(a.device)[positive][:, positive]
        return ranking(a[positive], b[positive], b[~positive], same=same, scale=scale)

    # Predictions ---------------------------------------------------------------------------------

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        return list(logits)

    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[np.ndarray]:
        return list(self._unit(logits))

    def _unit(self, logits: Tensor) -> np.ndarray:
        return functional.normalize(logits[:, : self.keep]).cpu().float().numpy()

    def annotate(self, doc: Doc, prediction: np.ndarray) -> None:
        set_embedding(doc, prediction)
        install(doc)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """RETURNS (ndarray): (N, D) float32 unit vectors of texts."""
        parts = [texts[i : i + TEXTS_PER_PASS] for i in range(0, len(texts), TEXTS_PER_PASS)]
        found = [self._unit(self.run(HeadInput([], texts=part))) for part in parts]
        return np.concatenate(found) if found else np.zeros((0, 0), dtype=np.float32)

    # Scores --------------------------------------------------------------------------------------

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        known = [(eg, get_pair(eg.reference)) for eg in examples]
        pairs = [(eg.predicted, pair) for eg, pair in known if pair is not None]
        if not pairs:
            return {"sim_spearman": None, "sim_pearson": None}
        first = np.stack([doc._.embedding for doc, _ in pairs])
        second = self.embed([pair.text for _, pair in pairs])
        cosine = (first * second).sum(axis=1).astype(np.float64)
        gold = np.array([pair.score for _, pair in pairs])
        return {"sim_spearman": spearman(cosine, gold), "sim_pearson": pearson(cosine, gold)}


def attach(docs: Iterable[Doc], nlp: Language) -> list[Doc]:
    """Give docs that went through bytes or a DocBin their vector and similarity hooks back.

    docs (Iterable[Doc]): Docs with embeddings.
    nlp (Language): The pipeline that made them.
    RETURNS (List[Doc]): The docs.
    RAISES (ValueError): If the pipeline has no `trf_similarity`.
    """
    found = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, SimilarityPipe)]
    if not found:
        raise ValueError(Errors.E430.format(factory="trf_similarity", found=0))
    attached = list(docs)
    found[0].attach(attached)
    return attached


def _equal_texts(texts: Sequence[str]) -> Tensor:
    number = {text: i for i, text in enumerate(texts)}
    keys = torch.tensor([number[text] for text in texts])
    return keys[:, None] == keys[None, :]
