"""The device that a process measures on: threads of torch, or a GPU."""

from collections.abc import Mapping
from typing import Any

import torch

from ..devices import use_gpu


def use_device(threads: int, gpu_id: int = -1) -> None:
    """Set torch's threads, and have spaCy and thinc use the GPU, if one is asked for.

    threads (int): torch threads.
    gpu_id (int): The CUDA device; -1: none.
    """
    torch.set_num_threads(threads)
    if gpu_id >= 0:
        use_gpu(gpu_id)


def wait_for_device(gpu_id: int) -> None:
    """Wait until the GPU has done what it was given, so that a clock shows all of it.

    gpu_id (int): The CUDA device; -1: none, and nothing to wait for.
    """
    if gpu_id >= 0:
        torch.cuda.synchronize(gpu_id)


def name_of_device(found: Mapping[str, Any]) -> str:
    """RETURNS (str): What a report was measured on: its GPU, or its number of threads."""
    return found.get("machine", {}).get("gpu") or f"{found['threads']} thread(s)"
