"""What an encoder puts into gaps: the pieces that its head finds likeliest behind masks.

    reads      cls  the  cat  [MASK]  on  the  mat  sep
    predicts                  sat 0.41, lay 0.13, ...

(Devlin et al. 2019, section 3.1, https://arxiv.org/abs/1810.04805). Each mask is filled on its own:
probabilities are those of one piece whatever stands behind the other masks.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from ...errors import Errors
from ...nn.encoder import TransformerEncoder
from ...nn.packing import Packing
from ...nn.piece_head import PieceHead
from ...tokenization.tokenizer import PieceTokenizer
from ...weights.checkpoint import has_piece_head, load_encoder, load_piece_head
from .folder import check_pieces, kind_in, pieces_of, readable

# How a gap may be written whatever the vocabulary calls it.
MASK = "[MASK]"


class Filler(NamedTuple):
    """A piece for a mask.

    piece (int): Its id.
    name (str): Its name in the vocabulary.
    probability (float): Of this piece among all of them.
    text (str): The whole text with it, and with the likeliest piece behind every other mask, as the
        tokenizer puts it together.
    """

    piece: int
    name: str
    probability: float
    text: str


class MaskFiller:
    """Fills gaps with an encoder.

    folder (str | Path): A published encoder with its head and tokenizer.
    RAISES (FileNotFoundError): It holds no checkpoint or no tokenizer.
    RAISES (ValueError): It is no encoder, has no head, or its vocabulary no mask.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if (kind := kind_in(folder)) != "encoder":
            raise ValueError(Errors.E781.format(path=folder, found=kind))
        if not has_piece_head(folder):
            raise ValueError(Errors.E782.format(path=folder))
        self.tokenizer = PieceTokenizer.from_folder(folder)
        mask = self.tokenizer.special.mask
        if mask is None:
            raise ValueError(Errors.E786.format(path=folder))
        self.mask = mask
        checkpoint = load_encoder(folder)
        self.encoder = TransformerEncoder(checkpoint.config).eval()
        self.encoder.load_state_dict(checkpoint.state)
        self.head = PieceHead(checkpoint.config, transform=True, bias=True).eval()
        self.head.load_state_dict(load_piece_head(folder))

    @torch.no_grad()
    def fill(self, text: str, *, top: int = 5) -> list[list[Filler]]:
        """Find pieces for the masks of a text.

        text (str): With at least one mask, by the vocabulary's name of it or as "[MASK]".
        top (int): How many pieces for each mask, at least 1.
        RETURNS (list[list[Filler]]): For each mask the pieces, likeliest first.
        RAISES (ValueError): The text has no mask, or is too long for the model.
        """
        if top < 1:
            raise ValueError(Errors.E706.format(name="top", expected="at least 1", found=top))
        special = self.tokenizer.special
        name = self.tokenizer.spell([self.mask])[0]
        pieces = pieces_of(as_masks(text, name), self.tokenizer)
        places = [place for place, piece in enumerate(pieces) if piece == self.mask]
        if not places:
            names = " or ".join(dict.fromkeys((name, MASK)))
            raise ValueError(Errors.E787.format(names=names, example=f"The cat {name} on the mat."))
        framed = [special.cls, *pieces, special.sep]
        check_pieces(framed, self.encoder.config, self.folder)
        rows = self.encoder(torch.tensor(framed), Packing.from_lengths([len(framed)])).last
        at_masks = rows[torch.tensor(places) + 1]
        chances = self.head(at_masks, self.encoder.piece_table).softmax(dim=1)
        best = chances.topk(min(top, chances.shape[1]), dim=1)
        likeliest = dict(zip(places, best.indices[:, 0].tolist(), strict=True))
        return [
            self._fillers(pieces, likeliest, place, values.tolist(), ids.tolist())
            for place, values, ids in zip(places, best.values, best.indices, strict=True)
        ]

    def _fillers(
        self,
        pieces: list[int],
        likeliest: dict[int, int],
        place: int,
        chances: list[float],
        ids: list[int],
    ) -> list[Filler]:
        found = []
        names = readable(ids, self.tokenizer)
        for piece, name, chance in zip(ids, names, chances, strict=True):
            choice = {**likeliest, place: piece}
            filled = [choice.get(i, piece) for i, piece in enumerate(pieces)]
            found.append(Filler(piece, name, chance, self.tokenizer.decode(filled)))
        return found


def as_masks(text: str, name: str) -> str:
    """RETURNS (str): The text with gaps written as the vocabulary does."""
    return text.replace(MASK, name)
