"""The way of small tensors, such as ids and indices, from the CPU to where they are used."""

from __future__ import annotations

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Send a tensor to a device. On the way to a CUDA device, nobody waits for the copy: it leaves
    from page-locked memory, which only the device reads, and takes its turn among the kernels.

    tensor (Tensor): (...)
    device (torch.device | str): Where to.
    RETURNS (Tensor): The same numbers there; the tensor itself if that is where it is.
    """
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu" and tensor.numel():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
