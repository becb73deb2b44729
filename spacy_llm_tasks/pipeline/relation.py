"""`trf_relation`: directed relations between the entities of a document."""

import warnings
from collections import Counter
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
from ..errors import Errors, Warnings
from ..layers.candidates import Candidates, pair_up, sample
from ..layers.checks import at_least
from ..layers.relation_decoding import labels_above_threshold, one_label
from ..layers.relation_head import N_KINDS
from ..layers.relation_losses import exclusive_loss, threshold_loss
from ..layers.task_head import HeadInput
from ..scoring.calibration import fit_platt, sigmoid
from ..scoring.relations import score_relations
from .gold import align_spans, same_tokens
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
Fact = tuple[Entity, Entity, str]


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
        "rel_unrelated_fpr": None,
        "rel_unrelated_n": None,
        "rel_unrelated_per_type": None,
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
    allowed (List[List[str]]): Rows of head type, label and tail type that may go together,
        instead of those of the training data. A label that none of them names may hold between all.
    symmetric (List[str]): Labels without a direction. Their two directions are scored together, and
        the entity that comes first is the head.
    inverse (Dict[str, str]): Labels that are another one read backwards, such as EMPLOYS for
        WORKS_FOR: they are learned as that one, and written beside it.
    spans_key (str): A group of `doc.spans` whose labelled spans are entities besides `doc.ents`:
        where a `trf_ner` writes overlapping ones.
    """

    exclusive: bool = False
    max_distance: int = 100
    same_sentence: bool = False
    max_negatives: int | None = 100
    known_types: bool = True
    allowed: list[list[str]] = field(default_factory=list)
    symmetric: list[str] = field(default_factory=list)
    inverse: dict[str, str] = field(default_factory=dict)
    spans_key: str = "trf_ner"

    def __post_init__(self) -> None:
        at_least("max_distance", self.max_distance, 0)
        if self.max_negatives is not None:
            at_least("max_negatives", self.max_negatives, 1)
        for name, label in self.inverse.items():
            if label in self.inverse or {name, label} & set(self.symmetric):
                raise ValueError(Errors.E432.format(label=label))
        for row in self.allowed:
            if len(row) != 3:
                raise ValueError(Errors.E436.format(found=row))
        self._marked = False

    # Gold ----------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        for relation in get_relations(example.reference):
            yield self.inverse.get(relation.label, relation.label)

    def prepare(self, examples: Iterable[Example]) -> None:
        kinds: Counter[str] = Counter()
        seen: set[tuple[str, str, str]] = set()
        for example in examples:
            facts = self._told(example.reference)
            gold = entities_of(example.reference, self.spans_key)
            entities = {*gold, *(entity for fact in facts for entity in fact[:2])}
            kinds.update(kind for _, _, kind in entities if kind)
            seen.update((head[2], label, tail[2]) for head, tail, label in facts)
        given = {
            one for head, label, tail in self.allowed for one in self._turned(head, tail, label)
        }
        self._warn_of_unknown()
        self.learned["kinds"] = sorted(kind for kind, _ in kinds.most_common(N_KINDS - 1))
        self.learned["allowed"] = sorted(
            [head, label, tail] for head, tail, label in given
        ) or sorted(map(list, seen))

    def _warn_of_unknown(self) -> None:
        known = {*self.labels, *self.inverse}
        settings = {
            "allowed": {label for _, label, _ in self.allowed},
            "symmetric": set(self.symmetric),
            "inverse": set(self.inverse.values()),
        }
        for name, labels in settings.items():
            if labels - known:
                unknown = ", ".join(sorted(labels - known))
                message = Warnings.W436.format(name=name, unknown=unknown, known=sorted(known))
                warnings.warn(message, stacklevel=2)

    def _turned(self, head: Any, tail: Any, label: str) -> list[tuple[Any, Any, str]]:
        """A relation as it is learned: not as an inverse, and without a direction in both."""
        if label in self.inverse:
            return [(tail, head, self.inverse[label])]
        return [(head, tail, label)] + [(tail, head, label)] * (label in self.symmetric)

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
        gold, unknown = self._gold(pairs, entities, facts)
        related, twins = np.asarray(gold.any(axis=1)), pairs.twins
        kept = sample(pairs, related, max_negatives=self.max_negatives)
        # A relation, though none that could be predicted: neither yes nor no.
        unsaid = (unknown | unknown[twins]) & ~(related | related[twins])
        kept = kept[np.asarray(~unsaid)[kept]]
        return RelationTargets(pairs.take(kept), gold[kept])

    def _told(self, doc: Doc) -> set[Fact]:
        """The relations of a gold doc. An end without a type takes that of the entity there."""
        kinds = {(start, end): kind for start, end, kind in entities_of(doc, self.spans_key)}
        facts: set[Fact] = set()
        for head, tail, label, _ in get_relations(doc):
            a, b = (
                (s.start, s.end, s.label_ or kinds.get((s.start, s.end), "")) for s in (head, tail)
            )
            facts.update(self._turned(a, b, label))
        return facts

    def _facts(self, example: Example) -> set[Fact]:
        """The gold relations on the predicted doc's tokens; those that do not align are left out,
        as is their entity."""
        facts, doc = self._told(example.reference), example.reference
        if same_tokens(example):
            return facts
        place = {
            entity: align_spans(example, [Span(doc, entity[0], entity[1], label=entity[2])])
            for entity in {entity for fact in facts for entity in fact[:2]}
        }
        return {(a, b, label) for h, t, label in facts for a in place[h] for b in place[t]}

    def _entities(self, example: Example, facts: set[Fact]) -> list[Entity]:
        """Gold entities, those of the gold relations, and what an earlier component found, right or
        wrong: in use, the head will meet wrong ones."""
        found = {entity for head, tail, _ in facts for entity in (head, tail)}
        found.update(align_spans(example, _entity_spans(example.reference, self.spans_key)))
        taken = {(a, z) for a, z, _ in found}
        predicted = entities_of(example.predicted, self.spans_key)
        found.update(entity for entity in predicted if entity[:2] not in taken)
        return sorted(found)

    def _gold(
        self, pairs: Candidates, entities: Sequence[list[Entity]], facts: Sequence[set[Fact]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P, L) which labels are right; (P,) whether one is that this head does not know."""
        column = {label: i for i, label in enumerate(self.labels)}
        starts = np.searchsorted(pairs.doc, np.arange(len(entities))).tolist()
        rows = []
        for found, told, start in zip(entities, facts, starts, strict=True):
            place = {entity: start + k for k, entity in enumerate(found)}
            rows += [(place[h], place[t], column.get(k, len(column))) for h, t, k in told]
        head, tail, label = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        at = pairs.find(head, tail)
        right = np.zeros((len(pairs), len(self.labels) + 1), dtype=bool)
        right[at[at >= 0], label[at >= 0]] = True
        return right[:, :-1], right[:, -1]

    def loss(self, logits: Tensor, targets: RelationTargets) -> Tensor:
        gold = torch.from_numpy(targets.gold).to(logits.device)
        if not len(gold):
            return logits.sum() * 0.0
        if not self.exclusive:
            return threshold_loss(logits, gold)
        twins = torch.from_numpy(targets.pairs.twins)
        return exclusive_loss(logits, gold, twins.to(logits.device))

    # Pairs ---------------------------------------------------------------------------------------

    def inputs(self, docs: Sequence[Doc], targets: RelationTargets | None = None) -> HeadInput:
        pairs = targets.pairs if targets else self._pairs(docs, self._found(docs))
        if not self._marked:
            return HeadInput(docs, plan=pairs)
        texts, place = mark_entities(docs, pairs, self.learned.get("kinds", []))
        return HeadInput(docs, plan=place, texts=texts)

    def _found(self, docs: Sequence[Doc]) -> list[list[Entity]]:
        return [entities_of(doc, self.spans_key) for doc in docs]

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
        entities = self._found(docs)
        pairs = self._pairs(docs, entities)
        flat = [entity for found in entities for entity in found]
        scores = (one_label if self.exclusive else labels_above_threshold)(
            logits.float().cpu(),
            self._is_allowed(flat, pairs),
            pairs.twins,
            undirected=np.isin(self.labels, self.symmetric),
        )
        owner = pairs.owner
        predictions: list[list[Predicted]] = [[] for _ in docs]
        for row, column in np.argwhere(scores > -np.inf).tolist():
            head, tail, label = flat[pairs.head[row]], flat[pairs.tail[row]], self.labels[column]
            if label in self.symmetric and head > tail:
                continue
            score = float(scores[row, column])
            predictions[owner[row]].append(Predicted(head, tail, label, score))
        return predictions

    def _is_allowed(self, entities: Sequence[Entity], pairs: Candidates) -> np.ndarray:
        """(P, L) which labels may hold between entities of these types."""
        if not self.known_types and not self.allowed:
            return np.ones((len(pairs), len(self.labels)), dtype=bool)
        kinds = {kind: i for i, kind in enumerate(sorted({kind for _, _, kind in entities}))}
        column = {label: i for i, label in enumerate(self.labels)}
        rows = self.learned.get("allowed", [])
        named = {label for _, label, _ in rows}
        table = np.zeros((len(kinds), len(kinds), len(column)), dtype=bool)
        table[:, :, [i for label, i in column.items() if label not in named]] = True
        for head, label, tail in rows:
            if head in kinds and tail in kinds and label in column:
                table[kinds[head], kinds[tail], column[label]] = True
        own = np.array([kinds[kind] for _, _, kind in entities], dtype=np.int64)
        return table[own[pairs.head], own[pairs.tail]]

    def annotate(self, doc: Doc, prediction: list[Predicted]) -> None:
        scale, shift = self.learned.get("calibration", (1.0, 0.0))
        rows = []
        for head, tail, label, score in prediction:
            a, b = (Span(doc, start, end, label=kind) for start, end, kind in (head, tail))
            probability = float(sigmoid(np.array(scale * score + shift)))
            rows.append((a, b, label, probability))
            backwards = [name for name, other in self.inverse.items() if other == label]
            rows += [(b, a, name, probability) for name in backwards]
        set_relations(doc, rows)

    # Scores and calibration ----------------------------------------------------------------------

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        pairs = self._pairs(docs, self._found(docs))
        sizes = np.bincount(pairs.owner, minlength=len(docs))
        return list(logits.split(sizes.tolist()))

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        return score_relations(examples, labels=self.labels, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        # Only what was set: a scorer of the config may have settings of its own.
        settings: dict[str, Any] = {"symmetric": self.symmetric, "inverse": self.inverse}
        if self.spans_key != RelationTask.spans_key:
            settings["spans_key"] = self.spans_key
        return {name: value for name, value in settings.items() if value}

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


def entities_of(doc: Doc, spans_key: str = "") -> list[Entity]:
    """RETURNS (List[Entity]): The labelled entities of a doc, each once and in order: `doc.ents`,
    and the spans of a group, if there is one."""
    spans = _entity_spans(doc, spans_key)
    return sorted({(span.start, span.end, span.label_) for span in spans})


def _entity_spans(doc: Doc, spans_key: str) -> list[Span]:
    spans = [*doc.ents, *(doc.spans[spans_key] if spans_key in doc.spans else ())]
    return [span for span in spans if span.label_]


def sentence_numbers(doc: Doc) -> np.ndarray:
    """RETURNS (ndarray): (N,) the sentence of each token. RAISES (ValueError): if the doc has no
    sentence boundaries."""
    if not doc.has_annotation("SENT_START"):
        raise ValueError(Errors.E433)
    return np.cumsum(doc.to_array("SENT_START") == 1, dtype=np.int64)
