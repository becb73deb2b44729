"""Train the peers that are no spaCy configs, and write results as `bench accuracy` does.

    python benchmarks/peers.py --data ../shared/data --weights weights/minilm-l6 --sets semeval,stsb

Relations: the architecture of spaCy's own tutorial on spacy-transformers (`peer_relation`).
Similarity: sentence-transformers (`peer_similarity`). Questions: transformers (`peer_qa`). Weights,
documents, order, batches, updates and warm-up are those of our side, and learning rates are chosen
by the same rule (`spacy_llm_tasks.bench.plan`). A finished run is not repeated; afterwards
`python -m spacy_llm_tasks bench accuracy --sets all --show` prints both sides.
"""

import argparse
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from spacy_llm_tasks.bench import plan, recipes, records
from spacy_llm_tasks.bench.records import Record, RunKey
from spacy_llm_tasks.bench.sets import SETS, BenchSet, choose

PEERS = {
    "relation": "peer_relation",
    "ner_relation": "peer_relation",
    "similarity": "peer_similarity",
    "qa": "peer_qa",
}
KNOWN = [
    item.name
    for item in SETS.values()
    if recipes.is_scripted("peer", item.task) and not item.options
]


def main() -> None:
    """Read the command line and do the runs that have no result yet."""
    options = read_options()
    unknown = [item.name for item in options.sets if item.name not in KNOWN]
    if unknown:
        sys.exit(f"No script trains a peer on {', '.join(unknown)}. Sets: {', '.join(KNOWN)}.")
    job = plan.Job(
        data=options.data,
        weights=options.weights,
        results=options.results,
        sides=("peer",),
        sets=tuple(options.sets),
        seeds=options.seeds,
        rates=options.rates,
        threads=options.threads,
        gpu_id=options.gpu_id,
    )
    job.use_device()
    digest = records.fingerprint(job.weights)
    if options.updates is not None:
        try_out(job, options.updates, digest)
        return
    for record in plan.walk(job, lambda item, key: get(job, item, key, digest)):
        print(f"{record.key.file_name}: {SETS[record.key.set].score} {record.score:.4f}")


def try_out(job: plan.Job, updates: int, digest: str) -> None:
    """Do one short run on each set and print what a result would hold.

    job (Job): What was asked for; the first rate and the first seed are used.
    updates (int): The number of updates.
    digest (str): sha256 of the weights.
    """
    for item in job.sets:
        short = replace(item, updates=updates)
        record = train(job, short, RunKey("peer", item.name, job.seeds[0], job.rates[0]), digest)
        print(f"{item.name}, not saved: scores {record.scores}, seconds {record.seconds}")


def get(job: plan.Job, item: BenchSet, key: RunKey, digest: str) -> Record:
    """Find the result of a run, or do it and save it.

    job (Job): What was asked for.
    item (BenchSet): The set.
    key (RunKey): The run.
    digest (str): sha256 of the weights.
    RETURNS (Record): The result.
    """
    record = plan.find(job, item, key, digest)
    if record is None:
        record = train(job, item, key, digest)
        records.save(job.results, record)
    return record


def train(job: plan.Job, item: BenchSet, key: RunKey, digest: str) -> Record:
    """Do a run.

    job (Job): What was asked for.
    item (BenchSet): The set.
    key (RunKey): The run.
    digest (str): sha256 of the weights.
    RETURNS (Record): The result.
    """
    trained = import_module(PEERS[item.task]).run(
        item, key, data=job.data, weights=job.weights, progress=plan.progress_of(key, tell)
    )
    about = plan.about(job, trained.train, trained.dev)
    return Record(
        key=key,
        score=trained.outcome.scores[item.score],
        scores=trained.outcome.scores,
        updates=item.updates,
        seconds=trained.outcome.seconds,
        settings={**trained.settings, **plan.budget(item, digest)},
        about={**about, "versions": {**about["versions"], **trained.versions}},
    )


def tell(line: str) -> None:
    """Show a line of progress."""
    print(line, file=sys.stderr, flush=True)


def read_options() -> argparse.Namespace:
    """RETURNS (Namespace): The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmark data")
    parser.add_argument("--weights", type=Path, required=True, help="folder of a checkpoint")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("benchmarks/results/accuracy"),
        help="folder of the result files",
    )
    parser.add_argument(
        "--sets", type=choose, default=",".join(KNOWN), help=f"data sets: {', '.join(KNOWN)}"
    )
    parser.add_argument(
        "--seeds", type=_integers, default="0,1,2", help="sets of one seed use the first"
    )
    parser.add_argument(
        "--rates",
        type=_floats,
        default="1e-4,2e-4",
        help="the grid; a single rate is used as it is. The squad sets keep to 2e-4 of any grid",
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--gpu-id", type=int, default=-1, help="GPU to use; -1: the CPU")
    parser.add_argument(
        "--updates",
        type=int,
        help="only try out: so many updates on each set, with nothing saved",
    )
    return parser.parse_args()


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    main()
