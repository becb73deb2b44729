"""`.spacy` files: documents with the annotations that they have already."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from .... import annotations
from ...writing.doc_names import columns_of_doc, id_of_doc
from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row
from .lines import unreadable
from .row_maker import RowMaker


def read_doc_bin(
    file: InputFile, settings: ReadSettings, *, start: int = 0
) -> Iterator[Row | BadRow]:
    """Read the docs of a `.spacy` file. The format is one compressed block, so that memory holds
    the whole file; large corpora are better kept in several.

    file (InputFile): The file.
    settings (ReadSettings): How.
    start (int): Pass over so many docs.
    YIELDS (Row | BadRow): The documents. Questions and pairs that they are annotated with become
        columns, and so do those that a run has stored with their ids.
    RAISES (ValueError): If the file cannot be read.
    """
    maker = RowMaker(file, settings)
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        raise unreadable(file.path, error) from error
    if not data:
        if start == 0:
            yield maker.empty()
        return
    try:
        box = DocBin().from_bytes(data)
    except Exception as error:  # whatever a torn or foreign file makes of the decoder
        if start == 0:
            yield maker.bad(0, f"this is no whole .spacy file ({type(error).__name__})")
        return
    del data
    vocab = Vocab()
    for string in box.strings:
        vocab.strings.add(string)
    for index in range(start, len(box)):
        try:
            doc = next(_single(box, index).get_docs(vocab))
            row = _row(maker, index + 1, doc)
        except Exception as error:
            row = maker.bad(index + 1, f"the doc cannot be read ({type(error).__name__})")
        yield row


def _single(box: DocBin, index: int) -> DocBin:
    """One doc of many: `get_docs` cannot be asked for one, and ends at the first that fails."""
    single = DocBin()
    single.attrs = box.attrs
    for name in ("tokens", "spaces", "cats", "flags", "span_groups", "user_data"):
        setattr(single, name, getattr(box, name)[index : index + 1])
    return single


def _row(maker: RowMaker, number: int, doc: Doc) -> Row | BadRow:
    columns: dict[str, Any] = columns_of_doc(doc)
    if annotations.has_questions(doc):
        columns["questions"] = [
            {
                "id": question.id,
                "question": question.question,
                "answers": [{"text": text, "start": start} for text, start in question.answers],
            }
            for question in annotations.get_questions(doc)
        ]
    pair = annotations.get_pair(doc)
    if pair is not None:
        columns["pair"] = {"text": pair.text, "score": pair.score}
        if pair.negatives:
            columns["pair"]["negatives"] = list(pair.negatives)
    return maker.row(number, doc.text, id=id_of_doc(doc), columns=columns, doc=doc.to_bytes())
