"""Torch modules inside thinc models: no pickle, learning-rate groups, dropout at run time."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import srsly
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from thinc.api import torch2xp, xp2torch
from thinc.shims.pytorch import PyTorchShim
from thinc.shims.shim import Shim
from thinc.util import get_torch_default_device
from torch import Tensor, nn

from ..errors import Errors
from .fork import guard_forks
from .hollow import hollow


class TorchShim(PyTorchShim):
    """Hold a torch module that is built late, from sizes known only at initialisation.

    thinc's own shim saves with pickle, ignores the pipeline's dropout, gives every parameter one
    learning rate and leaves the module in training mode after a prediction. This one does not.

    build (Callable[..., nn.Module]): Makes the module from the keyword sizes given to
        `materialize`. A module-level function, class or `functools.partial`, so that the shim can
        be pickled.
    role (str): "encoder" or "head": the learning-rate group of the parameters.
    """

    def __init__(self, build: Callable[..., nn.Module], *, role: str) -> None:
        super().__init__(None)
        self.build = build
        self.role = role

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        guard_forks()

    def copy(self) -> "TorchShim":
        """RETURNS (TorchShim): A copy that optimizers tell from the original: thinc's has the same
        id, under which they keep a parameter's moments."""
        copied = deepcopy(self)
        with Shim.global_id_lock:
            Shim.global_id += 1
            copied.id = Shim.global_id
        return copied

    @property
    def module(self) -> nn.Module:
        """The torch module. RAISES (ValueError): if it has not been built yet."""
        if self._model is None:
            raise ValueError(Errors.E401.format(role=self.role))
        return self._model

    @property
    def is_built(self) -> bool:
        return self._model is not None

    def materialize(self, **sizes: Any) -> nn.Module:
        """Build the module and remember the sizes, which are saved with its weights."""
        return self._take(self.build(**sizes), sizes)

    def restore(self, state: dict[str, Tensor], **sizes: Any) -> nn.Module:
        """Build the module around saved weights, which become its own: without others before.

        state (dict): Its weights, which nobody else may change.
        sizes: What it was built from.
        RETURNS (nn.Module): The module.
        RAISES (ValueError): naming the first weight that does not fit.
        """
        module = self._hollow(sizes)
        load_state(module, state, adopt=True)
        return self._take(module, sizes)

    def _hollow(self, sizes: dict[str, Any]) -> nn.Module:
        """The module without weights."""
        with hollow():
            return self.build(**sizes)

    def _take(self, module: nn.Module, sizes: dict[str, Any]) -> nn.Module:
        self.cfg = {"sizes": sizes}
        self._model = module.to(get_torch_default_device())
        guard_forks()
        self._weights_changed()
        return self._model

    @contextmanager
    def predicting(self):
        """Run in evaluation mode without a graph, and leave the module in evaluation mode."""
        if self.module.training:
            self.module.eval()
        with torch.no_grad():
            yield self.module

    def training(self, dropout: float | None) -> nn.Module:
        """The module in training mode, with the given dropout rate (None: the module's own)."""
        module = self.module
        if not module.training:
            module.train()
        set_dropout = getattr(module, "set_dropout", None)
        if set_dropout is not None:
            set_dropout(dropout)
        return module

    def finish_update(self, optimizer: Any) -> None:
        """Step every parameter that has a gradient, by its learning-rate group, and clear it."""
        if self._model is None:
            return
        named = [(n, p) for n, p in self._model.named_parameters() if p.grad is not None]
        if not named:
            return
        clip_norm = getattr(optimizer, "clip_norm", None)
        if clip_norm:
            nn.utils.clip_grad_norm_([p for _, p in named], clip_norm)
        options_for = getattr(optimizer, "options_for", None)
        steps = [
            ((self.id, n), p.data, p.grad, options_for(**self._group(n, p)) if options_for else {})
            for n, p in named
        ]
        if hasattr(optimizer, "step_all"):  # our AdamW
            optimizer.step_all(steps)
        else:
            for (key, data, gradient, options), (_, parameter) in zip(steps, named, strict=True):
                stepped, _ = optimizer(key, torch2xp(data), torch2xp(gradient), **options)
                parameter.data = xp2torch(stepped, device=parameter.device)
        for _, parameter in named:
            parameter.grad = None
        self._weights_changed()

    def _group(self, name: str, parameter: Tensor) -> dict[str, Any]:
        layer_of = getattr(self._model, "layer_of", None)
        return {
            "role": self.role,
            "name": name,
            "ndim": parameter.ndim,
            "layer": layer_of(name) if layer_of else None,
            "depth": self._model.depth if layer_of else None,  # type: ignore[union-attr]
        }

    @contextmanager
    def use_params(self, params: dict[tuple[int, str], Any]) -> Iterator[None]:
        """Put other arrays in the place of parameters for a while: an optimizer's averages, which
        spaCy evaluates and saves.

        params (dict): Arrays by the id of a shim and the name of a parameter; others are left.
        """
        named = {} if self._model is None else dict(self._model.named_parameters())
        swapped = {name: p.data for name, p in named.items() if (self.id, name) in params}
        if not swapped:
            yield
            return
        for name, own in swapped.items():
            other = xp2torch(params[self.id, name], device=own.device)
            named[name].data = other.to(own.dtype)
        self._weights_changed()
        try:
            yield
        finally:
            for name, own in swapped.items():
                named[name].data = own
            self._weights_changed()

    def _weights_changed(self) -> None:
        """Called when the module has other weights than before, or has them elsewhere."""

    def to_device(self, device_type: str, device_id: int) -> None:
        if self._model is not None:
            self._model.to("cpu" if device_type == "cpu" else f"cuda:{device_id}")
            self._weights_changed()

    def extra_state(self) -> dict[str, Any]:
        """What else belongs to the module and is saved with it (msgpack types only)."""
        return {}

    def load_extra_state(self, extra: dict[str, Any]) -> None:
        """Take back what `extra_state` gave, before the module is built."""

    def to_bytes(self) -> bytes:
        if self._model is None:
            return srsly.msgpack_dumps({})
        state = save_safetensors(contiguous_state(self._model))
        return srsly.msgpack_dumps(
            {
                "sizes": self.cfg["sizes"],
                "extra": self.extra_state(),
                "state": state,
                "state_sha256": hashlib.sha256(state).hexdigest(),
            }
        )

    def from_bytes(self, bytes_data: bytes) -> "TorchShim":
        """Take back what `to_bytes` gave.

        RAISES (ValueError): if the weights are not those that were saved, or do not fit.
        """
        msg = srsly.msgpack_loads(bytes_data)
        if msg:
            checksum = msg.get("state_sha256")
            if checksum is not None and checksum != hashlib.sha256(msg["state"]).hexdigest():
                raise ValueError(Errors.E451.format(role=self.role))
            self.load_extra_state(msg["extra"])
            # the tensors are views of the bytes, which are not ours to change
            state = {k: v.clone() for k, v in load_safetensors(msg["state"]).items()}
            self.restore(state, **msg["sizes"])
        return self


def contiguous_state(module: nn.Module) -> dict[str, Tensor]:
    """RETURNS (dict): the module's state as contiguous CPU tensors, as safetensors needs it."""
    return {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}


def load_state(module: nn.Module, state: dict[str, Tensor], *, adopt: bool = False) -> None:
    """Put weights into a module.

    module (nn.Module): The module.
    state (dict): Its weights by name.
    adopt (bool): Make these very tensors its weights, instead of copying them.
    RAISES (ValueError): naming the first key that does not fit.
    """
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        raise ValueError(Errors.E402.format(missing=missing[:3], unknown=unknown[:3]))
    for key, value in own.items():
        if value.shape != state[key].shape:
            found, expected = tuple(state[key].shape), tuple(value.shape)
            raise ValueError(Errors.E403.format(key=key, found=found, expected=expected))
    if adopt:
        state = {key: tensor.to(own[key].dtype) for key, tensor in state.items()}
    module.load_state_dict(state, assign=adopt)
