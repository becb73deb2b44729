"""A whole run, from text to the folder in which the model is handed over.

    output/
        settings.json      what the run was told
        corpus/            cleaned text, split, with its report
        tokenizer/         trained here, or a copy of the one that was given
        pieces/            the text, cut into pieces
        materials.json     what these were made from
        checkpoints/       states to go on from
        log.jsonl          what was measured, a line at a time
        curves.html        the same as curves
        model/             the result: weights, config and tokenizer, in a published layout

Each part is made once and found again by a run that goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Errors
from ..files import whole_folder, write_json
from .assembly import CHECKPOINTS, assemble, make_objectives, rehearse
from .handover import hand_over
from .loop import LOG_FILE, Loop, Tell
from .materials import Materials
from .settings import Settings
from .team.distributed import Team
from .texts.corpus import Say
from .texts.sources import Reader
from .trunk import Trunk

SETTINGS_FILE = "settings.json"
MODEL = "model"
# What a run that goes on may change. It may be made longer, be looked at more often, and keep more;
# and one whose loss was no number would come there again if it could not do these more carefully.
# All else decides what it learns.
FREE = frozenset(
    {
        "optimizer.learn_rate",
        "optimizer.matrix_learn_rate",
        "optimizer.clip_norm",
        "training.precision",
        "training.max_steps",
        "training.max_minutes",
        "training.log_steps",
        "training.eval_steps",
        "training.eval_batches",
        "training.patience",
        "training.keep_last",
        "training.keep_best",
        "training.sharded",
        "training.recompute",
        "training.compiled",
    }
)


@dataclass(frozen=True)
class Result:
    """What came of a run.

    step (int): Steps done.
    is_over (bool): Whether it came to its end, and was not stopped before.
    best (float | None): The lowest held-out loss.
    model (Path): The folder that it was handed over in; written when the run is over.
    """

    step: int
    is_over: bool
    best: float | None
    model: Path


def pretrain(
    settings: Settings,
    output: str | Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    readers: Mapping[str, Reader] | None = None,
    say: Say = lambda text: None,
    on_line: Tell | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Pretrain a model on raw text.

    settings (Settings): What to do.
    output (str | Path): The folder for everything, see above.
    resume (bool): Go on from the newest checkpoint there, or begin if there is none. Without it,
        the folder must not hold a run.
    device (str): "cpu" or "cuda". Under `torchrun`, all its processes work together.
    readers (Mapping[str, Reader] | None): Readers of further kinds of files, by suffix.
    say (Callable): Takes lines about what is being done, in the first process.
    on_line (Callable | None): Takes each line of the log, and how much of the run is done.
    stop (Callable): Asked after every step; True saves a checkpoint and ends the run early.
    RETURNS (Result): How far the run came, and where the model is.
    RAISES (ValueError): The settings or the text are wrong, a loss is no number, or the run is to
        be resumed with other settings or text.
    """
    team = Team.from_environment(device)
    try:
        run = _Run(settings, Path(output), team, say if team.is_first else lambda text: None)
        team.on_first(lambda: run.prepare(readers or {}, resume=resume))
        loop, trunk = assemble(
            settings, run.output, run.materials, team, on_line=on_line, say=run.say
        )
        if resume and loop.restore():
            run.say(f"Going on after step {loop.progress.step}")
        is_over = loop.run(stop=stop)
        if is_over:
            team.on_first(lambda: run.write_model(loop, trunk))
        return Result(loop.progress.step, is_over, loop.progress.best, run.output / MODEL)
    finally:
        team.close()


class _Run:
    """A run's folder. The arguments are those of `pretrain`."""

    def __init__(self, settings: Settings, output: Path, team: Team, say: Say) -> None:
        self.settings = settings
        self.output = output
        self.team = team
        self.say = say
        self.materials = Materials(settings, output, say=say)

    def prepare(self, readers: Mapping[str, Reader], *, resume: bool) -> None:
        """Make sure that the folder is free or holds this run, that the settings are right, and
        that all is there that is read. Called in the first process."""
        # parts that a kill has left count: `restore` puts back what is whole
        is_begun = any((self.output / CHECKPOINTS).glob("*step-*"))
        if (is_begun or (self.output / MODEL).exists()) and not resume:
            raise ValueError(Errors.E771.format(folder=self.output))
        if is_begun:
            self._check_same()
        tokenizer = self.materials.tokenizer() if is_begun else self.materials.given_tokenizer()
        n_pieces = self.settings.tokenizer.size if tokenizer is None else tokenizer.n_pieces
        longest = rehearse(self.settings, n_pieces=n_pieces, device=self.team.device)
        self.output.mkdir(parents=True, exist_ok=True)
        write_json(self.output / SETTINGS_FILE, self.settings.to_dict())
        if not is_begun:
            (self.output / LOG_FILE).unlink(missing_ok=True)
        self.materials.make(readers, max_length=longest, is_begun=is_begun)

    def write_model(self, loop: Loop, trunk: Trunk) -> None:
        """Hand over the best weights. Called in the first process."""
        scored = self.settings.training.keep_best and loop.evaluation is not None
        checkpoint = loop.checkpoints.load_best() if scored else loop.checkpoints.load_latest()
        if checkpoint is None:
            raise ValueError(Errors.E773.format(folder=loop.checkpoints.folder))
        objectives, tokenizer = make_objectives(self.settings), self.materials.tokenizer()
        with whole_folder(self.output / MODEL) as part:
            hand_over(part, checkpoint, trunk, objectives, tokenizer)
        self.say(f"Wrote {self.output / MODEL}: the weights after step {checkpoint.step}")

    def _check_same(self) -> None:
        """Compare the settings with those that the run has had."""
        path = self.output / SETTINGS_FILE
        if not path.is_file():
            return
        before = dict(_flat(json.loads(path.read_text(encoding="utf8"))))
        now = dict(_flat(json.loads(json.dumps(self.settings.to_dict()))))
        changed = {
            key: f"{key} (was {before.get(key)!r}, is {now.get(key)!r})"
            for key in sorted({*before, *now})
            if before.get(key) != now.get(key)
        }
        if refused := [text for key, text in changed.items() if key not in FREE]:
            what = ", ".join(refused)
            raise ValueError(Errors.E772.format(folder=self.output, what=what))
        for text in changed.values():
            self.say(f"Changed: {text}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
