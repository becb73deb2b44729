"""`bench pretraining` and its relatives: speed, loss, and what it is worth to the tasks."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Errors
from ._bench import Format, FormatOption, ReportFormat, Threads, names, numbers, say, show
from ._config import GpuOption
from ._run import friendly


class Size(str, Enum):
    """The sizes of models to pretrain."""

    tiny = "tiny"
    mini = "mini"
    small = "small"
    base = "base"


Corpus = Annotated[
    str,
    typer.Option(help="Files, folders or patterns of text; pydoc: is what comes with Python."),
]
Cache = Annotated[Path, typer.Option(help="Folder for the corpus, its tokenizer and its pieces.")]
ModelSize = Annotated[Size, typer.Option(help="Blocks and width: 4 x 128 to 12 x 768.")]
Length = Annotated[int, typer.Option(min=8, help="Pieces of a sequence.")]
Batch = Annotated[int, typer.Option(min=1, help="Sequences of a step.")]
Vocabulary = Annotated[int, typer.Option(min=300, help="Pieces of the tokenizer.")]
Dropout = Annotated[
    float, typer.Option(min=0.0, max=0.9, help="Of the plain model; 0.1 is BERT's.")
]


@friendly()
def pretraining(
    corpus: Corpus = "pydoc:",
    sides: Annotated[
        str,
        typer.Option(
            help="What to time: plain, plain-tuned, ours-fp32, ours-bf16, ours-muon, ours-compiled."
        ),
    ] = "plain,plain-tuned,ours-fp32,ours-bf16,ours-muon",
    size: ModelSize = Size.mini,
    length: Length = 128,
    batch: Batch = 32,
    vocabulary: Vocabulary = 8192,
    dropout: Dropout = 0.1,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each side.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Steps in a round.")] = 2,
    format: FormatOption = ReportFormat.table,
    cache: Cache = Path("benchmarks/cache/pretraining"),
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds weights, order and masks.")] = 0,
) -> None:
    """Measure pieces per second of masked-LM training, against a loop as in run_mlm, turn about.

    plain is BERT of transformers in float32; plain-tuned has bfloat16, fused AdamW and an allocator
    that keeps its memory, as ours have. All are of one size, without padding, 15 % hidden. The
    share of the peak is of the float32 products that this machine does in the same rounds.
    """

    from ..bench import pretraining as bench
    from ..bench.material import prepare_material
    from ..bench.pretraining_sides import Job

    chosen = names(sides, "sides")
    bench.check(chosen)
    prepare_material(cache, names(corpus, "corpus"), vocabulary=vocabulary, say=say)
    job = Job(cache, size.value, length, batch, dropout, threads, seed)
    found = bench.report(job, chosen, rounds=rounds, steps=steps, say=say)
    show(found, bench, format)


@friendly()
def pretraining_loss(
    corpus: Corpus = "pydoc:",
    minutes: Annotated[float, typer.Option(min=0.01, help="Of each run.")] = 5.0,
    sides: Annotated[str, typer.Option(help="Which sides to run: 'ours', 'plain' or both.")] = (
        "ours,plain"
    ),
    rates: Annotated[
        str,
        typer.Option(
            help="Learning rates of the plain side; while the highest of several is the best, "
            "twice that is tried as well. Ours keeps that of its recipe."
        ),
    ] = "5e-4,1e-3",
    size: ModelSize = Size.mini,
    length: Length = 128,
    batch: Batch = 32,
    vocabulary: Vocabulary = 8192,
    dropout: Dropout = 0.1,
    results: Annotated[
        Path, typer.Option(help="Folder of the result files, one JSON a run.")
    ] = Path("benchmarks/results/pretraining-loss"),
    format: Annotated[Format, typer.Option(help="A readable table or one JSON object.")] = (
        Format.table
    ),
    cache: Cache = Path("benchmarks/cache/pretraining"),
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds weights, order and masks.")] = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Print the table of what is there; train nothing.")
    ] = False,
) -> None:
    """Train for some minutes, our recipe and BERT as in run_mlm, and compare the held-out loss.

    Every run is alone for its minutes: leave the machine to it. A finished run is kept as a JSON
    file and not repeated, so the command can be stopped and called again.
    """
    import json

    from ..bench import pretraining_loss as bench
    from ..bench.material import prepare_material

    paths = names(corpus, "corpus")
    job = bench.Job(
        material=cache,
        paths=tuple(paths),
        results=results,
        minutes=minutes,
        sides=tuple(names(sides, "sides")),
        rates=tuple(numbers(rates, "rates", float)),
        size=size.value,
        length=length,
        batch=batch,
        dropout=dropout,
        threads=threads,
        seed=seed,
    )
    prepare_material(cache, paths, vocabulary=vocabulary, say=say)
    found = bench.collect(job) if show else list(bench.execute(job, say))
    as_json = format is Format.json
    typer.echo(json.dumps(bench.as_rows(found), indent=2) if as_json else bench.render(found))


@friendly()
def pretraining_gain(
    data: Annotated[
        Path, typer.Option(help="Folder of the benchmark data (ner/, textcat/, similarity/, ...).")
    ],
    scratch: Annotated[
        Path | None, typer.Option(help="Folder of an encoder that `pretrain` made of raw text.")
    ] = None,
    continued: Annotated[
        Path | None, typer.Option(help="Folder of the published encoder after `pretrain` went on.")
    ] = None,
    published: Annotated[Path | None, typer.Option(help="Folder of a published encoder.")] = None,
    sets: Annotated[str, typer.Option(help="Data sets, as for `bench accuracy`.")] = (
        "wnut17,sst2,stsb"
    ),
    seeds: Annotated[
        str, typer.Option(help="Seeds; wnut17 and stsb use all, sst2 the first only.")
    ] = "0,1,2",
    rates: Annotated[
        str,
        typer.Option(
            help="Learning rates to try for each start on each set at the first seed; while the "
            "highest of several is the best, twice that is tried as well. stsb begins with its own."
        ),
    ] = "1e-4,2e-4",
    updates: Annotated[
        int | None, typer.Option(min=1, help="Updates of each run; else those of the set.")
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Folder of the result files, one JSON a run.")
    ] = Path("benchmarks/results/pretraining-gain"),
    format: Annotated[Format, typer.Option(help="A readable table or one JSON object.")] = (
        Format.table
    ),
    threads: Threads = 1,
    gpu_id: GpuOption = -1,
    show: Annotated[
        bool, typer.Option("--show", help="Print the table of what is there; train nothing.")
    ] = False,
) -> None:
    """Train the same heads on encoders that know more or less, and print what each buys.

        bench pretraining-gain --data data --scratch pretrained/scratch/model
            --continued pretrained/continued/model --published weights/minilm-l6

    Each encoder is compared with a twin of its shape and tokenizer whose weights are random, and
    one that went on being pretrained with the one that it came from. Every finished run is kept as
    a JSON file and not repeated, so the command can be stopped and called again. With all three
    encoders a full table takes many hours on a CPU.
    """
    import json
    from dataclasses import asdict, replace

    from ..bench import plan
    from ..bench import pretraining_gain as bench
    from ..bench.sets import choose
    from ..bench.starts import with_twins

    given = dict(zip(bench.NAMES, (scratch, continued, published), strict=True))
    folders = {name: folder for name, folder in given.items() if folder is not None}
    if not folders:
        expected = "a folder, or that of --continued or --scratch"
        raise ValueError(Errors.E587.format(option="published", expected=expected, found=None))
    starts = with_twins(folders)
    items = choose(sets)
    if updates is not None:
        items = [replace(item, updates=updates) for item in items]
    job = plan.Job(
        data=data,
        weights=list(folders.values())[-1],
        results=results,
        sides=tuple(starts),
        sets=tuple(items),
        seeds=tuple(numbers(seeds, "seeds", int)),
        rates=tuple(numbers(rates, "rates", float)),
        threads=threads,
        gpu_id=gpu_id,
    )
    found = bench.collect(job, starts) if show else list(bench.execute(job, starts, say))
    if format is Format.json:
        typer.echo(json.dumps([asdict(record) for record in found], indent=2))
    else:
        typer.echo(bench.render(found, items, starts, seeds=job.seeds, rates=job.rates))
