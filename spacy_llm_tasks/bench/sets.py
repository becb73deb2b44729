"""The sets of the accuracy benchmark: where they lie, how long a run is, what our side tries."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..annotations import get_questions, set_questions
from ..corpora.columns import read_columns
from ..corpora.conll04 import read_conll04
from ..corpora.hold_out import split_docs
from ..corpora.labels import read_labels
from ..corpora.pairs import read_pairs
from ..corpora.reader import bare_copy
from ..corpora.report import Report
from ..corpora.semeval2010 import read_semeval2010
from ..corpora.squad import read_squad
from ..errors import Errors
from .tasks import TASKS, BenchTask

Reader = Callable[[Path, Language, Report], Iterator[Doc]]
ALL = "all"


@dataclass(frozen=True)
class BenchSet:
    """One data set and the budget of a run on it.

    name (str): Its name on the command line and in result files.
    task (str): A name of `tasks.TASKS`.
    train (str): Path of the training file below the data folder.
    dev (str | None): Path of the development file; `None`: every `hold_out`-th training document.
    reader (Reader): Reads a file into reference docs in the vocabulary of a pipeline.
    updates (int): Optimiser steps of one run.
    batch_docs (int): Documents in a batch.
    n_seeds (int): How many seeds the table asks for; one for the sets whose runs are long.
    n_tuned (int): At how many of them, from the front, rates are compared: more than one where a
        single held-out part is small.
    hold_out (int): Which part of the training file is held out when there is no dev file.
    rotates (bool): Whether each seed holds out a part of its own: seed 0 the documents 0, 10, ...,
        seed 1 the documents 1, 11, ...
    first (int | None): Also score this many documents from the start of dev.
    unfold (Callable | None): Makes the training docs of one doc of the file.
    rates (tuple[float, ...]): The learning rates to try; empty for those that a job names. A single
        one is used as it is: the set is too long to tune on.
    options (dict[str, dict]): Settings of our components that differ from the task's. Such a set
        has no peer: its peer is that of the same data without them.
    """

    name: str
    task: str
    train: str
    dev: str | None
    reader: Reader
    updates: int
    batch_docs: int = 32
    n_seeds: int = 1
    n_tuned: int = 1
    hold_out: int = 10
    rotates: bool = False
    first: int | None = None
    unfold: Callable[[Doc], Iterator[Doc]] | None = None
    rates: tuple[float, ...] = ()
    options: dict[str, dict[str, Any]] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> BenchTask:
        """RETURNS (BenchTask): How its documents are predicted on and scored."""
        return TASKS[self.task]

    @property
    def score(self) -> str:
        """RETURNS (str): The name of the score that the table shows and the tuning compares."""
        return self.kind.score

    def part(self, seed: int) -> int:
        """RETURNS (int): The part of the training file that runs of a seed hold out."""
        return seed % self.hold_out if self.rotates else 0

    def tuned_on(self, seeds: Sequence[int]) -> Sequence[int]:
        """RETURNS (Sequence[int]): Those of a job's seeds at which rates are compared."""
        return seeds[: self.n_tuned]

    def read(self, data: Path, nlp: Language, *, seed: int) -> tuple[list[Doc], list[Doc]]:
        """Read the set below a data folder.

        data (Path): The data folder.
        nlp (Language): Gives the vocabulary, and the tokenizer where a file holds raw text.
        seed (int): The seed of the run.
        RETURNS (tuple[list[Doc], list[Doc]]): Reference docs to train on and to evaluate on.
        RAISES (ValueError): If a file is missing.
        """
        for name in (self.train, self.dev):
            if name is not None and not (data / name).is_file():
                raise ValueError(Errors.E581.format(name=self.name, path=data / name))
        train = self._docs(data / self.train, nlp)
        if self.dev is not None:
            dev = self._docs(data / self.dev, nlp)
        else:
            train, dev = split_docs(train, self.hold_out, part=self.part(seed))
        if self.unfold is not None:
            train = [part for doc in train for part in self.unfold(doc)]
        return train, dev

    def _docs(self, path: Path, nlp: Language) -> list[Doc]:
        return list(self.reader(path, nlp, Report(path)))


def each_question(doc: Doc) -> Iterator[Doc]:
    """Give each question a document of its own, so that a batch is a number of questions.

    doc (Doc): A doc with questions.
    YIELDS (Doc): A copy with one of them.
    """
    for question in get_questions(doc):
        copy = bare_copy(doc, doc.vocab)
        set_questions(copy, [question])
        yield copy


def _bio_columns(path: Path, nlp: Language, report: Report) -> Iterator[Doc]:
    return read_columns(path, nlp.vocab, report, scheme="bio", separator="tab")


def _conll04(path: Path, nlp: Language, report: Report) -> Iterator[Doc]:
    return read_conll04(path, nlp.vocab, report)


_MARKERS = {"trf_relation": {"model": {"mode": "markers"}}}
_SEMEVAL = BenchSet(
    name="semeval",
    task="relation",
    train="re/semeval2010_8/train.txt",
    dev=None,
    reader=read_semeval2010,
    updates=1800,
    batch_docs=16,
)
_CONLL04 = BenchSet(
    name="conll04",
    task="ner_relation",
    train="re/conll04/train.txt",
    dev="re/conll04/dev.txt",
    reader=_conll04,
    updates=800,
    batch_docs=16,
    n_seeds=3,
)
_SQUAD1 = BenchSet(
    name="squad1",
    task="qa",
    train="qa/squad1/train.json",
    dev="qa/squad1/dev.json",
    reader=read_squad,
    updates=800,
    batch_docs=20,
    unfold=each_question,
    rates=(2e-4,),
)

SETS: dict[str, BenchSet] = {
    item.name: item
    for item in (
        BenchSet(
            name="wnut17",
            task="ner",
            train="ner/wnut17/train.conll",
            dev="ner/wnut17/dev.conll",
            reader=_bio_columns,
            updates=636,
            n_seeds=3,
        ),
        BenchSet(
            name="bc5cdr",
            task="ner",
            train="ner/bc5cdr/train.tsv",
            dev="ner/bc5cdr/dev.tsv",
            reader=_bio_columns,
            updates=572,
            first=1200,
        ),
        BenchSet(
            name="sst2",
            task="textcat",
            train="textcat/sst2/train.tsv",
            dev="textcat/sst2/dev.tsv",
            reader=partial(read_labels, separator="tab", order="text-label"),
            updates=651,
        ),
        BenchSet(
            name="trec",
            task="textcat",
            train="textcat/trec/train.txt",
            dev=None,
            # One byte of the file is no UTF-8: it was published in Latin-1.
            reader=partial(read_labels, separator="space", order="label-text", encoding="latin-1"),
            updates=616,
            n_seeds=10,
            n_tuned=5,
            rotates=True,
        ),
        _SEMEVAL,
        replace(_SEMEVAL, name="semeval-markers", options=_MARKERS),
        _CONLL04,
        replace(_CONLL04, name="conll04-markers", options=_MARKERS, n_seeds=1),
        BenchSet(
            name="stsb",
            task="similarity",
            train="similarity/stsb/train.tsv",
            dev="similarity/stsb/dev.tsv",
            reader=read_pairs,
            updates=720,
            n_seeds=3,
            rates=(5e-5, 1e-4),  # sentence-transformers is at its best at the lower one
        ),
        _SQUAD1,
        replace(
            _SQUAD1, name="squad1-deferred", options={"trf_qa": {"model": {"deferred_layers": 3}}}
        ),
        replace(_SQUAD1, name="squad2", train="qa/squad2/train.json", dev="qa/squad2/dev.json"),
    )
}


def choose(names: str) -> list[BenchSet]:
    """Look up a comma-separated list of set names.

    names (str): For instance "wnut17,trec"; "all" for all.
    RETURNS (list[BenchSet]): The sets in the order asked for.
    RAISES (ValueError): If a name is unknown.
    """
    if names.strip() == ALL:
        return list(SETS.values())
    chosen = []
    for name in (part.strip() for part in names.split(",")):
        if name not in SETS:
            raise ValueError(Errors.E582.format(name=name, known=", ".join([*SETS, ALL])))
        chosen.append(SETS[name])
    return chosen
