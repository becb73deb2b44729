"""`bench annotate`: whole corpora, against plain `nlp.pipe`."""

from typing import Annotated

import typer

from ._bench import FormatOption, Kind, ReportFormat, Weights, names, say, show
from ._run import friendly


@friendly()
def annotate(
    weights: Weights,
    texts: Annotated[
        Kind, typer.Option(help="Documents of about 20, 120 or 3,000 words, or all of them.")
    ] = Kind.sentences,
    sides: Annotated[
        str,
        typer.Option(
            help="Which sides to run: ours (--workers processes), one (the same with one worker), "
            "peer (nlp.pipe of spacy-transformers with --workers processes)."
        ),
    ] = "ours,peer",
    workers: Annotated[int, typer.Option(min=1, help="Processes of a side.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each side.")] = 3,
    words: Annotated[int, typer.Option(min=100, help="Words of the corpus.")] = 40_000,
    format: FormatOption = ReportFormat.table,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure documents per second of `annotate`, and of plain nlp.pipe with n_process, turn about.

    Both sides have the given weights, an entity head with random ones, and one thread a process.
    Every run is a process of its own, from its first import to its last row. What a run takes
    before it gets going is measured by a corpus of a tenth of the words, and taken off.
    """

    from ..bench import annotate as bench

    found = bench.report(
        names(sides, "sides"),
        weights,
        kind=texts.value,
        n_words=words,
        workers=workers,
        rounds=rounds,
        seed=seed,
        say=say,
    )
    show(found, bench, format)
