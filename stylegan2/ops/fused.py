"""Whole layers in one call, where their gradients are not differentiated again.

A layer of a small network is dozens of operators, each of which costs more to call from Python and
to write down for the backward pass than it takes. `csrc/fused.cpp` takes the same steps within one
operator a layer, for float32 on the CPU. Its gradients are of the first order: what needs second
ones (R1, path length) goes operator by operator, as do other types and devices.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2.ops import convolve, native
from stylegan2.ops.modulate import SLOPES
from stylegan2.ops.upfirdn2d import (
    correlation_taps,
    down_padding,
    filter_factors,
    flat_taps,
    up_padding,
)

NEVER = 2**31  # tiles that no image has

_is_first_order = False


@contextmanager
def no_second_derivative() -> Iterator[None]:
    """Within, networks may be computed so that their gradients cannot be differentiated again.

    To ask for such a derivative of a graph made within is an error (RuntimeError).
    """
    global _is_first_order
    before, _is_first_order = _is_first_order, True
    try:
        yield
    finally:
        _is_first_order = before


def is_used(x: Tensor, act: str = "linear", gain: float = 1) -> bool:
    """Tell whether layers of such tensors and this activation are computed in one call."""
    return (
        (_is_first_order or not torch.is_grad_enabled())
        and x.dtype == torch.float32
        and act in SLOPES
        and gain > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and native.has_for_cpu(x, "conv_layer")
    )


@dataclass(frozen=True)
class Resampling:
    """A filter before or after a convolution, as csrc/fused.cpp reads them.

    Attributes:
        conv: filtered before (1) or after it (0); step, padding and direction of the convolution.
        rows, cols: taps along y and x, one term after the other.
        filter: number of terms; up, down, padding before and after along y, and along x. Empty for
            none.
    """

    conv: tuple[int, int, int, int]
    rows: list[float]
    cols: list[float]
    filter: list[int]


@functools.lru_cache(maxsize=256)
def resampling(factors: tuple, up: int, down: int, kernel_size: int) -> Resampling:
    """Return how kernels of an odd size convolve images without changing their size otherwise.

    Args:
        factors: of the filter, see `filter_factors`.
        up, down: factors of the resampling, one of them 1.
        kernel_size: taps of the kernels.
    """
    padding = kernel_size // 2
    if up == down == 1:
        return Resampling((0, 1, padding, 0), [], [], [])
    taps = len(factors[0][0]), len(factors[0][1])
    is_pointwise = kernel_size == 1
    if down > 1:
        axes = [[before + padding, after + padding] for before, after in
                (down_padding(n, down) for n in taps)]  # fmt: skip
        step = [1, down] if is_pointwise else [1, 1]
        conv = (1, 1 if is_pointwise else down, 0, 0)
        gain = 1.0
    else:
        axes = [list(up_padding(n, up)) for n in taps]
        if not is_pointwise:
            axes = [
                [before + padding - kernel_size + 1, after + padding - kernel_size + up]
                for before, after in axes
            ]
        step = [up, 1] if is_pointwise else [1, 1]
        conv = (0, 1, 0, 0) if is_pointwise else (0, up, 0, 1)
        gain = float(up**2)
    terms = correlation_taps(factors, False, 1.0, gain)
    rows, cols = flat_taps(terms)
    return Resampling(conv, rows, cols, [len(terms), *step, *axes[0], *step, *axes[1]])


def _settings(f: Tensor, up: int, down: int, kernel_size: int) -> tuple:
    plan = resampling(filter_factors(f), up, down, kernel_size)
    min_tiles = convolve.MIN_TILES if convolve.is_quick() else NEVER
    conv = [*plan.conv, convolve.LANES, min_tiles, convolve.MIN_WIDTH]
    return conv, plan.rows, plan.cols, plan.filter


def _bend(act: str, gain: float, clamp: float | None) -> tuple[float, float, float]:
    return SLOPES[act], gain, math.inf if clamp is None else clamp


def conv_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    f: Tensor,
    up: int = 1,
    down: int = 1,
    weight_gain: float = 1,
    act: str = "linear",
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return clamp(gain * act(conv(x) * weight_gain + bias)), [N, C_out, H_out, W_out].

    Args:
        x: [N, C_in, H, W].
        weight: [C_out, C_in, k, k], k odd.
        bias: [C_out], or None.
        f: filter of `setup_filter`, read where up or down is not 1.
        up, down: factors of the resampling, one of them 1.
        weight_gain: factor on the kernels.
        act, gain, clamp: as in `modulate`; gain above 0.
    """
    settings = _settings(f, up, down, weight.shape[2])
    return torch.ops.stylegan2.conv_layer(
        x, weight, bias, *settings, weight_gain, *_bend(act, gain, clamp)
    )


def style_layer(
    x: Tensor,
    w: Tensor,
    weight: Tensor,
    affine: tuple[Tensor, Tensor, float, float],
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor,
    f: Tensor,
    up: int = 1,
    act: str = "linear",
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return a convolution whose kernels are modulated by styles and demodulated, with the rest.

    Args:
        x: [N, C_in, H, W].
        w: styles, [N, w_dim].
        weight: [C_out, C_in, k, k], k odd.
        affine: weight [C_in, w_dim], bias [C_in] and their factors: from w to scales of channels.
        noise: [N, 1, H_out, W_out] or [H_out, W_out], or None; times `strength`, of no dimension.
        strength: None without noise.
        bias: [C_out].
        f, up: as in `conv_layer`.
        act, gain, clamp: as in `modulate`; gain above 0.
    """
    affine_weight, affine_bias, *gains = affine
    return torch.ops.stylegan2.style_layer(
        x,
        w,
        weight,
        affine_weight,
        affine_bias,
        noise,
        strength,
        bias,
        *_settings(f, up, 1, weight.shape[2]),
        *gains,
        *_bend(act, gain, clamp),
    )


def rgb_layer(
    x: Tensor,
    w: Tensor,
    weight: Tensor,
    affine: tuple[Tensor, Tensor, float, float],
    bias: Tensor,
    img: Tensor | None,
    f: Tensor,
    weight_gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return the image of features by 1x1 kernels, plus the enlarged image so far.

    Args:
        x: [N, C_in, R, R].
        w, affine: as in `style_layer`; there is no demodulation.
        weight: [C_out, C_in, 1, 1].
        bias: [C_out].
        img: image so far, [N, C_out, R / 2, R / 2], or None.
        f: filter that enlarges it.
        weight_gain: factor on the kernels.
        clamp: largest magnitude of what is added to img; None for no limit.
    """
    affine_weight, affine_bias, *gains = affine
    plan = resampling(filter_factors(f), 2, 1, 1)
    return torch.ops.stylegan2.rgb_layer(
        x,
        w,
        weight,
        affine_weight,
        affine_bias,
        bias,
        img,
        plan.rows,
        plan.cols,
        plan.filter,
        *gains,
        weight_gain,
        math.inf if clamp is None else clamp,
    )


def dense_layers(
    x: Tensor,
    parameters: Sequence[Tensor],
    weight_gains: Sequence[float],
    bias_gains: Sequence[float],
    slopes: Sequence[float],
    gains: Sequence[float],
) -> Tensor:
    """Return fully connected layers applied one after the other, [N, C_out].

    Args:
        x: [N, C_in].
        parameters: weight [C_out, C_in] and bias [C_out] of each layer.
        weight_gains, bias_gains: their factors.
        slopes: of each activation below 0.
        gains: of each activation, above 0.
    """
    return torch.ops.stylegan2.dense_layers(x, parameters, weight_gains, bias_gains, slopes, gains)
