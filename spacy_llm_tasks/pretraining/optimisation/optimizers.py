"""Which parameter is stepped by what: AdamW for all, or Muon for the matrices inside blocks.

    group      parameters                                            decay   with "muon"
    matrices   inside blocks, two dimensions                         yes     Muon
    tables     other ones of two dimensions: embeddings, heads       yes     AdamW
    vectors    norms and biases                                      no      AdamW

AdamW is Loshchilov & Hutter 2019 (https://arxiv.org/abs/1711.05101). Embeddings and heads stay with
it, as Jordan et al. 2024 advise (see `muon`). State is kept by parameter name, so that it can be
saved without pickle and found again by a model that was built anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import Errors
from ..team.names import fill, named_parameters
from .muon import Muon

OPTIMIZERS = ("adamw", "muon")
FUSED_DEVICES = frozenset({"cpu", "cuda"})
# Matrices that one parameter stores one below the other, by the last part of its layer's name.
STACKED = {"qkv": 3, "kv": 2}
ADAMW_STATE = ("step", "exp_avg", "exp_avg_sq")
MUON_STATE = ("momentum_buffer",)


class NamedOptimizer:
    """Several optimizers that are stepped as one, with their state by parameter name.

    optimizers (Iterable[Optimizer]): Of AdamW and Muon. Each group has its name and learning rate
        as `name` and `initial_lr`.
    names (Mapping[Parameter, str]): The plain name of each of their parameters.
    """

    def __init__(
        self, optimizers: Iterable[torch.optim.Optimizer], names: Mapping[nn.Parameter, str]
    ) -> None:
        self.optimizers = list(optimizers)
        self._owners = {
            names[parameter]: (parameter, optimizer)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """RETURNS (list[dict]): The groups of all optimizers; changes to them take effect."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def scale_rates(self, factor: float) -> None:
        """Set each group's learning rate.

        factor (float): Share of the rate that the group was made with: what a schedule gives.
        """
        for group in self.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Tensor]:
        """What changes from step to step; not the settings, which the maker of this gives again.

        RETURNS (dict[str, Tensor]): The live tensors by `<parameter>.<kind>`. A parameter that
            never had a gradient has none.
        """
        state = {}
        for name, (parameter, optimizer) in self._owners.items():
            for kind, tensor in optimizer.state.get(parameter, {}).items():
                state[f"{name}.{kind}"] = tensor
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state, so that the next step is what it would have been.

        state (Mapping[str, Tensor]): What `state_dict` gave, on any device.
        RAISES (ValueError): It belongs to another model or another optimizer.
        """
        self.allocate(state)
        fill(self.state_dict(), state)

    def allocate(self, keys: Iterable[str]) -> None:
        """Make room for a state, all zero, and forget the one before.

        keys (Iterable[str]): The keys of that state.
        RAISES (ValueError): They are those of another model or another optimizer.
        """
        kinds: dict[str, set[str]] = defaultdict(set)
        for key in keys:
            name, _, kind = key.rpartition(".")
            if name not in self._owners:
                raise ValueError(Errors.E744.format(key=key))
            kinds[name].add(kind)
        for name, found in kinds.items():
            expected = set(MUON_STATE if self._is_muon(name) else ADAMW_STATE)
            if found != expected:
                raise ValueError(Errors.E744.format(key=f"{name}.{min(found ^ expected)}"))
        for optimizer in self.optimizers:
            optimizer.state.clear()
        for name in kinds:
            parameter, optimizer = self._owners[name]
            optimizer.state[parameter] = self._zeros(name)

    def _is_muon(self, name: str) -> bool:
        return isinstance(self._owners[name][1], Muon)

    def _zeros(self, name: str) -> dict[str, Tensor]:
        parameter, optimizer = self._owners[name]
        parameter = parameter.detach()
        if self._is_muon(name):
            return {kind: torch.zeros_like(parameter) for kind in MUON_STATE}
        # The fused kernel wants its step counter beside the weights, the plain one on the CPU.
        device = parameter.device if optimizer.defaults["fused"] else torch.device("cpu")
        moments = {kind: torch.zeros_like(parameter) for kind in ADAMW_STATE[1:]}
        return {"step": torch.zeros((), dtype=torch.float32, device=device), **moments}


def make_optimizer(
    model: nn.Module,
    *,
    name: str,
    learn_rate: float,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-8,
    matrix_learn_rate: float = 0.02,
    matrix_weight_decay: float | None = None,
    momentum: float = 0.95,
    fused: bool | None = None,
) -> NamedOptimizer:
    """Make the optimizer of a model. Wrap the model first: sharding replaces its parameters.

    model (nn.Module): The model; parameters that need no gradient are left out.
    name (str): "adamw", or "muon" for Muon on the matrices inside blocks.
    learn_rate (float): AdamW's.
    weight_decay (float): Decoupled decay of everything with two dimensions.
    betas (tuple[float, float]): AdamW's decays of the mean of gradients and of their squares.
    eps (float): Added to the root of the latter.
    matrix_learn_rate (float): Muon's.
    matrix_weight_decay (float | None): Decay of what Muon steps. None: `weight_decay`.
    momentum (float): Muon's.
    fused (bool | None): Whether AdamW runs as one kernel. None: where there is one.
    RETURNS (NamedOptimizer): The optimizer.
    RAISES (ValueError): No such optimizer, or a setting is out of range.
    """
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise ValueError(Errors.E740.format(kind="optimizer", found=name, known=known))
    _check_range("learn_rate", learn_rate)
    _check_range("weight_decay", weight_decay)
    _check_range("eps", eps)
    _check_range("matrix_learn_rate", matrix_learn_rate)
    if matrix_weight_decay is None:
        matrix_weight_decay = weight_decay
    _check_range("matrix_weight_decay", matrix_weight_decay)
    for setting, value in (("beta1", betas[0]), ("beta2", betas[1]), ("momentum", momentum)):
        _check_range(setting, value, high=1.0)
    named = {n: p for n, p in named_parameters(model) if p.requires_grad}
    matrices: dict[int, list[nn.Parameter]] = defaultdict(list)
    tables, vectors = [], []
    for parameter_name, parameter in named.items():
        if parameter.dim() != 2:
            vectors.append(parameter)
        elif "blocks" in parameter_name.split("."):
            matrices[parts_of(parameter_name, named)].append(parameter)
        else:
            tables.append(parameter)
    in_blocks_decay = matrix_weight_decay if name == "muon" else weight_decay
    in_blocks = [_group("matrices", m, in_blocks_decay, parts=n) for n, m in matrices.items()]
    others = [_group("tables", tables, weight_decay), _group("vectors", vectors, 0.0)]
    by_muon = in_blocks if name == "muon" else []
    by_adamw = [g for g in [*([] if by_muon else in_blocks), *others] if g["params"]]
    optimizers: list[torch.optim.Optimizer] = []
    if by_muon:
        optimizers.append(Muon(by_muon, lr=matrix_learn_rate, momentum=momentum))
    if by_adamw:
        if fused is None:
            fused = all(p.device.type in FUSED_DEVICES for p in named.values())
        adamw = torch.optim.AdamW(by_adamw, lr=learn_rate, betas=betas, eps=eps, fused=fused)
        optimizers.append(adamw)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return NamedOptimizer(optimizers, {parameter: n for n, parameter in named.items()})


def parts_of(name: str, parameters: Mapping[str, Tensor]) -> int:
    """How many matrices a parameter inside a block stores one below the other.

    name (str): Its name: "...attention.qkv.weight" has three, "...cross_attention.kv.weight" two,
        "...feedforward.up.weight" two where it is gated.
    parameters (Mapping[str, Tensor]): All parameters by name.
    RETURNS (int): 1 for a plain matrix.
    """
    layer = name.split(".")[-2]
    if layer == "up":
        down = parameters.get(name.removesuffix("up.weight") + "down.weight")
        return 1 if down is None else parameters[name].shape[0] // down.shape[1]
    return STACKED.get(layer, 1)


def _group(
    name: str, params: list[nn.Parameter], weight_decay: float, **options: Any
) -> dict[str, Any]:
    return {"params": params, "name": name, "weight_decay": weight_decay, **options}


def _check_range(setting: str, value: float, *, high: float = float("inf")) -> None:
    if not 0.0 <= value <= high or value == high:
        what = f"optimizer.{setting}"
        raise ValueError(Errors.E741.format(what=what, value=value, low=0, high=high))
