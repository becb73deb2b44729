"""`spacy_llm_tasks.Corpus.v1`: what a config's `[corpora.train]` reads its examples with."""

import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from .. import annotations
from ..errors import Errors, Warnings
from .exact import tokenize
from .files import read_docs
from .jsonl import read_jsonl
from .report import Report

SUFFIXES = (".spacy", ".jsonl")
Augmenter = Callable[[Language, Example], Iterator[Example]]


def make_corpus(
    path: str | Path | None,
    max_length: int = 0,
    limit: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    gold_ents: bool = False,
    gold_tokens: bool = True,
    augmenter: Augmenter | None = None,
) -> "Corpus":
    """`spacy_llm_tasks.Corpus.v1`, a reader of examples for `[corpora.*]`.

    path (str | Path): A `.spacy` or `.jsonl` file, or a folder of them. It may be left open (null):
        spaCy builds every reader of a config, also one that this run does not read.
    max_length (int): Cut Docs of more tokens, at sentence starts where the Docs have them and never
        inside an entity; what lies across a cut (relations, answers) is counted in a warning.
        0 for no limit.
    limit (int): Read so many Docs; 0 for all.
    shuffle (bool): Shuffle the Docs before `limit`, the same way in every pass. (The training loop
        shuffles each epoch by itself unless it streams.)
    seed (int): For `shuffle`.
    gold_ents (bool): Give the predicted Docs the entities of the references.
    gold_tokens (bool): Predict on the tokens of the references; false tokenizes their text anew.
    augmenter (Callable): As in spaCy's reader: (nlp, example) -> iterator of examples.
    RETURNS (Corpus): The reader.
    RAISES (ValueError): If a number is below 0.
    """
    return Corpus(
        Path(path) if path else None,
        max_length=max_length,
        limit=limit,
        shuffle=shuffle,
        seed=seed,
        gold_ents=gold_ents,
        gold_tokens=gold_tokens,
        augmenter=augmenter,
    )


@dataclass(frozen=True)
class Corpus:
    """Reads examples anew at every call; see `make_corpus` for the settings."""

    path: Path | None
    max_length: int = 0
    limit: int = 0
    shuffle: bool = False
    seed: int = 0
    gold_ents: bool = False
    gold_tokens: bool = True
    augmenter: Augmenter | None = None

    def __post_init__(self) -> None:
        for name in ("max_length", "limit"):
            if getattr(self, name) < 0:
                raise ValueError(Errors.E334.format(name=name, found=getattr(self, name)))

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples.

        nlp (Language): Its vocabulary holds the Docs, its tokenizer cuts JSONL texts.
        YIELDS (Example): A predicted Doc without annotation (see `gold_ents`) and its reference.
        RAISES (ValueError): If there is no path, or it names no readable file or holds no usable
            Doc.
        """
        n_read = 0
        for reference in self._references(nlp):
            n_read += 1
            example = self._example(nlp, reference)
            if self.augmenter is None:
                yield example
            else:
                yield from self.augmenter(nlp, example)
        if not n_read:
            raise ValueError(Errors.E333.format(path=self.path, reasons=""))

    def _references(self, nlp: Language) -> Iterator[Doc]:
        docs: Iterable[Doc] = self._documents(nlp)
        if self.shuffle:
            docs = list(docs)
            random.Random(self.seed).shuffle(docs)
        lost = {"relations": 0, "questions": 0, "pairs": 0}
        n_docs = 0
        for doc in docs:
            if 0 < self.max_length < len(doc):
                parts = cut(doc, self.max_length)
                for name, n in _lost(doc, parts).items():
                    lost[name] += n
                yield from parts
            else:
                yield doc
            n_docs += 1
            if n_docs == self.limit:
                break
        if any(lost.values()):
            what = ", ".join(f"{n} {name}" for name, n in lost.items() if n)
            warnings.warn(
                Warnings.W302.format(path=self.path, max_length=self.max_length, what=what),
                stacklevel=2,
            )

    def _documents(self, nlp: Language) -> Iterator[Doc]:
        if self.path is None:
            raise ValueError(Errors.E330)
        for file in corpus_files(self.path):
            if file.suffix == ".spacy":
                docs = read_docs(file, nlp.vocab)
            else:
                docs = _read_jsonl(file, nlp)
            for doc in docs:
                if len(doc):
                    yield doc

    def _example(self, nlp: Language, reference: Doc) -> Example:
        if self.gold_tokens or reference.has_unknown_spaces:
            predicted = bare_copy(reference, nlp.vocab)
            predicted.has_unknown_spaces = reference.has_unknown_spaces
        else:
            predicted = tokenize(nlp, reference.text)
        example = Example(predicted, reference)
        if self.gold_ents and reference.has_annotation("ENT_IOB"):
            ents = example.get_aligned_spans_y2x(reference.ents)
            predicted.set_ents(ents, default="outside")
        return example


def bare_copy(doc: Doc, vocab: Vocab) -> Doc:
    """RETURNS (Doc): A new Doc in the vocabulary: the same tokens and spaces, no annotation."""
    spaces = [bool(token.whitespace_) for token in doc]
    return Doc(vocab, words=[token.text for token in doc], spaces=spaces)


def corpus_files(path: Path) -> list[Path]:
    """The corpus files at a path: itself, or every `.spacy` and `.jsonl` file of the folder and the
    folders in it, sorted; of `name.spacy` and `name.jsonl` side by side, which hold the same
    documents, the first.

    path (Path): File or folder.
    RETURNS (list[Path]): At least one file.
    RAISES (ValueError): If there is none.
    """
    if path.is_file() and path.suffix in SUFFIXES:
        return [path]
    files: list[Path] = []
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix in SUFFIXES and file.is_file() and not hidden:
                if file.suffix == ".spacy" or not file.with_suffix(".spacy").is_file():
                    files.append(file)
    if not files:
        raise ValueError(Errors.E332.format(path=path))
    return files


def cut(doc: Doc, max_length: int) -> list[Doc]:
    """Cut a Doc into parts of at most `max_length` tokens, at sentence starts if it has them and
    never inside an entity (a single longer entity stays whole).

    doc (Doc): The Doc.
    max_length (int): Tokens per part, 1 or more.
    RETURNS (list[Doc]): The parts, with the annotations that lie wholly inside them.
    """
    inside = {token.i for ent in doc.ents for token in ent[1:]}
    fair = [i not in inside for i in range(len(doc))]
    has_sentences = doc.has_annotation("SENT_START")
    good = [fair[i] and has_sentences and doc[i].is_sent_start is True for i in range(len(doc))]
    parts: list[Doc] = []
    start = 0
    while start < len(doc):
        end = start + max_length
        if end >= len(doc):
            end = len(doc)
        else:
            room = range(end, start, -1)
            end = next(
                (i for i in room if good[i]),
                next((i for i in room if fair[i]), 0),
            ) or next((i for i in range(end, len(doc)) if fair[i]), len(doc))
        parts.append(annotations.slice_doc(doc[start:end]))
        start = end
    return parts


def _lost(doc: Doc, parts: list[Doc]) -> dict[str, int]:
    # A question without an answer is kept in every part, so only answered ones can be lost.
    answered = sum(bool(question.answers) for question in annotations.get_questions(doc))
    kept = {
        question.id
        for part in parts
        for question in annotations.get_questions(part)
        if question.answers
    }
    relations = len(annotations.get_relations(doc))
    return {
        "relations": relations - sum(len(annotations.get_relations(part)) for part in parts),
        "questions": answered - len(kept),
        "pairs": int(annotations.get_pair(doc) is not None and len(parts) > 1),
    }


def _read_jsonl(path: Path, nlp: Language) -> Iterator[Doc]:
    report = Report(path)
    yield from read_jsonl(path, nlp, report)
    n_unusable = sum(report.unusable.values())
    if n_unusable:
        reason = next(iter(report.unusable))
        place = report.places[reason][0]
        warnings.warn(
            Warnings.W301.format(path=path, n=n_unusable, place=place, reason=reason), stacklevel=2
        )
