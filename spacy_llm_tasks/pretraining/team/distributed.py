"""The processes that train one model together: who they are, and what they tell each other.

`torchrun` starts them and tells each its place in environment variables. Each holds the model, or
with FSDP a part of it, and reads other micro-batches. A run without `torchrun` is a team of one,
for which nothing here does anything.

Gradients of a team are averaged over its members, but members predict different numbers of pieces.
So each multiplies its summed loss with `Team.factor(count)`: the averages then add up to the
gradient of the mean over all predictions of all members, as one process would compute it.

Processes speak gloo on CPUs and nccl on GPUs. All of this is tested with gloo; with nccl it has not
been run yet.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ...errors import Errors

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

# The groups that this process has left, and the seconds that their threads have to let go of what
# they sent, which takes them a millisecond; see `Team.close`.
_LEFT: list[Any] = []
FAREWELL = 0.2

Number = TypeVar("Number", Tensor, float)


class ToldByFirst(RuntimeError):
    """All processes fail alike, and the first one says why: the others have nothing to add."""


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them. All must call the same methods in turn.

    rank (int): Which one this is, from 0.
    world (int): How many there are.
    device (torch.device): What this one computes on.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def from_environment(cls, device: str = "cpu", *, minutes: float = 120.0) -> Team:
        """Join the team that `torchrun` started, or make one of this process alone.

        device (str): "cpu", "cuda", or a device of torch for a process alone. On "cuda" each
            process of a machine takes the GPU of its local rank.
        minutes (float): How long to wait for the others before giving up. The first one may
            prepare a corpus or write a checkpoint meanwhile.
        RETURNS (Team): The team; `close` leaves it.
        RAISES (ValueError): The environment is incomplete, or there is no such GPU.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            _check_gpu(torch.device(device))
            return cls(device=torch.device(device))
        missing = [name for name in VARIABLES if name not in os.environ]
        if missing:
            raise ValueError(Errors.E749.format(missing=", ".join(missing)))
        own = torch.device(device)
        if own.type == "cuda":
            own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            _check_gpu(own)
            torch.cuda.set_device(own)
        backend = "nccl" if own.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(minutes=minutes))
        return cls(rank=dist.get_rank(), world=dist.get_world_size(), device=own)

    @property
    def is_first(self) -> bool:
        """RETURNS (bool): Whether this is the one that logs and saves."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """RETURNS (bool): Whether there is nobody to talk to."""
        return self.world == 1

    def close(self) -> None:
        """Leave the team."""
        if not self.is_alone:
            # A thread of the group that has sent the last message needs Python's lock to let go of
            # its tensors. Whoever frees the group holds that lock, and waits for the thread: for
            # ever, if it comes too early. So the group is not freed before the process ends; and
            # as Python ends threads that ask for its lock then, which aborts the process, they get
            # it now.
            _LEFT.append(dist.group.WORLD)
            dist.destroy_process_group()
            time.sleep(FAREWELL)

    def barrier(self) -> None:
        """Wait until all have come here."""
        if not self.is_alone:
            dist.barrier()

    def sum(self, value: Number) -> Number:
        """Add up a number or a tensor over all.

        value (Tensor | float): Tensors have the same shape and dtype everywhere.
        RETURNS (Tensor | float): The sum, the same everywhere; a new tensor.
        """
        if self.is_alone:
            return value.clone() if isinstance(value, Tensor) else value
        if not isinstance(value, Tensor):
            return float(self.sum(torch.tensor(float(value), dtype=torch.float64)))
        total = value.detach().to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(value.device)

    def factor(self, count: float) -> float:
        """What a sum over this member's predictions is multiplied with before the backward pass.

        count (float): The predictions of this member in this step, all its micro-batches together.
        RETURNS (float): Members by predictions of all; 0 if there are none at all.
        """
        total = self.sum(float(count))
        return self.world / total if total else 0.0

    def gather(self, value: Any) -> list[Any]:
        """Collect one value from each.

        value (Any): JSON types.
        RETURNS (list): The values of all by rank, the same everywhere.
        """
        if self.is_alone:
            return [value]
        own = self._to_bytes(value)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.world)]
        dist.all_gather(sizes, torch.tensor([len(own)], device=self.device))
        longest = max(int(size) for size in sizes)
        own = torch.nn.functional.pad(own, (0, longest - len(own)))
        parts = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(parts, own)
        return [_from_bytes(p[: int(n)]) for p, n in zip(parts, sizes, strict=True)]

    def share(self, value: Any) -> Any:
        """Tell a value of the first one to all.

        value (Any): JSON types; looked at in the first one only.
        RETURNS (Any): That value, everywhere.
        """
        if self.is_alone:
            return value
        own = self._to_bytes(value if self.is_first else None)
        size = torch.tensor([len(own)], device=self.device)
        dist.broadcast(size, 0)
        if not self.is_first:
            own = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        dist.broadcast(own, 0)
        return _from_bytes(own)

    def on_first(self, function: Callable[[], Any]) -> Any:
        """Do something in the first one only, and let all know how it went.

        function (Callable): Returns JSON types. Must not call the methods of this team.
        RETURNS (Any): What it returned, everywhere.
        RAISES (Exception): What it raised there; `ToldByFirst` elsewhere, so that nobody waits.
        """
        outcome: dict[str, Any] = {}
        error: Exception | None = None
        if self.is_first:
            try:
                outcome["value"] = function()
                json.dumps(outcome)  # what cannot be sent is a failure here, not a wait elsewhere
            except Exception as caught:
                error = caught
                outcome = {"error": f"{type(caught).__name__}: {caught}"}
        outcome = self.share(outcome)
        if error is not None:
            raise error
        if "error" in outcome:
            raise ToldByFirst(Errors.E752.format(error=outcome["error"]))
        return outcome["value"]

    def alike(self, error: Exception) -> Exception:
        """What to raise for an error that all come to at the same place.

        error (Exception): The error.
        RETURNS (Exception): That error in the first one, `ToldByFirst` elsewhere.
        """
        if self.is_first:
            return error
        return ToldByFirst(Errors.E752.format(error=f"{type(error).__name__}: {error}"))

    def _to_bytes(self, value: Any) -> Tensor:
        data = bytearray(json.dumps(value).encode("utf8"))
        return torch.frombuffer(data, dtype=torch.uint8).to(self.device)


def _from_bytes(data: Tensor) -> Any:
    return json.loads(bytes(data.cpu().numpy()))


def _check_gpu(device: torch.device) -> None:
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(Errors.E750.format(device=device, count=torch.cuda.device_count()))
