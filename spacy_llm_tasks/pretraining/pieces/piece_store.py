"""A corpus cut into pieces, on disk and mapped into memory.

    pieces.bin      the ids of all documents end to end, uint16 or uint32, little endian
    documents.npy   (n + 1,) int64: document i owns pieces bounds[i]:bounds[i + 1]
    words.bin       a bit a piece, high bits first: whether it starts a word
    store.json      counts, and the hash of the tokenizer that cut the texts

Writing holds a batch of texts in memory at a time, reading only what is asked for. The folder takes
its place when all of it is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import Errors
from ...files import whole_folder, write_json
from ...tokenization.pieces import Ints1d
from ...tokenization.tokenizer import PieceTokenizer
from .word_starts import starts_word

Bools1d = npt.NDArray[np.bool_]

FORMAT = 1
_FILES = ("pieces.bin", "documents.npy", "words.bin")
# Characters that are cut into pieces at once: enough to keep several cores busy.
_BATCH = 2**20


class PieceStore:
    """The pieces of a corpus. Made by `write_pieces`, opened by `open`.

    folder (Path): Where the files are.
    n_documents (int): Documents, empty ones included.
    n_pieces (int): Pieces of all of them.
    n_bytes (int): Bytes of their texts in UTF-8.
    tokenizer_hash (str): SHA-256 of the tokenizer.
    bounds (int64 array): (n_documents + 1,) document i owns pieces bounds[i]:bounds[i + 1].
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.n_documents: int = record["n_documents"]
        self.n_pieces: int = record["n_pieces"]
        self.n_bytes: int = record["n_bytes"]
        self.tokenizer_hash: str = record["tokenizer_hash"]
        self.bounds: Ints1d = np.load(folder / "documents.npy", mmap_mode="r")
        self._ids = _map(folder / "pieces.bin", record["dtype"])
        self._words = _map(folder / "words.bin", "u1")

    @classmethod
    def open(cls, folder: str | Path, tokenizer_hash: str | None = None) -> PieceStore:
        """Open a folder that `write_pieces` has written.

        folder (str | Path): The folder.
        tokenizer_hash (str | None): What `hash_of` says of the tokenizer that is meant to have cut
            the texts; None: any.
        RETURNS (PieceStore): The store.
        RAISES (FileNotFoundError): There is no store.
        RAISES (ValueError): It is damaged, or of another tokenizer.
        """
        path = Path(folder)
        try:
            record = json.loads((path / "store.json").read_text(encoding="utf8"))
            store = cls(path, record)
            problem = store._problem(record)
        except FileNotFoundError as error:
            raise FileNotFoundError(Errors.E720.format(folder=path)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(Errors.E721.format(folder=path, problem=repr(error))) from error
        if problem:
            raise ValueError(Errors.E721.format(folder=path, problem=problem))
        if tokenizer_hash not in (None, store.tokenizer_hash):
            raise ValueError(
                Errors.E722.format(
                    folder=path, found=store.tokenizer_hash[:12], expected=str(tokenizer_hash)[:12]
                )
            )
        return store

    def document(self, i: int) -> tuple[Ints1d, Bools1d]:
        """RETURNS (tuple): The ids of document i, (n,) int64, and which start a word, (n,) bool."""
        return self.gather(np.arange(self.bounds[i], self.bounds[i + 1]))

    def gather(self, places: Ints1d) -> tuple[Ints1d, Bools1d]:
        """Read pieces from anywhere.

        places (int64 array): (n,) which of all pieces.
        RETURNS (tuple): Their ids, (n,) int64, and which start a word, (n,) bool.
        """
        bits = self._words[places >> 3] >> (7 - (places & 7)).astype(np.uint8)
        return self._ids[places].astype(np.int64), (bits & 1).astype(bool)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies for other processes map the files again instead of carrying them."""
        return PieceStore.open, (self.folder, self.tokenizer_hash)

    def _problem(self, record: dict[str, Any]) -> str | None:
        """RETURNS (str | None): What does not fit together."""
        if record["format"] != FORMAT:
            return f"its format is {record['format']}, expected {FORMAT}"
        if self.bounds.shape != (self.n_documents + 1,) or self.bounds[-1] != self.n_pieces:
            return "documents.npy is not as long as store.json says"
        if len(self._ids) != self.n_pieces:
            return "pieces.bin is not as long as store.json says"
        if len(self._words) != -(-self.n_pieces // 8):
            return "words.bin is not as long as store.json says"
        return None


def write_pieces(folder: str | Path, texts: Iterable[str], tokenizer: PieceTokenizer) -> PieceStore:
    """Cut texts into pieces and keep them.

    folder (str | Path): Where to. A store that is there is replaced when the new one is whole.
    texts (Iterable[str]): The documents; read once, a batch at a time.
    tokenizer (PieceTokenizer): Cuts them.
    RETURNS (PieceStore): The store.
    RAISES (FileExistsError): The folder holds something else than a store.
    """
    path = Path(folder)
    if path.exists() and not (path / "store.json").is_file() and any(path.iterdir()):
        raise FileExistsError(Errors.E723.format(folder=path))
    dtype = "<u2" if tokenizer.n_pieces <= 2**16 else "<u4"
    with whole_folder(path) as part:
        with (
            (part / "pieces.bin").open("wb") as pieces_file,
            (part / "words.bin").open("wb") as words_file,
            (part / "bounds.raw").open("w+b") as bounds_file,
        ):
            words = _BitWriter(words_file)
            n_documents, n_pieces, n_bytes = 0, 0, 0
            bounds_file.write(np.zeros(1, dtype="<i8").tobytes())
            for batch in _batches(texts):
                pieces = tokenizer.encode(batch)
                pieces_file.write(pieces.ids.astype(dtype).tobytes())
                bounds_file.write((pieces.bounds[1:] + n_pieces).astype("<i8").tobytes())
                words.write(starts_word(batch, pieces))
                n_documents, n_pieces = n_documents + len(batch), n_pieces + len(pieces)
                n_bytes += sum(len(text.encode("utf8", "replace")) for text in batch)
            words.finish()
            bounds_file.seek(0)
            with (part / "documents.npy").open("wb") as documents_file:
                _write_npy(documents_file, bounds_file, n_documents + 1)
        (part / "bounds.raw").unlink()
        record = {
            "format": FORMAT,
            "n_documents": n_documents,
            "n_pieces": n_pieces,
            "n_bytes": n_bytes,
            "dtype": dtype,
            "tokenizer_hash": hash_of(tokenizer),
        }
        write_json(part / "store.json", record)
    return PieceStore.open(path)


def hash_of(tokenizer: PieceTokenizer) -> str:
    """RETURNS (str): SHA-256 of all that a tokenizer is."""
    return hashlib.sha256(tokenizer.to_bytes()).hexdigest()


class _BitWriter:
    """Writes bits, eight a byte, whatever the lengths they come in."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.rest = np.zeros(0, dtype=bool)

    def write(self, bits: Bools1d) -> None:
        bits = np.concatenate([self.rest, bits])
        whole = len(bits) // 8 * 8
        self.file.write(np.packbits(bits[:whole]).tobytes())
        self.rest = bits[whole:]

    def finish(self) -> None:
        self.file.write(np.packbits(self.rest).tobytes())


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 1
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_npy(target: BinaryIO, values: BinaryIO, n: int) -> None:
    """Put the header of a .npy file in front of n int64 values."""
    header = {"descr": "<i8", "fortran_order": False, "shape": (n,)}
    np.lib.format.write_array_header_1_0(target, header)
    shutil.copyfileobj(values, target)


def _map(path: Path, dtype: str) -> npt.NDArray[Any]:
    """Map a file; one without bytes cannot be mapped, and needs not be."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")
