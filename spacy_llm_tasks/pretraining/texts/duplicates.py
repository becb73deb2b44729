"""Texts that were there before: the same to the character, or nearly so.

Nearly the same is measured by the share of shingles (runs of words) that two texts have in common,
Jaccard's index, estimated from MinHash signatures (Broder 1997, "On the resemblance and containment
of documents"). Candidates are found by locality-sensitive hashing in bands (Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", 3.4) and then compared by their whole signatures. The first of
several is kept. No text is held: memory is the signatures and bands, some 2.3 kB per document kept.
"""

import re
import sys
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np

from ...errors import Errors
from ...packages import import_optional

# Scripts without spaces between words, of which every character counts as one.
_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_DENSE}]|[^\\W{_DENSE}]+")
# Of a text that shares its bands with more than these, the newest are compared: a bound for corpora
# of forms, in which everything is a candidate for everything.
MAX_CANDIDATES = 1000
_BATCH = 4096  # shingles at a time, so that a long text needs no large matrix


class ExactDuplicates:
    """Remembers every text by 16 bytes of its hash."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, text: str) -> bool:
        """RETURNS (bool): Whether the text is new; it is known from now on."""
        digest = blake2b(text.encode("utf-8"), digest_size=16).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def n_bytes(self) -> int:
        """RETURNS (int): Bytes of memory in use."""
        return sys.getsizeof(self._seen) + len(self._seen) * sys.getsizeof(b"\0" * 16)


class NearDuplicates:
    """Remembers every text by its MinHash signature.

    threshold (float): Texts whose estimated Jaccard index is this or more are duplicates. The
        estimate's standard error is sqrt(J (1 - J) / n_permutations).
    n_words (int): Words in a shingle. Case and punctuation do not count.
    n_permutations (int): Numbers in a signature.
    seed (int): Of the permutations.
    RAISES (ImportError): If `datasketch` is not installed.
    RAISES (ValueError): If the threshold is not between 0 and 1.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.8,
        n_words: int = 5,
        n_permutations: int = 128,
        seed: int = 1,
    ) -> None:
        if not 0.0 < threshold <= 1.0:
            raise ValueError(
                Errors.E706.format(
                    name="near_threshold", expected="above 0 and at most 1", found=threshold
                )
            )
        datasketch = _datasketch()
        self.threshold = threshold
        self.n_words = n_words
        # What bands let through is looked at again, so they may be wide: few are to be missed.
        bands = datasketch.MinHashLSH(
            threshold=min(threshold, 0.95), num_perm=n_permutations, weights=(0.02, 0.98)
        )
        self.n_bands, self.n_rows = bands.b, bands.r
        self._minhash = datasketch.MinHash(num_perm=n_permutations, seed=seed, hashfunc=_identity)
        # The newest text of a band's hash, and for each text and band the one before it.
        self._newest: dict[int, int] = {}
        self._before = np.zeros((0, self.n_bands), np.int32)
        self._signatures = np.zeros((0, n_permutations), np.uint32)
        self._n = 0

    def add(self, text: str) -> bool:
        """RETURNS (bool): Whether the text is new; only then is it known from now on."""
        signature = self.signature(text)
        if signature is None:
            return True
        hashes = self._band_hashes(signature)
        candidates = self._candidates(hashes)
        if len(candidates):
            same = (self._signatures[candidates] == signature).mean(axis=1)
            if float(same.max()) >= self.threshold:
                return False
        self._insert(signature, hashes)
        return True

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        """RETURNS (int): Bytes of memory in use; the arrays have room to grow by half."""
        entry = sys.getsizeof(2**62) + sys.getsizeof(2**20)
        table = sys.getsizeof(self._newest) + len(self._newest) * entry
        return table + self._signatures.nbytes + self._before.nbytes

    def signature(self, text: str) -> np.ndarray | None:
        """The MinHash signature of a text.

        text (str): The text.
        RETURNS (np.ndarray | None): (n_permutations,) uint32; None if there is no word in it.
        """
        shingles = self.shingles(text)
        if not len(shingles):
            return None
        self._minhash.clear()
        for start in range(0, len(shingles), _BATCH):
            self._minhash.update_batch(shingles[start : start + _BATCH].tolist())
        return np.asarray(self._minhash.digest()).astype(np.uint32)

    def shingles(self, text: str) -> np.ndarray:
        """Hash every run of `n_words` words; all words of a shorter text are its one shingle.

        text (str): The text.
        RETURNS (np.ndarray): (n,) uint32, each once, sorted.
        """
        words = _WORD.findall(text.casefold())
        hashes = np.fromiter((crc32(word.encode("utf-8")) for word in words), np.uint64, len(words))
        n = min(self.n_words, len(hashes))
        if not n:
            return np.zeros(0, np.uint32)
        mixed = np.zeros(len(hashes) - n + 1, np.uint64)
        for i in range(n):
            mixed = _mix(mixed * np.uint64(31) + hashes[i : i + len(mixed)])
        return np.unique((mixed >> np.uint64(32)).astype(np.uint32))

    def _band_hashes(self, signature: np.ndarray) -> list[int]:
        bands = signature[: self.n_bands * self.n_rows].reshape(self.n_bands, self.n_rows)
        mixed = np.arange(1, self.n_bands + 1, dtype=np.uint64)
        for i in range(self.n_rows):
            mixed = _mix(mixed * np.uint64(31) + bands[:, i])
        hashes: list[int] = mixed.tolist()
        return hashes

    def _candidates(self, hashes: list[int]) -> np.ndarray:
        found: set[int] = set()
        for band, key in enumerate(hashes):
            row = self._newest.get(key, -1)
            n = 0
            while row >= 0 and n < MAX_CANDIDATES // self.n_bands:
                found.add(row)
                row = int(self._before[row, band])
                n += 1
        return np.fromiter(found, np.int64, len(found))

    def _insert(self, signature: np.ndarray, hashes: list[int]) -> None:
        row = self._n
        if row == len(self._signatures):
            capacity = max(64, row + row // 2)
            self._signatures = _grown(self._signatures, capacity)
            self._before = _grown(self._before, capacity)
        self._signatures[row] = signature
        for band, key in enumerate(hashes):
            self._before[row, band] = self._newest.get(key, -1)
            self._newest[key] = row
        self._n += 1


def _mix(x: np.ndarray) -> np.ndarray:
    """A bijection of 64 bits that spreads every bit (the finalizer of MurmurHash3)."""
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


def _grown(array: np.ndarray, capacity: int) -> np.ndarray:
    larger = np.zeros((capacity, array.shape[1]), array.dtype)
    larger[: len(array)] = array
    return larger


def _identity(value: int) -> int:
    """The shingles are hashes already."""
    return value


def _datasketch() -> Any:
    extras = "spacy-llm-tasks[pretrain]"
    found = {"what": "Near duplicates", "package": "datasketch", "extras": extras}
    return import_optional("datasketch", Errors.E707.format(**found))
