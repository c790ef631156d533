"""Convolution whose kernels are scaled by a style, sample by sample."""

import math

import torch
from torch import Tensor

from stylegan2.ops.bias_act import bias_act
from stylegan2.ops.checks import check_shape
from stylegan2.ops.conv2d_resample import conv2d_resample
from stylegan2.ops.modulate import modulate

EPSILON = 1e-8


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    bias: Tensor | None = None,
    act: str = "linear",
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return x convolved with kernels of its own for each sample, [N, C_out, H_out, W_out].

    Scaling the kernels is scaling the channels that enter and leave the shared kernels, which is
    what happens here: grouped convolutions of N * C channels are slower.

    Args:
        x: [N, C_in, H, W], float32 or float16.
        weight: [C_out, C_in, k, k], float32.
        styles: factor of each input channel, [N, C_in], float32.
        noise: added to the result, [N, 1, H_out, W_out] or [H_out, W_out]; None for none.
        up, down, padding, resample_filter, flip_weight: as in `conv2d_resample`.
        demodulate: scale each sample's kernels to unit norm per output channel.
        bias: added to the result, [C_out]; None for none.
        act: activation of the result, a name of ACTIVATIONS.
        gain: factor on the activated result.
        clamp: largest magnitude of the result; None for no limit.

    Raises:
        ValueError: shapes that do not fit each other.

    Source: arXiv:1912.04958, section 2.2.
    """
    num, num_in = x.shape[:2]
    check_shape("x", x, [None] * 4)
    check_shape("weight", weight, [None, num_in, None, None])
    check_shape("styles", styles, [num, num_in])

    # Keep float16 in range: demodulation undoes both scales.
    if x.dtype == torch.float16 and demodulate:
        fan_in = weight[0].numel()
        largest = weight.abs().amax(dim=[1, 2, 3], keepdim=True)
        weight = weight * (1 / math.sqrt(fan_in) / largest)
        styles = styles / styles.abs().amax(dim=1, keepdim=True)

    # Modulate, convolve, demodulate.
    y = conv2d_resample(
        modulate(x, styles),
        weight.to(x.dtype),
        f=resample_filter,
        up=up,
        down=down,
        padding=padding,
        flip_weight=flip_weight,
        bias=None if demodulate or bias is None else bias.to(x.dtype),
    )
    if demodulate:
        power = styles.square() @ weight.square().sum(dim=[2, 3]).T  # [N, C_out]
        return modulate(y, (power + EPSILON).rsqrt(), noise, bias, act, gain, clamp)
    if noise is not None:
        y = y + noise.to(x.dtype)
    return bias_act(y, act=act, gain=gain, clamp=clamp)
