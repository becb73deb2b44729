"""Reading and writing an encoder as a folder in the published layout, alone or with its head.

The head is that of masked-language models, which predicts the pieces behind masks. An encoder that
was pretrained here is written with it, so that others can continue; an encoder that is read without
it reports the head's parameters as left out, like those of poolers and of heads for tasks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..nn.config import TransformerConfig
from ..nn.encoder import TransformerEncoder
from ..nn.piece_head import PieceHead
from .families import FAMILIES
from .family import Boundaries, Family, get_family
from .folder import blaming, open_weights, read_raw, shapes_of, write_folder
from .heads import head_tensors, missing_names, read_head


class Checkpoint(NamedTuple):
    """An encoder or a decoder read from a folder.

    config (TransformerConfig): Its shape.
    state (dict): Our parameter name -> float32 tensor, for `load_state_dict`.
        A tensor may be a view of the file: copy it, as `load_state_dict` does, before changing it.
    ignored (list[str]): Names in the file that are not read, sorted.
    family (str): The family it came from.
    boundaries (Boundaries): Ids of special pieces that config.json gives.
    """

    config: TransformerConfig
    state: dict[str, Tensor]
    ignored: list[str]
    family: str
    boundaries: Boundaries = Boundaries()


def read_config(folder: str | Path) -> TransformerConfig:
    """Read the shape of a published encoder.

    folder (str | Path): Holds config.json.
    RETURNS (TransformerConfig): The shape in our words.
    RAISES (FileNotFoundError): No such folder or file.
    RAISES (ValueError): Broken JSON, or a family or a setting that is not supported.
    """
    return _read_header(folder)[2]


def load_encoder(folder: str | Path, *, device: torch.device | str | None = None) -> Checkpoint:
    """Read a published encoder.

    folder (str | Path): Holds config.json and model.safetensors.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    RETURNS (Checkpoint): Config and parameters, and the names of what was left out.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): A broken or unsupported file, or a parameter missing or misshapen.
    """
    family, raw, config = _read_header(folder)
    shapes = shapes_of(lambda: TransformerEncoder(config))
    with open_weights(folder, (family,), device) as weights:
        state = weights.read_all(shapes, family.place_of)
        return Checkpoint(config, state, weights.unused(), family.name, family.read_boundaries(raw))


def load_piece_head(
    folder: str | Path, *, device: torch.device | str | None = None
) -> dict[str, Tensor]:
    """Read the masked-language head of a published encoder.

    folder (str | Path): Holds config.json and model.safetensors.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    RETURNS (dict): Our name -> float32 tensor, for `PieceHead(config, transform=True, bias=True)`
        with the config of `load_encoder`. The piece table is the encoder's.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): As `load_encoder`, or the checkpoint has no such head or one of a kind that
        we do not have.
    """
    family, raw, config = _read_header(folder)
    with open_weights(folder, (family,), device) as weights:
        return read_head(weights, family, raw, config)


def has_piece_head(folder: str | Path) -> bool:
    """Whether a published encoder comes with a masked-language head.

    folder (str | Path): Holds config.json and model.safetensors.
    RETURNS (bool): Whether all parameters of such a head are in the file.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): A broken file, or a family that is not supported.
    """
    family, _, config = _read_header(folder)
    with open_weights(folder, (family,), None) as weights:
        return not missing_names(weights, family, config)


def save_encoder(
    folder: str | Path,
    encoder: TransformerEncoder,
    *,
    family: str,
    head: PieceHead | None = None,
    boundaries: Boundaries | None = None,
) -> None:
    """Write an encoder so that other libraries load it. The tokenizer is written elsewhere.

    folder (str | Path): Where config.json and model.safetensors go; made where missing.
    encoder (TransformerEncoder): The encoder.
    family (str): "bert", "roberta", "electra", "distilbert" or "modernbert".
    head (PieceHead | None): The masked-language head to write with it; None: the encoder alone.
    boundaries (Boundaries | None): Ids for families that keep them in config.json; None: unknown.
    RAISES (ValueError): No such family, or it cannot express this encoder or head.
    """
    layout = get_family(family, FAMILIES, kind="encoder")
    raw = layout.write_config(encoder.config)
    state = encoder.state_dict()
    if layout.fitted(encoder.config) != encoder.config:
        state["embeddings.segments.weight"] = torch.zeros_like(encoder.embeddings.pieces.weight[:1])
    tensors: dict[str, Tensor] = {}
    for ours, tensor in state.items():
        tensors |= layout.place_of(ours).split(tensor)
    architecture = layout.architecture
    if head is not None:
        architecture = layout.head.architecture
        tensors = {f"{layout.prefix}{name}": tensor for name, tensor in tensors.items()}
        tensors |= head_tensors(layout, head, raw, encoder.config)
    raw |= layout.write_boundaries(boundaries or Boundaries())
    header = {"architectures": [architecture], "model_type": family}
    write_folder(folder, {**header, **raw, "torch_dtype": "float32"}, tensors)


def _read_header(folder: str | Path) -> tuple[Family, dict[str, Any], TransformerConfig]:
    raw = read_raw(folder)
    with blaming(folder):
        family = get_family(raw.get("model_type"), FAMILIES, kind="encoder")
        return family, raw, family.read_config(raw)
