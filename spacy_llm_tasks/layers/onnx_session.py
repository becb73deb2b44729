"""An exported graph in onnxruntime, fed with sequences that lie end to end.

The graph takes padded sequences, (n, L) at a time. Sequences of one length need no padding, and a
batch that is sorted by length has many of them: a call takes as many neighbours in length as cost
less in padding than another call would.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from weakref import WeakSet

import numpy as np
import torch

from ..errors import Errors
from ..packages import import_optional
from ..tokenization.pieces import bounds_of

# Names of the graph's inputs and of its main output: those that published graphs have.
IDS, MASK, SEGMENTS = "input_ids", "attention_mask", "token_type_ids"
LAST = "last_hidden_state"
# What a call costs, in rows of padding: the weights are read once more.
ROWS_PER_CALL = 24
# Rows of a call, whose states stay near the cache, and (query, key) cells of a head, which the
# runtime stores.
MAX_ROWS, MAX_CELLS = 2048, 2**20

_live: WeakSet[OnnxSession] = WeakSet()


class OnnxSession:
    """A graph that is ready to run. It runs on the CPU.

    graph (bytes): The ONNX model.
    n_threads (int | None): Threads to run with; None: as many as PyTorch has now.
    RAISES (ImportError): `onnxruntime` is not installed.
    RAISES (ValueError): It cannot run this graph.
    """

    def __init__(self, graph: bytes, *, n_threads: int | None = None) -> None:
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = n_threads or torch.get_num_threads()
        # Threads that wait for the next call would keep PyTorch, which runs the heads, from theirs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A plan for the memory of every shape would be kept, and shapes hardly ever return.
        options.enable_mem_pattern = False
        options.log_severity_level = 3  # errors only
        try:
            self._session = runtime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own classes derive from nothing else
            raise ValueError(Errors.E901.format(error=error)) from None
        self._run_options = runtime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        self._process = os.getpid()
        _live.add(self)
        _guard_forks()
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]

    @property
    def is_usable(self) -> bool:
        """RETURNS (bool): Whether this is the process that made it: threads survive no fork."""
        return self._process == os.getpid()

    def read(
        self,
        ids: np.ndarray,
        lengths: np.ndarray,
        *,
        segments: np.ndarray | None = None,
        outputs: Sequence[str] = (LAST,),
    ) -> list[np.ndarray]:
        """Read sequences.

        ids (ndarray): (R,) int64, the piece ids of all sequences, end to end.
        lengths (ndarray): (K,) the length of each.
        segments (ndarray | None): (R,) int64, segment ids; None: all 0.
        outputs (Sequence[str]): What to return.
        RETURNS (list[ndarray]): (R, W) float32 for each output.
        RAISES (ValueError): The graph has no such output.
        """
        missing = [name for name in outputs if name not in self.outputs]
        if missing:
            raise ValueError(Errors.E903.format(found=missing[0], known=", ".join(self.outputs)))
        starts = bounds_of(lengths)
        found: list[np.ndarray] = []
        for sequences in groups_of(lengths):
            sizes = lengths[sequences][:, None]
            column = np.arange(sizes.max())
            real = column < sizes  # (n, L)
            rows = starts[sequences][:, None] + np.minimum(column, sizes - 1)
            feeds = {IDS: ids[rows], MASK: real.astype(np.int64)}
            if SEGMENTS in self.inputs:
                feeds[SEGMENTS] = np.zeros_like(rows) if segments is None else segments[rows]
            states = self._session.run(list(outputs), feeds, self._run_options)
            found = found or [np.empty((len(ids), s.shape[2]), np.float32) for s in states]
            for rows_of_all, padded in zip(found, states, strict=True):
                rows_of_all[rows[real]] = padded[real]
        return found or [np.zeros((0, self._width(name)), np.float32) for name in outputs]

    def _width(self, output: str) -> int:
        shapes = {value.name: value.shape for value in self._session.get_outputs()}
        return int(shapes[output][-1])


def groups_of(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Put sequences of near-equal lengths together.

    lengths (ndarray): (K,) length of each sequence, in any order.
    YIELDS (ndarray): (n,) the sequences of a call, the longest last.
    """
    order = np.argsort(lengths, kind="stable")
    sizes, end = lengths[order], len(order)
    while end:
        longest = int(sizes[end - 1])
        most = max(1, min(MAX_ROWS // longest, MAX_CELLS // longest**2))
        first = max(0, end - most)
        padding = np.cumsum(longest - sizes[first:end][::-1])
        start = end - int(np.searchsorted(padding, ROWS_PER_CALL, side="right"))
        yield order[start:end]
        end = start


@cache
def _guard_forks() -> None:
    """Let sessions that a forked process inherits lie: whoever ends one waits for its threads,
    which were not copied, for ever."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_keep_inherited)


def _keep_inherited() -> None:
    for session in list(_live):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def optional(package: str) -> Any:
    """Import a package of the extra `onnx` where it is needed, and not before.

    package (str): Its name.
    RETURNS (Any): The module.
    RAISES (ImportError): It is not installed, with what to install.
    """
    return import_optional(package, Errors.E900.format(package=package))
