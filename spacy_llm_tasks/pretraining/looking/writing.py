"""What a model writes: a decoder goes on with a text, an encoder-decoder writes one anew.

    decoder           reads   cls  once  upon              writes   a  time ... sep
    encoder-decoder   reads   cls  once  [MASK]  time  sep
                      writes  once  upon  a  time  sep

Texts are opened and closed as our pretraining does it (`objectives.causal`,
`objectives.denoising`). Published decoders without a piece for the start alone (GPT-2) have read
the one that stands between documents there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from ...errors import Errors
from ...nn.decoder import TransformerDecoder
from ...nn.encoder import TransformerEncoder
from ...nn.generation import generate
from ...nn.packing import Packing
from ...nn.piece_head import PieceHead
from ...nn.seq2seq import EncoderDecoder
from ...tokenization.tokenizer import PieceTokenizer
from ...weights.decoders import load_decoder
from ...weights.seq2seq import load_seq2seq
from .folder import check_pieces, kind_in, pieces_of
from .masks import as_masks

# How many pieces are written where nobody says how many.
MAX_NEW = 50


class Written(NamedTuple):
    """What a model has written.

    text (str): The new text; of a decoder, what follows the text that it was given.
    pieces (list[int]): Its pieces, the one that ends a text included.
    is_ended (bool): Whether the model has ended the text itself.
    """

    text: str
    pieces: list[int]
    is_ended: bool


class Writer:
    """Writes with a decoder or an encoder-decoder.

    folder (str | Path): A published model with its tokenizer.
    RAISES (FileNotFoundError): It holds no checkpoint or no tokenizer.
    RAISES (ValueError): It is an encoder, or cannot be used.

    kind (str): "decoder" or "seq2seq".
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.kind = kind_in(folder)
        if self.kind == "encoder":
            raise ValueError(Errors.E788.format(path=folder))
        self.tokenizer = PieceTokenizer.from_folder(folder)
        self.encoder: TransformerEncoder | None = None
        # What the decoder reads first: of a decoder, the piece that opens a text.
        self.start = self.tokenizer.special.cls
        if self.kind == "decoder":
            checkpoint = load_decoder(folder)
            self.decoder = TransformerDecoder(checkpoint.config).eval()
            self.decoder.load_state_dict(checkpoint.state)
            self.head = PieceHead(checkpoint.config, transform=False, bias=False)
        else:
            found = load_seq2seq(folder)
            share = found.share_embeddings
            configs = (found.encoder_config, found.decoder_config)
            model = EncoderDecoder(*configs, share_embeddings=share).eval()
            model.load_state_dict(found.state)
            self.encoder, self.decoder = model.encoder, model.decoder
            self.head = PieceHead(found.decoder_config, transform=False, bias=True)
            self.head.load_state_dict(found.head)
            named = found.boundaries.decoder_start
            self.start = self.tokenizer.special.sep if named is None else named

    def write(
        self,
        text: str,
        *,
        max_new: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Written:
        """Go on with a text (decoder), or write it anew without gaps (encoder-decoder).

        text (str): The text. In that for an encoder-decoder, "[MASK]" stands for the vocabulary's
            mask; one mask may stand for any number of pieces.
        max_new (int | None): Write at most so many pieces; None: 50, or what the model has room
            for.
        temperature (float): 0 takes the likeliest piece each time; else pieces are drawn, see
            `nn.sampling`.
        top_k (int | None): Draw from the k likeliest only.
        top_p (float | None): Draw from the likeliest that together have this probability only.
        seed (int): Decides what is drawn.
        RETURNS (Written): What was written.
        RAISES (ValueError): The text is empty or too long, or a setting is out of range.
        """
        memory = None
        if self.encoder is None:
            prompt = [self.start, *pieces_of(text, self.tokenizer)]
        else:
            prompt = [self.start]
            memory = self._read(text, self.encoder)
        check_pieces(prompt, self.decoder.config, self.folder)
        if max_new is None:
            # the last piece written is not read again
            max_new = min(MAX_NEW, self.decoder.config.max_length - len(prompt) + 1)
        stop = self.tokenizer.special.sep
        written = generate(
            self.decoder,
            self.head,
            prompt,
            max_new=max_new,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            stop=stop,
            generator=torch.Generator().manual_seed(seed),
            memory=memory,
        )
        return Written(self._spelled(prompt, written), written, stop in written)

    @torch.no_grad()
    def _read(self, text: str, encoder: TransformerEncoder) -> torch.Tensor:
        """(S, W), the encoder's rows."""
        special = self.tokenizer.special
        if special.mask is not None:
            text = as_masks(text, self.tokenizer.spell([special.mask])[0])
        source = [special.cls, *pieces_of(text, self.tokenizer), special.sep]
        check_pieces(source, encoder.config, self.folder)
        return encoder(torch.tensor(source), Packing.from_lengths([len(source)])).last

    def _spelled(self, prompt: list[int], written: list[int]) -> str:
        """The text of the new pieces: together with those before them, because a piece in the
        middle of a word is spelled otherwise than one at the start of a text."""
        before, whole = self.tokenizer.decode(prompt), self.tokenizer.decode(prompt + written)
        return whole[len(before) :] if whole.startswith(before) else self.tokenizer.decode(written)
