"""The encoder as an exported graph that onnxruntime runs, in the place of one that PyTorch runs.

It answers what a `DocEncoder` is asked, as far as it was exported, and it learns nothing. All that
goes on around it (pieces, windows, token vectors, listeners) is the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..tokenization.sequences import Sequences
from .checks import at_least
from .doc_batch import DocBatch
from .doc_encoder import DocEncoder, View, read_view
from .encoder import build_transformer_v1
from .encoder_shim import EncoderShim
from .onnx_session import LAST, OnnxSession

GRAPH = "graph"  # the only tensor of the module's state


class State(NamedTuple):
    """What can be read off a pass.

    layer (int): -1 for the encoder's output, 0 for the embeddings, k for the output of block k.
    branch (str): Whose last blocks it has gone through; "" for those that all share.
    """

    layer: int = -1
    branch: str = ""

    @property
    def name(self) -> str:
        """RETURNS (str): Its name among the graph's outputs."""
        name = LAST if self.layer == -1 else f"layer_{self.layer}"
        return f"{name}.{self.branch}" if self.branch else name


class OnnxEncoder(nn.Module):
    """Reads a DocBatch with an exported graph.

    config (dict): The fields of a `TransformerConfig`.
    branches (dict): The number of private blocks of each branch; they are in the graph.
    n_threads (int | None): Threads of the runtime; None: as many as PyTorch has.
    """

    graph: Tensor

    def __init__(
        self,
        *,
        config: dict[str, Any],
        branches: dict[str, int] | None = None,
        n_threads: int | None = None,
    ) -> None:
        super().__init__()
        self.config = TransformerConfig.from_dict(config)
        self.n_threads = n_threads
        self.branches: dict[str, nn.Module] = {}  # none that could be renamed or trained
        self.register_buffer(GRAPH, torch.zeros(0, dtype=torch.uint8))
        self._session: OnnxSession | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the graph, from which they start a session of their own."""
        return {**self.__dict__, "_session": None}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OnnxEncoder:
        """The graph stays where it is when modules are sent to a GPU."""
        return self

    @property
    def depth(self) -> int:
        """RETURNS (int): Blocks of the encoder."""
        return self.config.depth

    @property
    def transformer(self) -> nn.Module:
        """RAISES (ValueError): Always: there are no weights to fill or to write elsewhere."""
        raise ValueError(Errors.E902)

    def add_branch(self, name: str, n_blocks: int) -> None:
        """RAISES (ValueError): Always: there are no blocks to copy."""
        raise ValueError(Errors.E902)

    def take(self, graph: Tensor) -> None:
        """Take a graph, and see that it runs.

        graph (Tensor): (n,) uint8, the bytes of an ONNX model.
        RAISES (ImportError): `onnxruntime` is not installed.
        RAISES (ValueError): It cannot run this graph.
        """
        self.graph, self._session = graph, None
        self.session()

    def session(self) -> OnnxSession:
        """RETURNS (OnnxSession): The graph, ready to run in this process.
        RAISES (ValueError): There is none.
        """
        if self._session is None or not self._session.is_usable:
            if not len(self.graph):
                raise ValueError(Errors.E902)
            self._session = OnnxSession(self.graph.numpy().tobytes(), n_threads=self.n_threads)
        return self._session

    def forward(self, batch: DocBatch, views: set[View]) -> dict[View, Tensor]:
        """Encode a batch once and read the wanted views off it.

        batch (DocBatch): The layout of the pass.
        views (set[View]): What to return.
        RETURNS (dict[View, Tensor]): One float tensor per view, on the CPU.
        RAISES (ValueError): A view is of a state that was not exported.
        """
        states = sorted({State(view.layer, view.branch) for view in views})
        names = [state.name for state in states]
        found = self.session().read(batch.ids, batch.sequence_lengths, outputs=names)
        rows = {state: torch.from_numpy(array) for state, array in zip(states, found, strict=True)}
        return {
            view: read_view(batch, rows[State(view.layer, view.branch)], view.kind)
            for view in views
        }

    def read(self, sequences: Sequences, *, branch: str = "", until: int | None = None) -> Tensor:
        """Encode sequences of texts or pairs.

        sequences (Sequences): Their layout.
        branch (str): Whose last blocks to go through.
        until (int): Stop behind this block, without the final norm; None for the whole encoder.
        RETURNS (Tensor): (R, W) the state of every position.
        RAISES (ValueError): This state was not exported.
        """
        name = State(-1 if until is None else until, branch).name
        found = self.session().read(
            sequences.ids, sequences.lengths, segments=sequences.segments, outputs=[name]
        )
        return torch.from_numpy(found[0])

    def read_on(
        self, lower: Tensor, lengths: np.ndarray, *, after: int, branch: str = ""
    ) -> Tensor:
        """RAISES (ValueError): Always: a graph is read from its beginning."""
        raise ValueError(Errors.E904)


class OnnxShim(EncoderShim):
    """An OnnxEncoder together with the tokenizer that feeds it.

    n_threads (int | None): See `OnnxEncoder`.
    """

    weights_file = "model.onnx"

    def __init__(self, *, n_threads: int | None = None) -> None:
        super().__init__({})
        self.build = partial(OnnxEncoder, n_threads=n_threads)

    def install(self, *args: Any, **kwargs: Any) -> DocEncoder:
        """RAISES (ValueError): Always: a graph is not initialised."""
        raise ValueError(Errors.E902)

    def restore(self, state: dict[str, Tensor], **sizes: Any) -> nn.Module:
        """Build the module around a graph, the only tensor of its state."""
        module: OnnxEncoder = self.build(**sizes)  # type: ignore[assignment]
        module.take(state[GRAPH])
        return self._take(module, sizes)

    def training(self, dropout: float | None) -> nn.Module:
        raise ValueError(Errors.E905)


def build_onnx_transformer_v1(
    window: int = 384, stride: int = 320, n_threads: int | None = None
) -> Model[list[Doc], list[Floats2d]]:
    """Build the layer of an exported encoder (registered as `spacy_llm_tasks.OnnxTransformer.v1`).

    `spacy-llm-tasks export` writes pipelines with it. It reads what the encoder would have read
    that it was exported from, in onnxruntime (extra `onnx`), on the CPU, and cannot be trained.

    window, stride (int): As of `spacy_llm_tasks.Transformer.v1`.
    n_threads (int): Threads of onnxruntime; null: as many as PyTorch has when the pipeline is
        loaded.
    RETURNS (Model[List[Doc], List[Floats2d]]): One row per token, as wide as the exported encoder.
    """
    if n_threads is not None:
        at_least("n_threads", n_threads, 1)
    model = build_transformer_v1(window=window, stride=stride)
    model.shims[:] = [OnnxShim(n_threads=n_threads)]
    return model
