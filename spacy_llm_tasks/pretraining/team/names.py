"""The plain names of a model's parameters, whatever the model is wrapped in.

`DistributedDataParallel`, `torch.compile` and activation checkpointing each put a part of their own
into the names. State is kept by the names without these, so that it fits the bare model too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from ...errors import Errors

WRAPPERS = frozenset({"module", "_orig_mod", "_checkpoint_wrapped_module"})


def named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Go through the parameters of a model, wrapped or not.

    model (nn.Module): The model.
    YIELDS (tuple[str, Parameter]): The plain name and the parameter; a tied one comes once.
    """
    for name, parameter in model.named_parameters():
        yield plain(name), parameter


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint holds of a model: its parameters and the buffers that are saved.

    model (nn.Module): The model, wrapped or not.
    RETURNS (dict[str, Tensor]): The live tensors by plain name; a tied one comes once.
    """
    tensors: dict[str, Tensor] = dict(named_parameters(model))
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, nn.Parameter):
            tensors[plain(name)] = tensor
    return tensors


def plain(name: str) -> str:
    """RETURNS (str): A parameter's name without the parts that wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def fill(into: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy a saved state into live tensors.

    into (Mapping[str, Tensor]): The live tensors, by name.
    state (Mapping[str, Tensor]): What they held, with the same names, on any device.
    RAISES (ValueError): A shape differs.
    """
    for key, tensor in into.items():
        check_shape(key, state[key].shape, tensor)
        tensor.copy_(state[key])


def check_shape(key: str, found: Sequence[int], tensor: Tensor) -> None:
    """RAISES (ValueError): What was saved has another shape than the tensor that it is for."""
    if tuple(found) != tuple(tensor.shape):
        expected = tuple(tensor.shape)
        raise ValueError(Errors.E745.format(key=key, found=tuple(found), expected=expected))
