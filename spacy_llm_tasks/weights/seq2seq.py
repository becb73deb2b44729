"""Reading and writing an encoder-decoder as a folder in the published layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..nn.config import TransformerConfig
from ..nn.piece_head import PieceHead
from ..nn.seq2seq import EncoderDecoder
from .family import Boundaries, get_family
from .folder import blaming, open_weights, read_raw, shapes_of, write_folder
from .heads import head_tensors, read_head
from .seq2seq_families import SEQ2SEQ


class Seq2SeqCheckpoint(NamedTuple):
    """An encoder-decoder read from a folder.

    encoder_config (TransformerConfig): The encoder's shape.
    decoder_config (TransformerConfig): The decoder's shape.
    share_embeddings (bool): Whether both have one piece table.
    state (dict): Our parameter name -> float32 tensor, for `EncoderDecoder.load_state_dict`.
        A tensor may be a view of the file: copy it, as `load_state_dict` does, before changing it.
    head (dict): The same for `PieceHead(decoder_config, transform=False, bias=True)`, which
        predicts the pieces with the decoder's table.
    ignored (list[str]): Names in the file that are not read, sorted.
    family (str): The family it came from.
    boundaries (Boundaries): Ids of special pieces that config.json gives.
    """

    encoder_config: TransformerConfig
    decoder_config: TransformerConfig
    share_embeddings: bool
    state: dict[str, Tensor]
    head: dict[str, Tensor]
    ignored: list[str]
    family: str
    boundaries: Boundaries


def load_seq2seq(
    folder: str | Path, *, device: torch.device | str | None = None
) -> Seq2SeqCheckpoint:
    """Read a published encoder-decoder.

    folder (str | Path): Holds config.json and model.safetensors.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    RETURNS (Seq2SeqCheckpoint): Configs and parameters, and the names of what was left out.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): A broken or unsupported file, or a parameter missing or misshapen.
    """
    raw = read_raw(folder)
    with blaming(folder):
        family = get_family(raw.get("model_type"), SEQ2SEQ, kind="encoder-decoder")
        encoder, decoder, share = family.read_config(raw)
    shapes = shapes_of(lambda: EncoderDecoder(encoder, decoder, share_embeddings=share))
    with open_weights(folder, family.sides, device) as weights:
        state = weights.read_all(shapes, partial(family.place_of, share=share))
        bias = family.decoder.head.bias
        if bias is not None and bias in weights:
            head = read_head(weights, family.decoder, raw, decoder)
        else:  # the bare model has none, and neither have files that leave out zeros
            head = {"bias": torch.zeros(decoder.n_pieces, device=device)}
        ignored = weights.unused()
    boundaries = family.decoder.read_boundaries(raw)
    return Seq2SeqCheckpoint(encoder, decoder, share, state, head, ignored, family.name, boundaries)


def save_seq2seq(
    folder: str | Path,
    model: EncoderDecoder,
    *,
    family: str = "bart",
    head: PieceHead | None = None,
    boundaries: Boundaries | None = None,
) -> None:
    """Write an encoder-decoder so that other libraries load it. The tokenizer is written elsewhere.

    folder (str | Path): Where config.json and model.safetensors go; made where missing.
    model (EncoderDecoder): The model.
    family (str): "bart" or "marian".
    head (PieceHead | None): What predicts its pieces; None: the product with the decoder's table.
    boundaries (Boundaries | None): Ids of the pieces that begin and end a text and that the decoder
        begins with, which others need to generate; None: unknown.
    RAISES (ValueError): No such family, or it cannot express this model or head.
    """
    layout = get_family(family, SEQ2SEQ, kind="encoder-decoder")
    encoder, decoder = model.encoder.config, model.decoder.config
    share = model.encoder.piece_table is model.decoder.piece_table
    raw = layout.write_config(encoder, decoder, share=share)
    tensors: dict[str, Tensor] = {}
    for ours, tensor in model.state_dict().items():
        for name, part in layout.place_of(ours, share=share).split(tensor).items():
            tensors[f"{layout.decoder.prefix}{name}"] = part
    if head is None:
        head = PieceHead(decoder, transform=False, bias=False)
    tensors |= head_tensors(layout.decoder, head, raw, decoder)
    raw |= layout.decoder.write_boundaries(boundaries or Boundaries())
    header = {"architectures": [layout.decoder.architecture], "model_type": family}
    write_folder(folder, {**header, **raw, "torch_dtype": "float32"}, tensors)
