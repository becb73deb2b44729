"""An encoder as `spacy pretrain` writes it: one file, which `[initialize] init_tok2vec` names.

The file holds the bytes of a thinc layer. `nlp.initialize()` first initialises all components, then
has the layer that `[pretraining]` names (`component` and `layer`) read them. A head must know how
wide its encoder is before that, so the encoder takes its shape and its tokenizer from the file when
it is initialised, and nothing else has to be named.
"""

from pathlib import Path

import srsly
from spacy.language import Language
from thinc.api import Model

from ..errors import Errors
from ..files import write_bytes
from ..layers.encoder import build_transformer_v1, install, shim_of
from .encoder_files import fill


def write_init_tok2vec(
    weights: str | Path, path: str | Path, *, tokenizer: str | Path | None = None
) -> None:
    """Write a checkpoint as such a file.

    weights (str / Path): Folder with a published checkpoint and its tokenizer.
    path (str / Path): The file to write.
    tokenizer (str / Path): Folder or `tokenizer.json` to use instead of the checkpoint's own.
    RAISES (OSError): if a file is missing or cannot be written.
    RAISES (ValueError): if the checkpoint cannot be used.
    """
    layer = build_transformer_v1()
    fill(layer, weights, tokenizer)
    message = layer.to_dict()
    # thinc would put these over what the config of the pipeline says: its windows
    message["attrs"] = [{} for _ in message["attrs"]]
    write_bytes(Path(path), srsly.msgpack_dumps(message))


def find_init_tok2vec(nlp: Language | None, name: str) -> Path | None:
    """Look for the file that an encoder will read when its pipeline has been initialised.

    nlp (Language): The pipeline, with its config.
    name (str): The encoder's name.
    RETURNS (Path): The file; None if the config names none, or names it for another component.
    """
    if nlp is None:
        return None
    config = nlp.config.interpolate()
    path = config["initialize"].get("init_tok2vec")
    pretraining = config.get("pretraining") or {}
    is_ours = pretraining.get("component") == name and not pretraining.get("layer")
    return Path(path) if path and is_ours else None


def take_shape(model: Model, path: Path) -> None:
    """Build the encoder that a file describes, with random weights, and take over its tokenizer.

    model (Model): The encoder layer.
    path (Path): The file.
    RAISES (FileNotFoundError): if there is no such file.
    RAISES (ValueError): if it holds no encoder, or one that the config does not ask for.
    """
    if not path.is_file():
        raise FileNotFoundError(Errors.E438.format(path=path, error="there is no such file"))
    found = build_transformer_v1()
    try:
        found.from_bytes(path.read_bytes())
        shim = shim_of(found)
        config, pieces = shim.encoder.config, shim.built_tokenizer
    except Exception as error:  # whatever bytes of something else lead to
        raise ValueError(Errors.E438.format(path=path, error=error)) from error
    install(model, config, pieces)
