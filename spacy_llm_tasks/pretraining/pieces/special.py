"""The pieces that stand for no text, as objectives need them: what frames and what hides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...errors import Errors
from ...tokenization.pieces import Ints1d, SpecialPieces

Bools1d = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the special pieces and the size of the vocabulary. Ids may coincide (GPT-2 has one).

    cls (int): Opens a sequence; a decoder's first input.
    sep (int): Closes a sequence, stands between two, and ends a generated text.
    pad (int): Fills up; packed batches never hold it.
    unk (int | None): Stands for what the vocabulary cannot spell.
    mask (int | None): Stands for hidden pieces.
    n_pieces (int): Size of the vocabulary.
    others (tuple[int, ...]): Further pieces that are no text, such as placeholders of private data.
    """

    cls: int
    sep: int
    pad: int
    unk: int | None
    mask: int | None
    n_pieces: int
    others: tuple[int, ...] = ()

    @classmethod
    def from_pieces(
        cls, special: SpecialPieces, *, n_pieces: int, others: tuple[int, ...] = ()
    ) -> SpecialIds:
        """Take over the ids of a tokenizer.

        special (SpecialPieces): `PieceTokenizer.special`.
        n_pieces (int): `PieceTokenizer.n_pieces`.
        others (tuple[int, ...]): Further pieces that are no text.
        RETURNS (SpecialIds): The ids.
        """
        return cls(
            special.cls, special.sep, special.pad, special.unk, special.mask, n_pieces, others
        )

    @cached_property
    def ids(self) -> Ints1d:
        """RETURNS (int64 array): Every special id once, ascending."""
        named = (self.cls, self.sep, self.pad, self.unk, self.mask)
        found = {i for i in (*named, *self.others) if i is not None}
        return np.array(sorted(found), dtype=np.int64)

    @cached_property
    def _is_special(self) -> Bools1d:
        table = np.zeros(self.n_pieces, dtype=bool)
        table[self.ids] = True
        return table

    def among(self, pieces: Ints1d) -> Bools1d:
        """RETURNS (bool array): (T,) True where a piece is special: a text may spell it out."""
        return self._is_special[pieces]

    def random_pieces(self, n: int, rng: np.random.Generator) -> Ints1d:
        """Draw pieces that are not special, each with the same chance.

        n (int): How many.
        rng (Generator): Where chance comes from.
        RETURNS (int64 array): (n,) ids.
        """
        drawn = rng.integers(0, self.n_pieces - len(self.ids), size=n)
        for special in self.ids:  # ascending: each makes room for itself
            drawn += drawn >= special
        return drawn

    def need_mask(self, objective: str) -> int:
        """The mask piece, for an objective that cannot do without.

        objective (str): Its name, for the message.
        RETURNS (int): The id.
        RAISES (ValueError): The vocabulary has none.
        """
        if self.mask is None:
            raise ValueError(Errors.E725.format(objective=objective))
        return self.mask
