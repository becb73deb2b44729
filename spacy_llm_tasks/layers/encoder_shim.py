"""What holds the encoder in its thinc layer: its weights, its tokenizer and how they are kept."""

from typing import Any, cast

from torch import nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.linear import set_precision
from ..nn.precision import check as check_precision
from ..nn.reduced import reduce
from ..tokenization.tokenizer import PieceTokenizer
from . import memory
from .doc_encoder import DocEncoder
from .lower_halves import LowerHalves
from .shim import TorchShim


class EncoderShim(TorchShim):
    """A DocEncoder together with the tokenizer that feeds it; saved and loaded as one thing.

    architecture (dict): What the config asked for; None where it left the choice open.
    precision (str): Precision of predictions, see `nn.precision`. It belongs to the run, not to
        the weights: it is not saved with them, and neither are the next three.
    training_precision (str): Precision of products in training: "fp32" or "bf16".
    compiled (bool): Whether blocks go through `torch.compile`; not with weights in fewer bits.
    recompute_rows (int): In training, rows whose activations are kept at a time; None for all.
    stored (dict): The precisions in which the weights are kept, if they are reduced ("linear" and
        "embeddings", see `nn.reduced`); saved with them.
    """

    weights_file = "model.safetensors"  # its name in a saved pipeline

    def __init__(
        self,
        architecture: dict[str, Any],
        *,
        precision: str = "fp32",
        training_precision: str = "fp32",
        compiled: bool = False,
        recompute_rows: int | None = None,
    ) -> None:
        super().__init__(DocEncoder, role="encoder")
        self.architecture = architecture
        self.precision = check_precision(precision)
        if compiled and precision == "int8":
            raise ValueError(Errors.E450)
        self.training_precision = training_precision
        self.compiled = compiled
        self.recompute_rows = recompute_rows
        self.stored: dict[str, str] = {}
        self.tokenizer: PieceTokenizer | None = None
        self.lower_halves = LowerHalves()
        self._n_rows = 0

    def count_rows(self, n_rows: int) -> None:
        """Note that so much is read: from time to time, free memory is given back."""
        memory.keep_blocks()
        self._n_rows += n_rows
        if self._n_rows >= memory.ROWS:
            self._n_rows = 0
            memory.give_back()

    def install(
        self,
        config: TransformerConfig,
        tokenizer: PieceTokenizer,
        branches: dict[str, int] | None = None,
    ) -> DocEncoder:
        """Build the encoder of a config, which must agree with what the pipeline's config asked
        for, and its branches.

        RAISES (ValueError): naming the first setting that disagrees, or a tokenizer with more
            pieces than the encoder has embeddings.
        """
        self.take_tokenizer(config, tokenizer)
        self.stored = {}
        return cast(DocEncoder, self.materialize(config=config.to_dict(), branches=branches or {}))

    def take_tokenizer(self, config: TransformerConfig, tokenizer: PieceTokenizer) -> None:
        """Check that a config and a tokenizer belong here and to each other, and keep the latter.

        RAISES (ValueError): as `install`.
        """
        values = config.to_dict()
        for key, wanted in self.architecture.items():
            if wanted is not None and values[key] != wanted:
                raise ValueError(Errors.E404.format(key=key, wanted=wanted, found=values[key]))
        if tokenizer.n_pieces > config.n_pieces:
            found, expected = tokenizer.n_pieces, config.n_pieces
            raise ValueError(Errors.E405.format(found=found, expected=expected))
        self.tokenizer = tokenizer

    def need_branch(self, name: str, n_blocks: int, *, add: bool) -> None:
        """See that a listener has its private blocks.

        name (str): Its branch.
        n_blocks (int): How many.
        add (bool): Whether to make them if there are none.
        RAISES (ValueError): if it has another number of them.
        """
        sizes = self.cfg["sizes"].setdefault("branches", {})
        if add and name not in sizes:
            self.encoder.add_branch(name, n_blocks)
            sizes[name] = n_blocks
            self._weights_changed()
        if sizes.get(name, 0) != n_blocks:
            found = sizes.get(name, 0)
            raise ValueError(Errors.E458.format(name=name, found=found, wanted=n_blocks))

    def rename_branch(self, old: str, new: str) -> None:
        """Keep the private blocks of a listener under another name, if there are any."""
        if self.is_built and old in self.encoder.branches:
            self.encoder.branches[new] = self.encoder.branches.pop(old)
            sizes = self.cfg["sizes"]["branches"]
            sizes[new] = sizes.pop(old)

    @property
    def encoder(self) -> DocEncoder:
        """The module, as what it is. RAISES (ValueError): if it has not been built yet."""
        return cast(DocEncoder, self.module)

    @property
    def built_tokenizer(self) -> PieceTokenizer:
        """The tokenizer. RAISES (ValueError): if the encoder has not been built yet."""
        if self.tokenizer is None:
            raise ValueError(Errors.E401.format(role=self.role))
        return self.tokenizer

    def reduce(self, *, embeddings: str) -> None:
        """Round the weights to the precision of predictions, for good.

        embeddings (str): Precision of the piece table: "fp32", "bf16" or "int8".
        RAISES (ValueError): if the precision is fp32, or they are rounded already.
        """
        if self.stored or self.precision == "fp32":
            found = self.stored.get("linear", self.precision)
            raise ValueError(Errors.E442.format(found=found))
        self.keep_in({"linear": self.precision, "embeddings": check_precision(embeddings)})
        reduce(self.module, **self.stored)
        self._weights_changed()

    @property
    def n_bytes(self) -> int:
        """RETURNS (int): Bytes of the weights, as they are kept and saved."""
        tensors = self.module.state_dict().values() if self.is_built else ()
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def keep_in(self, stored: dict[str, str]) -> None:
        """Note the precisions of weights that are about to be loaded.

        RAISES (ValueError): if predictions shall have another one, or blocks shall be compiled.
        """
        if stored and self.compiled:
            raise ValueError(Errors.E450)
        kept = stored.get("linear", self.precision)
        if kept != self.precision:
            raise ValueError(Errors.E441.format(found=kept, wanted=self.precision))
        self.stored = stored

    def _hollow(self, sizes: dict[str, Any]) -> nn.Module:
        module = super()._hollow(sizes)
        if self.stored:
            reduce(module, **self.stored)
        return module

    def _take(self, module: nn.Module, sizes: dict[str, Any]) -> nn.Module:
        super()._take(module, sizes)
        if self.compiled:
            self.encoder.compile_blocks()
        self.encoder.recompute_rows = self.recompute_rows
        self.encoder.training_precision = self.training_precision
        return self.encoder

    def training(self, dropout: float | None) -> nn.Module:
        if self.stored:
            raise ValueError(Errors.E440.format(found=self.precision))
        if self.precision == "int8":
            raise ValueError(Errors.E427)
        return super().training(dropout)

    def _weights_changed(self) -> None:
        """Those in fewer bits are made anew, and what was read with the old ones is forgotten."""
        self.lower_halves.clear()
        if self.is_built and self.precision != "fp32":
            set_precision(self.module, self.precision)

    def extra_state(self) -> dict[str, Any]:
        if self.tokenizer is None:
            return {}
        return {"tokenizer": self.tokenizer.to_bytes(), "stored": self.stored}

    def load_extra_state(self, extra: dict[str, Any]) -> None:
        self.keep_in(extra.get("stored", {}))
        self.tokenizer = PieceTokenizer.from_bytes(extra["tokenizer"])
