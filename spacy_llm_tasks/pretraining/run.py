"""A whole run, from text to the folder in which the model is handed over.

    output/
        settings.json      what the run was told
        corpus/            cleaned text, split, with its report
        tokenizer/         trained here, unless one was given
        pieces/            the text, cut into pieces
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
from ..tokenization.tokenizer import PieceTokenizer
from ..tokenization.train import train_tokenizer
from .average import Average
from .checkpoints import Checkpoints
from .chunks import ChunkIndex, ChunkSampler
from .corpus import Corpus, prepare
from .distributed import Team
from .evaluation import Evaluation
from .feed import Feed
from .handover import hand_over
from .loop import LOG_FILE, Loop, Tell
from .mixture import Mixture
from .model import PretrainingModel
from .objective import Objective
from .objectives import make_objective
from .optimizers import make_optimizer
from .piece_store import PieceStore, hash_of, write_pieces
from .precision import MixedPrecision
from .progress import Progress
from .randomness import seed_all
from .recompute import recompute_blocks
from .replicas import wrap
from .schedules import make_schedule
from .settings import Settings
from .sources import Reader
from .special import SpecialIds
from .trunk import Trunk, build_trunk
from .update import Update

SETTINGS_FILE = "settings.json"
# A run may be made longer, be looked at more often, and keep more: all else decides what it learns.
FREE = frozenset(
    f"training.{name}"
    for name in (
        "max_steps",
        "max_minutes",
        "log_steps",
        "eval_steps",
        "eval_batches",
        "patience",
        "keep_last",
        "keep_best",
        "sharded",
        "recompute",
    )
)

Say = Callable[[str], None]


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
    resume (bool): Go on from the newest checkpoint there; without it, the folder must not hold one.
    device (str): "cpu" or "cuda". Under `torchrun`, all its processes work together.
    readers (Mapping[str, Reader] | None): Readers of further kinds of files, by suffix.
    say (Callable): Takes lines about what is being done.
    on_line (Callable | None): Takes each line of the log, and how much of the run is done.
    stop (Callable): Asked after every step; True saves a checkpoint and ends the run early.
    RETURNS (Result): How far the run came, and where the model is.
    RAISES (ValueError): The settings or the text are wrong, a loss is no number, or the run is to
        be resumed with other settings.
    """
    team = Team.from_environment(device)
    try:
        run = _Run(settings, Path(output), team, say if team.is_first else lambda text: None)
        team.on_first(lambda: run.claim(resume=resume))
        team.on_first(lambda: run.make_text(readers or {}))
        loop, trunk = run.build(on_line)
        if resume and loop.restore():
            run.say(f"Going on after step {loop.progress.step}")
        loop.run(stop=stop)
        if loop.progress.is_over:
            team.on_first(lambda: run.write_model(loop, trunk))
        best = loop.progress.best
        return Result(loop.progress.step, loop.progress.is_over, best, run.path("model"))
    finally:
        team.close()


class _Run:
    """The parts of one run. The arguments are those of `pretrain`."""

    def __init__(self, settings: Settings, output: Path, team: Team, say: Say) -> None:
        self.settings = settings
        self.output = output
        self.team = team
        self.say = say
        self.objectives: dict[str, Objective] = {
            name: make_objective(name, values) for name, values in settings.objectives.items()
        }

    def path(self, name: str) -> Path:
        return self.output / name

    def claim(self, *, resume: bool) -> None:
        """Make sure that the folder is free, or holds a run with these settings."""
        self.output.mkdir(parents=True, exist_ok=True)
        path, own = self.path(SETTINGS_FILE), self.settings.to_dict()
        checkpoints = self.path("checkpoints")
        is_begun = checkpoints.is_dir() and any(checkpoints.iterdir())
        if is_begun and not resume:
            raise ValueError(Errors.E771.format(folder=self.output))
        if is_begun and path.is_file():
            before = dict(_flat(json.loads(path.read_text(encoding="utf8"))))
            now = dict(_flat(json.loads(json.dumps(own))))
            keys = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            changed = [key for key in keys if key not in FREE]
            if changed:
                what = ", ".join(f"{k} ({before.get(k)!r}, now {now.get(k)!r})" for k in changed)
                raise ValueError(Errors.E772.format(folder=self.output, what=what))
        elif not is_begun:
            self.path(LOG_FILE).unlink(missing_ok=True)
        write_json(path, own)

    def make_text(self, readers: Mapping[str, Reader]) -> None:
        """Prepare the corpus, the tokenizer and the pieces, as far as they are not there."""
        settings = self.settings.corpus
        folder = settings.folder or self.path("corpus")
        corpus = prepare(settings, folder=folder, readers=readers, say=self.say)
        tokenizer = self._make_tokenizer(corpus)
        digest = hash_of(tokenizer)
        report = corpus.report
        for name, texts, split in (
            ("train", corpus.train, report.train),
            ("held_out", corpus.held_out, report.held_out),
        ):
            self._make_pieces(name, texts, tokenizer, f"{digest} {split.sha256}")

    def build(self, on_line: Tell | None) -> tuple[Loop, Trunk]:
        """Put the run together. Called in every process."""
        training, optimizer = self.settings.training, self.settings.optimizer
        tokenizer = PieceTokenizer.from_folder(self.path("tokenizer"))
        special = SpecialIds.from_pieces(tokenizer.special, n_pieces=tokenizer.n_pieces)
        seed_all(training.seed)
        trunk = build_trunk(self.settings.model, n_pieces=tokenizer.n_pieces)
        model = PretrainingModel(trunk.model, list(self.objectives.values()))
        _take_over_head(model, trunk)
        model.to(self.team.device)
        if training.recompute:
            recompute_blocks(model)
        wrapped = wrap(model, self.team, sharded=training.sharded)
        mixture = Mixture(
            {name: objective.weight for name, objective in self.objectives.items()},
            mode=training.mixture,  # type: ignore[arg-type]
            seed=training.seed,
        )
        precision = MixedPrecision(training.precision, device=self.team.device)
        update = Update(
            wrapped,
            make_optimizer(
                wrapped,
                name=optimizer.name,
                learn_rate=optimizer.learn_rate,
                weight_decay=optimizer.weight_decay,
                betas=(optimizer.beta1, optimizer.beta2),
                eps=optimizer.eps,
                matrix_learn_rate=optimizer.matrix_learn_rate,
                momentum=optimizer.momentum,
            ),
            weights=mixture.factors,
            precision=precision,
            team=self.team,
            clip_norm=optimizer.clip_norm,
            average=None if training.average is None else Average(wrapped, decay=training.average),
            culprits=self.path("not-a-number.npz"),
        )
        schedule = self.settings.schedule
        # Each process has its own dropout.
        seed_all(training.seed, self.team.rank + 1)
        loop = Loop(
            update=update,
            feed=Feed(self._sampler("train"), self.objectives, special, seed=training.seed),
            mixture=mixture,
            evaluation=self._evaluation(special, mixture.weights, precision),
            schedule=make_schedule(
                schedule.name,
                warmup=schedule.warmup,
                decay=schedule.decay,
                floor=schedule.floor,
            ),
            team=self.team,
            checkpoints=Checkpoints(
                self.path("checkpoints"),
                keep_last=training.keep_last,
                keep_best=training.keep_best,
            ),
            settings=training,
            output=self.output,
            progress=Progress(training),
            on_line=on_line,
        )
        return loop, trunk

    def write_model(self, loop: Loop, trunk: Trunk) -> None:
        """Hand over the best weights."""
        scored = self.settings.training.keep_best and loop.evaluation is not None
        checkpoint = loop.checkpoints.load_best() if scored else loop.checkpoints.load_latest()
        if checkpoint is None:
            raise ValueError(Errors.E773.format(folder=self.path("checkpoints")))
        with whole_folder(self.path("model")) as part:
            hand_over(part, checkpoint, trunk, self.objectives, self.path("tokenizer"))
        self.say(f"The weights after step {checkpoint.step} are handed over")

    def _make_tokenizer(self, corpus: Corpus) -> PieceTokenizer:
        folder, settings = self.path("tokenizer"), self.settings.tokenizer
        if not folder.is_dir():
            given = settings.path or self.settings.model.init
            if given is not None:
                tokenizer = PieceTokenizer.from_folder(given)
            else:
                self.say(f"Training a tokenizer of {settings.size} pieces")
                tokenizer = train_tokenizer(
                    corpus.train(),
                    kind=settings.kind,
                    size=settings.size,
                    lowercase=settings.lowercase,
                    strip_accents=settings.strip_accents,
                    normalization=settings.normalization,
                )
            with whole_folder(folder) as part:
                tokenizer.to_folder(part)
        return PieceTokenizer.from_folder(folder)

    def _make_pieces(
        self,
        name: str,
        texts: Callable[[], Iterator[str]],
        tokenizer: PieceTokenizer,
        source: str,
    ) -> None:
        folder, mark = self.path("pieces") / name, self.path("pieces") / f"{name}.json"
        if mark.is_file() and json.loads(mark.read_text(encoding="utf8")) == source:
            return
        store = write_pieces(folder, texts(), tokenizer)
        write_json(mark, source)
        self.say(f"{name}: {store.n_documents:,} documents, {store.n_pieces:,} pieces")

    def _sampler(self, name: str) -> ChunkSampler:
        data = self.settings.data
        store = PieceStore.open(self.path("pieces") / name)
        index = ChunkIndex(store, length=data.length, min_pieces=data.min_pieces)
        framing = max(objective.framing for objective in self.objectives.values())
        return ChunkSampler(
            index,
            batch_pieces=data.batch_pieces,
            seed=self.settings.training.seed,
            framing=framing,
        )

    def _evaluation(
        self, special: SpecialIds, weights: Mapping[str, float], precision: MixedPrecision
    ) -> Evaluation | None:
        if not PieceStore.open(self.path("pieces") / "held_out").n_pieces:
            self.say("No text is held out: the run cannot be judged while it goes on")
            return None
        sampler = self._sampler("held_out")
        wanted = self.settings.training.eval_batches
        store = sampler.index.store
        return Evaluation(
            Feed(sampler, self.objectives, special, seed=self.settings.training.seed),
            n_batches=min(sampler.n_batches, wanted or sampler.n_batches),
            weights=weights,
            precision=precision,
            team=self.team,
            bytes_per_piece=store.n_bytes / store.n_pieces,
        )


def _take_over_head(model: PretrainingModel, trunk: Trunk) -> None:
    """Let the first head that fits go on from the one that came with a checkpoint."""
    for head in model.heads.values():
        shapes = {name: tensor.shape for name, tensor in head.state_dict().items()}
        given = trunk.head or {}
        if shapes and shapes == {name: tensor.shape for name, tensor in given.items()}:
            head.load_state_dict(dict(given))
            return


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
