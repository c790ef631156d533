"""FIR filtering of images with up- and down-sampling.

Along each axis the whole operation (insert zeros, pad or crop, filter, keep every n-th sample) is
one linear map, a banded matrix. A filter of rank r is a sum of r products of such maps, rank 1 for
all the usual ones: an image costs two matrix products, inserted zeros cost nothing, and the
gradient of any order is the same function with the matrices transposed.
"""

import functools
import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stylegan2.checks import check_positive, check_shape

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
    pad_x, pad_y = parse_padding(padding)
    factors = filter_factors(f)
    if f is None or f.ndim == 2:
        gain_x, gain_y = gain, 1.0
    else:
        gain_x = gain_y = gain**0.5
    height, width = x.shape[2:]
    terms = [
        (
            axis_matrix(
                row_taps, height, up_y, down_y, *pad_y, flip_filter, gain_y, x.device, x.dtype
            ),
            axis_matrix(
                col_taps, width, up_x, down_x, *pad_x, flip_filter, gain_x, x.device, x.dtype
            ),
        )
        for row_taps, col_taps in factors
    ]
    return sum(torch.matmul(rows, torch.matmul(x, cols.T)) for rows, cols in terms)


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


def filter_factors(f: Tensor | None) -> tuple:
    """Return the filter as a sum of separable ones, each the taps along y and along x."""
    if f is None:
        return (((1.0,), (1.0,)),)
    filter_size(f)
    entry = _FACTORS.get(id(f))
    if entry is None or entry[0]() is not f or entry[1] != f._version:
        key = id(f)
        _FACTORS[key] = (weakref.ref(f, lambda _: _FACTORS.pop(key, None)), f._version, _factor(f))
    return _FACTORS[id(f)][2]


_FACTORS: dict[int, tuple] = {}  # by identity and version: reading a filter makes a GPU wait


def _factor(f: Tensor) -> tuple:
    taps = f.detach().double().cpu().numpy()
    if taps.ndim == 1:
        return ((tuple(taps), tuple(taps)),)
    columns, scales, rows = np.linalg.svd(taps)
    rank = max(1, int((scales > scales[0] * 1e-6).sum()))  # float32 taps are exact to 6e-8
    return tuple((tuple(columns[:, k] * scales[k]), tuple(rows[k])) for k in range(rank))


@functools.lru_cache(maxsize=1024)
def axis_matrix(
    taps: tuple[float, ...],
    size: int,
    up: int,
    down: int,
    before: int,
    after: int,
    flip: bool,
    gain: float,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return the map of one axis, [size_out, size]; its row k makes output sample k."""
    size_out = (size * up + before + after - len(taps)) // down + 1
    if size_out < 1:
        raise ValueError(
            f"padding: nothing is left of {size} samples (up {up}, down {down}, padding {before},"
            f" {after}, {len(taps)} taps)"
        )
    matrix = np.zeros((size_out, size))
    for tap, value in enumerate(taps if flip else taps[::-1]):
        position = np.arange(size_out) * down + tap - before  # in the up-sampled grid
        hit = (position % up == 0) & (position >= 0) & (position < size * up)
        matrix[np.flatnonzero(hit), position[hit] // up] += value * gain
    return torch.from_numpy(matrix).to(device, dtype)
