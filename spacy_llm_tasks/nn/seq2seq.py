"""An encoder and a decoder that reads it: one text in, another out.

    source (S,) -> encoder -> memory (S, W)
    target (T,) -> decoder, which reads the memory -> (T, W)

(Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; BART: Lewis et al. 2019,
https://arxiv.org/abs/1910.13461). In training the target is the text to write, moved one place to
the right, so that each row predicts the piece that follows.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import Errors
from .config import TransformerConfig
from .crossing import Crossing
from .decoder import TransformerDecoder
from .encoder import TransformerEncoder
from .packing import Packing


class EncoderDecoder(nn.Module):
    """Reads pairs of sequences into one vector per piece of the second ones.

    encoder_config, decoder_config (TransformerConfig): Their shapes, of one width.
    share_embeddings (bool): Whether both use one piece table. It is then one parameter under two
        names in the state.
    RAISES (ValueError): The widths differ, or the tables where they are shared.
    """

    def __init__(
        self,
        encoder_config: TransformerConfig,
        decoder_config: TransformerConfig,
        *,
        share_embeddings: bool = True,
    ) -> None:
        super().__init__()
        _check_same(encoder_config, decoder_config, "width")
        self.encoder = TransformerEncoder(encoder_config)
        self.decoder = TransformerDecoder(decoder_config, cross=True)
        self.share_embeddings = share_embeddings
        if share_embeddings:
            _check_same(encoder_config, decoder_config, "n_pieces", "embedding_width")
            self.decoder.embeddings.pieces = self.encoder.embeddings.pieces

    @property
    def piece_table(self) -> Tensor:
        """RETURNS (Tensor): (n_pieces, E) the vectors of the pieces that are written."""
        return self.decoder.piece_table

    def forward(
        self, source: Tensor, source_packing: Packing, target: Tensor, target_packing: Packing
    ) -> Tensor:
        """Encode the sources, then decode the targets, target i with source i.

        source (Tensor): (S,) int64, the piece ids of all sources, end to end.
        source_packing (Packing): Their lengths.
        target (Tensor): (T,) int64, the piece ids of all targets, end to end.
        target_packing (Packing): Their lengths; as many sequences.
        RETURNS (Tensor): (T, W), one row per piece of the targets.
        RAISES (ValueError): A packing is of another batch, or a sequence is too long.
        """
        crossing = Crossing.from_packings(target_packing, source_packing)
        memory = self.encoder(source, source_packing).last
        return self.decoder(target, target_packing, memory=memory, crossing=crossing)

    def layer_of(self, parameter_name: str) -> int:
        """The depth a parameter sits at; the decoder stands on the encoder.

        parameter_name (str): As `named_parameters` spells it.
        RETURNS (int): 0 for embeddings of either, up to the sum of both depths.
        """
        room, _, rest = parameter_name.partition(".")
        if room == "encoder":
            return self.encoder.layer_of(rest)
        layer = self.decoder.layer_of(rest)
        return layer + self.encoder.config.depth if layer else 0

    def set_dropout(self, rate: float | None) -> None:
        """Set every dropout at run time.

        rate (float | None): From 0 to below 1; None: the rates of the configs.
        """
        self.encoder.set_dropout(rate)
        self.decoder.set_dropout(rate)

    def reset_parameters(self) -> None:
        """Draw all weights afresh."""
        self.encoder.reset_parameters()
        self.decoder.reset_parameters()


def _check_same(first: TransformerConfig, second: TransformerConfig, *names: str) -> None:
    for name in names:
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours != theirs:
            raise ValueError(Errors.E133.format(name=name, encoder=ours, decoder=theirs))
