"""Where an answer begins and where it ends: two scores for each piece of a question and its text.

    start_r = w_s · h_r,  end_r = w_e · h_r

The question and the text go through the encoder together, `[CLS] question [SEP] text [SEP]`; the
first position stands for "no answer here" (Devlin et al. 2019, sections 4.2 and 4.3,
https://arxiv.org/abs/1810.04805).
"""

from functools import partial

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn

from ..nn.dropout import Dropout
from .checks import at_least, rate
from .task_head import HeadBatch, task_model


class AnswerHead(nn.Module):
    """Score starts and ends.

    width (int): W, the width of the rows.
    n_labels (int): Not used: answers have no labels.
    dropout (float): Rate on the rows, unless the pipeline sets another.
    deferred_layers (int): Lower layers that read question and text apart; the task asks for it.
    """

    def __init__(
        self, *, width: int, n_labels: int, dropout: float, deferred_layers: int = 0
    ) -> None:
        super().__init__()
        self.deferred_layers = deferred_layers
        self.scores = nn.Linear(width, 2)
        self.dropout = Dropout(dropout)
        self.default_dropout = dropout

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (R, 2) start and end scores of all positions of all sequences."""
        if batch.text_rows is None:
            return batch.rows.new_zeros((0, 2))
        return self.scores(self.dropout(batch.text_rows))


def answer_loss(scores: Tensor, sequence: Tensor, open_rows: Tensor, gold: Tensor) -> Tensor:
    """Negative log-likelihood of the right start and end among the positions of each sequence.

    Where several positions are right (several accepted answers), their probabilities add up.

    scores (Tensor): (R, 2).
    sequence (Tensor): (R,) int64, the sequence of each row.
    open_rows (Tensor): (R,) bool, rows that may be chosen: the text's pieces, and each sequence's
        first row for "no answer".
    gold (Tensor): (R, 2) bool, right starts and ends. A sequence without any teaches nothing.
    RETURNS (Tensor): A scalar, the mean over sequences of both halves' mean.
    """
    n_sequences = int(sequence[-1]) + 1
    all_of_it = _log_sums(scores, sequence, open_rows.unsqueeze(1).expand_as(gold), n_sequences)
    right = _log_sums(scores, sequence, gold, n_sequences)
    n_right = sequence.new_zeros(n_sequences).index_add(0, sequence, gold.any(dim=1).long())
    taught = n_right > 0
    return (all_of_it - right)[taught].sum() / (2 * taught.sum()).clamp(min=1)


def _log_sums(scores: Tensor, sequence: Tensor, chosen: Tensor, n_sequences: int) -> Tensor:
    """(K, 2) log of the sum of exponentials over the chosen rows of each sequence."""
    shut = scores.masked_fill(~chosen, -1e9)
    index = sequence.unsqueeze(1).expand_as(shut)
    top = shut.new_full((n_sequences, 2), -1e9)
    top = top.scatter_reduce(0, index, shut.detach(), "amax")
    sums = shut.new_zeros((n_sequences, 2)).index_add(0, sequence, (shut - top[sequence]).exp())
    return top + torch.log(sums)


def build_answer_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]], dropout: float = 0.1, deferred_layers: int = 0
) -> Model[list[Doc], Tensor]:
    """Build the question answering head (registered as `spacy_llm_tasks.AnswerHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream, a `trf_encoder`.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    deferred_layers (int): Let the lower layers read question and text apart, so many of them. The
        text then goes through these once, however many questions are asked about it: faster where
        there are several, at some cost in accuracy. 0: all layers read both together.
    RAISES (ValueError): if the upstream is another library's.
    """
    rate("dropout", dropout)
    at_least("deferred_layers", deferred_layers, 0)
    build = partial(AnswerHead, dropout=dropout, deferred_layers=deferred_layers)
    return task_model(tok2vec, build, reads_docs=False)
