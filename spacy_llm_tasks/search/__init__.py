"""Search among embedded texts: an index in a folder, by vectors, by words, or both.

`SearchIndex` stores entries (documents, sentences or entities) with one vector each, wherever the
vectors come from. `mining` compares a collection with itself, `measure_recall` says what a faster
search misses. Knows numpy, spaCy's Docs and SQLite; never torch or thinc.
"""

from .entries import Entry, Hit, entries_of, spans_of
from .filters import Filters
from .index import SearchIndex
from .mining import near_duplicates, paraphrases
from .recall import Recall, measure_recall

__all__ = [
    "Entry",
    "Filters",
    "Hit",
    "Recall",
    "SearchIndex",
    "entries_of",
    "measure_recall",
    "near_duplicates",
    "paraphrases",
    "spans_of",
]
