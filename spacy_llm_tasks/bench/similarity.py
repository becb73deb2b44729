"""A check that loaded weights are the published ones: sentence similarity without any training.

A sentence-transformers checkpoint has a published rank correlation on graded sentence pairs. An
encoder that is wired wrongly anywhere (a norm, the offset of the positions, the tokenizer) misses
it.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import Errors
from ..nn.encoder import TransformerEncoder
from ..nn.packing import Packing
from ..scoring.similarity import spearman
from ..tokenization.pieces import bounds_of, ranges
from ..tokenization.tokenizer import PieceTokenizer
from ..weights.checkpoint import load_encoder

SCORE, FIRST, SECOND = 4, 5, 6  # columns of the STS benchmark's files
SENTENCES_PER_PASS = 128


def read_pairs(path: Path) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """Read graded pairs in the layout of the STS benchmark: tab-separated, no quoting.

    path (Path): The file; columns 5 to 7 are the score and the two sentences.
    RETURNS (tuple): Scores (N,), first sentences, second sentences.
    RAISES (ValueError): If a line has too few columns or its score is no number.
    """
    scores, first, second = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf8").splitlines(), start=1):
        cells = line.split("\t")
        try:
            scores.append(float(cells[SCORE]))
            first.append(cells[FIRST])
            second.append(cells[SECOND])
        except (IndexError, ValueError):
            raise ValueError(Errors.E589.format(path=path, line=number)) from None
    return np.array(scores), first, second


def sentence_vectors(weights: Path, sentences: list[str]) -> NDArray[np.float32]:
    """Mean of the states of all pieces, special ones included, as sentence-transformers pools.

    weights (Path): Folder of a published checkpoint.
    sentences (list[str]): Texts; their first `max_length - 2` pieces are read.
    RETURNS (ndarray): (N, W), one unit vector per sentence.
    """
    checkpoint = load_encoder(weights)
    tokenizer = PieceTokenizer.from_folder(weights)
    encoder = TransformerEncoder(checkpoint.config)
    encoder.load_state_dict(checkpoint.state)
    encoder.eval()
    pieces = tokenizer.encode(sentences)
    lengths = np.minimum(pieces.lengths, checkpoint.config.max_length - 2)
    starts = pieces.bounds[:-1]
    vectors = np.zeros((len(sentences), checkpoint.config.width), dtype=np.float32)
    order = np.argsort(lengths, kind="stable")
    for chosen in np.array_split(order, -(-len(order) // SENTENCES_PER_PASS)):
        sizes = lengths[chosen] + 2
        rows = bounds_of(sizes)[:-1]
        ids = np.full(int(sizes.sum()), tokenizer.special.sep, dtype=np.int64)
        ids[rows] = tokenizer.special.cls
        ids[ranges(rows + 1, sizes - 2)] = pieces.ids[ranges(starts[chosen], sizes - 2)]
        with torch.no_grad():
            states = encoder(torch.from_numpy(ids), Packing.from_lengths(sizes)).last.numpy()
        vectors[chosen] = np.add.reduceat(states, rows, axis=0) / sizes[:, None]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def similarity_score(weights: Path, pairs: Path) -> tuple[float, int]:
    """Rank correlation of the cosine of two sentence vectors with the pairs' grades.

    weights (Path): Folder of a published checkpoint.
    pairs (Path): A file for `read_pairs`.
    RETURNS (tuple[float, int]): The correlation and the number of pairs.
    """
    scores, first, second = read_pairs(pairs)
    vectors = sentence_vectors(weights, [*first, *second])
    cosine = (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)
    return spearman(cosine.astype(np.float64), scores) or 0.0, len(scores)
