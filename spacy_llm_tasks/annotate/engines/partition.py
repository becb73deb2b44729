"""The annotator without a run: as a function over partitions, in the shape of Dask and Spark.

    annotate = partial(annotate_partition, AnnotatorSettings(pipeline=folder, parts=DEFAULT_PARTS))
    rows = spark.read.json(path).rdd.map(lambda line: Row(line.id, line.text))
    annotated = rows.mapPartitions(annotate)                  # or bag.map_partitions(annotate)

What a run does beyond that is not done here: nothing is written, a document that kills its process
is not found, and how often a partition is worked on is the other engine's affair.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from ..annotator import Annotated, Annotator, AnnotatorSettings
from ..reading.rows import Row
from ..reading.shards import Cut


def annotate_partition(
    settings: AnnotatorSettings, rows: Iterable[Row], *, cut: Cut | None = None
) -> Iterator[Annotated]:
    """Annotate the rows of a partition.

    settings (AnnotatorSettings): What the annotator is made of. A process loads the pipeline once,
        for all partitions that it gets.
    rows (Iterable[Row]): The partition.
    cut (Cut | None): Where batches end.
    YIELDS (Annotated): What became of each row, in order.
    """
    annotator, limits = _annotator(settings), cut or Cut()
    batch: list[Row] = []
    characters = 0
    for row in rows:
        full = len(batch) == limits.batch_rows
        if batch and (full or characters + len(row.text) > limits.batch_characters):
            yield from annotator(batch)
            batch, characters = [], 0
        batch.append(row)
        characters += len(row.text)
    if batch:
        yield from annotator(batch)


@lru_cache(maxsize=1)
def _annotator(settings: AnnotatorSettings) -> Annotator:
    return Annotator(settings)
