"""A checkpoint's folder, and a text in the pieces of its tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...errors import Errors
from ...nn.config import TransformerConfig
from ...tokenization.tokenizer import PieceTokenizer
from ...weights.folder import CONFIG_FILE, read_raw
from ..trunk import kind_of

# Where a pretraining run leaves its model, below its own folder.
MODEL_FOLDER = "model"


def kind_in(folder: str | Path) -> str:
    """What kind of model lies in a folder.

    folder (str | Path): The folder.
    RETURNS (str): "encoder", "decoder" or "seq2seq".
    RAISES (FileNotFoundError): It holds no checkpoint.
    RAISES (ValueError): Its config.json is broken, or of a family that we do not know.
    """
    path = Path(folder)
    if not (path / CONFIG_FILE).is_file():
        inner = path / MODEL_FOLDER
        hint = f"Did you mean {inner}?" if (inner / CONFIG_FILE).is_file() else "Check the path."
        raise FileNotFoundError(Errors.E780.format(path=path, hint=hint))
    read_raw(path)
    return kind_of(path)


def pieces_of(text: str, tokenizer: PieceTokenizer) -> list[int]:
    """Cut a text.

    text (str): The text.
    tokenizer (PieceTokenizer): How.
    RETURNS (list[int]): Ids, at least one, without special pieces around them.
    RAISES (ValueError): Nothing of the text is left.
    """
    ids: list[int] = tokenizer.encode([text]).ids.tolist()
    if not ids:
        raise ValueError(Errors.E783.format(text=text))
    return ids


def check_pieces(pieces: Iterable[int], config: TransformerConfig, folder: Path) -> None:
    """Look whether a model can read a sequence.

    pieces (Iterable[int]): Ids, special ones included.
    config (TransformerConfig): The model's shape.
    folder (Path): Where it lies, for errors.
    RAISES (ValueError): The sequence is too long, or the model has no vector for one of its pieces.
    """
    ids = list(pieces)
    if len(ids) > config.max_length:
        raise ValueError(Errors.E784.format(found=len(ids), limit=config.max_length))
    if max(ids) >= config.n_pieces:
        found = {"path": folder, "piece": max(ids), "n_pieces": config.n_pieces}
        raise ValueError(Errors.E785.format(**found))


def readable(ids: Iterable[int], tokenizer: PieceTokenizer) -> list[str]:
    """Name pieces for people: as the vocabulary does, but with letters where byte-level
    vocabularies have signs for bytes ("Ġété", not "ĠÃ©tÃ©").

    ids (Iterable[int]): The pieces.
    tokenizer (PieceTokenizer): Whose they are.
    RETURNS (list[str]): A name for each.
    """
    ids = list(ids)
    names = tokenizer.spell(ids)
    if tokenizer.kind != "bpe":
        return names
    texts = [tokenizer.decode([i]).replace(" ", "Ġ") for i in ids]
    # special pieces have no text, and some pieces are a part of a character only
    return [
        text if text.isprintable() and text and "\ufffd" not in text else name
        for text, name in zip(texts, names, strict=True)
    ]
