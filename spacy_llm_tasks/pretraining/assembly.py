"""A run put together: the model and all that trains it, from settings and materials."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import Errors
from ..nn import kernels
from ..nn.compiled import compile_blocks
from .checkpoints import Checkpoints
from .evaluation import Evaluation
from .feed import Feed
from .loop import Loop, Tell
from .materials import Materials
from .model import PretrainingModel
from .objectives import make_objective
from .objectives.contrastive import Contrastive
from .objectives.mixture import Mixture
from .objectives.objective import Objective
from .optimisation.average import Average
from .optimisation.optimizers import NamedOptimizer, make_optimizer
from .optimisation.precision import MixedPrecision
from .optimisation.recompute import recompute_blocks
from .optimisation.schedules import Schedule, make_schedule
from .optimisation.update import Update
from .pieces.chunks import ChunkIndex, ChunkSampler
from .pieces.special import SpecialIds
from .progress import Progress
from .settings import DataSettings, Settings
from .team.distributed import Team
from .team.randomness import seed_all
from .team.replicas import wrap
from .texts.corpus import Say
from .trunk import Trunk, build_trunk, check_layout, piece_head

CHECKPOINTS = "checkpoints"
CULPRITS = "not-a-number.npz"


def make_objectives(settings: Settings) -> dict[str, Objective]:
    """RETURNS (dict[str, Objective]): The objectives by name, in an order that is not the config's:
    which of them is drawn shall not depend on it."""
    return {
        name: make_objective(name, settings.objectives[name])
        for name in sorted(settings.objectives)
    }


def rehearse(settings: Settings, *, n_pieces: int, device: torch.device) -> int:
    """Put together whatever needs no text, so that wrong settings are found before it is read.

    settings (Settings): Of the run.
    n_pieces (int): Size of the vocabulary, or what it will be.
    device (torch.device): Where the run will be.
    RETURNS (int): The longest sequence that the model reads.
    RAISES (ValueError): The settings contradict each other, or one is out of range.
    """
    objectives = make_objectives(settings)
    # A checkpoint is read; a model from a preset can be looked at without memory for its weights.
    with nullcontext() if settings.model.init is not None else torch.device("meta"):
        trunk = build_trunk(settings.model, n_pieces=n_pieces)
        model = PretrainingModel(trunk.model, list(objectives.values()))
    check_layout(trunk, piece_head(model.heads.values()))
    _check_length(settings, trunk, _framing(objectives))
    _check_recompute(settings, objectives)
    MixedPrecision(settings.training.precision, device=device)
    _optimizer(settings, model)
    _schedule(settings)
    _mixture(settings, objectives)
    if settings.training.average is not None:
        Average(model, decay=settings.training.average)
    return trunk.max_length


def assemble(
    settings: Settings,
    folder: Path,
    materials: Materials,
    team: Team,
    *,
    on_line: Tell | None = None,
    say: Say = lambda text: None,
) -> tuple[Loop, Trunk]:
    """Put a run together. All processes must call it.

    settings (Settings): Of the run.
    folder (Path): Of the run.
    materials (Materials): Made already.
    team (Team): The processes.
    on_line (Callable | None): See `Loop`.
    say (Callable): Takes lines about what is being done.
    RETURNS (tuple[Loop, Trunk]): What trains, and what is trained.
    """
    training = settings.training
    tokenizer = materials.tokenizer()
    special = SpecialIds.from_pieces(
        tokenizer.special, n_pieces=tokenizer.n_pieces, others=tokenizer.others
    )
    objectives = make_objectives(settings)
    if team.device.type == "cpu":  # machines that measure for themselves may choose differently
        kernels.use(team.share(kernels.current()))
    seed_all(training.seed)
    trunk = build_trunk(settings.model, n_pieces=tokenizer.n_pieces, pad_piece=special.pad)
    model = PretrainingModel(trunk.model, list(objectives.values()))
    if settings.model.init is not None:
        _take_over_head(model, trunk, say)
    model.to(team.device)
    if training.recompute:
        recompute_blocks(model)
    if training.compiled:
        compile_blocks(model.modules())
    wrapped = wrap(model, team, sharded=training.sharded)
    mixture = _mixture(settings, objectives)
    precision = MixedPrecision(training.precision, device=team.device)
    update = Update(
        wrapped,
        _optimizer(settings, wrapped),
        weights=mixture.factors,
        precision=precision,
        team=team,
        clip_norm=settings.optimizer.clip_norm,
        average=None if training.average is None else Average(wrapped, decay=training.average),
        culprits=folder / CULPRITS,
    )

    def feed(index: ChunkIndex) -> Feed:
        size, framing = settings.data.batch_pieces, _framing(objectives)
        sampler = ChunkSampler(index, batch_pieces=size, seed=training.seed, framing=framing)
        return Feed(sampler, objectives, special, seed=training.seed)

    held_out = _index(materials, "held_out", settings.data)
    evaluation = None
    if held_out.n_chunks:
        evaluation = Evaluation(
            feed(held_out),
            n_batches=training.eval_batches,
            weights=mixture.weights,
            precision=precision,
            team=team,
            bytes_per_piece=held_out.store.n_bytes / held_out.store.n_pieces,
        )
    else:
        say("No text is held out: the run cannot be judged while it goes on")
    # Each process has its own dropout.
    seed_all(training.seed, team.rank + 1)
    loop = Loop(
        update=update,
        feed=feed(_index(materials, "train", settings.data)),
        mixture=mixture,
        evaluation=evaluation,
        schedule=_schedule(settings),
        team=team,
        checkpoints=Checkpoints(
            folder / CHECKPOINTS, keep_last=training.keep_last, keep_best=training.keep_best
        ),
        settings=training,
        output=folder,
        progress=Progress(training),
        on_line=on_line,
    )
    return loop, trunk


def _optimizer(settings: Settings, model: nn.Module) -> NamedOptimizer:
    optimizer = settings.optimizer
    return make_optimizer(
        model,
        name=optimizer.name,
        learn_rate=optimizer.learn_rate,
        weight_decay=optimizer.weight_decay,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        matrix_learn_rate=optimizer.matrix_learn_rate,
        matrix_weight_decay=optimizer.matrix_weight_decay,
        momentum=optimizer.momentum,
    )


def _schedule(settings: Settings) -> Schedule:
    schedule = settings.schedule
    return make_schedule(
        schedule.name, warmup=schedule.warmup, decay=schedule.decay, floor=schedule.floor
    )


def _mixture(settings: Settings, objectives: Mapping[str, Objective]) -> Mixture:
    weights = {name: objective.weight for name, objective in objectives.items()}
    mode: Any = settings.training.mixture
    return Mixture(weights, mode=mode, seed=settings.training.seed)


def _index(materials: Materials, split: str, data: DataSettings) -> ChunkIndex:
    return ChunkIndex(materials.pieces(split), length=data.length, min_pieces=data.min_pieces)


def _framing(objectives: Mapping[str, Objective]) -> int:
    return max(objective.framing for objective in objectives.values())


def _check_length(settings: Settings, trunk: Trunk, framing: int) -> None:
    length, limit = settings.data.length, trunk.max_length
    longest, batch_pieces = length + framing, settings.data.batch_pieces
    if longest > limit:
        is_fixed = settings.model.init is not None
        found = {
            "found": longest,
            "length": length,
            "framing": framing,
            "limit": limit,
            "most": limit - framing,
            "other": "" if is_fixed else ", or raise model.overrides.max_length",
        }
        raise ValueError(Errors.E775.format(**found))
    if longest > batch_pieces:
        raise ValueError(Errors.E727.format(batch_pieces=batch_pieces, longest=longest))


def _check_recompute(settings: Settings, objectives: Mapping[str, Objective]) -> None:
    """Blocks are computed again after the objective has put the dropout rates back."""
    for objective in objectives.values():
        has_own = isinstance(objective, Contrastive) and objective.dropout is not None
        if settings.training.recompute and has_own:
            raise ValueError(Errors.E776)


def _take_over_head(model: PretrainingModel, trunk: Trunk, say: Say) -> None:
    """Let the head that predicts pieces go on from the one that came with a checkpoint."""
    head = piece_head(model.heads.values())
    if head is None or not head.state_dict():
        return
    if trunk.head is None:
        say("The checkpoint comes without a head that predicts pieces: it is trained anew")
        return
    head.load_state_dict(dict(trunk.head))
    say("The checkpoint's head that predicts pieces is trained further")
