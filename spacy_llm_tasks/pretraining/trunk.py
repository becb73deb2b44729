"""The model that a run trains: built from a preset, or read from a checkpoint, and written at last.

What comes out is a folder in a published layout, so that other libraries load it: an encoder in
ModernBERT's unless it came from another family, a decoder in GPT-2's, an encoder-decoder in BART's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
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
from ..weights.family import Boundaries, Family
from ..weights.folder import CONFIG_FILE, read_raw
from ..weights.heads import head_tensors
from ..weights.seq2seq import load_seq2seq, save_seq2seq
from ..weights.seq2seq_families import SEQ2SEQ
from .model import Trunk as Model
from .settings import ModelSettings

# The family that a model from a preset is written in.
WRITTEN_AS = {"encoder": "modernbert", "decoder": "gpt2", "seq2seq": "bart"}
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "encoder": FAMILIES,
    "decoder": DECODERS,
    "seq2seq": SEQ2SEQ,
}
# What of a checkpoint's config may be set anew: it changes no parameter.
ADJUSTABLE = ("dropout", "attention_dropout")


@dataclass(frozen=True)
class Trunk:
    """A model to train, and what is known of it.

    model (nn.Module): A `TransformerEncoder`, `TransformerDecoder` or `EncoderDecoder`.
    kind (str): "encoder", "decoder" or "seq2seq".
    family (str): The family to write it in.
    head (Mapping | None): Parameters for a `PieceHead` that came with it.
    """

    model: Model
    kind: str
    family: str
    head: Mapping[str, Tensor] | None = None

    @property
    def configs(self) -> list[TransformerConfig]:
        """RETURNS (list[TransformerConfig]): Of the model; of an encoder-decoder, of both."""
        if isinstance(self.model, EncoderDecoder):
            return [self.model.encoder.config, self.model.decoder.config]
        return [self.model.config]

    @property
    def max_length(self) -> int:
        """RETURNS (int): The longest sequence in pieces, special ones included."""
        return min(config.max_length for config in self.configs)

    def blank(self) -> Trunk:
        """RETURNS (Trunk): One of the same shape with fresh weights, on the CPU, as it is before
        anything is wrapped around its parts."""
        share = isinstance(self.model, EncoderDecoder) and self.model.share_embeddings
        return Trunk(_of_kind(self.kind, self.configs, share=share), self.kind, self.family)


def build_trunk(settings: ModelSettings, *, n_pieces: int, pad_piece: int = 0) -> Trunk:
    """Build the model with fresh weights, or read a checkpoint.

    settings (ModelSettings): Which.
    n_pieces (int): Size of the vocabulary.
    pad_piece (int): Its padding piece.
    RETURNS (Trunk): The model.
    RAISES (ValueError): No such kind, size or setting, the checkpoint is of another kind, or its
        vocabulary is smaller.
    RAISES (FileNotFoundError): There is no such checkpoint.
    """
    kind = settings.kind
    if kind not in WRITTEN_AS:
        known = ", ".join(WRITTEN_AS)
        raise ValueError(Errors.E767.format(found=kind, known=known))
    if settings.init is not None:
        return _read(settings, Path(settings.init), n_pieces)
    if "n_pieces" in settings.overrides:
        hint = "The tokenizer decides it: set tokenizer.size or tokenizer.path."
        raise ValueError(Errors.E760.format(name="model.overrides.n_pieces", hint=hint))
    values = {"pad_piece": pad_piece, **settings.overrides}
    config = preset(kind, settings.size, n_pieces=n_pieces, **values)
    configs = [config] * (2 if kind == "seq2seq" else 1)
    return Trunk(_of_kind(kind, configs), kind, WRITTEN_AS[kind])


def write_trunk(
    folder: Path, trunk: Trunk, *, head: PieceHead | None, special: SpecialPieces
) -> None:
    """Write the model so that `trf_encoder` and other libraries load it.

    folder (Path): Where to.
    trunk (Trunk): The model.
    head (PieceHead | None): What predicts pieces, where an objective has trained such a head.
    special (SpecialPieces): Of the tokenizer; some families keep their ids in config.json.
    """
    boundaries = Boundaries(
        start=special.cls,
        end=special.sep,
        decoder_start=special.sep if trunk.kind == "seq2seq" else None,
    )
    model: Any = trunk.model
    save: Any = {"encoder": save_encoder, "decoder": save_decoder, "seq2seq": save_seq2seq}
    save[trunk.kind](folder, model, family=trunk.family, head=head, boundaries=boundaries)


def check_layout(trunk: Trunk, head: PieceHead | None) -> None:
    """Find out whether `write_trunk` will be able to write a model, before it is trained.

    trunk (Trunk): The model; its tensors may be without storage.
    head (PieceHead | None): What predicts pieces.
    RAISES (ValueError): Its family cannot express the model or the head; what cannot is named.
    """
    layout = KNOWN[trunk.kind][trunk.family]
    options = {}
    if isinstance(trunk.model, EncoderDecoder):
        options["share"] = trunk.model.share_embeddings
    raw = layout.write_config(*trunk.configs, **options)
    side: Family = layout.decoder if trunk.kind == "seq2seq" else layout
    if head is not None:
        head_tensors(side, head, raw, trunk.configs[-1])


def piece_head(heads: Iterable[nn.Module]) -> PieceHead | None:
    """RETURNS (PieceHead | None): The first head that a published layout has a place for."""
    return next((head for head in heads if isinstance(head, PieceHead)), None)


def kind_of(folder: Path) -> str:
    """What a checkpoint is.

    folder (Path): Holds config.json.
    RETURNS (str): "encoder", "decoder" or "seq2seq".
    RAISES (FileNotFoundError): There is no config.json.
    RAISES (ValueError): It is broken, or of no family that we know.
    """
    family = read_raw(folder).get("model_type")
    for kind, families in KNOWN.items():
        if family in families:
            return kind
    known = ", ".join(name for families in KNOWN.values() for name in families)
    raise ValueError(Errors.E768.format(path=folder / CONFIG_FILE, found=family, known=known))


def _of_kind(kind: str, configs: list[TransformerConfig], *, share: bool = True) -> Model:
    if kind == "seq2seq":
        encoder, decoder = configs
        return EncoderDecoder(encoder, decoder, share_embeddings=share)
    (config,) = configs
    return TransformerEncoder(config) if kind == "encoder" else TransformerDecoder(config)


def _read(settings: ModelSettings, folder: Path, n_pieces: int) -> Trunk:
    if (kind := kind_of(folder)) != settings.kind:
        raise ValueError(Errors.E769.format(path=folder, found=kind, expected=settings.kind))
    fixed = sorted(set(settings.overrides) - set(ADJUSTABLE))
    if fixed:
        known = ", ".join(ADJUSTABLE)
        raise ValueError(Errors.E770.format(names=", ".join(fixed), path=folder, known=known))
    head: Mapping[str, Tensor] | None = None
    share = True
    if kind == "seq2seq":
        found = load_seq2seq(folder)
        configs = [found.encoder_config, found.decoder_config]
        state, family, head = found.state, found.family, found.head
        share = found.share_embeddings
    else:
        checkpoint = load_encoder(folder) if kind == "encoder" else load_decoder(folder)
        configs = [checkpoint.config]
        state, family = checkpoint.state, checkpoint.family
        # Most published encoders are bare: their head is trained anew.
        if kind == "encoder" and has_piece_head(folder):
            head = load_piece_head(folder)
    if n_pieces > (size := configs[-1].n_pieces):
        raise ValueError(Errors.E777.format(path=folder, size=size, found=n_pieces))
    adjusted = [dataclasses.replace(config, **settings.overrides) for config in configs]
    model = _of_kind(kind, adjusted, share=share)
    model.load_state_dict(state)
    return Trunk(model, kind, family, head)
