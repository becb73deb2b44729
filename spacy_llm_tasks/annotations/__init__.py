"""Where the tasks keep what they find on a `Doc`, and how it is read back as rich objects.

spaCy has homes for entities (`doc.ents`), spans and categories. For relations, questions, a
paired sentence, embeddings and span confidences we keep plain lists, strings, numbers and bytes in
`doc.user_data` under string keys, and install *getter* extensions (`doc._.relations`,
`span._.confidence`, ...) that build objects when asked. So the values survive `Doc.to_bytes`,
`DocBin(store_user_data=True)`, pickle and `nlp.pipe(n_process=2)`, which dataclasses, `Span`
objects or tuple keys do not.

Everything is placed by character offsets into `doc.text`, so that it stands whatever becomes of
the tokens:

- Retokenizing keeps it; a relation whose argument no longer falls on token boundaries is an error
  when it is read.
- `span.as_doc()` and `Doc.from_docs` leave it out (the latter with spaCy's warning W102).
  `as_doc(copy_user_data=True)` copies it with offsets that are no longer true: every stored value
  carries the length of its text, and reading it from a Doc of another length is an error.
  `slice_doc(span)` cuts a Doc and re-bases what lies inside.
- Absent and empty differ: `has_relations(doc)` is true for a document that was annotated and has
  no relation, false for one that nobody looked at.
"""

from .confidence import CONFIDENCE, get_confidence, set_confidences
from .embedding import EMBEDDING, get_embedding, set_embedding
from .extensions import install_extensions
from .pairs import PAIR, Pair, get_pair, set_pair
from .questions import (
    QUESTIONS,
    GoldAnswer,
    Question,
    get_questions,
    has_questions,
    set_questions,
)
from .relations import (
    RELATIONS,
    Relation,
    clear_relations,
    get_relations,
    has_relations,
    set_relations,
)
from .slicing import slice_doc
from .store import n_characters

__all__ = [
    "CONFIDENCE",
    "EMBEDDING",
    "PAIR",
    "QUESTIONS",
    "RELATIONS",
    "GoldAnswer",
    "Pair",
    "Question",
    "Relation",
    "clear_relations",
    "get_confidence",
    "get_embedding",
    "get_pair",
    "get_questions",
    "get_relations",
    "has_questions",
    "has_relations",
    "install_extensions",
    "n_characters",
    "set_confidences",
    "set_embedding",
    "set_pair",
    "set_questions",
    "set_relations",
    "slice_doc",
]

install_extensions()
