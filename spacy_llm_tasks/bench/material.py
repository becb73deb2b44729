"""What pretraining benchmarks read: a corpus, a tokenizer made from it, and the pieces of both
splits, all in one folder and made once.

    folder/
        corpus/       as `pretraining.texts.corpus` writes it
        tokenizer/    byte-level BPE
        pieces/       train and held_out, as `pretraining.pieces` writes them
        material.json what these were made from; written last
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..corpora.spacy_texts import spacy_texts
from ..files import whole_folder, write_json
from ..pretraining.pieces.piece_store import PieceStore, hash_of, write_pieces
from ..pretraining.pieces.special import SpecialIds
from ..pretraining.texts.corpus import Corpus, CorpusSettings, prepare
from ..tokenization.tokenizer import PieceTokenizer
from ..tokenization.train import train_tokenizer

READERS = {".spacy": spacy_texts}
MARK = "material.json"
# More than recipes hold out: a small corpus must give enough text to judge by.
HELD_OUT = 0.05


@dataclass(frozen=True)
class Material:
    """A folder that is filled.

    folder (Path): The folder.
    """

    folder: Path

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    @cached_property
    def special(self) -> SpecialIds:
        """RETURNS (SpecialIds): The special pieces, and how many pieces there are."""
        tokenizer = PieceTokenizer.from_folder(self.tokenizer)
        return SpecialIds.from_pieces(tokenizer.special, n_pieces=tokenizer.n_pieces)

    def pieces(self, split: str) -> PieceStore:
        """RETURNS (PieceStore): Of "train" or "held_out"."""
        return PieceStore.open(self.folder / "pieces" / split)

    def about(self) -> dict[str, Any]:
        """RETURNS (dict): What was read: SHA-256 of both splits and of the tokenizer, sizes."""
        report = Corpus.open(self.corpus).report
        tokenizer = PieceTokenizer.from_folder(self.tokenizer)
        return {
            "train_sha256": report.train.sha256,
            "held_out_sha256": report.held_out.sha256,
            "tokenizer_sha256": hash_of(tokenizer),
            "vocabulary": tokenizer.n_pieces,
            "train_pieces": self.pieces("train").n_pieces,
            "held_out_pieces": self.pieces("held_out").n_pieces,
        }


def corpus_settings(paths: Sequence[str]) -> CorpusSettings:
    """RETURNS (CorpusSettings): What is done to the text, for `pretrain` too."""
    return CorpusSettings(paths=list(paths), held_out=HELD_OUT)


def prepare_material(
    folder: Path, paths: Sequence[str], *, vocabulary: int, say: Callable[[str], None]
) -> Material:
    """Fill the folder, as far as it is not filled from the same text already.

    folder (Path): The folder.
    paths (Sequence[str]): The corpus: files, folders, patterns, or "pydoc:".
    vocabulary (int): Pieces of the tokenizer.
    say (Callable): Takes lines about what is being done.
    RETURNS (Material): The folder.
    RAISES (ValueError): There is no text, or not enough for such a vocabulary.
    """
    material = Material(folder)
    settings = corpus_settings(paths)
    corpus = prepare(settings, folder=material.corpus, readers=READERS, say=say)
    texts = {"train": corpus.report.train.sha256, "held_out": corpus.report.held_out.sha256}
    made_from, mark = {**texts, "vocabulary": vocabulary}, folder / MARK
    if mark.is_file() and json.loads(mark.read_text(encoding="utf8")) == made_from:
        return material
    mark.unlink(missing_ok=True)
    say(f"Training a tokenizer of {vocabulary} pieces")
    tokenizer = train_tokenizer(corpus.train(), kind="bpe", size=vocabulary)
    with whole_folder(material.tokenizer) as part:
        tokenizer.to_folder(part)
    # as a file gives it back, which is what runs are given
    tokenizer = PieceTokenizer.from_folder(material.tokenizer)
    for split, read in (("train", corpus.train), ("held_out", corpus.held_out)):
        write_pieces(folder / "pieces" / split, read(), tokenizer)
    write_json(mark, made_from)
    return material
