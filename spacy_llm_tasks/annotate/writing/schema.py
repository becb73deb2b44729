"""The columns of the Parquet files that a run writes.

| column      | Arrow type                                                               |
|-------------|--------------------------------------------------------------------------|
| `id`        | string, never null                                                       |
| `text`      | large_string                                                             |
| carried     | the columns of the input with their own types, or one column `columns`:  |
|             | string, an object of JSON; see `columns.py`                              |
| `ents`      | list<struct<start: int32, end: int32, label: string, score: float,       |
|             | kb_id: string>>                                                          |
| `spans`     | list<struct<group: string, start: int32, end: int32, label: string,      |
|             | score: float>>; all groups of `doc.spans`                                |
| `relations` | list<struct<head: int32, tail: int32, label: string, score: float,       |
|             | head_start: int32, head_end: int32, tail_start: int32, tail_end: int32>> |
| `cats`      | list<struct<label: string, score: float>>                                |
| `embedding` | list<float>, of fixed size where the pipeline's width is known           |
| `answers`   | list<struct<question: string, text: string, start: int32, end: int32,    |
|             | score: float>>                                                           |
| `tokens`    | list<struct<start: int32, end: int32, lemma: string, pos: string,        |
|             | tag: string, morph: string, dep: string, head: int32>>                   |
| `sents`     | list<struct<start: int32, end: int32>>                                   |

Places are characters of the text, ends exclusive. `head` and `tail` of a relation are indices into
`ents`, null where the argument is none of the entities; of a token, `head` is the index of its head
in `tokens`. An answer without a text says that the document does not say. Null stands for what
nobody has annotated, an empty list for what was looked for and not found. A run has the columns
that it was asked for, and all of its files have the same schema, which the metadata names
"spacy_llm_tasks.annotate": the version of this table.
"""

from collections.abc import Collection
from typing import Any

from ...streams import pyarrow
from ..reading.columns import Columns, output_name

VERSION = "1"
_FIELDS = {
    "ents": "start:int end:int label:text score:float kb_id:text",
    "spans": "group:text start:int end:int label:text score:float",
    "relations": "head:int tail:int label:text score:float "
    "head_start:int head_end:int tail_start:int tail_end:int",
    "cats": "label:text score:float",
    "answers": "question:text text:text start:int end:int score:float",
    "tokens": "start:int end:int lemma:text pos:text tag:text morph:text dep:text head:int",
    "sents": "start:int end:int",
}


def output_schema(
    *, columns: Columns, parts: Collection[str], embedding_width: int | None = None
) -> Any:
    """The schema of all Parquet files of a run.

    columns (Columns): The columns that it carries through.
    parts (Collection[str]): What it writes, see `outputs.PARTS`.
    embedding_width (int | None): Numbers in each embedding; None if not known.
    RETURNS (pyarrow.Schema): The schema. It depends on nothing else.
    RAISES (ImportError): If `pyarrow` is not installed.
    """
    pa = pyarrow("pyarrow")
    kinds = {"int": pa.int32(), "text": pa.string(), "float": pa.float32()}
    fields = [pa.field("id", pa.string(), nullable=False)]
    if "text" in parts:
        fields.append(pa.field("text", pa.large_string()))
    if columns.types is None:
        fields.append(pa.field("columns", pa.string()))
    else:
        fields += [pa.field(output_name(name), columns.arrow_type(name)) for name in columns.types]
    for part in ("ents", "spans", "relations", "cats", "embedding", "answers", "tokens", "sents"):
        if part not in parts:
            continue
        if part == "embedding":
            size = -1 if embedding_width is None else embedding_width
            fields.append(pa.field(part, pa.list_(pa.float32(), size)))
        else:
            pairs = (field.split(":") for field in _FIELDS[part].split())
            inner = pa.struct([(name, kinds[kind]) for name, kind in pairs])
            fields.append(pa.field(part, pa.list_(inner)))
    return pa.schema(fields, metadata={"spacy_llm_tasks.annotate": VERSION})
