"""The four sets of the accuracy benchmark: where they lie, how long a run is, what is scored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from ..corpora.columns import read_columns
from ..corpora.labels import read_labels
from ..corpora.report import Report
from ..errors import Errors

Reader = Callable[[Path, Language, Report], Iterator[Doc]]


@dataclass(frozen=True)
class BenchSet:
    """One data set and the budget of a run on it.

    name (str): Its name on the command line and in result files.
    task (str): "ner" or "textcat" (exclusive classes).
    train (str): Path of the training file below the data folder.
    dev (str | None): Path of the development file; `None`: every `hold_out`-th training document.
    reader (Reader): Reads a file into reference docs in the vocabulary of a pipeline.
    updates (int): Optimiser steps of one run.
    n_seeds (int): How many seeds the table asks for; one for the sets whose runs are long.
    hold_out (int): Which part of the training file is held out when there is no dev file.
    first (int | None): Also score this many documents from the start of dev.
    """

    name: str
    task: str
    train: str
    dev: str | None
    reader: Reader
    updates: int
    n_seeds: int = 1
    hold_out: int = 10
    first: int | None = None

    @property
    def score(self) -> str:
        """RETURNS (str): The name of the score that the table shows and the tuning compares."""
        return "ents_f" if self.task == "ner" else "accuracy"

    def read(self, data: Path, nlp: Language) -> tuple[list[Doc], list[Doc]]:
        """Read the set below a data folder.

        data (Path): The data folder.
        nlp (Language): Gives the vocabulary, and the tokenizer where a file holds raw text.
        RETURNS (tuple[list[Doc], list[Doc]]): Reference docs to train on and to evaluate on.
        RAISES (ValueError): If a file is missing.
        """
        for name in (self.train, self.dev):
            if name is not None and not (data / name).is_file():
                raise ValueError(Errors.E581.format(name=self.name, path=data / name))
        train = self._docs(data / self.train, nlp)
        if self.dev is not None:
            return train, self._docs(data / self.dev, nlp)
        return split_every(train, self.hold_out)

    def _docs(self, path: Path, nlp: Language) -> list[Doc]:
        return list(self.reader(path, nlp, Report(path)))


def _bio_columns(path: Path, nlp: Language, report: Report) -> Iterator[Doc]:
    return read_columns(path, nlp.vocab, report, scheme="bio", separator="tab")


def split_every(docs: list[Doc], step: int) -> tuple[list[Doc], list[Doc]]:
    """Hold out the documents number 0, step, 2 * step, ...

    docs (list[Doc]): All documents in file order.
    step (int): The distance between two held-out documents.
    RETURNS (tuple[list[Doc], list[Doc]]): The kept and the held-out documents.
    """
    kept = [doc for i, doc in enumerate(docs) if i % step]
    return kept, docs[::step]


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
            n_seeds=3,
        ),
    )
}


def choose(names: str) -> list[BenchSet]:
    """Look up a comma-separated list of set names.

    names (str): For instance "wnut17,trec".
    RETURNS (list[BenchSet]): The sets in the order asked for.
    RAISES (ValueError): If a name is unknown.
    """
    chosen = []
    for name in (part.strip() for part in names.split(",")):
        if name not in SETS:
            raise ValueError(Errors.E582.format(name=name, known=", ".join(SETS)))
        chosen.append(SETS[name])
    return chosen
