"""A pipeline over a corpus of any size: in shards, by many processes, each row exactly once.

reading    what goes in, whatever the files are, cut into shards
annotator  a batch of rows -> annotated rows, in a worker wherever it runs
writing    what comes out
indexing   the search index, made while the run goes on
running    workers and what they are told, and what is noted so that a run goes on after anything
engines    where the workers are: processes of this machine, or actors of Ray
settings   what a user may ask for
run        all of it together
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotator import Annotator, AnnotatorSettings
    from .run import annotate_corpus

__all__ = ["Annotator", "AnnotatorSettings", "annotate_corpus"]


def __getattr__(name: str) -> Any:
    # Readers of rows need not wait for spaCy to be imported.
    if name == "annotate_corpus":
        from .run import annotate_corpus

        return annotate_corpus
    if name in __all__:
        from . import annotator

        return getattr(annotator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
