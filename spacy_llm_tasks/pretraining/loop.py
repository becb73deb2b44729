"""The loop: steps, lines of the log, evaluations, checkpoints, and the way back from one.

Everything that decides the next step is either a function of the step's number (chunks, masks,
which objective) or in the checkpoint (weights, optimizer, average, random states, time used), so a
run that was killed goes on to the same losses as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import write_text
from ..nn import kernels
from .checkpoints import Checkpoint, Checkpoints
from .curves import read_log, write_page
from .evaluation import Evaluation
from .feed import Feed
from .objectives.mixture import Mixture
from .objectives.prepared import Prepared
from .optimisation.tally import Tally
from .optimisation.update import Update
from .progress import Progress
from .settings import TrainingSettings
from .team.distributed import Team
from .team.names import named_tensors
from .team.randomness import random_states, restore_random_states
from .team.replicas import collect, restore, spread

LOG_FILE = "log.jsonl"
CURVES_FILE = "curves.html"

Tell = Callable[[Mapping[str, Any], float], None]


@dataclass
class Loop:
    """One run, put together.

    update (Update): Does a step; it has the model, as the team wraps it.
    feed (Feed): Gives the micro-batches.
    mixture (Mixture): Says which objectives a step trains.
    evaluation (Evaluation | None): Reads held-out text; None: there is none.
    schedule (Callable): Progress from 0 to 1 -> factor of the learning rates.
    team (Team): The machines.
    checkpoints (Checkpoints): Where states are kept.
    settings (TrainingSettings): How long and how often.
    output (Path): Gets the log and the curves.
    progress (Progress): How far the run is.
    tally (Tally): What was measured since the last line of the log.
    on_line (Callable | None): Called in the first process with each line of the log, and how much
        of the run is done.
    n_lines (int): Lines of the log that belong to this run, counted in the first process.
    """

    update: Update
    feed: Feed
    mixture: Mixture
    evaluation: Evaluation | None
    schedule: Callable[[float], float]
    team: Team
    checkpoints: Checkpoints
    settings: TrainingSettings
    output: Path
    progress: Progress
    tally: Tally = field(default_factory=Tally)
    on_line: Tell | None = None
    n_lines: int = 0

    def run(self, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Do all steps that are left.

        stop (Callable): Asked after every step; True saves a checkpoint and ends the run early.
        RETURNS (bool): Whether the run has come to its end. All processes agree on it.
        RAISES (ValueError): A loss is no number.
        """
        started = self._now()
        is_over = self._agreed(self.progress.is_over)
        is_stopped = False
        while not is_over and not is_stopped:
            rate = self._step()
            # Time passes: each of the two is asked once, and acted on for the whole of this round.
            is_over, is_stopped = self.team.share([self.progress.is_over, bool(stop())])
            is_due = self.progress.step % self.settings.eval_steps == 0 or is_over
            if is_due or self.progress.step % self.settings.log_steps == 0:
                self._write(self._line(rate, started))
                self.tally, started = Tally(), self._now()
            if is_due:
                self.evaluate()
                started = self._now()
                # patience may be used up now
                is_over = is_over or self._agreed(self.progress.is_over)
            elif is_stopped:
                self.save()
        return is_over

    def _step(self) -> float:
        """Do a step. RETURNS (float): Its factor of the learning rates."""
        # Clocks differ, and all processes must step alike.
        share = self.team.share(self.progress.ahead)
        rate = self.schedule(share)
        batches = self._batches(share)
        self.tally.merge(self.update(batches, factor=rate))
        n_pieces = sum(len(part.pieces) for parts in batches.values() for part in parts)
        self.progress.step += 1
        self.progress.batches += self.settings.accumulate * self.team.world
        self.progress.pieces += int(self.team.sum(float(n_pieces)))
        return rate

    def _now(self) -> tuple[float, int]:
        return self.progress.elapsed, self.progress.pieces

    def _agreed(self, value: bool) -> bool:
        """What the first process thinks, so that all do the same: clocks differ."""
        return bool(self.team.share(value))

    def evaluate(self) -> None:
        """Read held-out text, if there is any, and write a line of the log; write a checkpoint, and
        draw the curves. All processes must call it."""
        if self.evaluation is not None:
            scores = self._scores(self.evaluation)
            is_best = self.progress.judge(self.evaluation.total(scores))
            self._write({"step": self.progress.step, "held-out": scores, "best": is_best})
        self.save()
        if self.team.is_first:
            write_page(self.output / CURVES_FILE, read_log(self._log), title="Pretraining")

    def save(self) -> None:
        """Write a checkpoint. All processes must call it."""
        update = self.update
        holders = {
            "model": named_tensors(update.model),
            "optimizer": update.optimizer.state_dict(),
            "average": {} if update.average is None else update.average.state_dict(),
        }
        tensors = {name: collect(holder, self.team) for name, holder in holders.items()}
        state = {
            "progress": self.progress.to_dict(),
            "precision": update.precision.state_dict(),
            "random": random_states(self.team),
            "tally": self.tally.sums,
            "kernel": kernels.current(),
            "lines": self.n_lines,
        }
        step, best = self.progress.step, self.progress.best
        score = None if best is None or self.progress.best_step != step else -best
        self.team.on_first(
            lambda: str(self.checkpoints.save(step, tensors=tensors, state=state, score=score))
        )

    def restore(self) -> bool:
        """Go on from the newest whole checkpoint, if there is one. All processes must call it.

        RETURNS (bool): Whether there is. Without one, the log begins anew.
        """
        found: list[Checkpoint] = []

        def look() -> bool:
            checkpoint = self.checkpoints.load_latest()
            if checkpoint is None:
                self._log.unlink(missing_ok=True)
            else:
                found.append(checkpoint)
            return bool(found)

        if not self.team.on_first(look):
            return False
        tensors = found[0].tensors if found else {}
        spread(tensors.get("model", {}), named_tensors(self.update.model), self.team)
        restore(tensors.get("optimizer", {}), self.update.optimizer, self.team)
        if self.update.average is not None:
            restore(tensors.get("average", {}), self.update.average, self.team)
        state = self.team.share(found[0].state if found else None)
        self.progress.restore(state["progress"])
        self.tally.sums = {key: (total, count) for key, (total, count) in state["tally"].items()}
        self.update.precision.load_state_dict(state["precision"])
        if state["kernel"] == "plain" or kernels.available():
            kernels.use(state["kernel"])
        restore_random_states(
            state["random"], self.team, seed=self.settings.seed, step=self.progress.step
        )
        if self.team.is_first:
            kept = read_log(self._log)[: state["lines"]]
            self.n_lines = len(kept)
            write_text(self._log, "".join(json.dumps(line) + "\n" for line in kept))
        return True

    @property
    def _log(self) -> Path:
        return self.output / LOG_FILE

    def _batches(self, share: float) -> dict[str, list[Prepared]]:
        """This process's micro-batches of the next step, by objective."""
        many, team = self.settings.accumulate, self.team
        first = self.progress.batches + team.rank * many
        return {
            name: [
                self.feed.prepare(name, number, progress=share)
                for number in range(first, first + many)
            ]
            for name in self.mixture.names(self.progress.step)
        }

    def _scores(self, evaluation: Evaluation) -> dict[str, dict[str, float]]:
        with nullcontext() if self.update.average is None else self.update.average.swap():
            return evaluation(self.update.model)

    def _line(self, rate: float, started: tuple[float, int]) -> dict[str, Any]:
        """What the log says of the steps since the last line."""
        progress = self.progress
        seconds = max(1e-9, progress.elapsed - started[0])
        share, elapsed = progress.share, progress.elapsed
        return {
            "step": progress.step,
            "train": self.tally.groups(),
            "rate": rate,
            "pieces": progress.pieces,
            "epochs": progress.batches / self.feed.sampler.n_batches,
            "pieces_per_second": (progress.pieces - started[1]) / seconds,
            "minutes": elapsed / 60,
            "minutes_left": elapsed * (1 / share - 1) / 60 if share else 0.0,
        }

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.team.is_first:
            with self._log.open("a", encoding="utf8") as file_:
                file_.write(json.dumps(line) + "\n")
            self.n_lines += 1
        if self.on_line is not None and self.team.is_first:
            self.on_line(line, self.progress.share)
