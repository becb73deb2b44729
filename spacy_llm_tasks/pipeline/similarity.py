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
from torch import Tensor, nn
from torch.nn import functional

from ..annotations import Pair, get_embedding, get_pair, set_embedding
from ..errors import Errors
from ..layers.checks import at_least
from ..layers.similarity_losses import angle_similarity, cosent, cosine_error, ranking
from ..layers.task_head import HeadInput
from ..scoring.similarity import score_similarity
from .groups import bounded_groups
from .hooks import install
from .owners import component_of
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
RANKING = ("ranking", "simcse")
# Texts are encoded in groups of about this many characters, so that memory stays bounded.
CHARACTERS_PER_GROUP = 250_000
SPECIAL_CHARACTERS = 8  # what the special pieces of a text count for


@dataclass(frozen=True)
class PairTargets:
    """Pairs of a batch: docs by number, the texts to compare them with, and grades.

    docs (Tensor): (K,) int64.
    texts (List[str]): K texts, then M that the ranking takes as negatives of all docs.
    grades (Tensor): (K,) float32, 0 to 1.
    related (Tensor): (K, K + M) bool, whether a text is known to belong to a pair's doc.
    """

    docs: Tensor
    texts: list[str]
    grades: Tensor
    related: Tensor


class SimilarityPipe(TaskPipe):
    """A `TaskPipe` that also makes vectors of plain texts."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Make vectors of texts.

        texts (Sequence[str]): Any texts; long ones are read in windows.
        RETURNS (ndarray): (N, D) float32 unit vectors: those that docs of these texts would get.
        RAISES (ValueError): If it is a single string.
        """
        task: SimilarityTask = self.task  # type: ignore[assignment]
        return task.embed(texts)

    def attach(self, docs: Iterable[Doc]) -> None:
        """Put the hooks of `doc.vector` and `doc.similarity` back, which spaCy drops when a doc
        goes through bytes.

        docs (Iterable[Doc]): Docs; those without an embedding are left as they are.
        """
        for doc in docs:
            if get_embedding(doc) is not None:
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
        same by complex angles), "cosine" (the grades themselves); a pair's negatives are graded 0,
        as they are for the scores. From positive pairs: "ranking" (each finds its partner within
        the batch, and among the negatives that pairs bring along). From raw text alone: "simcse"
        (each text finds itself under another dropout).
    temperature (float): How sharp comparisons are; small is sharp.
    dims (List[int]): Train these first numbers of each vector to be a good vector alone, too
        (Matryoshka representations: Kusupati et al. 2022, https://arxiv.org/abs/2205.13147).
    keep (int): Keep only so many first numbers of each vector, and train these too; null keeps all.
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
        for dim in self.dims:
            at_least("dims", dim, 1)
        if self.keep is not None:
            at_least("keep", self.keep, 1)

    # Training ------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        return ()

    def configure(self, head: nn.Module) -> None:
        width = getattr(head, "vector_width", None)
        if width is None:
            return
        for name, dim in [*(("dims", dim) for dim in self.dims), ("keep", self.keep)]:
            if dim is not None and dim > width:
                raise ValueError(Errors.E447.format(name=name, found=dim, width=width))
        odd = [dim for dim in self._widths(width) if dim % 2]
        if self.objective == "angle" and odd:
            raise ValueError(Errors.E448.format(found=odd[0]))

    def _widths(self, width: int) -> list[int]:
        """How many first numbers shall be a good vector, each for itself."""
        return sorted({*self.dims, *([] if self.keep is None else [self.keep]), width})

    def targets(self, examples: Sequence[Example]) -> PairTargets | None:
        if self.objective == "simcse":
            texts = [eg.reference.text for eg in examples]
            pairs = [(i, Pair(text, 1.0)) for i, text in enumerate(texts) if text.strip()]
        else:
            known = ((i, get_pair(eg.reference)) for i, eg in enumerate(examples))
            pairs = [(i, pair) for i, pair in known if pair is not None]
        ranked = self.objective in RANKING
        if not ranked:
            pairs = [(i, grade) for i, pair in pairs for grade in _graded(pair)]
        grades = np.array([pair.score for _, pair in pairs], dtype=np.float32)
        if not pairs or (ranked and not (grades >= POSITIVE_FROM).any()):
            return None
        negatives = dict.fromkeys(text for _, pair in pairs for text in pair.negatives)
        texts = [pair.text for _, pair in pairs] + (list(negatives) if ranked else [])
        anchors = [examples[i].reference.text for i, _ in pairs]
        return PairTargets(
            torch.tensor([i for i, _ in pairs]),
            texts,
            torch.from_numpy(grades),
            torch.from_numpy(_related(anchors, texts, grades >= POSITIVE_FROM)),
        )

    def inputs(self, docs: Sequence[Doc], targets: PairTargets | None = None) -> HeadInput:
        return HeadInput(docs, texts=targets.texts if targets else None)

    def loss(self, logits: Tensor, targets: PairTargets) -> Tensor:
        n_docs, n_pairs = len(logits) - len(targets.texts), len(targets.docs)
        a = logits[:n_docs][targets.docs.to(logits.device)]
        b, negatives = logits[n_docs:].split([n_pairs, len(targets.texts) - n_pairs])
        losses = [
            self._loss([functional.normalize(x[:, :width]) for x in (a, b, negatives)], targets)
            for width in self._widths(logits.shape[1])
        ]
        return torch.stack(losses).mean()

    def _loss(self, vectors: Sequence[Tensor], targets: PairTargets) -> Tensor:
        a, b, negatives = vectors
        scale, grades = 1.0 / self.temperature, targets.grades.to(a)
        if self.objective == "cosent":
            return cosent((a * b).sum(dim=1), grades, scale=scale)
        if self.objective == "angle":
            return cosent(angle_similarity(a, b), grades, scale=scale)
        if self.objective == "cosine":
            return cosine_error((a * b).sum(dim=1), grades)
        positive = grades >= POSITIVE_FROM
        related = targets.related.to(a.device)[positive]
        of_pairs, of_negatives = related.split([len(b), len(negatives)], dim=1)
        return ranking(
            a[positive],
            b[positive],
            torch.cat([b[~positive], negatives]),
            related=torch.cat([of_pairs[:, positive], of_pairs[:, ~positive], of_negatives], dim=1),
            scale=scale,
        )

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
        if isinstance(texts, str):
            raise ValueError(Errors.E217.format(found="a single string"))
        groups = bounded_groups(list(texts), _size, CHARACTERS_PER_GROUP)
        found = [self._unit(self.run(HeadInput([], texts=group))) for group in groups]
        return np.concatenate(found) if found else self._unit(self.run(HeadInput([])))

    # Scores --------------------------------------------------------------------------------------

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        known = [(eg, get_pair(eg.reference)) for eg in examples]
        groups = [(eg.predicted, _graded(pair)) for eg, pair in known if pair is not None]
        if not groups:
            return {"sim_spearman": None, "sim_pearson": None}
        pairs = [pair for _, group in groups for pair in group]
        docs = np.stack([self._vector(doc) for doc, _ in groups])
        first = np.repeat(docs, [len(group) for _, group in groups], axis=0)
        second = self.embed([pair.text for pair in pairs])
        cosine = (first * second).sum(axis=1).astype(np.float64)
        return score_similarity([pair.score for pair in pairs], cosine)

    def _vector(self, doc: Doc) -> np.ndarray:
        stored = get_embedding(doc)
        return self.embed([doc.text])[0] if stored is None else stored


def attach(docs: Iterable[Doc], nlp: Language) -> list[Doc]:
    """Give docs that went through bytes or a DocBin their vector and similarity hooks back.

    docs (Iterable[Doc]): Docs with embeddings.
    nlp (Language): The pipeline that made them.
    RETURNS (List[Doc]): The docs.
    RAISES (ValueError): If the pipeline has no `trf_similarity`.
    """
    pipe = component_of(nlp, SimilarityPipe, "trf_similarity")
    attached = list(docs)
    pipe.attach(attached)
    return attached


def _graded(pair: Pair) -> list[Pair]:
    """The pair, and one of grade 0 for each of its negatives."""
    return [pair, *(Pair(text, 0.0) for text in pair.negatives)]


def _related(anchors: list[str], texts: list[str], positive: np.ndarray) -> np.ndarray:
    """Which texts are known to belong to which anchors: the text itself, the partner in a positive
    pair, and the partners in other positive pairs with the same anchor.

    anchors: K texts; texts: their K partners, and M more; positive: which of the pairs are so.
    """
    number = {text: i for i, text in enumerate(dict.fromkeys([*anchors, *texts]))}
    a, b = (np.array([number[text] for text in part]) for part in (anchors, texts))
    same_anchor = (a[:, None] == a[None, :]) & positive[None, :]
    same_text = b[: len(a), None] == b[None, :]
    # as floats, since numpy multiplies matrices of bools slowly
    shared = same_anchor.astype(np.float32) @ same_text.astype(np.float32)
    return (shared > 0) | (a[:, None] == b[None, :])


def _size(text: str) -> int:
    return len(text) + SPECIAL_CHARACTERS
