"""Text in, piece ids and character offsets out, and the way from pieces to spaCy tokens.

`PieceTokenizer` cuts the *text* of a document the way a checkpoint's own tokenizer does,
`align` finds the pieces of each spaCy token by character offsets, and `windows.plan` cuts long
documents into overlapping windows; `lay_out` lays texts and pairs of texts out as sequences with
special pieces. `train_tokenizer` makes a tokenizer from raw text, and `measure` says how finely one
cuts. Knows the `tokenizers` library and numpy; never torch or spaCy.
"""

from .alignment import align
from .fertility import Fertility, measure
from .pieces import Pieces, SpecialPieces
from .sequences import Sequences, lay_out
from .tokenizer import PieceTokenizer
from .train import train_tokenizer
from .windows import Windows, plan

__all__ = [
    "Fertility",
    "PieceTokenizer",
    "Pieces",
    "Sequences",
    "SpecialPieces",
    "Windows",
    "align",
    "lay_out",
    "measure",
    "plan",
    "train_tokenizer",
]
