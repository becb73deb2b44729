"""What an engine is: workers that get the shards of a corpus done, wherever they run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ...errors import Errors
from ..reading.id_register import IdRegister
from ..reading.inputs import InputFile, read_rows
from ..reading.read_settings import ReadSettings
from ..reading.rows import BadRow, Row
from ..reading.shards import Cut, ReadRows, Shard, shards_of
from ..running.journal import Done, Journal
from ..running.worker import WorkerSettings
from ..settings import Settings

ENGINES = ("local", "ray")
RAY_CLIENT = "ray://"


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Where a run works. None of this changes the output, so a run may go on elsewhere.

    name (str): "local", processes of this machine, or "ray".
    ray_address (str | None): A Ray cluster to work on, "host:port" or "auto"; None: one that is
        started on this machine for the run, unless the program is connected to one already.
    gpus_per_worker (float | None): GPUs that Ray gives each worker, also a part of one; None: one
        if a GPU is asked for at all.
    """

    name: str = "local"
    ray_address: str | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            expected = "one of " + ", ".join(ENGINES)
            raise ValueError(Errors.E806.format(name="engine", expected=expected, found=self.name))
        gpus = self.gpus_per_worker
        if gpus is not None and gpus <= 0:
            raise ValueError(
                Errors.E806.format(name="gpus_per_worker", expected="more than 0", found=gpus)
            )
        if self.name != "ray":
            for name in ("ray_address", "gpus_per_worker"):
                if getattr(self, name) is not None:
                    raise ValueError(Errors.E871.format(name=name))
        if self.ray_address is not None and self.ray_address.startswith(RAY_CLIENT):
            raise ValueError(Errors.E872.format(address=self.ray_address))

    def with_gpus(self, settings: Settings) -> tuple["EngineSettings", Settings]:
        """Bring both ways to ask for GPUs together.

        settings (Settings): Of the run.
        RETURNS (tuple[EngineSettings, Settings]): These and those. With Ray, which shows a worker
            only the GPUs that it has given it, every worker uses the first it sees.
        RAISES (ValueError): If Ray is told which GPU of a machine to use.
        """
        if self.name != "ray" or (self.gpus_per_worker is None and settings.gpu_id < 0):
            return self, settings
        if settings.gpu_id > 0:
            raise ValueError(Errors.E873.format(gpu_id=settings.gpu_id))
        gpus = self.gpus_per_worker or 1.0
        return replace(self, gpus_per_worker=gpus), replace(settings, gpu_id=0)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do in a session.

    files (Sequence[InputFile]): The corpus.
    read (ReadSettings): How it is read.
    cut (Cut): Where shards and batches end.
    seconds (float | None): Limit of a document.
    ids (IdRegister): Has seen the whole corpus.
    journal (Journal): What is done, and takes what gets done.
    on_done (Callable): Called with each shard that is done.
    on_look (Callable): Called several times a second.
    """

    files: Sequence[InputFile]
    read: ReadSettings
    cut: Cut
    seconds: float | None
    ids: IdRegister
    journal: Journal
    on_done: Callable[[Done], None]
    on_look: Callable[[], None]

    def shards(self) -> Iterator[Shard]:
        """YIELDS (Shard): The shards that are not done."""
        return shards_of(
            self.files,
            reader_of(self.read),
            self.cut,
            done=self.journal.end_of,
            settled=self.ids.settled,
        )


class Engine(Protocol):
    """Workers for a session. Leaving it ends them."""

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *error: object) -> None: ...

    def prepare(self) -> None:
        """Called before the corpus is surveyed: workers can load the pipeline meanwhile."""

    def run(self, work: Work, stop: Callable[[], bool]) -> bool:
        """Work until all is done, or to a good end for now.

        work (Work): What there is to do.
        stop (Callable): Whether to stop.
        RETURNS (bool): Whether all is done.
        RAISES (OSError): If the disk is full.
        RAISES (ValueError): If the pipeline cannot be loaded, or workers cannot work.
        """

    def rows_in_hand(self) -> int:
        """RETURNS (int): Rows that workers have behind them in shards that are not done."""

    def memory(self) -> list[int | None]:
        """RETURNS (list[int | None]): Bytes that each worker holds, as far as that is known."""


def make_engine(engine: EngineSettings, made_of: WorkerSettings, *, workers: int) -> Engine:
    """Make the engine of a session.

    engine (EngineSettings): Which, and where.
    made_of (WorkerSettings): What each worker is made of.
    workers (int): How many there shall be.
    RETURNS (Engine): The engine, to be entered.
    """
    if engine.name == "ray":
        from .ray_engine import RayEngine

        return RayEngine(engine, made_of, workers=workers)
    from .local import LocalEngine

    return LocalEngine(made_of, workers=workers)


def reader_of(settings: ReadSettings) -> ReadRows:
    """RETURNS (Callable): (file, start) -> its rows from there, read with these settings."""

    def read(file: InputFile, start: int) -> Iterator[Row | BadRow]:
        return read_rows(file, settings, start=start)

    return read
