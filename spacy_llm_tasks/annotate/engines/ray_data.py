"""A run as a dataset of Ray: shards are its rows, read in one place and annotated by many actors.

One task reads the corpus, on the machine where the run was started, and yields shards as blocks of
one row; Ray keeps few of them ahead of the actors, restarts an actor that has died, and gives its
shard to one that lives. What comes back is only what the journal has to note.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, cast

import pandas as pd
import ray
import ray.data
from ray.data import ActorPoolStrategy, Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from ..reading.id_register import IdRegister
from ..reading.inputs import InputFile
from ..reading.read_settings import ReadSettings
from ..reading.shards import Cut, Place, Shard, shards_of
from ..running.worker import FAILED
from .engine import reader_of
from .ray_session import SHARDS_OF_AN_ACTOR, bytes_ahead
from .shard_annotator import READ, Outcome, ShardAnnotator, ShardSettings

COLUMN = "item"  # a shard, or an outcome that is known without an actor


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the task that reads is made of. It is begun again if it dies, and then gives the same.

    files (tuple[InputFile, ...]): The corpus.
    read (ReadSettings): How it is read.
    cut (Cut): Where shards end.
    done (Callable): (number of a shard) -> where it ends, or None: as things stood at the start.
    ids (str): File of the register of ids.
    duplicate_ids (str): Its policy.
    lease (str): See `ShardSettings`.
    """

    files: tuple[InputFile, ...]
    read: ReadSettings
    cut: Cut
    done: Callable[[int], Place | None]
    ids: str
    duplicate_ids: str
    lease: str

    def shards(self) -> Iterator[Shard]:
        """YIELDS (Shard): The shards that are not done, until the run is over."""
        read, lease = reader_of(self.read), Path(self.lease)
        with IdRegister(self.ids, self.duplicate_ids) as ids:
            found = shards_of(self.files, read, self.cut, done=self.done, settled=ids.settled)
            for shard in found:
                ids.commit()  # a run that goes on after this one is killed must not find it locked
                if not lease.exists():
                    return
                yield shard


class ShardSource(Datasource):  # type: ignore[misc]
    """Shards for Ray.

    source (Source): Where they come from.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **options: Any) -> list[ReadTask]:
        """RETURNS (list[ReadTask]): One: where a shard ends depends on all rows before it."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_blocks_of, self._source), unknown)]


class ShardActor:
    """A `ShardAnnotator` in a pool of actors of Ray.

    settings (ShardSettings): What it is made of.
    """

    def __init__(self, settings: ShardSettings) -> None:
        self._annotator = ShardAnnotator(settings)

    def __call__(self, block: pd.DataFrame) -> pd.DataFrame:
        items = block[COLUMN]
        found = [self._annotator(one) if isinstance(one, Shard) else one for one in items]
        return pd.DataFrame([asdict(outcome) for outcome in found])


def dataset_of(
    source: Source, settings: ShardSettings, *, workers: int, gpus: float | None
) -> Dataset:
    """Plan a run.

    source (Source): What is read.
    settings (ShardSettings): What actors are made of.
    workers (int): How many actors there shall be.
    gpus (float | None): GPUs of each; None: none.
    RETURNS (Dataset): Of outcomes. Nothing happens before it is iterated over.
    """
    # Reading takes no core away from annotating: it waits most of the time.
    dataset = ray.data.read_datasource(
        ShardSource(source), num_cpus=0, override_num_blocks=1, **_on_this_machine()
    )
    dataset = dataset.map_batches(
        ShardActor,
        fn_constructor_args=(settings,),
        batch_size=1,
        batch_format="pandas",
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=SHARDS_OF_AN_ACTOR),
        num_cpus=settings.made_of.annotator.threads,
        num_gpus=gpus,
    )
    context = dataset.context
    # A shard for itself, however small: blocks are what actors are given.
    context.target_min_block_size = context.target_max_block_size = 1
    context.enable_progress_bars = False
    options = context.execution_options
    options.resource_limits = options.resource_limits.copy(
        object_store_memory=bytes_ahead(source.cut, workers=workers)
    )
    return dataset


def outcomes_of(dataset: Dataset) -> Iterator[Outcome]:
    """YIELDS (Outcome): What becomes of each shard, as soon as it is known."""
    for block in dataset.iter_batches(batch_size=None, batch_format="pandas", prefetch_batches=0):
        for values in cast(pd.DataFrame, block).to_dict("records"):
            yield Outcome(**{str(name): value for name, value in values.items()})


def _blocks_of(source: Source) -> Iterator[pd.DataFrame]:
    """Shards as blocks of one row. A last one tells how it ended: an error that is raised here
    would reach the run wrapped up in others."""
    try:
        for shard in source.shards():
            yield _block(shard)
        if Path(source.lease).exists():
            yield _block(Outcome(READ))
    except (ValueError, OSError) as error:
        yield _block(Outcome(FAILED, str(error)))


def _block(item: Shard | Outcome) -> pd.DataFrame:
    return pd.DataFrame({COLUMN: pd.Series([item], dtype=object)})


def _on_this_machine() -> dict[str, Any]:
    """The option by which a task goes nowhere else; until Ray 2.60 it had no name of its own."""
    selector = {"label_selector": {"ray.io/node-id": ray.get_runtime_context().get_node_id()}}
    if "label_selector" in signature(ray.data.read_datasource).parameters:
        return selector
    return {"ray_remote_args": selector}
