"""A whole tensor, and the part of it that a process keeps: to the one from the other.

FSDP2 replaces parameters by `DTensor`s, of which each process has some rows. Plain tensors pass
through unchanged, so that callers need not know. Processes must call these together.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """RETURNS (bool): Whether this process has a part of the tensor only."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """RETURNS (Tensor): All of a tensor, gathered from the processes if it is sharded."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def part_like(full: Tensor, like: Tensor) -> Tensor:
    """Keep the part of a tensor that this process has of another one. Sends nothing.

    full (Tensor): All of it, the same in every process.
    like (Tensor): Of the same shape, sharded or not.
    RETURNS (Tensor): Sharded as `like` is.
    """
    if not is_sharded(like):
        return full
    from torch.distributed.tensor import DTensor, Replicate

    sharded: Any = like
    mesh = sharded.device_mesh
    copies = DTensor.from_local(full, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return copies.redistribute(placements=sharded.placements)
