"""What a head reads off the texts that were encoded for it: the views of docs, for texts."""

import numpy as np
import torch
from torch import Tensor

from ..errors import Errors
from ..tokenization.pieces import bounds_of
from .task_head import HeadBatch


def text_view(batch: HeadBatch, kind: str) -> tuple[Tensor, Tensor, int]:
    """Select the rows of the texts or pairs of a batch.

    batch (HeadBatch): A batch with texts.
    kind (str): "mean": all positions, special pieces included; "cls": the first position of every
        sequence; "pieces": each piece once, from the window in which it is farthest from an edge.
    RETURNS (tuple): Rows (N, W), the text of each (N,), and the number of texts that have rows,
        counted to the last of them.
    RAISES (ValueError): If the batch has no texts.
    """
    sequences, rows = batch.sequences, batch.text_rows
    if sequences is None or rows is None:
        raise ValueError(Errors.E429)
    n_texts = int(sequences.item.max()) + 1 if len(sequences.item) else 0
    owner = np.repeat(sequences.item, sequences.lengths)
    if kind == "cls":
        chosen = bounds_of(sequences.lengths)[:-1]
    elif kind == "pieces":
        chosen = np.flatnonzero(sequences.chosen)
    else:
        return rows, torch.from_numpy(owner).to(rows.device), n_texts
    index = torch.from_numpy(chosen).to(rows.device)
    return rows.index_select(0, index), torch.from_numpy(owner[chosen]).to(rows.device), n_texts
