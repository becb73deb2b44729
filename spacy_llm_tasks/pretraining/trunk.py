"""The model that a run trains: built from a preset, or read from a checkpoint, and written at last.

What comes out is a folder in a published layout, so that other libraries load it: an encoder in
ModernBERT's unless it came from another family, a decoder in GPT-2's, an encoder-decoder in BART's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.decoder import TransformerDecoder
from ..nn.encoder import TransformerEncoder
from ..nn.piece_head import PieceHead
from ..nn.presets import preset
from ..nn.seq2seq import EncoderDecoder
from ..tokenization.pieces import SpecialPieces
from ..weights.checkpoint import has_piece_head, load_encoder, load_piece_head, save_encoder
from ..weights.decoders import DECODERS, load_decoder, save_decoder
from ..weights.families import FAMILIES
from ..weights.family import Boundaries
from ..weights.folder import CONFIG_FILE
from ..weights.seq2seq import load_seq2seq, save_seq2seq
from ..weights.seq2seq_families import SEQ2SEQ
from .model import Trunk as Model
from .model import config_of
from .settings import ModelSettings

# The family that a model from a preset is written in.
WRITTEN_AS = {"encoder": "modernbert", "decoder": "gpt2", "seq2seq": "bart"}
KNOWN = {"encoder": FAMILIES, "decoder": DECODERS, "seq2seq": SEQ2SEQ}
# What of a checkpoint's config may be set anew: it changes no parameter.
ADJUSTABLE = ("dropout", "attention_dropout")


@dataclass(frozen=True)
class Trunk:
    """A model to train, and what is known of it.

    model (nn.Module): A `TransformerEncoder`, `TransformerDecoder` or `EncoderDecoder`.
    kind (str): "encoder", "decoder" or "seq2seq".
    family (str): The family to write it in.
    head (dict | None): Parameters for a `PieceHead` that came with it.
    """

    model: Model
    kind: str
    family: str
    head: Mapping[str, Tensor] | None = None

    @property
    def config(self) -> TransformerConfig:
        """RETURNS (TransformerConfig): Of the model; of an encoder-decoder, the decoder's."""
        return config_of(self.model)


def build_trunk(settings: ModelSettings, *, n_pieces: int) -> Trunk:
    """Build the model with fresh weights, or read a checkpoint.

    settings (ModelSettings): Which.
    n_pieces (int): Size of the vocabulary.
    RETURNS (Trunk): The model.
    RAISES (ValueError): No such kind, size or setting, or the checkpoint is of another kind.
    RAISES (FileNotFoundError): There is no such checkpoint.
    """
    if settings.kind not in WRITTEN_AS:
        known = ", ".join(WRITTEN_AS)
        raise ValueError(Errors.E767.format(found=settings.kind, known=known))
    if settings.init is not None:
        return _read(settings, Path(settings.init))
    config = preset(settings.kind, settings.size, n_pieces=n_pieces, **settings.overrides)
    return Trunk(_of_kind(settings.kind, config), settings.kind, WRITTEN_AS[settings.kind])


def write_trunk(
    folder: Path, trunk: Trunk, *, head: nn.Module | None, special: SpecialPieces
) -> None:
    """Write the model so that `trf_encoder` and other libraries load it.

    folder (Path): Where to.
    trunk (Trunk): The model.
    head (nn.Module | None): What predicts pieces, where an objective has trained such a head and
        the family has a place for it; else it is left out.
    special (SpecialPieces): Of the tokenizer; some families keep their ids in config.json.
    """
    boundaries = Boundaries(
        start=special.cls,
        end=special.sep,
        decoder_start=special.sep if trunk.kind == "seq2seq" else None,
    )
    model: Any = trunk.model
    piece_head = head if isinstance(head, PieceHead) else None
    save: Any = {"encoder": save_encoder, "decoder": save_decoder, "seq2seq": save_seq2seq}
    save[trunk.kind](folder, model, family=trunk.family, head=piece_head, boundaries=boundaries)


def kind_of(folder: Path) -> str:
    """What a checkpoint is.

    folder (Path): Holds config.json.
    RETURNS (str): "encoder", "decoder" or "seq2seq".
    RAISES (FileNotFoundError): There is no config.json.
    RAISES (ValueError): It is of no family that we know.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(Errors.E111.format(path=path))
    family = json.loads(path.read_text(encoding="utf8")).get("model_type")
    for kind, families in KNOWN.items():
        if family in families:
            return kind
    known = ", ".join(name for families in KNOWN.values() for name in families)
    raise ValueError(Errors.E768.format(path=path, found=family, known=known))


def _of_kind(kind: str, config: TransformerConfig) -> Model:
    if kind == "seq2seq":
        return EncoderDecoder(config, config)
    return TransformerEncoder(config) if kind == "encoder" else TransformerDecoder(config)


def _read(settings: ModelSettings, folder: Path) -> Trunk:
    if (kind := kind_of(folder)) != settings.kind:
        raise ValueError(Errors.E769.format(path=folder, found=kind, expected=settings.kind))
    fixed = sorted(set(settings.overrides) - set(ADJUSTABLE))
    if fixed:
        known = ", ".join(ADJUSTABLE)
        raise ValueError(Errors.E770.format(names=", ".join(fixed), path=folder, known=known))
    if kind == "seq2seq":
        found = load_seq2seq(folder)
        configs = [
            dataclasses.replace(config, **settings.overrides)
            for config in (found.encoder_config, found.decoder_config)
        ]
        model: Any = EncoderDecoder(*configs, share_embeddings=found.share_embeddings)
        model.load_state_dict(found.state)
        return Trunk(model, kind, found.family, found.head)
    checkpoint = load_encoder(folder) if kind == "encoder" else load_decoder(folder)
    config = dataclasses.replace(checkpoint.config, **settings.overrides)
    model = _of_kind(kind, config)
    model.load_state_dict(checkpoint.state)
    # Most published encoders are bare: their head is trained anew.
    head = load_piece_head(folder) if kind == "encoder" and has_piece_head(folder) else None
    return Trunk(model, kind, checkpoint.family, head)
