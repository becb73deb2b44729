"""`annotate_corpus`: a pipeline over a corpus of any size, that can be stopped and goes on."""

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import Errors
from ..files import PART, clean_parts, is_full
from ..packages import import_optional
from .annotator import AnnotatorSettings
from .engines.engine import Engine, EngineSettings, Work, make_engine, reader_of
from .engines.ray_session import require_ray
from .indexing.index_builder import FOLDER as INDEX
from .indexing.index_builder import IndexBuilder
from .reading.columns import columns_of
from .reading.id_register import IdRegister
from .reading.inputs import InputFile, check_inputs, find_inputs
from .reading.survey import survey, surveyed
from .running.crew import default_threads
from .running.journal import Done, Journal
from .running.lock import FolderLock
from .running.manifest import FILE as MANIFEST
from .running.manifest import (
    changes_between,
    describe,
    read_manifest,
    require_same,
    write_manifest,
)
from .running.pipelines import find_pipeline, kernel_for, require_embeddings
from .running.progress import Meter, Progress
from .running.shard_file import OutputSettings
from .running.standard_input import Stopped, forget_spooled, go_on_unless, spooled
from .running.summary import Summary, conclude
from .running.worker import WorkerSettings
from .settings import Settings

# What a run needs for itself. Programs that read whole folders pass by names with a dot.
OWN_FOLDER = ".run"
LOCK, JOURNAL, IDS, SURVEY = "lock", "journal.jsonl", "ids.sqlite", "survey.json"
TEMPORARY, ENTRIES = "temporary", "entries"


def annotate_corpus(
    pipeline: str | Path,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    workers: int = 1,
    engine: str = "local",
    ray_address: str | None = None,
    gpus_per_worker: float | None = None,
    resume: bool = False,
    stop: Callable[[], bool] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Summary:
    """Run a pipeline over a corpus.

    Workers are processes that are started anew and import the program that starts them: in a script
    the call belongs under `if __name__ == "__main__":`.

    pipeline (str | Path): Folder of any spaCy pipeline, or the name of an installed one.
    inputs (str | Path | Sequence): Files, folders, patterns, or "-" for the standard input; see
        `inputs.find_inputs`.
    output (str | Path): Folder for the files of output, errors.jsonl, summary.json, report.html
        and, if there is to be one, the search index.
    workers (int): How many processes annotate.
    engine (str): Where they are: "local", processes of this machine, or "ray", see
        `engines.ray_engine`. A run may go on with another.
    ray_address (str | None): A Ray cluster, "host:port" or "auto"; None: one on this machine that
        is started for the run.
    gpus_per_worker (float | None): GPUs that Ray gives each worker.
    resume (bool): Go on with the run that the folder has; the same pipeline, inputs and options are
        needed then. Starts at the beginning if it has none.
    stop (Callable | None): Asked several times a second whether to stop; the run can be resumed.
    on_progress (Callable | None): Called several times a second.
    options: Fields of `Settings`, `ReadSettings` and `Cut`, such as `format="jsonl"`,
        `text_column="body"`, `seconds=30`, `index="doc"` or `shard_rows=500`.
    RETURNS (Summary): What the run has done; `is_finished` is False if it was stopped.
    RAISES (ValueError): If an option is impossible, there is nothing to annotate, the folder is in
        use or holds something else, the run to be resumed was another one, or the pipeline cannot
        be loaded.
    RAISES (ImportError): If Parquet is written without `pyarrow`, or `ray` is not installed.
    RAISES (OSError): If the disk is full or a file cannot be written. The run can be resumed.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(Errors.E851)
    where = EngineSettings(name=engine, ray_address=ray_address, gpus_per_worker=gpus_per_worker)
    where, settings = where.with_gpus(Settings.of(options))
    if workers < 1:
        raise ValueError(Errors.E806.format(name="workers", expected="1 or more", found=workers))
    inputs = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    if settings.format == "parquet":
        import_optional("pyarrow.parquet", Errors.E854)  # told before any work
    if where.name == "ray":
        require_ray()
    path, folder = find_pipeline(pipeline), Path(output)
    if settings.index is not None:
        require_embeddings(path)
    passed_by: Counter[str] = Counter()
    found = find_inputs(
        inputs, stdin_format=settings.stdin_format, exclude=folder, passed_by=passed_by
    )
    own = folder / OWN_FOLDER
    own.mkdir(parents=True, exist_ok=True)
    stop = stop or _never
    with FolderLock(own / LOCK):
        journal = Journal(own / JOURNAL, folder)
        try:
            _prepare_folder(folder, journal, resume=resume)
            files = spooled(found, own, stop=stop)
            run = _Run(
                path, files, folder, settings, journal, engine=where, workers=workers, stop=stop
            )
            summary = run.annotate(stop, on_progress or _ignore)
        except Stopped:  # before the work has begun
            return conclude(folder, journal, Meter(rows=0, errors=0), is_finished=False)
        except OSError as error:
            if is_full(error):
                raise OSError(Errors.E843.format(problem=error)) from error
            raise
        return replace(summary, passed_by=dict(passed_by))


class _Run:
    """One session of a run whose folder is locked."""

    def __init__(
        self,
        pipeline: Path,
        files: Sequence[InputFile],
        folder: Path,
        settings: Settings,
        journal: Journal,
        *,
        engine: EngineSettings,
        workers: int,
        stop: Callable[[], bool],
    ) -> None:
        self.files, self.folder, self.settings, self.journal = files, folder, settings, journal
        self.engine, self.workers = engine, workers
        self.own = folder / OWN_FOLDER
        check_inputs(files, settings.read)
        saved = read_manifest(folder)
        before = {} if saved is None else saved["settings"]
        threads = settings.threads or before.get("threads") or default_threads(workers)
        kernel = before["kernel"] if "kernel" in before else kernel_for(pipeline)
        manifest = describe(
            pipeline=pipeline,
            files=files,
            settings={**settings.for_manifest(), "threads": threads, "kernel": kernel},
            on_block=partial(go_on_unless, stop),
        )
        if saved is not None and not len(journal) and any(changes_between(saved, manifest)):
            # Nothing was done, perhaps since something was wrong with what has changed now.
            _forget(folder, journal)
            saved = None
        if saved is None:
            columns = columns_of(files, settings.read)
            write_manifest(folder, {**manifest, "columns": columns.to_dict()})
        else:
            require_same(saved, manifest, folder=folder)
        self.made_of = WorkerSettings(
            annotator=AnnotatorSettings(
                pipeline=str(pipeline),
                parts=settings.written_parts,
                questions=settings.questions,
                max_chars=settings.read.max_chars,
                code=settings.code,
                gpu_id=settings.gpu_id,
                threads=threads,
                kernel=kernel,
                index=settings.index,
            ),
            output=OutputSettings(
                folder=str(folder),
                temporary=str(self.own / TEMPORARY),
                format=settings.format,
                columns=columns.to_dict() if saved is None else saved["columns"],
                cut=settings.cut,
                entries=None if settings.index is None else str(self.own / ENTRIES),
            ),
        )

    def annotate(
        self, stop: Callable[[], bool], on_progress: Callable[[Progress], None]
    ) -> Summary:
        """RETURNS (Summary): What has been done, by earlier sessions too."""
        # Files that an earlier session left half-written.
        shutil.rmtree(self.own / TEMPORARY, ignore_errors=True)
        (self.own / TEMPORARY).mkdir()
        clean_parts(self.folder)
        journal = self.journal
        rows = errors = 0
        index = self._index_builder(journal)
        for done in journal.in_order():
            rows, errors = rows + done.written, errors + len(done.faults)
        meter = Meter(rows=rows + errors, errors=errors)
        with (
            IdRegister(self.own / IDS, self.settings.read.duplicate_ids) as ids,
            index or nullcontext(),
        ):
            with make_engine(self.engine, self.made_of, workers=self.workers) as engine:
                is_finished = self._work(ids, engine, journal, meter, index, stop, on_progress)
            if index is not None and is_finished:
                is_finished = index.finish(stop)
        return conclude(
            self.folder,
            journal,
            meter,
            is_finished=is_finished,
            index_entries=None if index is None else index.count(),
        )

    def _index_builder(self, journal: Journal) -> IndexBuilder | None:
        if self.settings.index is None:
            return None
        builder = IndexBuilder(
            self.folder / INDEX,
            self.own / ENTRIES,
            precision=self.settings.index_precision,
            is_done=lambda number: journal.end_of(number) is not None,
        )
        builder.require_whole((done.number for done in journal.in_order()), self.settings.format)
        return builder

    def _work(
        self,
        ids: IdRegister,
        engine: Engine,
        journal: Journal,
        meter: Meter,
        index: IndexBuilder | None,
        stop: Callable[[], bool],
        on_progress: Callable[[Progress], None],
    ) -> bool:
        """RETURNS (bool): Whether all is done."""

        def on_done(done: Done) -> None:
            meter.add(
                rows=done.written + len(done.faults),
                errors=len(done.faults),
                tokens=int(done.summary["tokens"]),
                workers=engine.memory(),
            )

        def on_look() -> None:
            if index is not None:
                index.wake()
            on_progress(meter.progress(in_hand=engine.rows_in_hand(), total=total))

        total = surveyed(self.own / SURVEY)
        if total is None:
            engine.prepare()
            read = reader_of(self.settings.read)
            total = survey(self.files, read, ids, stop=stop, note=self.own / SURVEY)
        if total is None:
            return False
        meter.start()
        work = Work(
            files=self.files,
            read=self.settings.read,
            cut=self.settings.cut,
            seconds=self.settings.seconds,
            ids=ids,
            journal=journal,
            on_done=on_done,
            on_look=on_look,
        )
        is_finished = engine.run(work, stop)
        on_look()
        return is_finished


def _prepare_folder(folder: Path, journal: Journal, *, resume: bool) -> None:
    """See to it that the folder holds a run to go on with, or none."""
    own, manifest = folder / OWN_FOLDER, folder / MANIFEST
    if (own / SURVEY).exists() and manifest.exists():
        if resume:
            return
        if len(journal):
            raise ValueError(Errors.E852.format(folder=folder))
    others = sorted(path.name for path in folder.iterdir() if path.name != OWN_FOLDER)
    others = [name for name in others if not name.startswith(PART) and name != MANIFEST]
    if others:
        raise ValueError(Errors.E853.format(folder=folder, found=", ".join(others[:3])))
    # A run that ended before its first shard, for a duplicate id or a missing component perhaps,
    # has done nothing: it may begin anew with other settings.
    _forget(folder, journal)
    if not resume:
        forget_spooled(own)


def _forget(folder: Path, journal: Journal) -> None:
    """Have a run that has done nothing begin anew."""
    own = folder / OWN_FOLDER
    for path in (folder / MANIFEST, own / SURVEY, *own.glob(f"{IDS}*")):
        path.unlink(missing_ok=True)
    journal.clear()


def _never() -> bool:
    return False


def _ignore(progress: Progress) -> None:
    pass
