"""`bench memory`, `profile`, `startup`, `training`, `heads`: what a pipeline costs besides its time
on texts, and what its parts cost of that."""

from pathlib import Path
from typing import Annotated

import typer

from ._bench import (
    FormatOption,
    Kind,
    ReportFormat,
    ShortKind,
    Sides,
    Threads,
    Weights,
    names,
    say,
    show,
)
from ._config import GpuOption
from ._run import friendly


@friendly()
def memory(
    weights: Weights,
    texts: Annotated[
        str, typer.Option(help="Kinds of texts: sentences, paragraphs, long, mix.")
    ] = "sentences,paragraphs,long,mix",
    sides: Sides = "ours,peer",
    precisions: Annotated[str, typer.Option(help="Of our side: fp32, bf16, int8.")] = "fp32",
    words: Annotated[int, typer.Option(min=1, help="Words of each kind.")] = 20_000,
    format: FormatOption = ReportFormat.table,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure the most memory that a process needs to load a pipeline and read a stream of texts.

    Each side reads each kind of texts in a process of its own, with the given encoder weights and
    an entity head with random ones.
    """
    from ..bench import memory as bench
    from ..bench.texts import KINDS
    from ..errors import Errors
    from ..nn.precision import check

    kinds = names(texts, "texts")
    for kind in kinds:
        if kind not in KINDS:
            expected = f"of {', '.join(KINDS)}"
            raise ValueError(Errors.E587.format(option="texts", expected=expected, found=kind))
    found = bench.report(
        names(sides, "sides"),
        weights,
        kinds=kinds,
        precisions=[check(name) for name in names(precisions, "precisions")],
        n_words=words,
        threads=threads,
        seed=seed,
        say=say,
    )
    show(found, bench, format)


@friendly()
def profile(
    weights: Weights,
    texts: Annotated[
        Kind, typer.Option(help="Texts of about 20, 120 or 3,000 words, or all of them.")
    ] = Kind.sentences,
    precision: Annotated[str, typer.Option(help="fp32, bf16, int8, or several.")] = "fp32",
    format: FormatOption = ReportFormat.table,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds.")] = 5,
    words: Annotated[int, typer.Option(min=1, help="Words in a round.")] = 6_000,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Show where the time of inference goes, by kinds of operators, from text to entities.

    Long texts are read in windows like those of spacy-transformers.
    """
    from ..bench import profile as bench

    found = bench.report(
        weights,
        kind=texts.value,
        precisions=names(precision, "precision"),
        n_words=words,
        rounds=rounds,
        threads=threads,
        seed=seed,
    )
    show(found, bench, format)


@friendly()
def startup(
    weights: Weights,
    sides: Sides = "ours,peer",
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each kind.")] = 5,
    format: FormatOption = ReportFormat.table,
    seed: Annotated[int, typer.Option(help="Seeds the heads.")] = 0,
) -> None:
    """Measure what imports and loading take: each start is a fresh process, turn about.

    Pipelines have the given encoder weights and an entity head with random ones; loading counts
    above spacy.blank("en") in the same environment.
    """
    from ..bench import startup as bench

    found = bench.report(names(sides, "sides"), weights, rounds=rounds, seed=seed)
    show(found, bench, format)


@friendly()
def training(
    weights: Weights,
    texts: Annotated[
        ShortKind, typer.Option(help="Texts of about 20 or 120 words, with random entities.")
    ] = ShortKind.sentences,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the benchmark data, to train on a real --set.")
    ] = None,
    set_name: Annotated[
        str, typer.Option("--set", help="A set of entities in --data: wnut17, bc5cdr.")
    ] = "",
    sides: Annotated[
        str, typer.Option(help="Which sides to run: ours, ours-bf16, peer.")
    ] = "ours,peer",
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each side.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Updates of each side in a round.")] = 4,
    batch: Annotated[int, typer.Option(min=1, help="Documents in a batch.")] = 32,
    format: FormatOption = ReportFormat.table,
    threads: Threads = 1,
    gpu_id: GpuOption = -1,
    seed: Annotated[int, typer.Option(help="Seeds texts, entities, heads and the order.")] = 0,
) -> None:
    """Measure updates per second of fine-tuning encoder and entities, all sides turn about.

    They have the recipes of `bench accuracy`: the given weights, the same batches, dropout of 0.1,
    Adam with the same schedule, weight decay and clipping, float32; 'ours-bf16' multiplies in
    bfloat16.
    """
    from ..bench import training as bench
    from ..bench.training_sides import Job

    job = Job(
        weights=weights,
        kind=texts.value,
        data=data,
        set=set_name,
        batch=batch,
        threads=threads,
        gpu_id=gpu_id,
        seed=seed,
    )
    found = bench.report(job, names(sides, "sides"), rounds=rounds, steps=steps, say=say)
    show(found, bench, format)


@friendly()
def heads(
    weights: Weights,
    texts: Annotated[
        Kind, typer.Option(help="Texts of about 20, 120 or 3,000 words, or all of them.")
    ] = Kind.paragraphs,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each.")] = 5,
    words: Annotated[int, typer.Option(min=1, help="Words in a round.")] = 6000,
    format: FormatOption = ReportFormat.table,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure what several tasks on one encoder pass cost, against the encoder alone, turn about.

    The heads are random and find about one entity in 12 tokens and one relation for two entities. A
    question of trf_qa is a pass of its own.
    """
    from ..bench import heads as bench

    found = bench.report(
        weights, kind=texts.value, n_words=words, rounds=rounds, threads=threads, seed=seed
    )
    show(found, bench, format)
