"""What a run reads: cleaned text, a tokenizer, and the text cut into pieces by it.

    corpus/         as `corpus` writes it, or elsewhere with corpus.folder
    tokenizer/      trained on the corpus, or a copy of the one that was given
    pieces/         train and held_out, as `piece_store` writes them
    materials.json  what the tokenizer and the pieces were made from, and the sha256 of the latter's
                    files

A part is made again if what it would be made from is something else now, so a run that was stopped
early and is started with other settings does not read what was left of the first one; so are
pieces whose files were changed since. A run with checkpoints keeps what it began with, and does not
need the original text any more.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import Errors
from ..files import whole_folder, write_json
from ..tokenization.tokenizer import PieceTokenizer
from ..tokenization.train import train_tokenizer
from ..weights.checksum import sha256_of
from .pieces.piece_store import PieceStore, hash_of, write_pieces
from .settings import Settings
from .texts.corpus import Corpus, Say, prepare
from .texts.scrub import KINDS
from .texts.sources import Reader

RECORD = "materials.json"
SPLITS = ("train", "held_out")
SHA256 = "sha256"  # the key of the record under which the digests of files are, by part


class Materials:
    """The materials of a run.

    settings (Settings): Of the run.
    folder (Path): The run's.
    say (Callable): Takes lines about what is being done.
    """

    def __init__(self, settings: Settings, folder: Path, *, say: Say = lambda text: None) -> None:
        self.settings = settings
        self.folder = folder
        self.say = say

    def tokenizer(self) -> PieceTokenizer:
        """RETURNS (PieceTokenizer): The tokenizer, once it is made."""
        return PieceTokenizer.from_folder(self.folder / "tokenizer")

    def pieces(self, split: str) -> PieceStore:
        """RETURNS (PieceStore): The pieces of "train" or "held_out", once they are made."""
        return PieceStore.open(self.folder / "pieces" / split)

    def given_tokenizer(self) -> PieceTokenizer | None:
        """RETURNS (PieceTokenizer | None): The one that the settings name, or the one that came
        with the checkpoint that they name. None: it is to be trained."""
        path = self.settings.tokenizer.path or self.settings.model.init
        return None if path is None else PieceTokenizer.from_folder(path)

    def make(
        self, readers: Mapping[str, Reader], *, max_length: int, is_begun: bool = False
    ) -> None:
        """Make what is not there yet.

        readers (Mapping[str, Reader]): Readers of further kinds of files, by suffix.
        max_length (int): Longest input of the model, for the files of a new tokenizer.
        is_begun (bool): Whether the run has checkpoints, so that nothing may change.
        RAISES (ValueError): There is no text, or too little for the tokenizer; or something would
            change.
        """
        if is_begun and self._are_whole():
            return
        settings = self.settings
        corpus = prepare(
            settings.corpus,
            folder=settings.corpus.folder or self.folder / "corpus",
            readers=readers,
            say=self.say,
        )
        given = self.given_tokenizer()
        options = {**self._options(), "max_length": max_length}
        made_from = {"options": options, "text": corpus.report.train.sha256}
        self._keep(
            "tokenizer",
            made_from if given is None else {"given": hash_of(given)},
            partial(self._write_tokenizer, corpus=corpus, given=given, options=options),
            is_begun=is_begun,
        )
        tokenizer = self.tokenizer()
        for split, texts, report in (
            ("train", corpus.train, corpus.report.train),
            ("held_out", corpus.held_out, corpus.report.held_out),
        ):
            self._keep(
                f"pieces/{split}",
                {"tokenizer": hash_of(tokenizer), "text": report.sha256},
                partial(self._write_pieces, texts=texts, tokenizer=tokenizer),
                is_begun=is_begun,
            )

    def _are_whole(self) -> bool:
        """Whether all parts are there, and as they were made."""
        record = self._record()
        parts = ("tokenizer", *(f"pieces/{split}" for split in SPLITS))
        return all(record.get(part) and self._is_whole(part) for part in parts)

    def _is_whole(self, part: str) -> bool:
        try:
            if part == "tokenizer":
                self.tokenizer()
            else:
                PieceStore.open(self.folder / part)
        except (OSError, ValueError):
            return False
        return not self._is_changed(part)

    def _is_changed(self, part: str) -> bool:
        """Whether the files of a part are others than were written. Takes the time to read them,
        so a run asks once, before it starts."""
        expected = self._record().get(SHA256, {}).get(part)
        return expected is not None and expected != _digests(self.folder / part)

    def _keep(
        self,
        part: str,
        made_from: dict[str, Any],
        write: Callable[[Path], None],
        *,
        is_begun: bool,
    ) -> None:
        """Make a part, unless it is there and made from the same."""
        folder, record = self.folder / part, self._record()
        is_whole = self._is_whole(part)
        if record.get(part) == made_from and is_whole:
            return
        if is_begun and record.get(part) not in (None, made_from):
            raise ValueError(Errors.E774.format(what=part, folder=self.folder))
        if part not in record and folder.exists():
            raise ValueError(Errors.E778.format(folder=folder))
        # Whatever a kill leaves there now is ours.
        write_json(self.folder / RECORD, {**record, part: None})
        if folder.exists() and not is_whole:
            if self._is_changed(part):
                self.say(f"{part}: its files are not as they were written, so it is made anew")
            shutil.rmtree(folder)
        write(folder)
        record = {**record, part: made_from}
        if part != "tokenizer":  # small, and all of it is read and checked
            record[SHA256] = {**record.get(SHA256, {}), part: _digests(folder)}
        write_json(self.folder / RECORD, record)

    def _record(self) -> dict[str, Any]:
        path = self.folder / RECORD
        return dict(json.loads(path.read_text(encoding="utf8"))) if path.is_file() else {}

    def _options(self) -> dict[str, Any]:
        """How a new tokenizer is trained. What stands for personal data is one piece."""
        options = asdict(self.settings.tokenizer)
        del options["path"]
        scrubbed = self.settings.corpus.scrub
        kinds = KINDS if "all" in scrubbed else [kind for kind in KINDS if kind in scrubbed]
        return {**options, "extra_special": [f"<{kind}>" for kind in kinds]}

    def _write_tokenizer(
        self,
        folder: Path,
        *,
        corpus: Corpus,
        given: PieceTokenizer | None,
        options: Mapping[str, Any],
    ) -> None:
        tokenizer = given
        if tokenizer is None:
            self.say(f"Training a tokenizer of {options['size']} pieces")
            tokenizer = train_tokenizer(corpus.train(), **options)
        with whole_folder(folder) as part:
            tokenizer.to_folder(part)

    def _write_pieces(
        self, folder: Path, *, texts: Callable[[], Iterator[str]], tokenizer: PieceTokenizer
    ) -> None:
        store = write_pieces(folder, texts(), tokenizer)
        self.say(f"{folder.name}: {store.n_documents:,} documents, {store.n_pieces:,} pieces")


def _digests(folder: Path) -> dict[str, str]:
    """RETURNS (dict): The sha256 of each file of a folder, by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
