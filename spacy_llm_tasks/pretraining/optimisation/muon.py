"""Muon: momentum made orthogonal before it is applied, for the matrices inside blocks.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(https://kellerjordan.github.io/posts/muon/). For a matrix W (rows, columns) with gradient G:

    B = μ B + G                                        momentum, B = 0 at the start
    U = G + μ B                                        Nesterov's look ahead
    O = NewtonSchulz(U)                                about X Yᵀ, where U = X S Yᵀ
    W = (1 - rate decay) W                             decoupled decay, as in AdamW
    W = W - rate sqrt(max(1, rows / columns)) O        the scale of the paper's own code

NewtonSchulz divides U by its Frobenius norm and then repeats five times, on the wide side,

    A = X Xᵀ,    X = a X + (b A + c A A) X             (a, b, c) = (3.4445, -4.7750, 2.0315)

These coefficients lift small singular values as fast as they can and do not settle: they leave
them between about 0.7 and 1.2, which trains as well as 1 does. Only products of matrices are
needed, so bfloat16 suffices; it is used where the processor has instructions for it.

A parameter that stores several matrices one below the other (the fused query, key and value; gate
and value of a gated network) is several matrices here too: each is made orthogonal on its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from ...errors import Errors
from ..team.sharded import part_like, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
SMALLEST = 1e-7  # norm below which a matrix counts as zero, so that nothing is divided by zero
MOST_NUMBERS = 1 << 25  # matrices of one shape are stacked up to this size

Group = dict[str, Any]


class Muon(Optimizer):
    """Muon for parameters that are matrices, or matrices one below the other.

    With FSDP every process gathers a whole matrix for Newton-Schulz and keeps its part of the
    result. With DDP each process computes all, from equal gradients: the machines must be of one
    kind, or their roundings differ and their weights drift apart.

    params (Iterable): Parameters, or groups of them; a group may set each of the options below.
    lr (float): Learning rate.
    momentum (float): μ.
    weight_decay (float): Decoupled decay.
    parts (int): Matrices that each parameter stores one below the other.
    dtype (torch.dtype | None): Of the products. None: bfloat16 where that is fast, else float32.
    RAISES (ValueError): A parameter is not a matrix, or its rows cannot be parted.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[Group],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        parts: int = 1,
        dtype: torch.dtype | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "parts": parts,
            "dtype": dtype,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() != 2 or parameter.shape[0] % group["parts"]:
                    shape, n = tuple(parameter.shape), group["parts"]
                    raise ValueError(Errors.E743.format(shape=shape, parts=n))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update every parameter that has a gradient.

        closure (Callable | None): Computes the loss and its gradients anew.
        RETURNS (Any): What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[Any, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape, parameter.dtype, parameter.device].append(parameter)
            for parameters in alike.values():
                at_once = max(1, MOST_NUMBERS // max(1, parameters[0].numel()))
                for i in range(0, len(parameters), at_once):
                    self._step_alike(parameters[i : i + at_once], group)
        return loss

    def _step_alike(self, parameters: list[nn.Parameter], group: Group) -> None:
        """Update parameters of one shape, their matrices in one stack."""
        rows, columns = parameters[0].shape
        height = rows // group["parts"]
        ahead = [whole(self._look_ahead(p, group["momentum"])) for p in parameters]
        stack = torch.cat([u.view(-1, height, columns) for u in ahead])  # (n parts, height, cols)
        made = orthogonalize(stack, dtype=group["dtype"] or fast_dtype(stack.device))
        rate = group["lr"] * math.sqrt(max(1.0, height / columns))
        for parameter, update in zip(parameters, made.view(-1, rows, columns), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(part_like(update, parameter), alpha=-rate)

    def _look_ahead(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """Add a gradient to the momentum. RETURNS (Tensor): U, of the parameter's shape."""
        gradient = parameter.grad
        if gradient is None:  # seen by `step` already
            return torch.zeros_like(parameter)
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        buffer.mul_(momentum).add_(gradient)
        return gradient.add(buffer, alpha=momentum)


def orthogonalize(matrices: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring the singular values of matrices near to 1 and keep their singular vectors.

    matrices (Tensor): (n, rows, columns).
    dtype (torch.dtype): Of the products.
    RETURNS (Tensor): (n, rows, columns), of the dtype given in; a zero matrix stays zero.
    """
    a, b, c = COEFFICIENTS
    norms = torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True)
    x = (matrices / norms.clamp(min=SMALLEST)).to(dtype)
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:  # the square of the short side costs less
        x = x.mT
    for _ in range(STEPS):
        square = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return (x.mT if is_tall else x).to(matrices.dtype).contiguous()


def fast_dtype(device: torch.device) -> torch.dtype:
    """RETURNS (torch.dtype): bfloat16 if the device multiplies it faster than float32."""
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        fast = device.type == "cpu" and any(getattr(torch.cpu, n, bool)() for n in known)
    return torch.bfloat16 if fast else torch.float32
