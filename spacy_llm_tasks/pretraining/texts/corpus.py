"""A corpus, prepared once and read many times: cleaned, without duplicates, split.

The folder of a prepared corpus holds `train.jsonl.gz` and `held_out.jsonl.gz` (a "text" a line),
and `corpus.json` with the report and what the corpus was made from. The folder is written under
another name and renamed when it is whole; the same settings and inputs find it again.
"""

import json
import os
import sys
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ...errors import Errors, Warnings
from ...files import whole_folder, write_json
from .clean import Cleaner
from .corpus_report import CorpusReport
from .corpus_settings import CorpusSettings
from .duplicates import ExactDuplicates, NearDuplicates
from .scrub import KINDS, scrub
from .sources import Reader, find_files, read_texts
from .text_store import TextWriter, read_store

__all__ = [
    "Corpus",
    "CorpusReport",
    "CorpusSettings",
    "Say",
    "is_held_out",
    "prepare",
    "read_texts",
]

TRAIN = "train.jsonl.gz"
HELD_OUT = "held_out.jsonl.gz"
MANIFEST = "corpus.json"
FORMAT = 2  # goes up when the same settings and inputs give another corpus
SECONDS_BETWEEN_LINES = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus in its folder.

    folder (Path): The folder.
    report (CorpusReport): What became of every document that was read.
    """

    folder: Path
    report: CorpusReport

    @classmethod
    def open(cls, folder: str | Path) -> "Corpus":
        """Open a corpus that `prepare` wrote.

        folder (str | Path): Its folder.
        RETURNS (Corpus): The corpus.
        RAISES (ValueError): If there is none, or not all of it.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            for name, size in manifest["sizes"].items():
                found = (folder / name).stat().st_size
                if found != size:
                    raise ValueError(f"{name} has {found} bytes, not {size}")
            report = CorpusReport.from_dict(manifest["report"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(Errors.E709.format(folder=folder, reason=reason)) from error
        return cls(folder, report)

    def train(self) -> Iterator[str]:
        """YIELDS (str): The documents to train on, in the order in which they were read."""
        return read_store(self.folder / TRAIN)

    def held_out(self) -> Iterator[str]:
        """YIELDS (str): The documents that were held out, in the order in which they were read."""
        return read_store(self.folder / HELD_OUT)


def prepare(
    settings: CorpusSettings,
    *,
    folder: str | Path | None = None,
    readers: Mapping[str, Reader] | None = None,
    say: Say | None = None,
) -> Corpus:
    """Read, clean, scrub, deduplicate and split a corpus, or find it prepared already.

    It is found again when the settings, and the names, sizes and times of all input files, are the
    same. Memory grows with the number of documents kept, by the bytes that the report states.

    settings (CorpusSettings): What to do.
    folder (str | Path | None): Where to keep it; replaces `settings.folder`.
    readers (Mapping | None): Suffix -> function (path) -> texts, for kinds of files that are not
        read here.
    say (Callable | None): Takes lines on what is going on.
    RETURNS (Corpus): The corpus.
    RAISES (ValueError): If there is no text to train on, no folder is named, the folder holds
        other files, or as `read_texts` does.
    RAISES (ImportError): If near duplicates or Parquet are asked for without the extra `pretrain`.
    """
    chosen = folder if folder is not None else settings.folder
    if chosen is None:
        raise ValueError(Errors.E706.format(name="folder", expected="a path", found=chosen))
    target = Path(os.path.abspath(chosen))
    made_from = _made_from(settings, readers or {})
    if _found_again(target, made_from):
        if say is not None:
            say(f"Using the corpus in {target}: settings and inputs are the same")
        return _checked(Corpus.open(target), settings)
    _check_free(target)
    report = CorpusReport()
    with whole_folder(target) as part:
        _fill(part, settings, readers or {}, report, say)
        n_held_out = report.held_out.documents
        if not report.train.documents and n_held_out:
            raise ValueError(Errors.E711.format(n=n_held_out, share=settings.held_out))
        if not report.train.documents:
            raise ValueError(
                Errors.E700.format(paths=", ".join(settings.paths), reason=report.reasons())
            )
        sizes = {name: (part / name).stat().st_size for name in (TRAIN, HELD_OUT)}
        manifest = {"made_from": made_from, "sizes": sizes, "report": report.to_dict()}
        write_json(part / MANIFEST, manifest)
    return _checked(Corpus(target, report), settings)


def is_held_out(text: str, *, share: float, seed: int) -> bool:
    """Decide on which side of the split a document is, by its hash and nothing else.

    text (str): The cleaned document.
    share (float): Share of all documents to hold out.
    seed (int): Of the split.
    RETURNS (bool): Whether it is held out.
    """
    key = seed.to_bytes(8, "little", signed=True)
    digest = blake2b(text.encode("utf-8"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def _fill(
    part: Path,
    settings: CorpusSettings,
    readers: Mapping[str, Reader],
    report: CorpusReport,
    say: Say | None,
) -> None:
    texts = read_texts(
        settings.paths,
        text_column=settings.text_column,
        txt_documents=settings.txt_documents,
        invalid=settings.invalid,
        max_characters=settings.max_characters,
        readers=readers,
        report=report,
    )
    clean = Cleaner(
        settings.min_characters,
        settings.max_characters,
        settings.min_letters,
        settings.keep_spaces,
    )
    kinds = KINDS if "all" in settings.scrub else tuple(settings.scrub)
    exact = ExactDuplicates() if settings.exact_duplicates else None
    near = NearDuplicates(threshold=settings.near_threshold) if settings.near_duplicates else None
    next_line = time.monotonic() + SECONDS_BETWEEN_LINES
    with ExitStack() as stack:
        train = stack.enter_context(TextWriter(part / TRAIN, report.train))
        held_out = stack.enter_context(TextWriter(part / HELD_OUT, report.held_out))
        for text in texts:
            if say is not None and time.monotonic() >= next_line:
                next_line = time.monotonic() + SECONDS_BETWEEN_LINES
                kept = report.train.documents + report.held_out.documents
                say(f"{report.documents:,} documents read, {kept:,} kept")
            cleaned, reason = clean(text)
            if reason is not None:
                report.dropped[reason] += 1
                continue
            report.cleaned += cleaned != text
            if kinds:
                cleaned, counts = scrub(cleaned, kinds=kinds)
                report.scrubbed.update(counts)
            if exact is not None and not exact.add(cleaned):
                report.dropped["duplicate"] += 1
            elif near is not None and not near.add(cleaned):
                report.dropped["near duplicate"] += 1
            elif is_held_out(cleaned, share=settings.held_out, seed=settings.seed):
                held_out.write(cleaned)
            else:
                train.write(cleaned)
    n_bytes = sum(found.n_bytes for found in (exact, near) if found is not None)
    kept = report.train.documents + report.held_out.documents
    report.duplicate_bytes = n_bytes // kept if kept else 0


def _made_from(settings: CorpusSettings, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """All that decides what is in a corpus, in JSON's types."""
    chosen = asdict(settings)
    del chosen["folder"]
    inputs: list[list[str | int]] = []
    for file in find_files(settings.paths, suffixes=readers):
        if isinstance(file, Path):
            state = file.stat()
            inputs.append([file.resolve().as_posix(), state.st_size, state.st_mtime_ns])
        else:
            inputs.append([file, sys.version])
    found = {
        "format": FORMAT,
        "unicode": unicodedata.unidata_version,
        "settings": chosen,
        "readers": sorted(readers),
        "inputs": inputs,
    }
    return dict(json.loads(json.dumps(found)))


def _found_again(folder: Path, made_from: dict[str, Any]) -> bool:
    try:
        Corpus.open(folder)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return manifest.get("made_from") == made_from


def _check_free(folder: Path) -> None:
    """Preparing replaces the folder: it must hold nothing but an earlier corpus."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in (TRAIN, HELD_OUT, MANIFEST)]
    if others or (folder.exists() and not folder.is_dir()):
        found = ", ".join(others[:3]) or "a file of this name"
        raise ValueError(Errors.E710.format(folder=folder, found=found))


def _checked(corpus: Corpus, settings: CorpusSettings) -> Corpus:
    if settings.held_out and not corpus.report.held_out.documents:
        n = corpus.report.train.documents
        warnings.warn(Warnings.W700.format(share=settings.held_out, n=n), stacklevel=3)
    return corpus
