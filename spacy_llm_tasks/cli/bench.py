"""`bench`: accuracy and speed against other libraries on the same weights."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Errors
from ._run import friendly

app = typer.Typer(
    name="bench",
    help="Compare with spacy-transformers and spaCy's stock heads: same weights, data and budget.",
    no_args_is_help=True,
)


class Kind(str, Enum):
    """The kinds of texts to read."""

    sentences = "sentences"
    paragraphs = "paragraphs"
    long = "long"
    mix = "mix"


class Size(str, Enum):
    """The sizes of models to pretrain."""

    tiny = "tiny"
    mini = "mini"
    small = "small"
    base = "base"


class Format(str, Enum):
    """How to print a report."""

    table = "table"
    json = "json"


Weights = Annotated[
    Path,
    typer.Option(help="Folder with config.json, a tokenizer and model.safetensors."),
]
Sides = Annotated[str, typer.Option(help="Which sides to run: 'ours', 'peer' or both.")]
Threads = Annotated[int, typer.Option(min=1, help="torch threads.")]
GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU to use; -1: the CPU.")]
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
        typer.Option(help="Seeds; wnut17, trec, conll04 and stsb use all, others the first only."),
    ] = "0,1,2",
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
    gpu_id: GpuId = -1,
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
        sides=tuple(_names(sides, "sides")),
        sets=tuple(choose(sets)),
        seeds=tuple(_numbers(seeds, "seeds", int)),
        rates=tuple(_numbers(rates, "rates", float)) if tune else (rate,),
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
    format: Annotated[Format, typer.Option(help="A readable table or one JSON object.")] = (
        Format.table
    ),
    sides: Sides = "ours,peer",
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds of each side.")] = 5,
    words: Annotated[int, typer.Option(min=1, help="Words in a round.")] = 6000,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure words per second of nlp.pipe, from text to entities, both sides turn about.

    The encoder has the given weights, the entity head random ones. Where both sides read a text in
    one window, their token rows are compared as well.
    """
    import json

    from ..bench import inference as bench

    found = bench.report(
        list(_names(sides, "sides")),
        weights,
        kind=texts.value,
        n_words=words,
        rounds=rounds,
        threads=threads,
        seed=seed,
    )
    typer.echo(json.dumps(found, indent=2) if format is Format.json else bench.render(found))


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
    format: Annotated[Format, typer.Option(help="A readable table or one JSON object.")] = (
        Format.table
    ),
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds the texts and the heads.")] = 0,
) -> None:
    """Measure how fast questions are answered, with and without deferred layers, turn about.

    The encoder has the given weights, the answer head random ones. What deferring costs in accuracy
    is in `bench accuracy --sets squad1,squad1-deferred`.
    """
    import json

    from ..bench import questions as bench

    found = bench.report(
        weights,
        deferred=_numbers(deferred, "deferred", int),
        per_text=_numbers(per_text, "per-text", int),
        n_texts=n_texts,
        rounds=rounds,
        threads=threads,
        seed=seed,
    )
    typer.echo(json.dumps(found, indent=2) if format is Format.json else bench.render(found))


def _names(option: str, name: str) -> list[str]:
    names = [part.strip() for part in option.split(",") if part.strip()]
    if not names:
        raise ValueError(Errors.E587.format(option=name, expected="names", found=option))
    return names


def _numbers(option: str, name: str, kind: type) -> list:
    try:
        return [kind(part) for part in option.split(",")]
    except ValueError:
        expected = "numbers with commas between them"
        raise ValueError(Errors.E587.format(option=name, expected=expected, found=option)) from None


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


@app.command("pretraining")
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
    format: Annotated[Format, typer.Option(help="A readable table or one JSON object.")] = (
        Format.table
    ),
    cache: Cache = Path("benchmarks/cache/pretraining"),
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(help="Seeds weights, order and masks.")] = 0,
) -> None:
    """Measure pieces per second of masked-LM training, against a loop as in run_mlm, turn about.

    plain is BERT of transformers in float32; plain-tuned has bfloat16, fused AdamW and an allocator
    that keeps its memory, as ours have. All are of one size, without padding, 15 % hidden. The
    share of the peak is of the float32 products that this machine does in the same rounds.
    """
    import json

    from ..bench import pretraining as bench
    from ..bench.material import prepare_material
    from ..bench.pretraining_sides import Job

    chosen = _names(sides, "sides")
    bench.check(chosen)
    prepare_material(cache, _names(corpus, "corpus"), vocabulary=vocabulary, say=_say)
    job = Job(cache, size.value, length, batch, dropout, threads, seed)
    found = bench.report(job, chosen, rounds=rounds, steps=steps, say=_say)
    typer.echo(json.dumps(found, indent=2) if format is Format.json else bench.render(found))


@app.command("pretraining-loss")
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
    ] = Path("benchmarks/results/pretraining"),
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

    paths = _names(corpus, "corpus")
    job = bench.Job(
        material=cache,
        paths=tuple(paths),
        results=results,
        minutes=minutes,
        sides=tuple(_names(sides, "sides")),
        rates=tuple(_numbers(rates, "rates", float)),
        size=size.value,
        length=length,
        batch=batch,
        dropout=dropout,
        threads=threads,
        seed=seed,
    )
    prepare_material(cache, paths, vocabulary=vocabulary, say=_say)
    found = bench.collect(job) if show else list(bench.execute(job, _say))
    as_json = format is Format.json
    typer.echo(json.dumps(bench.as_rows(found), indent=2) if as_json else bench.render(found))


@app.command("pretraining-gain")
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
    gpu_id: GpuId = -1,
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
        seeds=tuple(_numbers(seeds, "seeds", int)),
        rates=tuple(_numbers(rates, "rates", float)),
        threads=threads,
        gpu_id=gpu_id,
    )
    found = bench.collect(job, starts) if show else list(bench.execute(job, starts, _say))
    if format is Format.json:
        typer.echo(json.dumps([asdict(record) for record in found], indent=2))
    else:
        typer.echo(bench.render(found, items, starts, seeds=job.seeds, rates=job.rates))


def _say(line: str) -> None:
    typer.echo(line, err=True)
