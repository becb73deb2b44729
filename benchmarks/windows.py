"""What shorter windows cost and bring: entities in documents that are longer than a window.

Sentences of BC5CDR are joined into documents, ten or a hundred at a time. Our pipeline learns from
the short documents, with the recipe of `bench accuracy` and one size of windows, and then reads dev
with several.

    python benchmarks/windows.py --data ../shared/data --weights weights/minilm-l6
"""

import argparse
import time
from pathlib import Path

import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_llm_tasks.bench import loop, recipes
from spacy_llm_tasks.bench.inference_sides import ENCODER
from spacy_llm_tasks.bench.sets import SETS
from spacy_llm_tasks.bench.table import markdown
from spacy_llm_tasks.bench.update import take_step

SET, LEARN_RATE, BATCH_DOCS = SETS["bc5cdr"], 2e-4, 3
JOINED = (10, 100)
SIZES = ((384, 320), (256, 240), (192, 176), (160, 144), (128, 112))


def main() -> None:
    """Train once and print a table."""
    options = read_options()
    torch.set_num_threads(1)
    spacy.util.fix_random_seed(options.seed)
    recipe = recipes.build("ours", SET.task, learn_rate=LEARN_RATE, updates=SET.updates)
    recipe.components[ENCODER]["model"].update(window=options.window, stride=options.stride)
    nlp = recipe.pipeline(options.weights)
    train, dev = SET.read(options.data, nlp, seed=options.seed)
    optimizer = recipe.build_optimizer()
    spacy.util.fix_random_seed(options.seed)
    examples = SET.kind.examples(joined(train, JOINED[0]))
    nlp.initialize(lambda: examples, sgd=optimizer)
    order = loop.batches(len(examples), size=BATCH_DOCS, updates=SET.updates, seed=options.seed)
    for batch in order:
        take_step(nlp, optimizer, [examples[i] for i in batch], dropout=loop.DROPOUT)
    rows = []
    with nlp.use_params(optimizer.averages):  # type: ignore[arg-type]
        for window, stride in SIZES:
            row = [f"{window}/{stride}"]
            for n in JOINED:
                score, speed = read(nlp, joined(dev, n), window, stride)
                row += [f"{score:.4f}", f"{speed:.0f}"]
            rows.append(row)
    head = [f"{what}, {n} sentences" for n in JOINED for what in (SET.score, "words/CPU s")]
    print(markdown(["windows", *head], rows))


def joined(docs: list[Doc], n: int) -> list[Doc]:
    """RETURNS (list[Doc]): Documents of so many sentences each."""
    return [Doc.from_docs(docs[i : i + n]) for i in range(0, len(docs), n)]


def read(nlp: Language, docs: list[Doc], window: int, stride: int) -> tuple[float, float]:
    """Find entities with windows of one size.

    nlp (Language): The trained pipeline, whose windows are changed.
    docs (list[Doc]): Reference docs.
    window, stride (int): Pieces in a window, and from one to the next.
    RETURNS (tuple[float, float]): The score, and tokens in a CPU second, from gold tokens to
        entities.
    """
    for layer in nlp.get_pipe(ENCODER).model.walk():  # type: ignore[attr-defined]
        if "window" in layer.attrs:
            layer.attrs.update(window=window, stride=stride)
    bare = [
        Doc(nlp.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
        for doc in docs
    ]
    started = time.process_time()
    found = list(nlp.pipe(bare))
    seconds = time.process_time() - started
    examples = [Example(one, other) for one, other in zip(found, docs, strict=True)]
    return SET.kind.scores(nlp, examples)[SET.score], sum(map(len, docs)) / seconds


def read_options() -> argparse.Namespace:
    """RETURNS (Namespace): The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmark data")
    parser.add_argument("--weights", type=Path, required=True, help="folder of a checkpoint")
    parser.add_argument("--window", type=int, default=384, help="pieces in a window in training")
    parser.add_argument("--stride", type=int, default=320, help="from one window to the next")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
