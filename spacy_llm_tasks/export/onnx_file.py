"""One ONNX file, from a module and an example of its inputs."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Errors
from ..layers.onnx_session import optional
from ..nn import kernels

# Operators of 2023: the first with GELU. onnxruntime has them from 1.17 on.
OPSET = 20
# What one file can hold, a limit of its format.
MAX_BYTES = 2**31 - 1


def write_onnx(
    module: nn.Module,
    example: Mapping[str, Tensor],
    path: Path,
    *,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    largest: Mapping[str, int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a module as an ONNX file.

    module (nn.Module): The module, in evaluation mode, on the CPU.
    example (dict): Its inputs by name, in order, of sizes of at least 2.
    path (Path): The file.
    outputs (Sequence[str]): Names of its outputs, in order.
    axes (dict): By input, names of the axes whose size is open; those of one name are of one size.
    largest (dict): By name of an axis, its largest size, where there is one.
    facts (dict): What else a reader needs to know, kept in the file's metadata as JSON.
    RAISES (ImportError): `onnx` or `onnxscript` is not installed.
    RAISES (ValueError): PyTorch cannot export the module, or the file would be too large.
    """
    onnx = optional("onnx")
    optional("onnxscript")
    n_bytes = sum(p.numel() * p.element_size() for p in module.parameters())
    if n_bytes > MAX_BYTES:
        raise ValueError(Errors.E910.format(found=f"{n_bytes:,}", limit=f"{MAX_BYTES:,}"))
    # With sizes that it shall infer (Dim.DYNAMIC), the exporter stumbles over `chunk`.
    names = {name for by_axis in axes.values() for name in by_axis.values()}
    sizes = {name: torch.export.Dim(name, max=(largest or {}).get(name)) for name in names}
    open_axes = tuple({i: sizes[name] for i, name in axes[key].items()} for key in example)
    with _quiet(), _traceable(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module,
                tuple(example.values()),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=open_axes,
                input_names=list(example),
                output_names=list(outputs),
                verbose=False,
            )
            model = program.model_proto  # type: ignore[union-attr]
        except Exception as error:  # the exporter's own, or whatever the operators raise
            reason = _first_cause(error)
            raise ValueError(Errors.E911.format(torch=torch.__version__, error=reason)) from error
    onnx.helper.set_model_props(
        model, {key: json.dumps(fact) for key, fact in (facts or {}).items()}
    )
    onnx.save(model, path)


def quantise(path: Path) -> None:
    """Turn the products of a file into 8-bit ones: weights with a scale for each output, inputs
    with one for each call, chosen when they come.

    path (Path): The file, which is replaced.
    RAISES (ImportError): `onnxruntime` is not installed.
    """
    runtime = optional("onnxruntime.quantization")
    with _quiet():
        runtime.quantize_dynamic(
            path, path, per_channel=True, weight_type=runtime.QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )  # fmt: skip


def _first_cause(error: BaseException) -> str:
    """What the exporter wraps in accounts of its own steps, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def _traceable() -> Iterator[None]:
    """Products by operators that the exporter knows, and no race between kernels meanwhile."""
    chosen = kernels.current()
    kernels.use("plain")
    try:
        yield
    finally:
        kernels.use(chosen)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its users about operators of other packages and of its own future."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
