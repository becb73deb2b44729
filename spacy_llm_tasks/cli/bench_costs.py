"""`bench memory` and `bench startup`: what a pipeline costs besides its time on texts."""

import json
from typing import Annotated

import typer

from ._bench import Format, Sides, Threads, Weights, names, say
from ._run import friendly

FormatOption = Annotated[Format, typer.Option(help="A readable table or one JSON object.")]


@friendly()
def memory(
    weights: Weights,
    texts: Annotated[
        str, typer.Option(help="Kinds of texts: sentences, paragraphs, long, mix.")
    ] = "sentences,paragraphs,long,mix",
    sides: Sides = "ours,peer",
    precisions: Annotated[str, typer.Option(help="Of our side: fp32, bf16, int8.")] = "fp32",
    words: Annotated[int, typer.Option(min=1, help="Words of each kind.")] = 20_000,
    format: FormatOption = Format.table,
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
    typer.echo(json.dumps(found, indent=2) if format is Format.json else bench.render(found))


@friendly()
def startup(
    weights: Weights,
    sides: Sides = "ours,peer",
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each kind.")] = 5,
    format: FormatOption = Format.table,
    seed: Annotated[int, typer.Option(help="Seeds the heads.")] = 0,
) -> None:
    """Measure what imports and loading take: each start is a fresh process, turn about.

    Pipelines have the given encoder weights and an entity head with random ones; loading counts
    above spacy.blank("en") in the same environment.
    """
    from ..bench import startup as bench

    found = bench.report(names(sides, "sides"), weights, rounds=rounds, seed=seed)
    typer.echo(json.dumps(found, indent=2) if format is Format.json else bench.render(found))
