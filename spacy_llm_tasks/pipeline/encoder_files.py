"""The encoder's folder inside a saved pipeline: plain files, none of them a pickle.

`encoder.json` holds the architecture and the checksum of the weights, `tokenizer.json` and its two
neighbours the tokenizer, and `model.safetensors` the weights, which are memory-mapped on load. The
weights are written under another name first and named last, so that a save that breaks off never
looks complete.
"""

import os
from pathlib import Path
from typing import Any

import srsly
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from thinc.api import Model

from ..errors import Errors
from ..files import write_json
from ..layers.encoder import install, shim_of
from ..layers.shim import contiguous_state, load_state
from ..nn.config import TransformerConfig
from ..tokenization.tokenizer import PieceTokenizer
from ..weights.checkpoint import load_encoder, save_encoder
from ..weights.checksum import sha256_of
from ..weights.families import family_for
from ..weights.family import Boundaries

CONFIG, TOKENIZER, WEIGHTS = "encoder.json", "tokenizer.json", "model.safetensors"
CHECKSUM, BRANCHES = "weights_sha256", "branches"  # keys of encoder.json


def fill(model: Model, weights: str | Path, tokenizer: str | Path | None = None) -> None:
    """Fill an encoder layer from a published checkpoint.

    model (Model): The encoder layer.
    weights (str / Path): The folder, with its tokenizer.
    tokenizer (str / Path): Folder or `tokenizer.json` to use instead of the checkpoint's own.
    RAISES (OSError): if a file is missing.
    RAISES (ValueError): if the files do not fit each other or what the config asks for.
    """
    checkpoint = load_encoder(weights)
    pieces = PieceTokenizer.from_folder(tokenizer or weights)
    encoder = install(model, checkpoint.config, pieces)
    load_state(encoder.transformer, checkpoint.state)


def save(path: Path, model: Model) -> None:
    """Write an encoder layer to a folder.

    path (Path): The folder, made if it does not exist.
    model (Model): The encoder layer. One that was never initialised leaves an empty folder.
    """
    path.mkdir(parents=True, exist_ok=True)
    shim = shim_of(model)
    if not shim.is_built or shim.tokenizer is None:
        return
    (path / WEIGHTS).unlink(missing_ok=True)  # an older save's must not stand beside a new config
    unfinished = path / f"{WEIGHTS}.tmp"
    save_file(contiguous_state(shim.module), unfinished)
    sizes = shim.cfg["sizes"]
    config = {**sizes["config"], CHECKSUM: sha256_of(unfinished)}
    if sizes.get("branches"):
        config[BRANCHES] = sizes["branches"]
    write_json(path / CONFIG, config)  # srsly would round, an epsilon of 1e-12 to 0
    shim.tokenizer.to_folder(path)
    os.replace(unfinished, path / WEIGHTS)


def load(path: Path, model: Model) -> None:
    """Fill an encoder layer from a folder that `save` wrote.

    RAISES (ValueError): if a file is missing or damaged, or the weights do not fit the config.
    """
    if path.is_dir() and not any((path / name).exists() for name in (CONFIG, TOKENIZER, WEIGHTS)):
        return  # saved before it was initialised
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        if not (path / name).exists():
            raise ValueError(Errors.E413.format(path=path / name))
    try:
        values = dict(srsly.read_json(path / CONFIG))
        checksum, branches = values.pop(CHECKSUM, None), values.pop(BRANCHES, None)
        config = TransformerConfig.from_dict(values)
    except (ValueError, TypeError) as error:
        raise ValueError(Errors.E423.format(path=path / CONFIG, error=error)) from None
    encoder = install(model, config, PieceTokenizer.from_folder(path), branches)
    try:
        state = load_file(path / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ValueError(Errors.E414.format(path=path / WEIGHTS, error=error)) from None
    try:
        load_state(encoder, state)
    except ValueError as error:
        raise ValueError(Errors.E423.format(path=path / WEIGHTS, error=error)) from None
    if checksum is not None and checksum != sha256_of(path / WEIGHTS):
        raise ValueError(Errors.E428.format(path=path / WEIGHTS))


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
