"""Who annotates a corpus in the comparison: `annotate` of this package, and plain `nlp.pipe`.

    ours   `annotate_corpus` with several workers, our encoder and entity head; it writes Parquet
    one    the same with one worker
    peer   `nlp.pipe(n_process=...)`, spacy-transformers and spaCy's `ner`; what comes out is
           thrown away

All start from a pipeline on the disk, read the same file of JSON lines, and use one thread in each
process.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

NAMES = ("ours", "one", "peer")
OURS = NAMES[:2]


@dataclass(frozen=True)
class CorpusRun:
    """A run over a corpus, to be made in a process that has done nothing else (`workers`).

    side (str): One of `NAMES`.
    pipeline (str): Folder of the pipeline.
    corpus (str): File of JSON lines.
    workers (int): Processes that annotate.
    """

    side: str
    pipeline: str
    corpus: str
    workers: int

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): The `rows` that came out, and the CPU seconds of this process and of
        those that it has started, as `cpu_s`."""
        before = cpu_seconds()
        rows = self._ours() if self.side in OURS else self._peer()
        return {"rows": rows, "cpu_s": cpu_seconds() - before}

    def _ours(self) -> int:
        from ..annotate import annotate_corpus

        output = mkdtemp()
        try:
            summary = annotate_corpus(
                self.pipeline,
                self.corpus,
                output,
                workers=self.workers,
                threads=1,
                shard_rows=_rows_at_once(Path(self.corpus), self.workers),
            )
            return summary.rows
        finally:
            shutil.rmtree(output)

    def _peer(self) -> int:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it warns of the fork otherwise
        import spacy
        import torch

        # Torch's threads do not survive a fork: the processes would wait for them for ever.
        torch.set_num_threads(1)
        nlp = spacy.load(self.pipeline)
        size = _rows_at_once(Path(self.corpus), self.workers)
        docs = nlp.pipe(_texts(Path(self.corpus)), n_process=self.workers, batch_size=size)
        return sum(1 for _ in docs)


def start(run: CorpusRun) -> Callable[[int], dict[str, Any]]:
    """RETURNS (Callable): The run, for `workers.Worker`."""
    return run


def write_corpus(path: Path, docs: list[str]) -> None:
    """Write texts as JSON lines, with ids."""
    rows = ({"id": f"d{i}", "text": text} for i, text in enumerate(docs))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")


def cpu_seconds() -> float:
    """RETURNS (float): CPU seconds of this process and of those that it has waited for."""
    # `os.times` counts in hundredths of a second.
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _texts(path: Path) -> Iterator[str]:
    with path.open(encoding="utf8") as file:
        for line in file:
            yield json.loads(line)["text"]


def _rows_at_once(path: Path, workers: int) -> int:
    """Rows that are handed to a process together, on both sides: so few that each gets several
    handfuls, however short the corpus, since one waits for the other's last one."""
    with path.open(encoding="utf8") as file:
        n_rows = sum(1 for _ in file)
    return max(1, min(1000, n_rows // (8 * workers)))
