"""What minutes of pretraining buy: the held-out masked-LM loss of our recipe and of the plain loop.

Each run is alone, in a process of its own, for the same minutes on the wall: the same threads, so
that it has the same CPU seconds where nothing else runs. Both read the same text by the same
tokenizer, with models of the same size:

    ours     `pretrain` with the recipe configs/pretraining/encoder.cfg, evaluated at the end only
    plain    BERT as run_mlm trains it (see `plain_lm`): float32, linear warm-up and decay, for
             every rate of a grid; while the highest rate is the best, twice that is tried as well

Both write their model in a layout that `transformers` reads, and that library scores both on the
same held-out chunks with the same masks: 15 % of the pieces hidden, all behind the mask piece.

A finished run is a JSON file (see `records`), which is used again while its settings are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..pretraining.settings import Settings
from . import plain_lm, records
from .machine import circumstances
from .masked_runs import EVALUATION, OurRun, PlainRecipe, PlainRun, Score
from .material import Material, corpus_settings
from .records import Record, RunKey
from .sides import check_sides
from .workers import Worker

SIDES = ("ours", "plain")
RECIPE = Path(__file__).parents[1] / "configs" / "pretraining" / "encoder.cfg"
FRAMING = 2


@dataclass(frozen=True)
class Job:
    """What was asked for.

    material (Path): Folder of `material.prepare_material`.
    paths (tuple[str, ...]): The corpus that it was made from.
    results (Path): Folder of the result files.
    minutes (float): Of each run.
    sides (tuple[str, ...]): "ours", "plain" or both.
    rates (tuple[float, ...]): The plain side's grid of learning rates.
    size (str): A key of `nn.presets.PRESETS`.
    length (int): Pieces of a sequence, the two that frame it included.
    batch (int): Sequences of a step.
    dropout (float): Of the plain model.
    threads (int): torch threads.
    seed (int): Seeds weights, order and masks.
    """

    material: Path
    paths: tuple[str, ...]
    results: Path
    minutes: float = 5.0
    sides: tuple[str, ...] = SIDES
    rates: tuple[float, ...] = (5e-4, 1e-3)
    size: str = "mini"
    length: int = 128
    batch: int = 32
    dropout: float = 0.1
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """RAISES (ValueError): An unknown side."""
        check_sides(self.sides, SIDES)

    def key(self, side: str, rate: float) -> RunKey:
        """RETURNS (RunKey): Of a run; it names the result file."""
        return RunKey(side, f"masked-{self.size}-{self.minutes:g}min", self.seed, rate)

    def recipe(self) -> Settings:
        """RETURNS (Settings): Of our run: the shipped config, on this text, at this size."""
        from thinc.api import Config

        sections = Config().from_disk(RECIPE).interpolate()
        material = Material(self.material)
        corpus = asdict(corpus_settings(self.paths))
        sections["corpus"] = {**corpus, "folder": str(material.corpus)}
        sections["tokenizer"]["path"] = str(material.tokenizer)
        sections["model"]["size"] = self.size
        sections["data"]["length"] = self.length - FRAMING
        sections["data"]["batch_pieces"] = self.batch * self.length
        never = 2**31
        sections["training"].update(seed=self.seed, max_minutes=self.minutes, eval_steps=never)
        return Settings.from_dict(sections)

    def plain_recipe(self, rate: float) -> PlainRecipe:
        """RETURNS (PlainRecipe): Of a plain run with this learning rate."""
        return PlainRecipe(self.size, self.length, self.batch, rate, self.dropout, seed=self.seed)

    def settings(self, side: str, rate: float) -> dict[str, Any]:
        """RETURNS (dict): All that decides a run's result besides the code and the machine."""
        common = {
            "minutes": self.minutes,
            "threads": self.threads,
            "evaluation": EVALUATION,
            "text": Material(self.material).about(),
        }
        if side == "ours":
            # The text is told by its hash: where it lies decides nothing.
            recipe = self.recipe().to_dict()
            left = {k: v for k, v in recipe.items() if k not in ("corpus", "tokenizer")}
            return {**common, "recipe": left}
        fixed = {"rate": plain_lm.RATE, "clip_norm": plain_lm.CLIP_NORM, "precision": "fp32"}
        return {**common, "recipe": {**asdict(self.plain_recipe(rate)), **fixed}}


def execute(job: Job, say: Callable[[str], None]) -> Iterator[Record]:
    """Do the runs that are not there yet.

    job (Job): What was asked for.
    say (Callable): Takes lines about what is being done.
    YIELDS (Record): The results, as they come.
    RAISES (ValueError): A run failed.
    """
    yield from walk(job, partial(_get_or_train, job, say))


def collect(job: Job) -> list[Record]:
    """RETURNS (list[Record]): The results that are there."""
    return list(walk(job, lambda key, settings: records.find(job.results, key, settings)))


def walk(job: Job, get: Callable[[RunKey, dict[str, Any]], Record | None]) -> Iterator[Record]:
    """Go through the runs of a job.

    job (Job): What was asked for.
    get (Callable): Gives the result of a run with these settings, or `None`.
    YIELDS (Record): The results there are.
    """
    for side in job.sides:
        found: list[Record] = []
        rates = list(job.rates) if side == "plain" else [job.recipe().optimizer.learn_rate]
        while rates:
            rate = rates.pop(0)
            record = get(job.key(side, rate), job.settings(side, rate))
            if record is not None:
                found.append(record)
                yield record
            # a grid with gaps, or of one rate, says nothing about where the best is
            is_open = side == "plain" and not rates and len(found) >= max(2, len(job.rates))
            if is_open and record is not None and best_of(found) is (top := max(found, key=_rate)):
                rates.append(2 * _rate(top))


def best_of(found: Iterable[Record]) -> Record:
    """RETURNS (Record): The one with the lowest loss, of at least one."""
    return min(found, key=lambda record: record.score)


def render(found: Sequence[Record]) -> str:
    """RETURNS (str): Results as a Markdown table; the best rate of each side is marked."""
    if not found:
        return "No results yet."
    best = {side: best_of(r for r in found if r.key.side == side) for side in _sides(found)}
    lines = [
        "| side | learning rate | steps | pieces | held-out loss | perplexity | accuracy | "
        "CPU s in a second | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for record in found:
        key, scores = record.key, record.scores
        lines.append(
            f"| {key.side} | {key.learn_rate:g} | {record.updates} | "
            f"{record.about['pieces'] / 1e6:.2f} M | {scores['loss']:.3f} | "
            f"{scores['perplexity']:.1f} | {100 * scores['accuracy']:.1f} % | "
            f"{record.seconds['cpu'] / record.seconds['wall']:.2f} | "
            f"{'best' if best[key.side] is record else ''} |"
        )
    settings, text = found[0].settings, found[0].settings["text"]
    lines += [
        "",
        f"{settings['minutes']:g} minutes each, alone, {settings['threads']} thread(s); "
        f"{text['train_pieces'] / 1e6:.2f} M pieces of training text (sha256 "
        f"{text['train_sha256'][:12]}), {found[0].about['predictions']} predictions in held-out "
        "text, 15 % of it behind the mask piece.",
    ]
    return "\n".join(lines)


def as_rows(found: Iterable[Record]) -> list[dict[str, Any]]:
    """RETURNS (list[dict]): Results for JSON."""
    return [asdict(record) for record in found]


def _rate(record: Record) -> float:
    return record.key.learn_rate


def _sides(found: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.key.side for record in found))


def _get_or_train(
    job: Job, say: Callable[[str], None], key: RunKey, settings: dict[str, Any]
) -> Record | None:
    record = records.find(job.results, key, settings)
    if record is not None:
        say(f"{key.file_name}: there already")
        return record
    say(f"{key.file_name}: training for {job.minutes:g} minutes")
    record = _train(job, key, settings)
    records.save(job.results, record)
    say(f"{key.file_name}: loss {record.score:.4f}")
    return record


def _train(job: Job, key: RunKey, settings: Mapping[str, Any]) -> Record:
    material = Material(job.material)
    with TemporaryDirectory(dir=job.material, prefix="run-") as scratch:
        output = Path(scratch)
        arguments: tuple[Any, ...] = (OurRun, job.recipe(), output, job.threads)
        if key.side == "plain":
            recipe = job.plain_recipe(key.learn_rate)
            arguments = (PlainRun, material, recipe, output, job.minutes, job.threads)
        with Worker(key.file_name, *arguments) as trainer:
            run = trainer(1).found
        inner = job.length - FRAMING
        folder = Path(run["model"])
        with Worker("evaluation", Score, folder, material, inner, job.threads) as judge:
            scores = judge(EVALUATION["draws"]).found
    predictions = scores.pop("predictions")
    return Record(
        key=key,
        score=scores["loss"],
        scores=scores,
        updates=run["steps"],
        seconds=run["seconds"],
        settings=dict(settings),
        about={"pieces": run["pieces"], "predictions": predictions, **circumstances()},
    )
