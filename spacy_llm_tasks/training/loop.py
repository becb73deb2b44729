"""Train a pipeline as `spacy train` does, to the last bit, and be able to stop and go on.

spaCy's own loop keeps its state in local variables of generators. This one keeps it in `Run`,
which can be written to a checkpoint after any step and read back. Batches, evaluation, subdivision
and the pipeline's meta data come from spaCy's functions, so that the two cannot drift apart.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from timeit import default_timer as timer
from typing import IO, Any

import numpy as np
import srsly
from spacy import load
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    create_before_to_disk_callback,
    create_evaluation_callback,
    subdivide_batch,
    update_meta,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import Config, fix_random_seed, set_gpu_allocator
from wasabi import Printer

from ..errors import Errors, Warnings
from ..files import clean_parts, require_replaceable, whole_folder
from ..interrupts import StopSignals, TrainingStopped
from ..randomness import RandomState, reseed_cupy
from .batches import Batches
from .checkpoint import Checkpoint, Checkpoints
from .log_file import EarlierLog
from .optimizer_state import optimizer_from_state, optimizer_to_state
from .run import Run
from .sameness import describe, require_same
from .score_names import check_names, idle_weights, known_scores

DIR_CHECKPOINTS = "checkpoints"
META = "meta.json"
BATCH_ARRAYS = "batches/"
RANDOM_ARRAYS = "random/"


def train(
    nlp: Language,
    output_path: Path | None = None,
    *,
    use_gpu: int = -1,
    resume: bool = False,
    checkpoints: bool = True,
    stdout: IO = sys.stdout,
    stderr: IO = sys.stderr,
    on_step: Callable[[Run], object] | None = None,
) -> tuple[Language, Path | None]:
    """Train an initialized pipeline by the `[training]` section of its config.

    An undisturbed run makes the same pipeline as `spacy train`. It differs around that run: the
    saved pipelines are replaced whole or not at all, an error leaves the last good ones instead of
    saving whatever there is, and a first SIGINT or SIGTERM lets the current step end.

    nlp (Language): The pipeline, as `spacy.training.initialize.init_nlp` gives it.
    output_path (Path | None): Gets `model-best` and `model-last`, and `checkpoints` meanwhile.
    use_gpu (int): Id of the GPU, -1 for the CPU.
    resume (bool): Go on from the latest checkpoint in the output folder, if there is one.
    checkpoints (bool): Whether to write checkpoints, at every evaluation and when stopped.
    stdout (IO): Where the logger of the config writes to.
    stderr (IO): Where it shows its progress.
    on_step (Callable[[Run], object] | None): Called after each step.
    RETURNS (tuple): The pipeline, and the path of `model-last` if there is an output folder.
    RAISES (TrainingStopped): If a signal ended the run; its state is saved.
    RAISES (ValueError): If the run cannot be resumed.
    """
    if resume and output_path is None:
        raise ValueError(Errors.E509)
    with EarlierLog(nlp.config.interpolate(), resume=resume) as log:
        trainer = Trainer(nlp, output_path, use_gpu=use_gpu, stdout=stdout, checkpoints=checkpoints)
        done = trainer.prepare(resume=resume)
        if done is not None:
            return done, trainer.path(DIR_MODEL_LAST)
        log.last_step = trainer.run.step
        trainer.run_all(stderr, on_step)
    return nlp, trainer.path(DIR_MODEL_LAST)


class Trainer:
    """One training run: what its config resolves to, and its steps.

    The arguments are those of `train`.
    """

    def __init__(
        self,
        nlp: Language,
        output_path: Path | None,
        *,
        use_gpu: int,
        stdout: IO,
        checkpoints: bool,
    ) -> None:
        self.nlp = nlp
        self.output = output_path
        self.stdout = stdout
        self.message = Printer(no_print=True)
        self.config: Config = nlp.config.interpolate()
        training = self.config["training"]
        # The order of these is spaCy's: a resolved function may draw from the generators.
        if training["seed"] is not None:
            fix_random_seed(training["seed"])
        if use_gpu >= 0 and training["gpu_allocator"]:
            set_gpu_allocator(training["gpu_allocator"])
        T = registry.resolve(training, schema=ConfigSchemaTraining)
        train_corpus, dev_corpus = resolve_dot_names(
            self.config, [T["train_corpus"], T["dev_corpus"]]
        )
        self.T: dict[str, Any] = T
        self.optimizer = T["optimizer"]
        self.dev_corpus = dev_corpus
        self.batches = Batches(nlp, train_corpus, T["batcher"], T["max_epochs"])
        self.evaluate = create_evaluation_callback(nlp, dev_corpus, T["score_weights"])
        self.before_to_disk = create_before_to_disk_callback(T["before_to_disk"])
        self.run = Run()
        self.started = timer()
        self.known_scores: set[str] = set()
        self.sameness: dict[str, Any] = {}
        self.checkpoints: Checkpoints | None = None
        if self.output is not None and checkpoints:
            self.checkpoints = Checkpoints(self.output / DIR_CHECKPOINTS)

    def path(self, name: str) -> Path | None:
        return None if self.output is None else self.output / name

    def prepare(self, *, resume: bool) -> Language | None:
        """Find out where to start.

        RETURNS (Language | None): The trained pipeline if there is nothing left to do.
        RAISES (ValueError): If the output folder cannot be written to, files in it that no training
            made would be replaced, the dev data is empty, or a score to weigh is misspelt.
        """
        if self.output is not None:
            if self.output.is_file():
                raise ValueError(Errors.E532.format(path=self.output))
            for name in (DIR_MODEL_BEST, DIR_MODEL_LAST):
                require_replaceable(self.output / name, META)
        self._try_dev_data()
        if self.output is not None:
            self.output.mkdir(parents=True, exist_ok=True)
            clean_parts(self.output)
        if self.checkpoints is None:
            return None
        if resume:
            checkpoint = self.checkpoints.latest(self._warn)
            if checkpoint is None:
                self._say(f"No checkpoint in {self.checkpoints.folder}, starting at the beginning")
            elif checkpoint.is_finished:
                require_same(checkpoint.numbers["sameness"], self.config)
                self._say(f"Training was finished at step {checkpoint.numbers['step']}")
                last = self.checkpoints.folder.parent / DIR_MODEL_LAST
                if not last.is_dir():
                    raise ValueError(Errors.E537.format(path=last))
                return load(last)
            else:
                self._go_on_from(checkpoint)
        else:
            if self.checkpoints.is_unfinished:
                self._warn(Warnings.W503.format(folder=self.checkpoints.folder))
            self.checkpoints.clear()
        self.sameness = describe(self.config)
        return None

    def _try_dev_data(self) -> None:
        """Read and score one example: what is wrong would else show only after the first step."""
        before = RandomState.now()
        self.known_scores = known_scores(self.nlp, next(iter(self.dev_corpus(self.nlp)), None))
        before.restore()
        check_names(self.T["score_weights"], self.known_scores)

    def run_all(self, stderr: IO, on_step: Callable[[Run], object] | None) -> None:
        """Do all steps that are left, log them and save what comes of them."""
        T = self.T
        self._say(f"Pipeline: {self.nlp.pipe_names}")
        if T["frozen_components"]:
            self._say(f"Frozen components: {T['frozen_components']}")
        if T["annotating_components"]:
            self._say(f"Set annotations on update for: {T['annotating_components']}")
        self._say(f"Initial learn rate: {self.optimizer.learn_rate}")
        with self.nlp.select_pipes(disable=T["frozen_components"]):
            log_step, finalize_logger = T["logger"](self.nlp, self.stdout, stderr)
        try:
            with StopSignals() as signals:
                for epoch, batch in self.batches:
                    info, is_best = self.step(epoch, batch)
                    if is_best is not None:
                        self._save(info, is_best)
                    log_step(info if is_best is not None else None)
                    if is_best is not None:
                        self.run.losses = {}
                    if on_step is not None:
                        on_step(self.run)
                    if self.run.is_over(patience=T["patience"], max_steps=T["max_steps"]):
                        break
                    if signals.received is not None:
                        self._save_checkpoint()
                        self._save_last()
                        raise TrainingStopped(signals.received, self.run.step)
                    if is_best is not None and self.run.step > 0:
                        self._save_checkpoint()
        finally:
            finalize_logger()
        self._save_last()
        if self.checkpoints is not None:
            self.checkpoints.finish({"step": self.run.step, "sameness": self.sameness})
        if self.output is not None:
            self._write(
                self.message.good(
                    "Saved pipeline to output directory", self.output / DIR_MODEL_LAST
                )
            )

    def step(self, epoch: int, batch: list) -> tuple[dict[str, Any], bool | None]:
        """Do one update, and an evaluation if it is due.

        epoch (int): Times that the data was gone through.
        batch (list[Example]): The examples of this step.
        RETURNS (tuple): What spaCy's loggers are told, and whether this is the best evaluation yet
            (None if there was none).
        """
        T, run, nlp = self.T, self.run, self.nlp
        run.step += 1
        if T["before_update"]:
            T["before_update"](nlp, {"step": run.step, "epoch": epoch})
        for subbatch in subdivide_batch(batch, T["accumulate_gradient"]):
            nlp.update(
                subbatch,
                drop=T["dropout"],
                losses=run.losses,
                sgd=False,  # type: ignore[arg-type]
                exclude=T["frozen_components"],
                annotates=T["annotating_components"],
            )
        for name, proc in nlp.pipeline:
            if name not in T["frozen_components"] and _has_weights(proc):
                proc.finish_update(self.optimizer)  # type: ignore[attr-defined]
        self.optimizer.step_schedules()
        score, other_scores, is_best = None, None, None
        if run.step % T["eval_frequency"] == 0:
            with nlp.use_params(self.optimizer.averages):
                score, other_scores = self.evaluate()
            run.results.append((score, run.step))
            is_best = score == max(run.results)[0]
            if run.step == 0:
                for text in idle_weights(T["score_weights"], other_scores, self.known_scores):
                    self._warn(text)
        run.words += sum(len(eg) for eg in batch)
        info = {
            "epoch": epoch,
            "step": run.step,
            "score": score,
            "other_scores": other_scores,
            "losses": run.losses,
            "checkpoints": run.results,
            "seconds": int(self._seconds()),
            "words": run.words,
        }
        return info, is_best

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        numbers, arrays = checkpoint.numbers, checkpoint.arrays
        for warning in require_same(numbers["sameness"], self.config):
            self._warn(warning)
        _use_kernel(numbers["kernel"])
        _load_weights(self.nlp, checkpoint.pipeline)
        self.batches.replay(numbers["batches"], _below(BATCH_ARRAYS, arrays))
        self.run = Run.from_state(numbers["run"])
        steps = self.run.step + 1
        optimizer_from_state(self.nlp, self.optimizer, numbers["optimizer"], arrays, steps=steps)
        RandomState(_below(RANDOM_ARRAYS, arrays), numbers["random"]).restore()
        reseed_cupy(self._cupy_seed())
        self._say(f"Resuming after step {self.run.step} from {checkpoint.path}")

    def _save_checkpoint(self) -> None:
        if self.checkpoints is None:
            return
        reseed_cupy(self._cupy_seed())
        random = RandomState.now()
        batches, batch_arrays = self.batches.to_state()
        optimizer, optimizer_arrays = optimizer_to_state(self.nlp, self.optimizer)
        numbers = {
            "run": self.run.to_state(self._seconds()),
            "batches": batches,
            "optimizer": optimizer,
            "random": random.numbers,
            "kernel": _current_kernel(),
            "sameness": self.sameness,
        }
        arrays = {
            **{f"{RANDOM_ARRAYS}{k}": v for k, v in random.arrays.items()},
            **{f"{BATCH_ARRAYS}{k}": v for k, v in batch_arrays.items()},
            **optimizer_arrays,
        }
        self.checkpoints.save(self.run.step, self.nlp.to_disk, numbers, arrays)

    def _save(self, info: dict[str, Any], is_best: bool) -> None:
        """Save the pipeline with the scores of this evaluation in its meta data."""
        with self.nlp.select_pipes(disable=self.T["frozen_components"]):
            update_meta(self.T, self.nlp, info)
        self._save_last()
        if self.output is not None:
            info["output_path"] = str(self.output / DIR_MODEL_LAST)
            if is_best:
                with whole_folder(self.output / DIR_MODEL_BEST) as part:
                    shutil.copytree(self.output / DIR_MODEL_LAST, part, dirs_exist_ok=True)

    def _save_last(self) -> None:
        if self.output is not None:
            with (
                self.nlp.use_params(self.optimizer.averages),
                whole_folder(self.output / DIR_MODEL_LAST) as part,
            ):
                self.before_to_disk(self.nlp).to_disk(part)

    def _seconds(self) -> float:
        return self.run.seconds + timer() - self.started

    def _cupy_seed(self) -> int:
        return (self.config["training"]["seed"] or 0) + self.run.step + 1

    def _say(self, text: str) -> None:
        self._write(self.message.info(text))

    def _warn(self, text: str) -> None:
        self._write(self.message.warn(text))

    def _write(self, text: str | None) -> None:
        self.stdout.write(f"{text}\n")


def _has_weights(proc: Any) -> bool:
    return getattr(proc, "is_trainable", False) and proc.model not in (True, False, None)


def _load_weights(nlp: Language, path: Path) -> None:
    """Load what training changes. `nlp.from_disk` would also link listeners anew, frozen ones too,
    which initialization leaves out; and vocabulary and tokenizer are as the config made them."""
    nlp.meta.update(srsly.read_json(path / META))
    for name, proc in nlp.components:
        if hasattr(proc, "from_disk") and (path / name).exists():
            proc.from_disk(path / name, exclude=["vocab"])


def _below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _current_kernel() -> str | None:
    """Which matrix kernel computes: another one rounds differently."""
    from ..nn import kernels

    return kernels.current() if hasattr(kernels, "current") else None


def _use_kernel(name: str | None) -> None:
    from ..nn import kernels

    if name is not None and hasattr(kernels, "use"):
        kernels.use(name)
