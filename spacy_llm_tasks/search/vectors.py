"""The vectors of an index on disk: float32 rows, and rows of a smaller precision beside them.

The files are plain numbers without a header and only grow: rows are appended, and what counts as
stored is what the database says. So an update that was killed leaves bytes behind the last stored
row, which nobody reads and the next update overwrites.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import Errors
from .quantize import Floats2d, encode, form_of

_CHUNK = 8192


def unit_vectors(vectors: ArrayLike, *, width: int | None = None) -> Floats2d:
    """Check vectors and divide each by its length, so that a dot product is a cosine.

    A vector of zeros, as an empty text may have, stays as it is: its cosine to anything is 0.

    vectors (ArrayLike): (N, W) numbers.
    width (int): The W that is expected.
    RETURNS (ndarray): (N, W) float32.
    RAISES (ValueError): If the shape differs or a number is not finite.
    """
    rows = checked(vectors, width=width)
    units = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK].astype(np.float64)
        # By the largest number first: squares of very large or small numbers have no float.
        largest = np.abs(part).max(axis=1, initial=0.0, keepdims=True)
        part /= np.where(largest > 0.0, largest, 1.0)
        lengths = np.sqrt(np.square(part).sum(axis=1, keepdims=True))
        units[start : start + _CHUNK] = part / np.where(lengths > 0.0, lengths, 1.0)
    return units


def checked(vectors: ArrayLike, *, width: int | None = None, first: int = 0) -> NDArray:
    """Check that this is a matrix of numbers.

    vectors (ArrayLike): (N, W) numbers.
    width (int): The W that is expected.
    first (int): Number of the first row, for the message.
    RETURNS (ndarray): The same as an array.
    RAISES (ValueError): If the shape differs or a number is not finite.
    """
    rows = np.asarray(vectors)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise ValueError(Errors.E609.format(found=f"{rows.dtype} of shape {rows.shape}"))
    if width is not None and rows.shape[1] != width:
        raise ValueError(Errors.E606.format(found=rows.shape[1], expected=width))
    for start in range(0, len(rows), _CHUNK):
        finite = np.isfinite(rows[start : start + _CHUNK]).all(axis=1)
        if not finite.all():
            raise ValueError(Errors.E608.format(item=first + start + int(np.argmin(finite))))
    return rows


class VectorFiles:
    """The files of one generation: compacting an index writes a new one beside the old.

    folder (Path): Folder of the index.
    width (int): Numbers in a vector.
    precision (str): What candidates are searched in; float32 rows are always kept.
    generation (int): Number of this set of files.
    """

    def __init__(self, folder: Path, *, width: int, precision: str, generation: int) -> None:
        self.precisions = tuple(dict.fromkeys(("float32", precision)))
        self.forms = {name: form_of(name, width) for name in self.precisions}
        self.paths = {name: folder / f"vectors-{generation}.{name}" for name in self.precisions}

    def write(self, vectors: Floats2d, *, first_row: int) -> None:
        """Write unit vectors from a row on; they reach the disk with `sync`.

        vectors (ndarray): (N, W) float32.
        first_row (int): Where to write: the number of rows that are stored already.
        """
        for name, path in self.paths.items():
            with open(path, "r+b" if path.exists() else "wb") as file:
                file.seek(first_row * self._row_bytes(name))
                for start in range(0, len(vectors), _CHUNK):
                    encode(vectors[start : start + _CHUNK], name).tofile(file)

    def sync(self) -> None:
        """Wait until everything written has reached the disk."""
        for path in self.paths.values():
            if path.exists():
                with open(path, "r+b") as file:
                    os.fsync(file.fileno())

    def rows(self, precision: str, n_rows: int) -> NDArray[Any]:
        """Map the first rows of a file into memory, without reading them.

        precision (str): "float32" or the smaller one.
        n_rows (int): How many rows are stored.
        RETURNS (ndarray): (N, columns), read-only.
        RAISES (ValueError): If the file holds fewer.
        """
        form, path = self.forms[precision], self.paths[precision]
        if n_rows == 0:
            return np.empty((0, form.columns), dtype=form.dtype)
        size = path.stat().st_size if path.exists() else 0
        if size < n_rows * self._row_bytes(precision):
            problem = f"{path.name} has {size} bytes for {n_rows} vectors"
            raise ValueError(Errors.E603.format(path=path.parent, problem=problem))
        return np.memmap(path, dtype=form.dtype, mode="r", shape=(n_rows, form.columns))

    def _row_bytes(self, precision: str) -> int:
        form = self.forms[precision]
        return np.dtype(form.dtype).itemsize * form.columns
