"""The tasks of the accuracy benchmark: what a run predicts on, how that is scored, what is shown.

A scorer takes the pipeline and its predictions, each beside its reference. Those of entities,
classes and relations look at the predictions only, so that they serve both sides alike.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..corpora.reader import bare_copy
from ..scoring.relations import score_relations
from ..scoring.semeval import score_semeval


def bare(doc: Doc) -> Doc:
    """RETURNS (Doc): The same tokens without any annotation: the comparison is of models, not of
    tokenizers."""
    return bare_copy(doc, doc.vocab)


def with_entities(doc: Doc) -> Doc:
    """RETURNS (Doc): The same tokens with the gold entities, and nothing else."""
    copy = bare_copy(doc, doc.vocab)
    entities = [Span(copy, ent.start, ent.end, label=ent.label_) for ent in doc.ents]
    copy.set_ents(entities, default="outside")
    return copy


def piped(nlp: Language, docs: Iterable[Doc]) -> Iterator[Doc]:
    """YIELDS (Doc): The docs after all components."""
    return nlp.pipe(docs)


def unread(nlp: Language, docs: Iterable[Doc]) -> Iterable[Doc]:
    """RETURNS (Iterable[Doc]): The docs as they are: the scorer asks the component itself."""
    return docs


def entity_scores(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """RETURNS (dict): Exact spans with types, micro-averaged; 0 without any."""
    found = get_ner_prf(examples)
    return {key: found[key] or 0.0 for key in ("ents_p", "ents_r", "ents_f")}


def class_scores(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """RETURNS (dict): `accuracy`, the share of texts whose highest category is the right one."""
    right = sum(_best(eg.predicted.cats) == _best(eg.reference.cats) for eg in examples)
    return {"accuracy": right / len(examples)}


def semeval_scores(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """RETURNS (dict): Those of SemEval-2010 task 8, between given entities."""
    return score_semeval(examples)


def joint_scores(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """RETURNS (dict): Of predicted entities, and of the relations between them (strict)."""
    return {**entity_scores(nlp, examples), **score_relations(examples, labels=())}


def component_scores(nlp: Language, examples: Sequence[Example]) -> dict[str, Any]:
    """RETURNS (dict): What the pipeline's last component says of itself."""
    return nlp.get_pipe(nlp.pipe_names[-1]).score(examples)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class BenchTask:
    """A task.

    score (str): The score that the table shows and the tuning compares.
    scorer (Callable): From the pipeline and the examples to scores by name.
    shown (tuple[str, ...]): Other scores that have a row of the table to themselves.
    blank (Callable): From a reference doc to the doc that is predicted on.
    predict (Callable): From the pipeline and such docs to docs with predictions.
    """

    score: str
    scorer: Callable[[Language, Sequence[Example]], dict[str, Any]]
    shown: tuple[str, ...] = ()
    blank: Callable[[Doc], Doc] = bare
    predict: Callable[[Language, Iterable[Doc]], Iterable[Doc]] = piped

    def examples(self, references: Iterable[Doc]) -> list[Example]:
        """Make training examples.

        references (Iterable[Doc]): Reference docs.
        RETURNS (list[Example]): Each with the doc that is predicted on.
        """
        return [Example(self.blank(doc), doc) for doc in references]

    def predictions(self, nlp: Language, references: Sequence[Doc]) -> list[Example]:
        """Predict.

        nlp (Language): The trained pipeline.
        references (Sequence[Doc]): Reference docs.
        RETURNS (list[Example]): Predictions and references.
        """
        docs = self.predict(nlp, (self.blank(doc) for doc in references))
        return [Example(doc, gold) for doc, gold in zip(docs, references, strict=True)]

    def scores(self, nlp: Language, examples: Sequence[Example]) -> dict[str, float]:
        """Score predictions.

        nlp (Language): The pipeline that made them.
        examples (Sequence[Example]): From `predictions`.
        RETURNS (dict[str, float]): Scores that are numbers; the one that the table shows is 0 where
            it is not defined.
        """
        return numbers(self.scorer(nlp, examples), needed=self.score)


def numbers(scores: dict[str, Any], *, needed: str) -> dict[str, float]:
    """Keep the scores that are numbers: not tables by label, nor what is not defined.

    scores (dict): Scores by name.
    needed (str): The name of a score that is 0 where it is not defined.
    RETURNS (dict[str, float]): The numbers.
    """
    kept = {name: float(score) for name, score in scores.items() if isinstance(score, (int, float))}
    return {needed: 0.0, **kept}


TASKS: dict[str, BenchTask] = {
    "ner": BenchTask("ents_f", entity_scores),
    "textcat": BenchTask("accuracy", class_scores),
    "relation": BenchTask("semeval_macro_f", semeval_scores, blank=with_entities),
    "ner_relation": BenchTask("rel_micro_f", joint_scores, shown=("ents_f",)),
    "similarity": BenchTask("sim_spearman", component_scores),
    "qa": BenchTask("qa_f1", component_scores, shown=("qa_em",), predict=unread),
}


def _best(cats: dict[str, float]) -> str:
    return max(sorted(cats), key=lambda label: cats[label])
