"""Small forms of unit vectors, to search among many: one byte, or one bit, for each number.

Scores of a small form only choose candidates, which are then compared by their float32 vectors.
All forms are stored little-endian, one row for each vector.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import Errors

Floats2d = NDArray[np.float32]

PRECISIONS = ("float32", "int8", "binary")
_SCALE_BYTES = 4
_WORD_BITS = 64
_BLOCK = 1024
_FEW = 8


class Form(NamedTuple):
    """How one precision is stored.

    dtype (str): Type of the numbers of a row.
    columns (int): How many there are in a row.
    oversample (int): How many times k candidates to fetch by default (for float32 only from a
        graph). Chosen on random clustered vectors; `measure_recall` says what it gives on others.
    """

    dtype: str
    columns: int
    oversample: int


def form_of(precision: str, width: int) -> Form:
    """How vectors of a width are stored in a precision.

    RAISES (ValueError): If the precision is unknown.
    """
    if precision == "float32":
        return Form("<f4", width, 4)
    if precision == "int8":
        return Form("u1", width + _SCALE_BYTES, 4)
    if precision == "binary":
        return Form("<u8", -(-width // _WORD_BITS), 40)
    expected = ", ".join(PRECISIONS)
    raise ValueError(Errors.E601.format(what="precision", found=precision, expected=expected))


def encode(vectors: Floats2d, precision: str) -> NDArray[Any]:
    """Bring unit vectors into a precision.

    int8: numbers from -127 to 127 and the vector's own scale, so that nothing must be known about
    other vectors and adding some later changes nothing. binary: the sign of each number (Charikar
    2002: the share of equal signs grows with the cosine).

    vectors (ndarray): (N, W) float32.
    precision (str): One of `PRECISIONS`.
    RETURNS (ndarray): (N, columns) of the form's dtype.
    """
    form = form_of(precision, vectors.shape[1])
    if precision == "float32":
        return vectors.astype(form.dtype)
    rows: NDArray[Any]
    if precision == "int8":
        scales = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True) / np.float32(127.0)
        codes = np.rint(vectors / np.where(scales > 0.0, scales, 1.0)).astype(np.int8)
        rows = np.empty((len(vectors), form.columns), dtype=form.dtype)
        rows[:, :-_SCALE_BYTES] = codes.view(np.uint8)
        rows[:, -_SCALE_BYTES:] = scales.astype("<f4").view(np.uint8)
        return rows
    bits = np.packbits(vectors > 0.0, axis=1, bitorder="little")
    padded = np.zeros((len(vectors), form.columns * (_WORD_BITS // 8)), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(form.dtype)


def numbers_of(rows: NDArray[Any]) -> NDArray[np.int8]:
    """The numbers of int8 rows without their scales. RETURNS (ndarray): (N, W) int8."""
    return np.ascontiguousarray(rows[:, :-_SCALE_BYTES]).view(np.int8)


def scores(queries: NDArray[Any], rows: NDArray[Any], precision: str) -> Floats2d:
    """How near rows are to queries; more is nearer.

    queries (ndarray): (Q, W) float32 unit vectors; for "binary" rows of that form.
    rows (ndarray): (N, columns) of the precision's form.
    precision (str): One of `PRECISIONS`.
    RETURNS (ndarray): (Q, N) cosines, approximate ones for int8; for "binary" minus the number of
        different signs.
    """
    if precision == "float32":
        return queries @ rows.T
    found = np.empty((len(queries), len(rows)), dtype=np.float32)
    if precision == "int8":
        # For few queries in blocks, so that what is multiplied is still in the processor's cache;
        # for many the product itself takes longest, and is faster in one.
        block = _BLOCK if len(queries) < _FEW else max(1, len(rows))
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            scales = np.ascontiguousarray(part[:, -_SCALE_BYTES:]).view("<f4")
            products = queries @ numbers_of(part).astype(np.float32).T
            np.multiply(products, scales[:, 0], out=found[:, start : start + block])
        return found
    for item, query in enumerate(queries):
        np.negative(np.bitwise_count(rows ^ query).sum(axis=1, dtype=np.int32), out=found[item])
    return found
