"""AdamW as a thinc optimizer, with the learning-rate groups that fine-tuning a Transformer needs.

Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization" (arXiv:1711.05101): the decay is
taken off the weights directly and never enters the moments. Layer-wise learning rates follow Howard
& Ruder 2018 (arXiv:1801.06146): the lower a layer, the smaller its steps. What is evaluated and
saved can be an average of the weights on their way (Polyak & Juditsky 1992), and keep a share of
those that the encoder began with (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from thinc.api import Optimizer, torch2xp, xp2torch
from thinc.backends import get_array_ops
from thinc.optimizers import FloatOrSeq
from thinc.types import FloatsXd
from torch.optim.adamw import adamw

from ..errors import Errors

# Last part of a parameter name: thinc calls biases "b" (Maxout's has two dimensions) and the gain
# of its LayerNorm "G"; torch modules say "bias" or "..._bias".
NEVER_DECAYED = frozenset({"b", "bias", "pad", "G", "gain", "gamma", "beta"})

FUSED_DEVICES = frozenset({"cpu", "cuda"})


class Step(NamedTuple):
    """A parameter of a torch module that is to be stepped.

    key (tuple): Id of the shim, and the parameter's name.
    weights (Tensor): The parameter's data, any shape.
    gradient (Tensor): Its gradient, same shape.
    options (dict): As `AdamW.options_for` gives them.
    """

    key: tuple[int, str]
    weights: torch.Tensor
    gradient: torch.Tensor
    options: dict[str, Any]


class AdamW(Optimizer):
    """AdamW with groups: encoder and heads, layers of the encoder, decayed and not decayed.

    Called by thinc with `(key, weights, gradient)` for each parameter of a stock layer, and by our
    torch shims with what `options_for` says about the parameter besides.

    clip_norm (float): Largest global norm of the gradients of one torch module. The shim that owns
        the module reads it and clips, because a single call here sees a single parameter.
    average_decay (float): Share of a moving average of the weights that every step keeps.
    start_share (float): Share of the encoder's first weights in its averages.
    averages (dict | None): The averages, by key, which spaCy's training loop puts in the place of
        the weights to evaluate and save. None if both shares are 0.
    starts (dict): The weights of the encoder before its first step, by key, if they have a share.
    """

    clip_norm: float
    encoder_scale: float
    layer_decay: float
    average_decay: float
    start_share: float
    starts: dict[tuple[int, str], FloatsXd]

    __slots__ = [
        "average_decay",
        "clip_norm",
        "encoder_scale",
        "layer_decay",
        "start_share",
        "starts",
    ]

    def __init__(
        self,
        learn_rate: FloatOrSeq,
        *,
        encoder_scale: float,
        layer_decay: float,
        weight_decay: FloatOrSeq,
        beta1: FloatOrSeq,
        beta2: FloatOrSeq,
        eps: FloatOrSeq,
        clip_norm: float,
        grad_clip: FloatOrSeq,
        average_decay: float,
        start_share: float,
    ) -> None:
        super().__init__(
            learn_rate,
            L2=weight_decay,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            grad_clip=grad_clip,
            use_averages=average_decay > 0.0 or start_share > 0.0,
            L2_is_weight_decay=True,
        )
        self.clip_norm = clip_norm
        self.encoder_scale = encoder_scale
        self.layer_decay = layer_decay
        self.average_decay = average_decay
        self.start_share = start_share
        self.starts = {}

    def options_for(
        self, *, role: str, name: str, ndim: int, layer: int | None, depth: int | None
    ) -> dict[str, Any]:
        """Say how one parameter of a torch module is stepped.

        role (str): "encoder" or "head".
        name (str): Dotted name of the parameter in its module.
        ndim (int): Number of its dimensions.
        layer (int | None): 0 for the embeddings, 1..depth for the blocks, None for no layer.
        depth (int | None): Number of blocks.
        RETURNS (dict): Keyword arguments for the call.
        """
        scale = self.encoder_scale if role == "encoder" else 1.0
        if layer is not None and depth is not None:
            scale *= self.layer_decay ** (depth - layer)
        share = self.start_share if role == "encoder" else 0.0
        return {"lr_scale": scale, "decay": is_decayed(name, ndim), "start_share": share}

    def __call__(
        self,
        key: tuple[int, str],
        weights: FloatsXd,
        gradient: FloatsXd,
        *,
        lr_scale: float = 1.0,
        decay: bool | None = None,
        start_share: float = 0.0,
    ) -> tuple[FloatsXd, FloatsXd]:
        """Step one parameter in place and clear its gradient.

        key (tuple): Id of the layer or shim, and the parameter's name.
        weights (FloatsXd): The parameter, any shape.
        gradient (FloatsXd): Its gradient, same shape.
        lr_scale (float): Factor on the learning rate.
        decay (bool | None): Whether weight decay applies. None: decide by name and shape, and clip
            by thinc's per-parameter `grad_clip`; the module's own norm was not looked at.
        start_share (float): Share of the first weights in the average.
        RETURNS (tuple): Weights and gradient, the arrays that were given wherever possible.
        """
        if gradient.size < 1:
            return weights, gradient
        if decay is None:
            decay = is_decayed(key[1], weights.ndim)
            if self.grad_clip:
                gradient = get_array_ops(weights).clip_gradient(gradient, self.grad_clip)
        W, dW = xp2torch(weights), xp2torch(gradient)
        step = Step(key, W, dW, {"lr_scale": lr_scale, "decay": decay, "start_share": start_share})
        moved = self._step([step])
        dW.zero_()
        return cast(FloatsXd, torch2xp(W)) if moved else weights, gradient

    def step_all(
        self,
        steps: Sequence[tuple[tuple[int, str], torch.Tensor, torch.Tensor, dict[str, Any]]],
    ) -> None:
        """Step many parameters in place, those of one group by one call of the kernel: on a GPU
        each call costs more than the arithmetic in it.

        steps (Sequence[Tuple]): The parts of a `Step` for each parameter: key, weights, gradient,
            options.
        """
        groups: dict[tuple[Any, ...], list[Step]] = {}
        for step in map(Step._make, steps):
            place = (step.weights.device, *sorted(step.options.items()))
            groups.setdefault(place, []).append(step)
        for alike in groups.values():
            self._step(alike)

    @torch.no_grad()
    def _step(self, steps: Sequence[Step]) -> bool:
        """Step parameters of equal options.

        RETURNS (bool): Whether any weights were not float32 in one piece, and were copied.
        """
        share = steps[0].options["start_share"]
        for step in steps if share else ():
            if step.key not in self.starts:
                self.starts[step.key] = _copy(step.weights)
        moved = self._adamw(steps, **{k: steps[0].options[k] for k in ("lr_scale", "decay")})
        if self.averages is not None:
            for step in steps:
                self._average(step, self.averages, share)
        return moved

    def _adamw(self, steps: Sequence[Step], *, lr_scale: float, decay: bool) -> bool:
        """RETURNS (bool): As `_step`."""
        device = steps[0].weights.device
        weights = [_flat32(step.weights) for step in steps]
        for step, flat in zip(steps, weights, strict=True):
            if step.key not in self.mom1:
                ops = get_array_ops(torch2xp(flat))
                self.mom1[step.key] = ops.alloc1f(len(flat))
                self.mom2[step.key] = ops.alloc1f(len(flat))
        # The kernel counts the steps itself, from these tensors, and wants them beside the weights.
        counts = torch.tensor([float(self.nr_update[step.key]) for step in steps])
        fused = device.type in FUSED_DEVICES
        for step in steps:
            self.nr_update[step.key] += 1
        adamw(
            weights,
            [_flat32(step.gradient) for step in steps],
            [xp2torch(self.mom1[step.key]) for step in steps],
            [xp2torch(self.mom2[step.key]) for step in steps],
            [],
            list((counts.to(device) if fused else counts).unbind()),
            foreach=False,
            fused=fused,
            amsgrad=False,
            maximize=False,
            beta1=self.b1,
            beta2=self.b2,
            lr=self.learn_rate * lr_scale,
            weight_decay=self.L2 if decay else 0.0,
            eps=self.eps,
        )
        moved = False
        for step, flat in zip(steps, weights, strict=True):
            if flat.data_ptr() != step.weights.data_ptr():
                step.weights.copy_(flat.view(step.weights.shape))
                moved = True
        return moved

    def _average(
        self, step: Step, averages: dict[tuple[int, str], FloatsXd], start_share: float
    ) -> None:
        """Move an average towards the weights. The first steps weigh what they would after many
        (Adam's correction: a sum of weights is divided by what it has of 1 so far)."""
        weights = step.weights.to(torch.float32)
        if start_share:
            weights = weights.lerp(xp2torch(self.starts[step.key]), start_share)
        if step.key not in averages:
            averages[step.key] = _copy(weights)
        past = self.average_decay ** self.nr_update[step.key]
        xp2torch(averages[step.key]).lerp_(weights, (1 - self.average_decay) / (1 - past))


def is_decayed(name: str, ndim: int) -> bool:
    """RETURNS (bool): Whether weight decay applies to a parameter: not to norms and biases."""
    if ndim < 2:
        return False
    *modules, last = name.split(".")
    if last in NEVER_DECAYED or last.endswith("_bias"):
        return False
    return not any(m.lower().rstrip("_0123456789").endswith("norm") for m in modules)


def make_adamw(
    learn_rate: FloatOrSeq = 1e-3,
    *,
    encoder_scale: float = 1.0,
    layer_decay: float = 1.0,
    weight_decay: FloatOrSeq = 0.01,
    beta1: FloatOrSeq = 0.9,
    beta2: FloatOrSeq = 0.999,
    eps: FloatOrSeq = 1e-8,
    clip_norm: float = 1.0,
    grad_clip: FloatOrSeq = 1.0,
    average_decay: float = 0.0,
    start_share: float = 0.0,
) -> AdamW:
    """Registered as `spacy_llm_tasks.AdamW.v1`.

    learn_rate (float or schedule): Step size of the heads.
    encoder_scale (float): The encoder's learning rate is `learn_rate * encoder_scale`.
    layer_decay (float): Factor per layer below the top one, 1.0 for none; the embeddings of an
        encoder with `depth` blocks get `layer_decay ** depth`.
    weight_decay (float or schedule): Decoupled decay; norms, biases and vectors are left out.
    beta1 (float or schedule): Decay of the mean of the gradients.
    beta2 (float or schedule): Decay of the mean of their squares.
    eps (float or schedule): Added to the root of the latter.
    clip_norm (float): Largest global gradient norm of one torch module, 0 for no clipping.
    grad_clip (float or schedule): Largest gradient norm of one parameter of a stock thinc layer.
    average_decay (float): Evaluate and save a moving average of the weights, of which every step
        keeps this share (0.995 remembers some 200 steps); 0.0 for the weights themselves.
    start_share (float): Of what is evaluated and saved, let this share be the weights that the
        encoder began with, which know more than the training data; 0.0 for none.
    RETURNS (AdamW): The optimizer.
    RAISES (ValueError): If a number lies outside its range.
    """
    for name, value, low, high in (
        ("encoder_scale", encoder_scale, 0.0, float("inf")),
        ("layer_decay", layer_decay, 0.0, 1.0),
        ("average_decay", average_decay, 0.0, 1.0),
        ("start_share", start_share, 0.0, 1.0),
        ("clip_norm", clip_norm, 0.0, float("inf")),
        ("learn_rate", learn_rate, 0.0, float("inf")),
        ("weight_decay", weight_decay, 0.0, float("inf")),
    ):
        if isinstance(value, int | float) and not low <= value <= high:
            raise ValueError(Errors.E501.format(name=name, value=value, low=low, high=high))
    return AdamW(
        learn_rate,
        encoder_scale=encoder_scale,
        layer_decay=layer_decay,
        weight_decay=weight_decay,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        clip_norm=clip_norm,
        grad_clip=grad_clip,
        average_decay=average_decay,
        start_share=start_share,
    )


def _copy(tensor: torch.Tensor) -> FloatsXd:
    return cast(FloatsXd, torch2xp(tensor.to(torch.float32, copy=True)))


def _flat32(tensor: torch.Tensor) -> torch.Tensor:
    """RETURNS (Tensor): float32, one dimension, contiguous; the same memory if it can be."""
    return tensor.to(torch.float32).contiguous().view(-1)
