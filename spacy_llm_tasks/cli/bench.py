"""`bench`: accuracy and speed against other libraries on the same weights."""

from pathlib import Path
from typing import Annotated

import typer

from . import bench_annotate, bench_costs, bench_pretraining
from ._bench import FormatOption, Kind, ReportFormat, Sides, Threads, Weights, names, numbers, show
from ._config import GpuOption
from ._run import friendly

app = typer.Typer(
    name="bench",
    help="Compare with spacy-transformers and spaCy's stock heads: same weights, data and budget.",
    no_args_is_help=True,
)


@app.command("accuracy")
@friendly()
def accuracy(
    data: Annotated[
        Path,
        typer.Option(help="Folder of the benchmark data (ner/, textcat/, re/, similarity/, qa/)."),
    ],
    weights: Weights,
    sides: Sides = "ours,peer",
    sets: Annotated[
        str,
        typer.Option(
            help="Data sets, or 'all'. Besides those of entities and classes there are semeval, "
            "conll04 (relations; each also as -markers), stsb (similarity), squad1, squad2 and "
            "squad1-deferred (questions)."
        ),
    ] = "wnut17,bc5cdr,sst2,trec",
    seeds: Annotated[
        str,
        typer.Option(
            help="Seeds; trec uses ten, wnut17, conll04 and stsb three, others the first only."
        ),
    ] = "0,1,2,3,4,5,6,7,8,9",
    tune: Annotated[
        bool,
        typer.Option(
            help="Choose each side's learning rate on each set at the first seed: from --rates, "
            "doubled while the highest is the best. Without it --rate is used for everything."
        ),
    ] = True,
    rates: Annotated[
        str,
        typer.Option(help="The grid of learning rates. The squad sets keep to 2e-4, not tuned."),
    ] = "1e-4,2e-4",
    rate: Annotated[float, typer.Option(help="The learning rate with --no-tune.")] = 2e-4,
    results: Annotated[
        Path, typer.Option(help="Folder of the result files, one JSON a run.")
    ] = Path("benchmarks/results/accuracy"),
    threads: Threads = 1,
    gpu_id: GpuOption = -1,
    show: Annotated[
        bool, typer.Option("--show", help="Print the table of what is there; train nothing.")
    ] = False,
) -> None:
    """Train both sides with the same data order, batches, updates and schedule, and print a table.

    Every finished run is kept as a JSON file and never repeated as long as its settings are the
    same, so the command can be stopped and called again. Delete a file to have its run done again.
    A full table takes hours on a CPU: run it in the background.

    The peers of relations, similarity and questions are no spaCy components: the script
    benchmarks/peers.py trains them, and their results are shown here.
    """
    from ..bench import plan, table
    from ..bench.sets import choose

    job = plan.Job(
        data=data,
        weights=weights,
        results=results,
        sides=tuple(names(sides, "sides")),
        sets=tuple(choose(sets)),
        seeds=tuple(numbers(seeds, "seeds", int)),
        rates=tuple(numbers(rates, "rates", float)) if tune else (rate,),
        threads=threads,
        gpu_id=gpu_id,
    )
    if show:
        found = plan.collect(job)
    else:
        found = list(plan.execute(job, lambda line: typer.echo(line, err=True)))
    typer.echo(table.render(found, job.sets, seeds=job.seeds, rates=job.rates))


@app.command("inference")
@friendly()
def inference(
    weights: Weights,
    texts: Annotated[
        Kind, typer.Option(help="Texts of about 20, 120 or 3,000 words, or all of them.")
    ] = Kind.sentences,
    precision: Annotated[
        str, typer.Option(help="Precisions of our side: fp32, bf16, int8, or several.")
    ] = "fp32",
    format: FormatOption = ReportFormat.table,
    sides: Annotated[
        str,
        typer.Option(
            help="Which sides to run: ours, peer, curated (spacy-curated-transformers), and on "
            "short texts the encoders alone of transformers and sentence-transformers."
        ),
    ] = "ours,peer",
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each side.")] = 5,
    words: Annotated[int, typer.Option(min=1, help="Words in a round.")] = 6000,
    threads: Threads = 1,
    gpu_id: GpuOption = -1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure words per second of nlp.pipe, from text to entities, all sides turn about.

    The encoder has the given weights, the entity head random ones. Long texts are read with windows
    like the peer's, 128 tokens every 96, and with those of ner.cfg. Where both sides read a token
    in the same window, their rows are compared as well.
    """

    from ..bench import inference as bench

    found = bench.report(
        list(names(sides, "sides")),
        weights,
        kind=texts.value,
        n_words=words,
        rounds=rounds,
        threads=threads,
        seed=seed,
        precisions=list(names(precision, "precision")),
        gpu_id=gpu_id,
    )
    show(found, bench, format)


@app.command("questions")
@friendly()
def questions(
    weights: Weights,
    deferred: Annotated[
        str, typer.Option(help="Numbers of lower layers that read question and text apart.")
    ] = "3",
    per_text: Annotated[str, typer.Option(help="Numbers of questions about each text.")] = "1,4,16",
    n_texts: Annotated[int, typer.Option("--texts", min=1, help="Number of texts.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each.")] = 3,
    format: FormatOption = ReportFormat.table,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure how fast questions are answered, with and without deferred layers, turn about.

    The encoder has the given weights, the answer head random ones. What deferring costs in accuracy
    is in `bench accuracy --sets squad1,squad1-deferred`.
    """

    from ..bench import questions as bench

    found = bench.report(
        weights,
        deferred=numbers(deferred, "deferred", int),
        per_text=numbers(per_text, "per-text", int),
        n_texts=n_texts,
        rounds=rounds,
        threads=threads,
        seed=seed,
    )
    show(found, bench, format)


@app.command("weights")
@friendly()
def weights_check(
    weights: Weights,
    pairs: Annotated[
        Path, typer.Option(help="Graded sentence pairs in the STS benchmark's layout.")
    ],
) -> None:
    """Check that weights are read rightly: sentence similarity of an untrained mean pooling.

        bench weights --weights weights/minilm-l6 --pairs stsb/dev.tsv

    all-MiniLM-L6-v2 is known to give a Spearman correlation of 0.8672 on the benchmark's dev file.
    """
    from ..bench.similarity import similarity_score

    score, n_pairs = similarity_score(weights, pairs)
    typer.echo(f"Spearman {score:.4f} on {n_pairs} pairs of {pairs}")


app.command("pretraining")(bench_pretraining.pretraining)
app.command("pretraining-loss")(bench_pretraining.pretraining_loss)
app.command("pretraining-gain")(bench_pretraining.pretraining_gain)
app.command("annotate")(bench_annotate.annotate)
app.command("memory")(bench_costs.memory)
app.command("profile")(bench_costs.profile)
app.command("startup")(bench_costs.startup)
app.command("training")(bench_costs.training)
app.command("heads")(bench_costs.heads)
