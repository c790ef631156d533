"""Scale, noise, bias and activation of feature maps in one pass over them."""

import math

import torch
from torch import Tensor

from stylegan2.ops import native
from stylegan2.ops.bias_act import ACTIVATIONS, activate_, split_gain

SLOPES = {"linear": 1.0, "relu": 0.0, "lrelu": ACTIVATIONS["lrelu"].alpha}


def modulate(
    x: Tensor,
    scale: Tensor,
    noise: Tensor | None = None,
    b: Tensor | None = None,
    act: str = "linear",
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return clamp(gain * act(x * scale + noise + b), -clamp, clamp), of x's shape and dtype.

    Args:
        x: [N, C, H, W], floating point.
        scale: factor of each sample and channel, [N, C].
        noise: [N, 1, H, W] or [H, W], or None.
        b: bias, [C], or None.
        act: a name of ACTIVATIONS.
        gain: factor.
        clamp: largest magnitude of the result, above 0; None for no limit.
    """
    if act in SLOPES and gain > 0 and native.is_used(x):
        noise = None if noise is None else noise.reshape(-1, 1, *x.shape[2:])
        limit = math.inf if clamp is None else clamp
        return torch.ops.stylegan2.modulate(x, scale, noise, b, SLOPES[act], gain, limit)
    early, late = split_gain(act, gain)
    scale = (scale * early).to(x.dtype)[:, :, None, None]
    x = x * scale if noise is None else torch.addcmul((noise * early).to(x.dtype), x, scale)
    if b is not None:
        x = x.add_((b * early).to(x.dtype)[:, None, None])
    return activate_(x, act, gain=late, clamp=clamp)
