"""From rows to annotated rows: what a worker does, wherever it runs.

An `Annotator` is a callable on batches of rows that is sent to a worker as its settings only and
builds its pipeline there, at its first call. That is the shape which pools of actors and functions
over partitions expect, so it can be handed to these as it is.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import Errors
from .reading.rows import Row
from .writing.faults import Fault

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from ..pipeline.asking import QaPipe
    from .indexing.entry_maker import EntryMaker
    from .indexing.index_file import IndexEntries, Origin

# Strings that a vocabulary may gain before it starts to forget those of each batch. The frequent
# words are among the first; forgetting them with every batch would make tokenizing slower by half.
KEPT_STRINGS = 50_000
# Words after which a pipeline is worn out: even of those that it forgets, spaCy's table of words
# keeps some 30 bytes each.
MOST_WORDS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class AnnotatorSettings:
    """What an annotator is made of, in plain values.

    pipeline (str): Folder of the pipeline.
    parts (Sequence[str]): Which annotations are wanted, see `outputs.row_of`. Kept as a tuple.
    questions (Sequence[str]): What `trf_qa` is asked about each document. Kept as a tuple.
    max_chars (int | None): Limit of the pipeline for the characters of a document.
    code (str | None): A Python file that registers functions which the pipeline names.
    gpu_id (int): GPU to use; -1: the CPU.
    threads (int): Threads of torch and of the libraries under it.
    kernel (str | None): Kernel of our encoder, see `nn.kernels`; None: left as it is.
    index (str | None): Also make entries of a search index: "doc", "sent" or "ent".
    RAISES (ValueError): If the parts or the questions are no sequence of strings.
    """

    pipeline: str
    parts: Sequence[str]
    questions: Sequence[str] = ()
    max_chars: int | None = None
    code: str | None = None
    gpu_id: int = -1
    threads: int = 1
    kernel: str | None = None
    index: str | None = None

    def __post_init__(self) -> None:
        for name in ("parts", "questions"):
            object.__setattr__(self, name, strings(name, getattr(self, name)))


def strings(name: str, found: Any) -> tuple[str, ...]:
    """Check a setting of several strings. A single one would be taken letter by letter.

    name (str): What the setting is called.
    found (Any): What was given.
    RETURNS (tuple[str, ...]): The strings.
    RAISES (ValueError): If it is no sequence of strings.
    """
    is_several = isinstance(found, Sequence) and not isinstance(found, str | bytes)
    if not is_several or not all(isinstance(value, str) for value in found):
        expected = "a list or tuple of strings"
        raise ValueError(Errors.E806.format(name=name, expected=expected, found=found))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Annotated:
    """What became of a row.

    row (Row): The row.
    record (dict | None): Its line of the output; None if it failed.
    fault (Fault | None): Why it failed.
    n_tokens (int): Its tokens.
    seconds (float): The time it took: in a batch, its share by characters.
    entries (IndexEntries | None): What it has for the search index.
    """

    row: Row
    record: dict[str, Any] | None
    fault: Fault | None = None
    n_tokens: int = 0
    seconds: float = 0.0
    entries: "IndexEntries | None" = None


class Annotator:
    """Annotates batches of rows.

    settings (AnnotatorSettings): Sent to other processes; the pipeline never is.
    """

    def __init__(self, settings: AnnotatorSettings) -> None:
        self.settings = settings
        self._nlp: Language | None = None
        self._entry_maker: EntryMaker | None = None
        self._n_strings = self._n_words = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["settings"])  # type: ignore[misc]

    def __call__(self, rows: Sequence[Row]) -> list[Annotated]:
        """Annotate a batch.

        rows (Sequence[Row]): Documents that go through the pipeline together.
        RETURNS (list[Annotated]): One for each row. If a document fails, the others are annotated
            as if it had not been there.
        """
        with self._forgetting():
            if len(rows) > 1:
                found = self._together(rows)
                if found is not None:
                    return found
            return [self._one(row) for row in rows]

    @property
    def nlp(self) -> "Language":
        """RETURNS (Language): The pipeline, loaded at the first use."""
        if self._nlp is None:
            self._nlp = self._load()
            if self.settings.index is not None:
                from .indexing.entry_maker import EntryMaker

                self._entry_maker = EntryMaker(self._nlp, self.settings.index)
            self._n_strings = len(self._nlp.vocab.strings)
            self._n_words = _n_words(self._nlp)
        return self._nlp

    @property
    def is_worn(self) -> bool:
        """RETURNS (bool): Whether its memory has grown so far that a new process should follow."""
        return _n_words(self.nlp) - self._n_words > MOST_WORDS

    def embedding_width(self) -> int | None:
        """RETURNS (int | None): Numbers in `doc._.embedding`; None if no component makes one."""
        for name, pipe in self.nlp.pipeline:
            if self.nlp.get_pipe_meta(name).factory == "trf_similarity":
                return int(pipe.embed(["width"]).shape[1])  # type: ignore[attr-defined]
        return None

    def origin(self) -> "Origin | None":
        """RETURNS (Origin | None): What makes the vectors of entries; None if none are made."""
        self.nlp  # noqa: B018  (loads the pipeline)
        return None if self._entry_maker is None else self._entry_maker.origin

    def _load(self) -> "Language":
        import spacy
        from spacy.util import import_file

        settings = self.settings
        torch = sys.modules.get("torch")  # there if any component can need it
        if torch is not None:
            torch.set_num_threads(settings.threads)
        if settings.gpu_id >= 0:
            from ..devices import use_gpu

            use_gpu(settings.gpu_id)
        if settings.kernel is not None:
            from ..nn import kernels

            kernels.use(settings.kernel)
        if settings.code is not None:
            import_file("python_code", settings.code)
        nlp = spacy.load(settings.pipeline)
        nlp.max_length = settings.max_chars or sys.maxsize
        if settings.questions:
            _asked(nlp)  # that nobody can answer is told now, and not once for each document
        return nlp

    def _together(self, rows: Sequence[Row]) -> list[Annotated] | None:
        """The batch in one piece; None if any of it fails."""
        started = time.perf_counter()
        try:
            docs = list(self.nlp.pipe(map(self._doc, rows), batch_size=len(rows)))
            if len(docs) != len(rows) or None in docs:
                return None
            answers = self._answers(docs)
            characters = sum(len(row.text) for row in rows)
            rate = (time.perf_counter() - started) / max(1, characters)
            annotated = [
                self._record(row, doc, found, rate * len(row.text))
                for row, doc, found in zip(rows, docs, answers, strict=True)
            ]
            return self._with_entries(annotated, docs)
        except Exception:  # of whose document, and in which component, is found one by one
            return None

    def _one(self, row: Row) -> Annotated:
        """A document on its way through the components, so that one that fails is known."""
        component, started = "tokenizer", time.perf_counter()
        try:
            doc = self._doc(row)
            for component, pipe in self.nlp.pipeline:
                doc = pipe(doc)
                if doc is None:
                    raise ValueError(Errors.E847.format(component=component))
            component = "questions"
            answers = self._answers([doc])[0]
        except Exception as error:
            return Annotated(row, None, Fault.of_exception(row, component, error))
        annotated = self._record(row, doc, answers, time.perf_counter() - started)
        try:
            return self._with_entries([annotated], [doc])[0]
        except Exception as error:
            return Annotated(row, None, Fault.of_exception(row, "index", error))

    def _doc(self, row: Row) -> "Doc":
        if row.doc is None:
            return self.nlp.make_doc(row.text)
        from spacy.tokens import Doc

        return Doc(self.nlp.vocab).from_bytes(row.doc)

    def _answers(self, docs: Sequence["Doc"]) -> list[Any]:
        """For each doc its answers with their questions, or None if there are none to give."""
        questions = list(self.settings.questions)
        if not questions or not docs:
            return [None] * len(docs)
        found = _asked(self.nlp).answer(docs, [questions] * len(docs))
        return [list(zip(questions, answers, strict=True)) for answers in found]

    def _record(self, row: Row, doc: "Doc", answers: Any, seconds: float) -> Annotated:
        from .writing.outputs import row_of

        try:
            record = row_of(doc, row, parts=self.settings.parts, answers=answers)
        except Exception as error:
            return Annotated(row, None, Fault.of_exception(row, "output", error))
        return Annotated(row, record, None, len(doc), seconds)

    def _with_entries(self, annotated: list[Annotated], docs: Sequence["Doc"]) -> list[Annotated]:
        """The same with their entries, which come last: what is done to docs for them is in no
        output."""
        if self._entry_maker is None:
            return annotated
        good = [i for i, one in enumerate(annotated) if one.record is not None]
        found = self._entry_maker([docs[i] for i in good], [annotated[i].row for i in good])
        for i, entries in zip(good, found, strict=True):
            annotated[i] = replace(annotated[i], entries=entries)
        return annotated

    def _forgetting(self) -> AbstractContextManager[Any]:
        """Free the words of a batch with it: a vocabulary never shrinks of itself, and memory would
        grow with the corpus."""
        if len(self.nlp.vocab.strings) - self._n_strings < KEPT_STRINGS:
            return nullcontext()
        return self.nlp.memory_zone()


def _n_words(nlp: "Language") -> int:
    """How many words a vocabulary has ever taken in."""
    return int(nlp.vocab.length)  # type: ignore[attr-defined]


def _asked(nlp: "Language") -> "QaPipe":
    """The component that answers. RAISES (ValueError): if there is none."""
    from ..pipeline.asking import QaPipe
    from ..pipeline.owners import component_of

    return component_of(nlp, QaPipe, "trf_qa")
