"""The peer of relations: the architecture of spaCy's tutorial on relation extraction, on
spacy-transformers.

Every ordered pair of entities is a row: the means of the token rows of both, side by side. A linear
layer and a logistic function give a score to each label, learned by squared error against 0 and 1;
a label holds from a threshold on. On sets without given entities, the stock `ner` finds them.

https://github.com/explosion/projects/tree/v3/tutorials/rel_component
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pair_rows import Candidates, pair_rows
from spacy import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Linear, Logistic, Model, Optimizer, chain, set_dropout_rate
from thinc.types import Floats2d
from trained import Trained, need

from spacy_llm_tasks.annotations import get_relations, set_relations
from spacy_llm_tasks.bench import blocks, loop
from spacy_llm_tasks.bench.loop import Progress
from spacy_llm_tasks.bench.plan import run_recipe
from spacy_llm_tasks.bench.recipes import Recipe
from spacy_llm_tasks.bench.records import RunKey
from spacy_llm_tasks.bench.sets import BenchSet

NAME = "peer_relation"
THRESHOLD, MAX_DISTANCE = 0.5, 100  # of the tutorial


def run(item: BenchSet, key: RunKey, *, data: Path, weights: Path, progress: Progress) -> Trained:
    """Train on relations and score the last weights.

    item (BenchSet): The set.
    key (RunKey): Seed and learning rate.
    data (Path): Folder of the benchmark data.
    weights (Path): Folder of a checkpoint.
    progress (Progress): Called after every update.
    RETURNS (Trained): The result.
    """
    need("spacy-transformers")
    head = {"factory": NAME, "tok2vec": blocks.peer_listener()}
    ner = {"ner": blocks.peer_ner()} if item.task == "ner_relation" else {}
    recipe = Recipe(
        components={"transformer": blocks.peer_encoder(), **ner, NAME: head},
        optimizer=blocks.peer_optimizer(key.learn_rate, item.updates),
    )
    outcome, train, dev = run_recipe(
        recipe, item, key, data=data, weights=weights, progress=progress
    )
    return Trained(outcome, {**recipe.to_dict(), "dropout": loop.DROPOUT}, train, dev)


@Language.factory(NAME, default_config={"threshold": THRESHOLD, "max_distance": MAX_DISTANCE})
def make_relations(
    nlp: Language, name: str, tok2vec: Model, threshold: float, max_distance: int
) -> "Relations":
    """Make the component.

    nlp (Language): The pipeline.
    name (str): The component's name.
    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream.
    threshold (float): Least score of a label that holds.
    max_distance (int): Most tokens from the start of an entity to that of the other.
    RETURNS (Relations): The component.
    """
    model = chain(pair_rows(tok2vec), Linear(), Logistic())
    return Relations(nlp.vocab, model, name, threshold=threshold, max_distance=max_distance)


class Relations(TrainablePipe):
    """Judge the pairs of entities.

    vocab (Vocab): The pipeline's vocabulary.
    model (Model[List[Candidates], Floats2d]): Gives (P, L) scores of all pairs of all docs.
    name (str): The component's name.
    threshold (float): See `make_relations`.
    max_distance (int): See `make_relations`.
    """

    def __init__(
        self, vocab: Vocab, model: Model, name: str, *, threshold: float, max_distance: int
    ) -> None:
        self.vocab, self.model, self.name = vocab, model, name
        self.threshold, self.max_distance = threshold, max_distance
        self.cfg: dict[str, Any] = {"labels": []}

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels, in the order of the scores."""
        return tuple(self.cfg["labels"])

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
    ) -> None:
        """Take the labels from the references and shape the model.

        get_examples (Callable): Gives the examples.
        nlp (Language): Not used.
        """
        self.cfg["labels"] = sorted(
            {r.label for eg in get_examples() for r in get_relations(eg.reference)}
        )
        few = list(islice(get_examples(), 10))
        self.model.initialize(X=self._gold_candidates(few), Y=self._truth(few))

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from the gold relations between gold entities.

        examples (Iterable[Example]): A batch.
        drop (float): The dropout rate.
        sgd (Optimizer): Steps the model, if given.
        losses (dict[str, float]): Takes the loss.
        RETURNS (dict[str, float]): The losses.
        """
        losses = {} if losses is None else losses
        examples = list(examples)
        set_dropout_rate(self.model, drop)
        # A batch without a pair goes through as well: the encoder waits for its last listener.
        scores, backprop = self.model.begin_update(self._gold_candidates(examples))
        gradient = scores - self._truth(examples)
        backprop(gradient)
        if sgd not in (None, False):
            self.finish_update(sgd)
        loss = float((gradient**2).sum() / max(len(gradient), 1))
        losses[self.name] = losses.get(self.name, 0.0) + loss
        return losses

    def predict(self, docs: Iterable[Doc]) -> list[np.ndarray]:
        """Score the pairs of the docs' entities.

        docs (Iterable[Doc]): Docs with entities.
        RETURNS (list[ndarray]): (P, L) scores for each doc.
        """
        rows = [self._candidates(doc, doc.ents) for doc in docs]
        scores = self.model.predict(rows)
        ends = np.cumsum([len(row.pairs) for row in rows])[:-1]
        return np.split(np.asarray(scores), ends)

    def set_annotations(self, docs: Iterable[Doc], scores: Sequence[np.ndarray]) -> None:
        """Write the labels that reach the threshold.

        docs (Iterable[Doc]): Docs.
        scores (Sequence[ndarray]): From `predict`.
        """
        for doc, table in zip(docs, scores, strict=True):
            pairs = self._candidates(doc, doc.ents).pairs
            relations = [
                (doc.ents[pairs[row][0]], doc.ents[pairs[row][1]], self.labels[column], score)
                for row, column in np.argwhere(table >= self.threshold).tolist()
                for score in [float(table[row, column])]
            ]
            set_relations(doc, relations)

    def _candidates(self, doc: Doc, entities: Sequence[Span]) -> Candidates:
        places = [(entity.start, entity.end) for entity in entities]
        pairs = [
            (i, j)
            for i, (head, _) in enumerate(places)
            for j, (tail, _) in enumerate(places)
            if i != j and abs(head - tail) <= self.max_distance
        ]
        return Candidates(doc, places, pairs)

    def _gold_candidates(self, examples: Sequence[Example]) -> list[Candidates]:
        # Both docs have the same tokens; the encoder knows the predicted one.
        return [self._candidates(eg.predicted, eg.reference.ents) for eg in examples]

    def _truth(self, examples: Sequence[Example]) -> Floats2d:
        """(P, L) 1 where a label holds."""
        rows = []
        for eg, candidates in zip(examples, self._gold_candidates(examples), strict=True):
            table = np.zeros((len(candidates.pairs), len(self.labels)), dtype="float32")
            number = {place: i for i, place in enumerate(candidates.entities)}
            row_of = {pair: row for row, pair in enumerate(candidates.pairs)}
            for head, tail, label, _ in get_relations(eg.reference):
                ends = ((head.start, head.end), (tail.start, tail.end))
                row = row_of.get((number[ends[0]], number[ends[1]]))
                if row is not None and label in self.labels:
                    table[row, self.labels.index(label)] = 1.0
            rows.append(table)
        return self.model.ops.asarray2f(np.concatenate(rows))
