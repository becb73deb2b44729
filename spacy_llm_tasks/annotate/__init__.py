"""A pipeline over a corpus of any size: in shards, by many processes, each row exactly once.

rows, inputs, readers     what goes in, whatever the files are
outputs, schema, writers  what comes out
shards                    the corpus in pieces, of which each becomes a file
annotator                 a batch of rows -> annotated rows, in a worker wherever it runs
shard_file, worker        what a worker process does
entry_maker, index_file   what a shard has for the search index, on its way there
index_builder             the search index, made while the run goes on
crew, dispatch, suspects  what the run does with its workers, and with documents that kill them
engines                   where the workers are: processes of this machine, or actors of Ray
manifest, journal, lock   what is noted in the folder, so that a run goes on after anything
run                       all of it together
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
