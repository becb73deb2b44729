"""What a pretraining run is told: one frozen record for each section of its config file.

    [corpus]      where the text comes from and what is done to it   (`texts.corpus_settings`)
    [tokenizer]   a folder, or how to train one
    [model]       kind and size, or a checkpoint to go on from
    [data]        how documents are cut and batched
    [objectives]  one subsection for each objective                  (`objectives`)
    [optimizer]   AdamW, or Muon with it
    [schedule]    how the learning rate rises and falls
    [training]    how long, how precisely, how often it looks at held-out text

Every key must be known, and every value of the right type: a misspelt setting is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..errors import Errors
from ..tokenization.train import KINDS, NORMALIZATIONS
from .hints import hint_for
from .texts.corpus import CorpusSettings


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings:
    """`[tokenizer]`

    path (str | None): A folder with a tokenizer. None: that of `model.init`, or a new one is
        trained on the corpus.
    kind (str): "bpe", "wordpiece" or "unigram".
    size (int): Pieces of the new tokenizer, special ones included.
    lowercase (bool | None): Whether it lower-cases; None: what its kind usually does.
    strip_accents (bool | None): Whether it strips accents; None: what its kind usually does.
    normalization (str): "nfc", "nfkc" or "none".
    """

    path: str | None = None
    kind: str = "bpe"
    size: int = 8192
    lowercase: bool | None = None
    strip_accents: bool | None = None
    normalization: str = "nfc"

    def __post_init__(self) -> None:
        """RAISES (ValueError): There is no such kind or normalization."""
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("normalization", self.normalization, NORMALIZATIONS),
        ):
            if value not in known:
                what = {"kind": f"tokenizer.{name}", "found": value, "known": ", ".join(known)}
                raise ValueError(Errors.E740.format(**what))


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """`[model]`

    kind (str): "encoder", "decoder" or "seq2seq".
    size (str): A name of `nn.presets.PRESETS`.
    init (str | None): A folder with a checkpoint to go on from; its config then decides the shape.
    overrides (dict): Settings of `nn.TransformerConfig` that differ from the preset's, or the
        dropout rates of a checkpoint.
    """

    kind: str = "encoder"
    size: str = "mini"
    init: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """`[data]`

    length (int): Longest sequence in pieces, the special ones that frame it not counted.
    min_pieces (int): A remainder of a document that is shorter is left out.
    batch_pieces (int): Pieces in a micro-batch.
    """

    length: int = 126
    min_pieces: int = 8
    batch_pieces: int = 4096

    def __post_init__(self) -> None:
        """RAISES (ValueError): Chunks cannot be cut so."""
        if not 1 <= self.min_pieces <= self.length:
            raise ValueError(Errors.E724.format(length=self.length, min_pieces=self.min_pieces))


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`[optimizer]`

    name (str): "adamw", or "muon" for the matrices inside blocks with AdamW for all the rest.
    learn_rate (float): AdamW's highest rate.
    matrix_learn_rate (float): Muon's highest rate.
    weight_decay (float): Decoupled decay of matrices and tables.
    matrix_weight_decay (float | None): That of the matrices that Muon steps, which grow without
        bound in a short run at a high rate unless it is large. None: `weight_decay`.
    beta1 (float): AdamW's decay of the mean of the gradients.
    beta2 (float): AdamW's decay of the mean of their squares.
    eps (float): Added to the root of the latter.
    momentum (float): Muon's.
    clip_norm (float): Largest global norm of the gradients; 0: no clipping.
    """

    name: str = "muon"
    learn_rate: float = 3e-3
    matrix_learn_rate: float = 0.04
    weight_decay: float = 0.01
    matrix_weight_decay: float | None = None
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    momentum: float = 0.95
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        """RAISES (ValueError): The norm is below 0. `make_optimizer` checks the rest."""
        if not self.clip_norm >= 0:
            _refuse_number("optimizer.clip_norm", self.clip_norm, "0")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """`[schedule]`, in shares of the whole run.

    name (str): "linear", "cosine", "wsd", "triangle" or "constant".
    warmup (float): Share in which the rate rises from 0.
    decay (float): Share in which "wsd" lets it fall at the end.
    floor (float): What it falls to, as a share of the highest rate.
    """

    name: str = "linear"
    warmup: float = 0.06
    decay: float = 0.3
    floor: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """`[training]`

    seed (int): Decides weights, order, masks and dropout.
    max_steps (int | None): Optimizer steps at most.
    max_minutes (float | None): Minutes at most, evaluation included. One of the two is needed.
    accumulate (int): Micro-batches of one step, on each machine.
    mixture (str): "draw" one objective for each step, by weight, or "sum" all of them.
    precision (str): "fp32", "bf16" or "fp16" for the forward and backward pass.
    average (float | None): Decay of the exponential moving average of the weights that is
        evaluated and handed over; None: the weights themselves.
    recompute (bool): Activations of blocks are computed again in the backward pass instead of kept.
    compiled (bool): Blocks go through `torch.compile` (see `nn.compiled`).
    sharded (bool): Weights and optimizer are spread over the machines (FSDP) instead of copied.
    log_steps (int): Steps between lines of the log.
    eval_steps (int): Steps between evaluations and checkpoints.
    eval_batches (int): Micro-batches of held-out text in an evaluation; 0: all of them.
    patience (int): Evaluations without a better one after which the run ends; 0: never.
    keep_last (int): Checkpoints to keep, the newest ones.
    keep_best (int): Checkpoints to keep besides, the best ones.
    """

    seed: int = 0
    max_steps: int | None = None
    max_minutes: float | None = None
    accumulate: int = 1
    mixture: str = "draw"
    precision: str = "bf16"
    average: float | None = None
    recompute: bool = False
    compiled: bool = False
    sharded: bool = False
    log_steps: int = 10
    eval_steps: int = 200
    eval_batches: int = 16
    patience: int = 0
    keep_last: int = 2
    keep_best: int = 1

    def __post_init__(self) -> None:
        """RAISES (ValueError): A number is out of range."""
        for names, low in (
            (("max_steps", "accumulate", "log_steps", "eval_steps", "keep_last"), 1),
            (("seed", "eval_batches", "patience", "keep_best"), 0),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and value < low:
                    _refuse_number(f"training.{name}", value, str(low))
        if self.max_minutes is not None and not self.max_minutes > 0:
            _refuse_number("training.max_minutes", self.max_minutes, "above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole run.

    objectives (dict[str, dict]): By the objective's name, its settings, `weight` among them.
    """

    corpus: CorpusSettings
    objectives: dict[str, dict[str, Any]]
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        """RAISES (ValueError): There is no objective, or no end."""
        if not self.objectives:
            raise ValueError(Errors.E761)
        if self.training.max_steps is None and self.training.max_minutes is None:
            raise ValueError(Errors.E762)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Build the settings from what a config file holds.

        values (Mapping): Sections by name. `[paths]`, which other sections refer to, is left out.
        RETURNS (Settings): The settings.
        RAISES (ValueError): An unknown or missing key or section, or a value of the wrong type.
        """
        hints = get_type_hints(cls)
        given = {name: section for name, section in values.items() if name != "paths"}
        _refuse_unknown("", given, list(hints))
        for name in ("corpus", "objectives"):
            if name not in given:
                raise ValueError(Errors.E763.format(name=f"the section [{name}]"))
        for name, section in given.items():
            _refuse_value(name, section)
        objectives = given.pop("objectives")
        for name, section in objectives.items():
            _refuse_value(f"objectives.{name}", section)
        sections = {name: _read(hints[name], name, section) for name, section in given.items()}
        return cls(objectives={name: dict(v) for name, v in objectives.items()}, **sections)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): Plain values by section and key, as `from_dict` takes them."""
        return asdict(self)


def _read(kind: Any, name: str, values: Mapping[str, Any]) -> Any:
    """Build one section."""
    hints = get_type_hints(kind)
    _refuse_unknown(name, values, [entry.name for entry in fields(kind)])
    for entry in fields(kind):
        has_default = entry.default is not MISSING or entry.default_factory is not MISSING
        if entry.name not in values and not has_default:
            raise ValueError(Errors.E763.format(name=f"{name}.{entry.name}"))
    for key, value in values.items():
        if not _fits(value, hints[key]):
            hint = hints[key]
            expected = hint.__name__ if isinstance(hint, type) else str(hint).split("abc.")[-1]
            place = f"{name}.{key}"
            raise ValueError(Errors.E764.format(name=place, found=value, expected=expected))
    return kind(**values)


def _refuse_value(name: str, value: Any) -> None:
    """Refuse what stands where a section should be."""
    if not isinstance(value, Mapping):
        raise ValueError(Errors.E764.format(name=name, found=value, expected="a section"))


def _refuse_number(name: str, value: float, low: str) -> None:
    raise ValueError(Errors.E741.format(what=name, value=value, low=low, high="any"))


def _refuse_unknown(section: str, values: Mapping[str, Any], known: list[str]) -> None:
    for key in values:
        if key not in known:
            name = f"{section}.{key}" if section else key
            raise ValueError(Errors.E760.format(name=name, hint=hint_for(key, known)))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from a config file, where lists are the only sequences, suits a type."""
    if hint is Any:
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    kind = get_origin(hint) or hint
    if isinstance(value, list | tuple):
        is_sequence = isinstance(kind, type) and kind is not str and issubclass(kind, Sequence)
        return is_sequence and all(_fits(part, get_args(hint)[0]) for part in value)
    return isinstance(kind, type) and isinstance(value, kind)
