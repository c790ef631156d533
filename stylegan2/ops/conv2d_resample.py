"""Convolution of images that are up-sampled before or down-sampled after it."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from stylegan2.ops.checks import check_positive, check_shape
from stylegan2.ops.convolve import convolve
from stylegan2.ops.upfirdn2d import (
    add_padding,
    down_padding,
    filter_size,
    parse_padding,
    up_padding,
    upfirdn2d,
)


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Return x up-sampled with f, convolved with w, filtered with f and sub-sampled, plus a bias.

    Args:
        x: images, [N, C_in, H, W].
        w: kernels, [C_out, C_in / groups, k_y, k_x], of x's dtype.
        f: filter of `setup_filter`; None is the identity.
        up: factor of the up-sampling; its mean is kept.
        down: factor of the down-sampling.
        padding: pixels of the up-sampled image, the number, [x, y] or [x0, x1, y0, y1]; half the
            kernel keeps the size.
        groups: independent groups of channels.
        flip_weight: correlate with w (True) or convolve (False).
        flip_filter: likewise for f.
        bias: added to the result, [C_out]; None for none.

    Raises:
        ValueError: shapes that do not fit each other, factors below 1.
    """
    check_positive("up", up)
    check_positive("down", down)
    check_positive("groups", groups)
    check_shape("x", x, [None] * 4)
    check_shape("w", w, [None, x.shape[1] // groups, None, None])
    if x.shape[1] % groups or w.shape[0] % groups:
        raise ValueError(
            f"groups: {groups} divides not both {x.shape[1]} and {w.shape[0]} channels"
        )
    kernel_y, kernel_x = w.shape[2:]
    taps_x, taps_y = filter_size(f)
    if up > 1:
        padding = add_padding(padding, up_padding(taps_x, up), up_padding(taps_y, up))
    if down > 1:
        padding = add_padding(padding, down_padding(taps_x, down), down_padding(taps_y, down))
    (x0, x1), (y0, y1) = parse_padding(padding)
    is_pointwise = kernel_x == kernel_y == 1
    if flip_weight == (up > 1) and not is_pointwise:  # convolve correlates, transposed it does not
        w = w.flip([2, 3])

    # 1x1 kernels: convolve where there are fewer pixels.
    if is_pointwise and down > 1 and up == 1:
        x = upfirdn2d(x, f, down=down, padding=[x0, x1, y0, y1], flip_filter=flip_filter)
        return convolve(x, w, bias, groups=groups)
    if is_pointwise and up > 1 and down == 1:
        x = convolve(x, w, groups=groups)
        pad = [x0, x1, y0, y1]
        x = upfirdn2d(x, f, up=up, padding=pad, flip_filter=flip_filter, gain=up**2)
        return _add_bias(x, bias)

    # Up-sampling as a transposed convolution, whose result is filtered (and sub-sampled).
    if up > 1:
        x = convolve(x, _swap_channels(w, groups), stride=up, transposed=True, groups=groups)
        pad = [x0 - kernel_x + 1, x1 - kernel_x + up, y0 - kernel_y + 1, y1 - kernel_y + up]
        x = upfirdn2d(x, f, padding=pad, flip_filter=flip_filter, gain=up**2)
        if down > 1:
            x = upfirdn2d(x, f, down=down, flip_filter=flip_filter)
        return _add_bias(x, bias)

    # Down-sampling: filtered, then a strided convolution.
    if down > 1:
        x = upfirdn2d(x, f, padding=[x0, x1, y0, y1], flip_filter=flip_filter)
        return convolve(x, w, bias, stride=down, groups=groups)

    # No resampling.
    if x0 == x1 >= 0 and y0 == y1 >= 0:
        return convolve(x, w, bias, padding=(y0, x0), groups=groups)
    return convolve(functional.pad(x, [x0, x1, y0, y1]), w, bias, groups=groups)


def _add_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias[:, None, None]


def _swap_channels(w: Tensor, groups: int) -> Tensor:
    # [C_out, C_in / groups, k, k] -> [C_in, C_out / groups, k, k], as conv_transpose2d takes it.
    num_out, num_in, *kernel = w.shape
    w = w.reshape(groups, num_out // groups, num_in, *kernel).transpose(1, 2)
    return w.reshape(groups * num_in, num_out // groups, *kernel)
