"""The loop: steps, lines of the log, evaluations, checkpoints, and the way back from one.

Everything that decides the next step is either a function of the step's number (chunks, masks,
which objective) or in the checkpoint (weights, optimizer, average, random states, time used), so a
run that was killed goes on to the same losses as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import write_text
from ..nn import kernels
from .checkpoints import Checkpoints
from .curves import read_log, write_page
from .distributed import Team
from .evaluation import Evaluation
from .feed import Feed
from .mixture import Mixture
from .names import named_tensors
from .prepared import Prepared
from .progress import Progress
from .randomness import random_states, restore_random_states
from .replicas import collect, restore, spread
from .settings import TrainingSettings
from .tally import Tally
from .update import Update

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
    on_line (Callable | None): Called in the first process with each line of the log, and how much
        of the run is done.
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
    on_line: Tell | None = None

    def run(self, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Do all steps that are left.

        stop (Callable): Asked after every step; True saves a checkpoint and ends the run early.
        RAISES (ValueError): A loss is no number.
        """
        tally, started = Tally(), self._now()
        while not self._agreed(self.progress.is_over):
            share = self.progress.share
            rate = self.schedule(share)
            batches = self._batches(share)
            tally.merge(self.update(batches, factor=rate))
            self.progress.step += 1
            n_pieces = sum(len(part.pieces) for parts in batches.values() for part in parts)
            self.progress.pieces += int(self.team.sum(float(n_pieces)))
            is_due = self.progress.step % self.settings.eval_steps == 0
            is_over = self._agreed(self.progress.is_over)
            if self.progress.step % self.settings.log_steps == 0 or is_due or is_over:
                self._write(self._line(tally, rate, started))
                tally, started = Tally(), self._now()
            if is_due or is_over:
                self.evaluate()
                started = self._now()
            elif self._agreed(stop()):
                self.save()
            if self._agreed(stop()):
                return

    def _now(self) -> tuple[float, int]:
        return self.progress.elapsed, self.progress.pieces

    def _agreed(self, value: bool) -> bool:
        """What the first process thinks, so that all do the same: clocks differ."""
        return bool(self.team.share(value))

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Read held-out text, write a line of the log and a checkpoint, draw the curves.

        RETURNS (dict): The scores by objective, empty without held-out text.
        """
        scores: dict[str, dict[str, float]] = {}
        if self.evaluation is not None:
            scores = self._scores(self.evaluation)
            is_best = self.progress.judge(self.evaluation.total(scores))
            self._write({"step": self.progress.step, "held-out": scores, "best": is_best})
        self.save()
        if self.team.is_first:
            write_page(self.output / CURVES_FILE, read_log(self._log), title="Pretraining")
        return scores

    def save(self) -> None:
        """Write a checkpoint. All processes must call it."""
        tensors = {
            name: collect(holder, self.team)
            for name, holder in (
                ("model", named_tensors(self.update.model)),
                ("optimizer", self.update.optimizer.state_dict()),
                (
                    "average",
                    {} if self.update.average is None else self.update.average.state_dict(),
                ),
            )
        }
        state = {
            "progress": self.progress.to_dict(),
            "precision": self.update.precision.state_dict(),
            "random": random_states(self.team),
            "kernel": kernels.current(),
            "lines": len(read_log(self._log)) if self.team.is_first else 0,
        }
        best = self.progress.best
        is_best = best is not None and self.progress.best_step == self.progress.step
        score = -best if best is not None and is_best else None
        step = self.progress.step
        self.team.on_first(
            lambda: str(self.checkpoints.save(step, tensors=tensors, state=state, score=score))
        )

    def restore(self) -> bool:
        """Go on from the newest whole checkpoint, if there is one. All processes must call it.

        RETURNS (bool): Whether there is.
        """
        found = self.checkpoints.load_latest() if self.team.is_first else None
        if not self.team.share(found is not None):
            return False
        tensors = {} if found is None else found.tensors
        spread(tensors.get("model", {}), named_tensors(self.update.model), self.team)
        restore(tensors.get("optimizer", {}), self.update.optimizer, self.team)
        if self.update.average is not None:
            restore(tensors.get("average", {}), self.update.average, self.team)
        state = self.team.share(None if found is None else found.state)
        self.progress.restore(state["progress"])
        self.update.precision.load_state_dict(state["precision"])
        kernels.use(state["kernel"])
        restore_random_states(
            state["random"], self.team, seed=self.settings.seed, step=self.progress.step
        )
        if self.team.is_first:
            kept = read_log(self._log)[: state["lines"]]
            write_text(self._log, "".join(json.dumps(line) + "\n" for line in kept))
        return True

    @property
    def _log(self) -> Path:
        return self.output / LOG_FILE

    def _batches(self, share: float) -> dict[str, list[Prepared]]:
        """This process's micro-batches of the next step, by objective."""
        many, team = self.settings.accumulate, self.team
        first = (self.progress.step * team.world + team.rank) * many
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

    def _line(self, tally: Tally, rate: float, started: tuple[float, int]) -> dict[str, Any]:
        """What the log says of the steps since the last line."""
        seconds = max(1e-9, self.progress.elapsed - started[0])
        share, elapsed = self.progress.share, self.progress.elapsed
        groups: dict[str, dict[str, float]] = {}
        for key, value in tally.means().items():
            name, _, measure = key.partition(" ")
            groups.setdefault(name, {})[measure] = value
        return {
            "step": self.progress.step,
            "train": groups,
            "rate": rate,
            "pieces": self.progress.pieces,
            "pieces_per_second": (self.progress.pieces - started[1]) / seconds,
            "minutes": elapsed / 60,
            "minutes_left": elapsed * (1 / share - 1) / 60 if share else 0.0,
        }

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.team.is_first:
            with self._log.open("a", encoding="utf8") as file_:
                file_.write(json.dumps(line) + "\n")
        if self.on_line is not None and self.team.is_first:
            self.on_line(line, self.progress.share)
