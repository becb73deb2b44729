"""One model in many processes: copied (DDP) or sharded (FSDP2), and its tensors whole again.

    copied    every process has all weights and all optimizer state; gradients are averaged
              (`DistributedDataParallel`, Li et al. 2020, https://arxiv.org/abs/2006.15704)
    sharded   every process has a part of each parameter, its gradient and its optimizer state, and
              gathers one block at a time to compute with (`fully_shard`: ZeRO stage 3, Rajbhandari
              et al. 2020, https://arxiv.org/abs/1910.02054)

Checkpoints hold whole tensors: `collect` gathers them in the first process, `spread` gives every
process its copy or part. So a run may go on with another number of processes, or as one.

With a sharded model all processes must train the same objective at the same moment: gradients are
exchanged for all parameters of a block together, and every process must have the same ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ...errors import Errors
from .distributed import Team
from .names import check_shape
from .sharded import part_like, whole


class Holder(Protocol):
    """What has state that is allocated before it is filled: an optimizer, an average."""

    def allocate(self, keys: Iterable[str]) -> None: ...

    def state_dict(self) -> dict[str, Tensor]: ...


def wrap(model: nn.Module, team: Team, *, sharded: bool = False) -> nn.Module:
    """Prepare a model for a team. All processes start with the weights of the first.

    model (nn.Module): On the team's device. Its `forward` must return tensors, or lists, dicts,
        tuples or dataclasses of them.
    team (Team): A team of one gets the model back as it is.
    sharded (bool): Whether each process keeps a part of the weights only.
    RETURNS (nn.Module): What to call instead of the model.
    RAISES (ValueError): This PyTorch cannot shard.
    """
    if team.is_alone:
        return model
    if sharded:
        return _shard(model, team)
    # Objectives take turns, so a step may leave the heads of others without gradients.
    options: dict[str, Any] = {"find_unused_parameters": True}
    # Our buffers never change: they need not be sent before each forward pass. The option was
    # renamed in PyTorch 2.13.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    new, old = "forward_sync_buffers", "broadcast_buffers"
    options[new if new in known else old] = False
    return DistributedDataParallel(model, **options)


def unwrap(model: nn.Module) -> nn.Module:
    """RETURNS (nn.Module): The model that `wrap` was given."""
    return model.module if isinstance(model, DistributedDataParallel) else model


@contextmanager
def accumulating(model: nn.Module, *, is_last: bool) -> Iterator[None]:
    """Run the forward and backward pass of one micro-batch of a step.

    model (nn.Module): What `wrap` gave.
    is_last (bool): Whether it is the last one of the step: gradients are exchanged then, once.
    """
    if isinstance(model, DistributedDataParallel) and not is_last:
        with model.no_sync():
            yield
        return
    if hasattr(model, "set_requires_gradient_sync"):  # a sharded model
        sharded: Any = model
        sharded.set_is_last_backward(is_last)
        sharded.set_requires_gradient_sync(is_last)
    yield


def release(model: nn.Module) -> None:
    """Give up what a forward pass has gathered that no backward pass follows.

    Until then a sharded model would go on with these weights, whatever its own parts become.

    model (nn.Module): What `wrap` gave.
    """
    for module in model.modules():
        if hasattr(module, "reshard"):
            sharded: Any = module
            sharded.reshard()


@torch.no_grad()
def collect(tensors: Mapping[str, Tensor], team: Team) -> dict[str, Tensor]:
    """Bring whole tensors together in the first process.

    tensors (Mapping[str, Tensor]): Copied or sharded ones, the same names in every process.
    team (Team): The processes; all must call this.
    RETURNS (dict[str, Tensor]): Whole tensors on the CPU, copies; empty in all but the first.
    """
    collected = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if team.is_first:
            collected[name] = full.detach().to("cpu", copy=True)
    return collected


@torch.no_grad()
def spread(full: Mapping[str, Tensor], into: Mapping[str, Tensor], team: Team) -> None:
    """Fill the tensors of every process with those that the first one has.

    full (Mapping[str, Tensor]): Whole tensors on any device; looked at in the first process only.
    into (Mapping[str, Tensor]): Copied or sharded tensors to fill, the same names everywhere.
    team (Team): The processes; all must call this.
    RAISES (ValueError): Names or shapes differ; everywhere, and nothing was filled.
    """
    shapes = team.share({name: list(tensor.shape) for name, tensor in full.items()})
    if shapes.keys() != into.keys():
        raise ValueError(Errors.E753.format(key=min(shapes.keys() ^ into.keys())))
    for name, tensor in into.items():
        check_shape(name, shapes[name], tensor)
    for name, tensor in into.items():
        if team.is_alone:
            tensor.copy_(full[name])
            continue
        if team.is_first:
            sent = full[name].to(team.device, tensor.dtype, copy=True).contiguous()
        else:
            sent = torch.empty(tensor.shape, dtype=tensor.dtype, device=team.device)
        dist.broadcast(sent, 0)
        tensor.copy_(part_like(sent, tensor))


def restore(full: Mapping[str, Tensor], holder: Holder, team: Team) -> None:
    """Give an optimizer or an average the state that the first process has.

    full (Mapping[str, Tensor]): What `collect` gave for its `state_dict()`.
    holder (Holder): The optimizer or average.
    team (Team): The processes; all must call this.
    RAISES (ValueError): The state belongs to another model.
    """
    holder.allocate(team.share(list(full)))
    spread(full, holder.state_dict(), team)


def _shard(model: nn.Module, team: Team) -> nn.Module:
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise ValueError(Errors.E751.format(version=torch.__version__)) from error
    # Sharding does not copy from the first process, as DDP does.
    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(team.device.type, (team.world,))
    for block in _blocks_of(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _blocks_of(model: nn.Module) -> Iterator[nn.Module]:
    """The blocks of the trunk. Those of a head are gathered with the rest: not every step uses
    them, and then no process would ask for them."""
    for name, module in model.named_modules():
        if name.split(".")[-1] == "blocks" and name.split(".")[0] != "heads":
            yield from module.children()
