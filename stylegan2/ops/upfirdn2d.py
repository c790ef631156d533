"""FIR filtering of images with up- and down-sampling.

Compiled code computes it where there is any (see `native`). Otherwise there are two ways to compute
the same thing with PyTorch's operators, chosen by the layout of the images in memory:

- channels last: a depthwise convolution, fast on CPUs in that layout;
- otherwise matrices: along an axis the whole operation (insert zeros, pad or crop, filter, keep
  every n-th sample) is linear, and the filter is a sum of few products of one filter an axis (one
  for all the usual filters), so that an image costs two matrix products.

The gradient is the operation itself with up and down exchanged and the filter reversed, so that
gradients of any order cost the same.
"""

import functools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylegan2.ops import native
from stylegan2.ops.checks import check_positive, check_shape

SEPARABLE_TAPS = 8  # 1-D filters of at least so many taps stay 1-D


def setup_filter(
    f: Tensor | Sequence | float | None,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Return a filter ready for `upfirdn2d`: [taps] if separable, else [taps_y, taps_x], float32.

    Args:
        f: 1-D or 2-D taps, one number, or None for the identity.
        normalize: divide by the sum of the taps.
        flip_filter: reverse the taps along every axis.
        gain: factor on a signal that passes the filter in both axes.
        separable: keep 1-D taps 1-D; None decides by their number.

    Raises:
        ValueError: f has no taps or more than 2 dimensions, or 2-D taps are to be separable.
    """
    f = torch.as_tensor(1 if f is None else f, dtype=torch.float32)
    if f.ndim > 2 or f.numel() == 0:
        raise ValueError(f"f: shape {list(f.shape)}, expected taps in 1 or 2 dimensions")
    if f.ndim == 0:
        f = f[None]
        separable = bool(separable)
    if separable is None:
        separable = f.ndim == 1 and f.numel() >= SEPARABLE_TAPS
    if separable and f.ndim == 2:
        raise ValueError("separable: True, but f has 2 dimensions")
    if f.ndim == 1 and not separable:
        f = torch.outer(f, f)
    if normalize:
        f = f / f.sum()
    if flip_filter:
        f = f.flip(list(range(f.ndim)))
    return f * gain ** (f.ndim / 2)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Return x up-sampled by zeros, padded, filtered and down-sampled, [N, C, H_out, W_out].

    The output is (H * up + p0 + p1 - taps) // down + 1 high, and as wide likewise.

    Args:
        x: images, [N, C, H, W], floating point.
        f: filter of `setup_filter`, [taps] for both axes or [taps_y, taps_x]; None is the identity.
        up: samples per input sample; the number, or [x, y].
        down: every such sample is kept, starting with the first; the number, or [x, y].
        padding: samples added in the up-sampled grid, negative ones cut off; the number, [x, y], or
            [x before, x after, y before, y after].
        flip_filter: correlate (True) or convolve (False).
        gain: factor on the result.

    Raises:
        ValueError: an argument of another shape or range, or nothing is left of the image.
    """
    check_shape("x", x, [None] * 4)
    up_x, up_y = parse_pair("up", up)
    down_x, down_y = parse_pair("down", down)
    (x0, x1), (y0, y1) = parse_padding(padding)
    is_separable = f is not None and f.ndim == 1
    gain_y, gain_x = (gain**0.5, gain**0.5) if is_separable else (1.0, gain)
    terms = correlation_taps(filter_factors(f), flip_filter, gain_y, gain_x)
    y_axis = Axis(x.shape[2], len(terms[0][0]), up_y, down_y, y0, y1)
    x_axis = Axis(x.shape[3], len(terms[0][1]), up_x, down_x, x0, x1)
    if native.is_used(x):
        return torch.ops.stylegan2.upfirdn2d(
            x, *flat_taps(terms), len(terms), y_axis.settings, x_axis.settings
        )
    return _Upfirdn2d.apply(x, terms, y_axis, x_axis)


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Return x filtered, of the same size where `padding` (added to that) is 0; see `upfirdn2d`."""
    taps_x, taps_y = filter_size(f)
    pad = add_padding(padding, (taps_x // 2, (taps_x - 1) // 2), (taps_y // 2, (taps_y - 1) // 2))
    return upfirdn2d(x, f, padding=pad, flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Return x enlarged by `up`, with its mean kept; `padding` is in output pixels."""
    up_x, up_y = parse_pair("up", up)
    taps_x, taps_y = filter_size(f)
    pad = add_padding(padding, up_padding(taps_x, up_x), up_padding(taps_y, up_y))
    return upfirdn2d(x, f, up=up, padding=pad, flip_filter=flip_filter, gain=gain * up_x * up_y)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Return x reduced by `down`; `padding` is in input pixels."""
    down_x, down_y = parse_pair("down", down)
    taps_x, taps_y = filter_size(f)
    pad = add_padding(padding, down_padding(taps_x, down_x), down_padding(taps_y, down_y))
    return upfirdn2d(x, f, down=down, padding=pad, flip_filter=flip_filter, gain=gain)


def up_padding(taps: int, up: int) -> tuple[int, int]:
    """Return the padding (before, after) that centres a filter when up-sampling."""
    return (taps + up - 1) // 2, (taps - up) // 2


def down_padding(taps: int, down: int) -> tuple[int, int]:
    """Return the padding (before, after) that centres a filter when down-sampling."""
    return (taps - down + 1) // 2, (taps - down) // 2


def filter_size(f: Tensor | None) -> tuple[int, int]:
    """Return the number of taps along x and y."""
    if f is None:
        return 1, 1
    if f.ndim not in (1, 2) or f.numel() == 0:
        raise ValueError(f"f: shape {list(f.shape)}, expected taps in 1 or 2 dimensions")
    return f.shape[-1], f.shape[0]


def parse_pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return the factors along x and y."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:
        raise ValueError(f"{name}: {value!r}, expected an integer or [x, y]")
    for factor in pair:
        check_positive(name, factor)
    return pair


def parse_padding(padding: int | Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding (before, after) along x and along y."""
    if isinstance(padding, int):
        padding = [padding]
    if len(padding) not in (1, 2, 4) or not all(isinstance(pad, int) for pad in padding):
        raise ValueError(f"padding: {padding!r}, expected 1, 2 or 4 integers")
    if len(padding) == 4:
        return (padding[0], padding[1]), (padding[2], padding[3])
    return (padding[0], padding[0]), (padding[-1], padding[-1])


def add_padding(
    padding: int | Sequence[int], pad_x: tuple[int, int], pad_y: tuple[int, int]
) -> list[int]:
    """Return a caller's padding with more along x and y, as four numbers."""
    (x0, x1), (y0, y1) = parse_padding(padding)
    return [x0 + pad_x[0], x1 + pad_x[1], y0 + pad_y[0], y1 + pad_y[1]]


@dataclass(frozen=True)
class Axis:
    """The resampling along one axis, apart from the values of the taps."""

    size: int  # samples that enter
    taps: int
    up: int
    down: int
    before: int  # padding
    after: int

    def __post_init__(self) -> None:
        """Check that something is left."""
        if self.size_out < 1:
            raise ValueError(
                f"padding: nothing is left of {self.size} samples (up {self.up}, down {self.down},"
                f" padding {self.before} and {self.after}, {self.taps} taps)"
            )

    @property
    def size_out(self) -> int:
        """Samples that leave."""
        return (self.size * self.up + self.before + self.after - self.taps) // self.down + 1

    @property
    def settings(self) -> list[int]:
        """What the compiled operator wants to know, apart from sizes."""
        return [self.up, self.down, self.before, self.after]

    @property
    def adjoint(self) -> "Axis":
        """The transposed map, whose taps are reversed."""
        used = self.size * self.up - self.size_out * self.down
        before = self.taps - 1 - self.before
        after = used + self.before - self.up + 1
        return Axis(self.size_out, self.taps, self.down, self.up, before, after)


class _Upfirdn2d(torch.autograd.Function):
    # terms: pairs of taps (y, x) to correlate with, whose outer products add up to the filter.

    @staticmethod
    def forward(ctx, x: Tensor, terms: tuple, y_axis: Axis, x_axis: Axis) -> Tensor:
        ctx.maps = terms, y_axis, x_axis
        y = None
        if is_channels_last(x):
            y = _by_convolution(x, terms, y_axis, x_axis)
        return _by_matrices(x, terms, y_axis, x_axis) if y is None else y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        terms, y_axis, x_axis = ctx.maps
        terms = tuple((rows[::-1], cols[::-1]) for rows, cols in terms)
        return _Upfirdn2d.apply(grad, terms, y_axis.adjoint, x_axis.adjoint), None, None, None


def is_channels_last(x: Tensor) -> bool:
    """Tell whether the channels of a pixel lie side by side, and not the pixels of a channel."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _by_convolution(x: Tensor, terms: tuple, y_axis: Axis, x_axis: Axis) -> Tensor | None:
    # One depthwise convolution; long separable filters take two. None if it cannot be said so.
    if len(terms) == 1 and min(y_axis.taps, x_axis.taps) >= SEPARABLE_TAPS:
        rows, cols = terms[0]
        still = (Axis(x.shape[2], 1, 1, 1, 0, 0), Axis(x_axis.size_out, 1, 1, 1, 0, 0))
        y = _depthwise(x, (((1.0,), cols),), still[0], x_axis)
        return None if y is None else _depthwise(y, ((rows, (1.0,)),), y_axis, still[1])
    return _depthwise(x, terms, y_axis, x_axis)


def _depthwise(x: Tensor, terms: tuple, y_axis: Axis, x_axis: Axis) -> Tensor | None:
    axes = (y_axis, x_axis)
    channels = x.shape[1]
    kernel = depthwise_kernel(terms, x.device, x.dtype).expand(channels, 1, -1, -1)
    if all(axis.up == 1 for axis in axes):
        stride = [axis.down for axis in axes]
        pad = [axis.before for axis in axes]
        if any(axis.before != axis.after or axis.before < 0 for axis in axes):
            x = functional.pad(x, [x_axis.before, x_axis.after, y_axis.before, y_axis.after])
            pad = [0, 0]
        return functional.conv2d(x, kernel, stride=stride, padding=pad, groups=channels)
    if all(axis.down == 1 for axis in axes):
        cut = [axis.taps - 1 - axis.before for axis in axes]
        more = [axis.after + axis.up + c - axis.taps for axis, c in zip(axes, cut, strict=True)]
        if min(cut) < 0 or not all(0 <= m < axis.up for m, axis in zip(more, axes, strict=True)):
            return None
        stride = [axis.up for axis in axes]
        kernel = kernel.flip([2, 3])
        return functional.conv_transpose2d(
            x, kernel, stride=stride, padding=cut, output_padding=more, groups=channels
        )
    return None


@functools.lru_cache(maxsize=256)
def depthwise_kernel(terms: tuple, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the taps of both axes, [1, 1, taps_y, taps_x]."""
    kernel = sum(np.outer(rows, cols) for rows, cols in terms)
    return torch.from_numpy(kernel).to(device, dtype)[None, None]


def _by_matrices(x: Tensor, terms: tuple, y_axis: Axis, x_axis: Axis) -> Tensor:
    num, channels, height, width = x.shape
    x = x.reshape(num * channels, height, width)
    total = None
    for row_taps, col_taps in terms:
        rows = axis_matrix(row_taps, y_axis, x.device, x.dtype)
        cols = axis_matrix(col_taps, x_axis, x.device, x.dtype)
        y = x.reshape(num * channels * height, width) @ cols.T
        y = y.reshape(num * channels, height, x_axis.size_out)
        y = torch.bmm(rows.expand(num * channels, -1, -1), y)
        total = y if total is None else total.add_(y)
    assert total is not None  # a filter has at least one term
    return total.reshape(num, channels, y_axis.size_out, x_axis.size_out)


@functools.lru_cache(maxsize=256)
def axis_matrix(
    taps: tuple[float, ...], axis: Axis, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the map of one axis, [size_out, size]; its row k makes output sample k."""
    matrix = np.zeros((axis.size_out, axis.size))
    for tap, value in enumerate(taps):
        position = np.arange(axis.size_out) * axis.down + tap - axis.before  # in the finer grid
        hit = (position % axis.up == 0) & (position >= 0) & (position < axis.size * axis.up)
        matrix[np.flatnonzero(hit), position[hit] // axis.up] += value
    return torch.from_numpy(matrix).to(device, dtype)


@functools.lru_cache(maxsize=256)
def correlation_taps(factors: tuple, flip_filter: bool, gain_y: float, gain_x: float) -> tuple:
    """Return the taps to correlate with, gains included."""
    step = 1 if flip_filter else -1
    return tuple(
        (
            tuple(tap * gain_y for tap in rows[::step]),
            tuple(tap * gain_x for tap in cols[::step]),
        )
        for rows, cols in factors
    )


@functools.lru_cache(maxsize=256)
def flat_taps(terms: tuple) -> tuple[list[float], list[float]]:
    """Return the taps along y and along x, one term after the other."""
    return [tap for rows, _ in terms for tap in rows], [tap for _, cols in terms for tap in cols]


def filter_factors(f: Tensor | None) -> tuple:
    """Return the filter as a sum of separable ones, each the taps along y and along x."""
    if f is None:
        return (((1.0,), (1.0,)),)
    filter_size(f)
    key = id(f)
    version = None if f.is_inference() else f._version
    entry = _FACTORS.get(key)
    if entry is None or entry[0]() is not f or entry[1] != version:
        entry = weakref.ref(f, lambda _: _FACTORS.pop(key, None)), version, _factor(f)
        _FACTORS[key] = entry
    return entry[2]


_FACTORS: dict[int, tuple] = {}  # by identity and version: reading a filter makes a GPU wait


def _factor(f: Tensor) -> tuple:
    taps = f.detach().double().cpu().numpy()
    if taps.ndim == 1:
        return ((tuple(taps.tolist()),) * 2,)
    columns, scales, rows = np.linalg.svd(taps)
    rank = max(1, int((scales > scales[0] * 1e-6).sum()))  # float32 taps are exact to 6e-8
    return tuple(
        (tuple((columns[:, k] * scales[k]).tolist()), tuple(rows[k].tolist())) for k in range(rank)
    )
