"""The encoder's folder inside a saved pipeline: plain files, none of them a pickle.

`encoder.json` holds the architecture and the checksum of the weights, `tokenizer.json` and its two
neighbours the tokenizer, and `model.safetensors` the weights, reduced ones as they are
(`nn.reduced`); an exported encoder has `model.onnx` in its place. Both are memory-mapped: a loaded
encoder reads a page of them when it first needs it, and one that it changes becomes a copy of its
own. The weights are written under another name first and named last, so that a save that breaks off
never looks complete.
"""

import os
import re
import warnings
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import srsly
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from thinc.api import Model
from torch import Tensor

from ..errors import Errors, Warnings
from ..files import grant_usual_rights, write_json
from ..layers.encoder import install, restore, shim_of
from ..layers.onnx_encoder import GRAPH
from ..layers.shim import contiguous_state, load_state
from ..nn.config import TransformerConfig
from ..nn.precision import check
from ..tokenization.tokenizer import PieceTokenizer
from ..weights.checkpoint import load_encoder, save_encoder
from ..weights.checksum import sha256_of
from ..weights.families import family_for
from ..weights.family import Boundaries

CONFIG, TOKENIZER = "encoder.json", "tokenizer.json"
CHECKSUM, BRANCHES, STORED = "weights_sha256", "branches", "stored"  # keys of encoder.json
PARTS = ("linear", "embeddings")  # what may be reduced

# Published tables are filled up to a multiple of 8, 64 or 128 rows.
MOST_SPARE_ROWS = 127
# How vocabularies write pieces that stand for no text, used or not: [PAD], <s>, [unused7].
_NO_TEXT = re.compile(r"\[.+\]|<.+>")


def fill(model: Model, weights: str | Path, tokenizer: str | Path | None = None) -> None:
    """Fill an encoder layer from a published checkpoint.

    model (Model): The encoder layer.
    weights (str / Path): The folder, with its tokenizer.
    tokenizer (str / Path): Folder or `tokenizer.json` to use instead of the checkpoint's own.
    RAISES (OSError): if a file is missing.
    RAISES (ValueError): if the files do not fit each other or what the config asks for. W460 warns
        of a tokenizer that may be another model's.
    """
    checkpoint = load_encoder(weights)
    pieces = PieceTokenizer.from_folder(tokenizer or weights)
    _compare(checkpoint.config, pieces)
    encoder = install(model, checkpoint.config, pieces)
    load_state(encoder.transformer, checkpoint.state)


def _compare(config: TransformerConfig, pieces: PieceTokenizer) -> None:
    """See whether a tokenizer is that of a checkpoint, as far as sizes and the padding tell. There
    are published checkpoints whose config.json has the id of another special piece as padding, and
    for BERT's family it often has ids of boundaries that mean nothing: those are not compared.

    RAISES (ValueError): if the checkpoint's padding is text for the tokenizer.
    """
    found, expected = pieces.special.pad, config.pad_piece
    if found != expected:
        (name,) = pieces.spell([expected])
        special = {*astuple(pieces.special), *pieces.others}
        if name and expected not in special and not _NO_TEXT.fullmatch(name):
            raise ValueError(Errors.E460.format(expected=expected, name=name, found=found))
        reason = f"its padding has the id {found}, in config.json it is {expected}"
        warnings.warn(Warnings.W460.format(reason=reason), stacklevel=3)
    if config.n_pieces - pieces.n_pieces > MOST_SPARE_ROWS:
        reason = f"it knows {pieces.n_pieces} pieces, the weights have rows for {config.n_pieces}"
        warnings.warn(Warnings.W460.format(reason=reason), stacklevel=3)


def save(path: Path, model: Model) -> None:
    """Write an encoder layer to a folder.

    path (Path): The folder, made if it does not exist.
    model (Model): The encoder layer. One that was never initialised leaves an empty folder.
    """
    path.mkdir(parents=True, exist_ok=True)
    shim = shim_of(model)
    if not shim.is_built or shim.tokenizer is None:
        return
    weights = path / shim.weights_file
    weights.unlink(missing_ok=True)  # an older save's must not stand beside a new config
    unfinished = path / f"{weights.name}.tmp"
    _write(contiguous_state(shim.module), unfinished)
    sizes = shim.cfg["sizes"]
    config = {**sizes["config"], CHECKSUM: sha256_of(unfinished)}
    if sizes.get("branches"):
        config[BRANCHES] = sizes["branches"]
    if shim.stored:
        config[STORED] = shim.stored
    write_json(path / CONFIG, config)  # srsly would round, an epsilon of 1e-12 to 0
    shim.tokenizer.to_folder(path)
    os.replace(unfinished, weights)


def load(path: Path, model: Model) -> None:
    """Fill an encoder layer from a folder that `save` wrote.

    RAISES (ValueError): if a file is missing or damaged, or the weights do not fit the config.
    """
    shim = shim_of(model)
    weights = path / shim.weights_file
    files = [path / CONFIG, path / TOKENIZER, weights]
    if path.is_dir() and not any(file.exists() for file in files):
        return  # saved before it was initialised
    for file in files:
        if not file.exists():
            raise ValueError(Errors.E413.format(path=file))
    try:
        values = dict(srsly.read_json(path / CONFIG))
        checksum, branches = values.pop(CHECKSUM, None), values.pop(BRANCHES, None)
        reduced = values.pop(STORED, None)
        stored = {part: check(reduced[part]) for part in PARTS} if reduced else {}
        config = TransformerConfig.from_dict(values)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(Errors.E423.format(path=path / CONFIG, error=error)) from None
    shim.take_tokenizer(config, PieceTokenizer.from_folder(path))
    shim.keep_in(stored)
    try:
        state = _mapped(weights)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(Errors.E414.format(path=weights, error=error)) from None
    try:
        restore(model, config, branches, state)
    except ValueError as error:
        raise ValueError(Errors.E423.format(path=weights, error=error)) from None
    if checksum is not None and checksum != sha256_of(weights):
        raise ValueError(Errors.E428.format(path=weights))


def _write(state: dict[str, Tensor], path: Path) -> None:
    """Write the tensors of an encoder; the only one of an exported encoder is a file already."""
    if GRAPH in state:
        state[GRAPH].numpy().tofile(path)
    else:
        save_file(state, path)
        grant_usual_rights(path)


def _mapped(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, memory-mapped. Windows lets nobody replace a file that is, so there
    they are copies."""
    if path.suffix == ".onnx":
        state = {GRAPH: torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c"))}
    else:
        state = load_file(path)
    return state if os.name != "nt" else {name: tensor.clone() for name, tensor in state.items()}


def export_checkpoint(model: Model, path: str | Path, *, family: str | None = None) -> None:
    """Write an encoder layer as a published checkpoint, tokenizer included.

    model (Model): The encoder layer.
    path (str / Path): The folder, made if it does not exist.
    family (str): "bert", "roberta", "electra", "distilbert" or "modernbert"; None takes the first
        that can express the encoder.
    RAISES (ValueError): if the layer has no weights yet, or no family can express it, or not that
        one.
    """
    shim = shim_of(model)
    if shim.stored:
        raise ValueError(Errors.E443.format(found=shim.precision))
    encoder: Any = shim.module
    ids = None if shim.tokenizer is None else shim.tokenizer.special
    save_encoder(
        path,
        encoder.transformer,
        family=family or family_for(encoder.transformer.config),
        boundaries=None if ids is None else Boundaries(start=ids.cls, end=ids.sep),
    )
    if shim.tokenizer is not None:
        shim.tokenizer.to_folder(path)
