"""The id of a document and the columns that it came with, kept on its `Doc`."""

import json
from collections.abc import Mapping
from typing import Any

from spacy.tokens import Doc

from .json_text import to_json

ID = "spacy_llm_tasks.id"
COLUMNS = "spacy_llm_tasks.columns"
ANSWERS = "spacy_llm_tasks.answers"


def name_doc(doc: Doc, id: str, columns: Mapping[str, Any]) -> None:
    """Keep the id and the columns of a document, so that a `.spacy` file has them too.

    doc (Doc): The Doc.
    id (str): Its id.
    columns (Mapping[str, Any]): Its columns. Values that JSON cannot hold are kept as text.
    """
    doc.user_data[ID] = id
    if columns:
        doc.user_data[COLUMNS] = to_json(columns)


def id_of_doc(doc: Doc) -> str | None:
    """RETURNS (str | None): The id of a document that a run has annotated."""
    found = doc.user_data.get(ID)
    return found if isinstance(found, str) else None


def columns_of_doc(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The columns of a document that a run has annotated."""
    kept = doc.user_data.get(COLUMNS)
    if not isinstance(kept, str):
        return {}
    found = json.loads(kept)
    return found if isinstance(found, dict) else {}
