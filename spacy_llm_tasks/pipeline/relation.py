"""`trf_relation`: directed relations between the entities of a document."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Config
from torch import Tensor, nn

from ..annotations import get_relations, has_relations, set_relations
from ..errors import Errors
from ..layers.candidates import Candidates, pair_up
from ..layers.checks import at_least
from ..layers.relation_head import N_KINDS
from ..layers.relation_losses import exclusive_loss, one_of_both, threshold_loss, twins_of
from ..layers.task_head import HeadInput
from ..scoring.calibration import fit_platt, sigmoid
from ..scoring.relations import score_relations
from .gold import align_spans
from .markers import mark_entities
from .register import register_task
from .task import Task

DEFAULT_RELATION_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.RelationHead.v1"

    [model.tok2vec]
    @architectures = "spacy_llm_tasks.Listener.v1"
    """
)["model"]

# With fewer predictions than this, scores stay as they are.
FEWEST_TO_CALIBRATE = 10

Entity = tuple[int, int, str]  # first token, token after the last, label
Facts = set[tuple[Entity, Entity, str]]


class Predicted(NamedTuple):
    """A relation as found: two entities, its label, and its score before calibration."""

    head: Entity
    tail: Entity
    label: str
    score: float


@dataclass(frozen=True)
class RelationTargets:
    """What a batch is to learn.

    pairs (Candidates): The pairs that are scored.
    gold (ndarray): (P, L) bool, which labels are right.
    """

    pairs: Candidates
    gold: np.ndarray


@register_task(
    "trf_relation",
    model=DEFAULT_RELATION_MODEL,
    assigns=["doc._.relations"],
    requires=["doc.ents"],
    score_weights={
        "rel_micro_f": 1.0,
        "rel_micro_p": 0.0,
        "rel_micro_r": 0.0,
        "rel_macro_f": 0.0,
        "rel_per_type": None,
    },
)
@dataclass(kw_only=True)
class RelationTask(Task):
    """Find relations between entities.

    exclusive (bool): Two entities stand in one relation at most, in one direction. Otherwise any
        number of labels may hold between them, in either direction.
    max_distance (int): Most tokens between two entities that are looked at.
    same_sentence (bool): Look only at entities that begin in one sentence; needs sentence
        boundaries.
    max_negatives (int): Most pairs of a document without a relation that one training step looks
        at, drawn anew each time; null for all.
    known_types (bool): Predict a label only between types of entities that it had in training.
    allowed (List[Tuple[str, str, str]]): Head type, label and tail type that may go together,
        instead of those of the training data.
    symmetric (List[str]): Labels without a direction. Their two directions are scored together, and
        the entity that comes first is the head.
    inverse (Dict[str, str]): Labels that are another one read backwards, such as EMPLOYS for
        WORKS_FOR: they are learned as that one, and written beside it.
    """

    exclusive: bool = False
    max_distance: int = 100
    same_sentence: bool = False
    max_negatives: int | None = 100
    known_types: bool = True
    allowed: list[tuple[str, str, str]] = field(default_factory=list)
    symmetric: list[str] = field(default_factory=list)
    inverse: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least("max_distance", self.max_distance, 0)
        if self.max_negatives is not None:
            at_least("max_negatives", self.max_negatives, 1)
        for label in self.inverse.values():
            if label in self.inverse or label in self.symmetric:
                raise ValueError(Errors.E432.format(label=label))
        self._marked = False

    # Gold ----------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        for relation in get_relations(example.reference):
            yield self.inverse.get(relation.label, relation.label)

    def prepare(self, examples: Iterable[Example]) -> None:
        kinds: dict[str, None] = {}
        seen: set[tuple[str, str, str]] = set()
        for example in examples:
            for entity in example.reference.ents:
                kinds.setdefault(entity.label_)
            for head, tail, label, _ in get_relations(example.reference):
                kinds.setdefault(head.label_)
                kinds.setdefault(tail.label_)
                if label in self.inverse:
                    head, tail, label = tail, head, self.inverse[label]
                seen.add((head.label_, label, tail.label_))
                if label in self.symmetric:
                    seen.add((tail.label_, label, head.label_))
        self.learned["kinds"] = sorted(kinds)[: N_KINDS - 1]
        self.learned["allowed"] = sorted(self.allowed or seen)

    def configure(self, head: nn.Module) -> None:
        self._marked = getattr(head, "mode", "shared") == "markers"

    def targets(self, examples: Sequence[Example]) -> RelationTargets | None:
        known = np.array([has_relations(eg.reference) for eg in examples])
        if not known.any():
            return None
        facts = [self._facts(eg) if has_relations(eg.reference) else set() for eg in examples]
        entities = [
            self._entities(eg, found) if told else []
            for eg, found, told in zip(examples, facts, known, strict=True)
        ]
        docs = [eg.predicted for eg in examples]
        pairs = self._pairs(docs, entities)
        gold = self._gold(pairs, entities, facts)
        kept = self._sample(pairs, gold)
        return RelationTargets(pairs.take(kept), gold[kept])

    def _facts(self, example: Example) -> Facts:
        """The gold relations on the predicted doc's tokens; those that do not align are left out,
        as is their entity."""
        facts: Facts = set()
        for head, tail, label, _ in get_relations(example.reference):
            aligned = [align_spans(example, [span]) for span in (head, tail)]
            if not all(aligned):
                continue
            a, b = aligned[0][0], aligned[1][0]
            if label in self.inverse:
                a, b, label = b, a, self.inverse[label]
            facts.add((a, b, label))
            if label in self.symmetric:
                facts.add((b, a, label))
        return facts

    def _entities(self, example: Example, facts: Facts) -> list[Entity]:
        """Gold entities, those of the gold relations, and what an earlier component found, right or
        wrong: in use, the head will meet wrong ones."""
        found = {entity for head, tail, _ in facts for entity in (head, tail)}
        found.update(align_spans(example, example.reference.ents))
        taken = {(a, z) for a, z, _ in found}
        predicted = entities_of(example.predicted)
        found.update(entity for entity in predicted if entity[:2] not in taken)
        return sorted(found)

    def _gold(
        self, pairs: Candidates, entities: Sequence[list[Entity]], facts: Sequence[Facts]
    ) -> np.ndarray:
        number = {label: i for i, label in enumerate(self.labels)}
        flat = [entity for found in entities for entity in found]
        starts = np.searchsorted(pairs.doc, np.arange(len(entities)))
        place = {
            (i, entity): int(start) + k
            for i, (found, start) in enumerate(zip(entities, starts, strict=True))
            for k, entity in enumerate(found)
        }
        row = {
            pair: i
            for i, pair in enumerate(zip(pairs.head.tolist(), pairs.tail.tolist(), strict=True))
        }
        gold = np.zeros((len(pairs), len(self.labels)), dtype=bool)
        for i, found in enumerate(facts):
            for head, tail, label in found:
                at = row.get((place[i, head], place[i, tail])) if flat else None
                if at is not None and label in number:
                    gold[at, number[label]] = True
        return gold

    def _sample(self, pairs: Candidates, gold: np.ndarray) -> np.ndarray:
        """All pairs with a relation in either direction, and of the others as many as are wanted;
        always both directions of a pair."""
        twins = twins_of(pairs.head, pairs.tail)
        related = np.asarray(gold.any(axis=1))
        related |= related[twins]
        if self.max_negatives is None:
            return np.arange(len(pairs))
        luck = np.random.random(len(pairs))
        luck = np.maximum(luck, luck[twins])
        luck[related] = -1.0
        doc = pairs.doc[pairs.head]
        order = np.lexsort((luck, doc))
        rank = np.empty(len(pairs), dtype=np.int64)
        starts = np.searchsorted(doc[order], np.arange(int(doc.max(initial=-1)) + 1))
        rank[order] = np.arange(len(pairs)) - starts[doc[order]]
        n_related = np.bincount(doc, weights=related, minlength=len(starts)).astype(np.int64)
        room = n_related + 2 * (self.max_negatives // 2 or 1)
        return np.flatnonzero(related | (rank < room[doc]))

    def loss(self, logits: Tensor, targets: RelationTargets) -> Tensor:
        gold = torch.from_numpy(targets.gold).to(logits.device)
        if not len(gold):
            return logits.sum() * 0.0
        if not self.exclusive:
            return threshold_loss(logits, gold)
        twins = torch.from_numpy(twins_of(targets.pairs.head, targets.pairs.tail))
        return exclusive_loss(logits, gold, twins.to(logits.device))

    # Pairs ---------------------------------------------------------------------------------------

    def inputs(self, docs: Sequence[Doc], targets: RelationTargets | None = None) -> HeadInput:
        pairs = targets.pairs if targets else self._pairs(docs, [entities_of(d) for d in docs])
        if not self._marked:
            return HeadInput(docs, plan=pairs)
        texts, place = mark_entities(docs, pairs, self.learned.get("kinds", []))
        return HeadInput(docs, plan=place, texts=texts)

    def _pairs(self, docs: Sequence[Doc], entities: Sequence[list[Entity]]) -> Candidates:
        number = {kind: i for i, kind in enumerate(self.learned.get("kinds", []), start=1)}
        rows = [
            (i, a, z, number.get(kind, 0))
            for i, found in enumerate(entities)
            for a, z, kind in found
        ]
        doc, first, last, kind = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        sentence = [sentence_numbers(d) for d in docs] if self.same_sentence else None
        return pair_up(
            doc,
            first,
            last,
            kind,
            n_docs=len(docs),
            max_distance=self.max_distance,
            sentence=sentence,
        )

    # Predictions ---------------------------------------------------------------------------------

    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[list[Predicted]]:
        entities = [entities_of(doc) for doc in docs]
        pairs = self._pairs(docs, entities)
        scores = self._margins(logits.float().cpu(), pairs)
        flat = [entity for found in entities for entity in found]
        scores[~self._is_allowed(flat, pairs)] = -np.inf
        found: list[list[Predicted]] = [[] for _ in docs]
        for row, column in zip(*np.nonzero(scores > 0), strict=True):
            head, tail, label = flat[pairs.head[row]], flat[pairs.tail[row]], self.labels[column]
            if label in self.symmetric and head > tail:
                continue
            score = float(scores[row, column])
            found[pairs.doc[pairs.head[row]]].append(Predicted(head, tail, label, score))
        return found

    def _margins(self, logits: Tensor, pairs: Candidates) -> np.ndarray:
        """(P, L) how far each label is above what it must beat: positive is a prediction."""
        if not len(pairs):
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        twins = twins_of(pairs.head, pairs.tail)
        undirected = [i for i, label in enumerate(self.labels) if label in self.symmetric]
        if not self.exclusive:
            margins = (logits[:, 1:] - logits[:, :1]).numpy()
            margins[:, undirected] = (margins + margins[twins])[:, undirected] / 2
            return margins
        likely = one_of_both(logits, torch.from_numpy(twins)).numpy()
        n_labels = len(self.labels)
        both = likely[:, 1 : 1 + n_labels].copy()
        if undirected:
            back = likely[:, 1 + n_labels :]
            both[:, undirected] = np.logaddexp(both[:, undirected], back[:, undirected])
        # Above 0 only if it is more likely than everything else that may hold for the pair.
        odds = both - np.log1p(-np.exp(np.minimum(both, -1e-6)))
        best = both >= np.maximum(both, both[twins]).max(axis=1, keepdims=True)
        best &= both >= likely[:, :1]
        return np.where(best, np.maximum(odds, 1e-6), -np.inf)

    def _is_allowed(self, entities: Sequence[Entity], pairs: Candidates) -> np.ndarray:
        """(P, L) which labels may hold between entities of these types."""
        shape = (len(pairs), len(self.labels))
        if not self.known_types and not self.allowed:
            return np.ones(shape, dtype=bool)
        allowed = {tuple(row) for row in self.learned.get("allowed", [])}
        kinds = sorted({kind for _, _, kind in entities})
        number = {kind: i for i, kind in enumerate(kinds)}
        table = np.array(
            [[[(a, k, b) in allowed for k in self.labels] for b in kinds] for a in kinds],
            dtype=bool,
        ).reshape(len(kinds), len(kinds), len(self.labels))
        own = np.array([number[kind] for _, _, kind in entities], dtype=np.int64)
        return table[own[pairs.head], own[pairs.tail]]

    def annotate(self, doc: Doc, prediction: list[Predicted]) -> None:
        backwards = {label: name for name, label in self.inverse.items()}
        scale, shift = self.learned.get("calibration", (1.0, 0.0))
        rows = []
        for head, tail, label, score in prediction:
            a, b = (Span(doc, start, end, label=kind) for start, end, kind in (head, tail))
            probability = float(sigmoid(np.array(scale * score + shift)))
            rows.append((a, b, label, probability))
            if label in backwards:
                rows.append((b, a, backwards[label], probability))
        set_relations(doc, rows)

    # Scores and calibration ----------------------------------------------------------------------

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        pairs = self._pairs(docs, [entities_of(doc) for doc in docs])
        sizes = np.bincount(pairs.doc[pairs.head], minlength=len(docs))
        return list(logits.split(sizes.tolist()))

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        labels = [*self.labels, *(k for k, v in self.inverse.items() if v in self.labels)]
        return score_relations(examples, labels=labels, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        return {"symmetric": self.symmetric}

    def calibrate(self, examples: Sequence[Example], logits: Sequence[Tensor]) -> bool:
        scores: list[float] = []
        correct: list[bool] = []
        for example, part in zip(examples, logits, strict=True):
            if has_relations(example.reference):
                facts = self._facts(example)
                for head, tail, label, score in self.decode(part, [example.predicted])[0]:
                    scores.append(score)
                    correct.append((head, tail, label) in facts)
        right = np.array(correct, dtype=bool)
        if len(scores) < FEWEST_TO_CALIBRATE or right.all() or not right.any():
            return False
        self.learned["calibration"] = list(fit_platt(np.array(scores), right))
        return True

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        confidences: list[float] = []
        correct: list[bool] = []
        for example in examples:
            if has_relations(example.reference):
                facts = self._facts(example)
                for head, tail, label, score in get_relations(example.predicted):
                    a, b = ((s.start, s.end, s.label_) for s in (head, tail))
                    if label in self.labels:
                        confidences.append(score)
                        correct.append((a, b, label) in facts)
        return np.array(confidences), np.array(correct, dtype=bool)


def entities_of(doc: Doc) -> list[Entity]:
    """RETURNS (List[Entity]): The labelled entities of a doc, in order."""
    return [(span.start, span.end, span.label_) for span in doc.ents if span.label_]


def sentence_numbers(doc: Doc) -> np.ndarray:
    """RETURNS (ndarray): (N,) the sentence of each token. RAISES (ValueError): if the doc has no
    sentence boundaries."""
    if len(doc) and not doc.has_annotation("SENT_START"):
        raise ValueError(Errors.E433)
    return np.cumsum([bool(token.is_sent_start) for token in doc], dtype=np.int64)
