"""Convolution whose second gradients cost as little as its first ones.

PyTorch takes the second gradient in the kernels with a convolution as large as the image. Here each
gradient is one of the three usual operations: y = conv(x, w) is linear in x and in w, so that the
gradient in one of x, w, y always follows from the other two.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from stylegan2.ops import native

WINOGRAD = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # the settings that csrc/winograd.cpp knows
LANES = 16  # it takes numbers of channels that are multiples of this
MIN_TILES = 16  # 4x4 pixels each, of an image: the results do not depend on the size of the batch
MIN_WIDTH = 24  # of the coarser image, below which oneDNN's gradient in strided kernels is as fast

_takes_kernel_gradients = True
_is_quick = False


@contextmanager
def quick_convolutions() -> Iterator[None]:
    """Within, 3x3 kernels are convolved by Winograd's algorithm where that is compiled.

    It takes a quarter of the multiplications; its error is about 1e-5 of the largest value, that of
    a sum in float32 one of 1e-6. Made for training, and for images of 8 bits.
    """
    global _is_quick
    before, _is_quick = _is_quick, True
    try:
        yield
    finally:
        _is_quick = before


def is_quick() -> bool:
    """Tell whether Winograd's algorithm is allowed; see `quick_convolutions`."""
    return _is_quick


@contextmanager
def image_gradients_only() -> Iterator[None]:
    """Within, backward passes leave out the gradients in kernels: for gradients in images alone.

    Custom functions are not told which gradients `torch.autograd.grad` is asked for.
    """
    global _takes_kernel_gradients
    before, _takes_kernel_gradients = _takes_kernel_gradients, False
    try:
        yield
    finally:
        _takes_kernel_gradients = before


def convolve(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: Sequence[int] = (0, 0),
    transposed: bool = False,
    groups: int = 1,
) -> Tensor:
    """Return conv2d(x, w), or conv_transpose2d(x, w), plus a bias, [N, C_out, H_out, W_out].

    Args:
        x: [N, C_in, H, W].
        w: [C_out, C_in / groups, k, k], or transposed [C_in, C_out / groups, k, k].
        bias: [C_out] or None.
        stride: step of the kernels over the finer of the two images.
        padding: zeros around it, (y, x).
        transposed: convolve from the coarser to the finer image.
        groups: independent groups of channels.
    """
    settings = ([stride] * 2, list(padding), [1, 1], transposed, [0, 0], groups)
    return _Convolve.apply(x, w, bias, settings)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, bias: Tensor | None, settings: tuple) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.settings = settings
        if suits_winograd(x, w, settings):
            y = torch.ops.stylegan2.winograd(x, w)
            return y if bias is None else y.add_(bias[:, None, None])
        return torch.ops.aten.convolution(x, w, bias, *settings)

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple:
        x, w = ctx.saved_tensors
        needs_x, needs_w, needs_bias, _ = ctx.needs_input_grad
        dx = dw = dbias = None
        if needs_x:
            dx = _ImageGradient.apply(x.detach(), w, dy, ctx.settings)
        if needs_w and _takes_kernel_gradients:
            dw = _KernelGradient.apply(x, w.detach(), dy, ctx.settings)
        if needs_bias and _takes_kernel_gradients:
            dbias = dy.sum(dim=[0, 2, 3])
        return dx, dw, dbias, None


class _ImageGradient(torch.autograd.Function):
    # Linear in w and dy; x gives the shape.

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, dy: Tensor, settings: tuple) -> Tensor:
        ctx.save_for_backward(w, dy)
        ctx.settings = settings
        if suits_winograd(x, w, settings):
            return torch.ops.stylegan2.winograd(dy, w.flip([2, 3]).transpose(0, 1))
        return torch.ops.aten.convolution_backward(dy, x, w, None, *settings, [True, False, False])[
            0
        ]

    @staticmethod
    def backward(ctx, ddx: Tensor) -> tuple:
        w, dy = ctx.saved_tensors
        _, needs_w, needs_dy, _ = ctx.needs_input_grad
        dw = ddy = None
        if needs_w and _takes_kernel_gradients:
            dw = _KernelGradient.apply(ddx, w.detach(), dy, ctx.settings)
        if needs_dy:
            ddy = _Convolve.apply(ddx, w, None, ctx.settings)
        return None, dw, ddy, None


class _KernelGradient(torch.autograd.Function):
    # Linear in x and dy; w gives the shape.

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, dy: Tensor, settings: tuple) -> Tensor:
        ctx.save_for_backward(x, dy)
        ctx.settings = settings
        if suits_winograd(x, w, settings):
            return torch.ops.stylegan2.winograd_kernels(x, dy)
        if suits_strided(x, w, settings):
            (stride, _), _, _, transposed, _, _ = settings
            fine, coarse = (dy, x) if transposed else (x, dy)
            return torch.ops.stylegan2.strided_kernels(fine, coarse, stride, *w.shape[2:])
        return torch.ops.aten.convolution_backward(dy, x, w, None, *settings, [False, True, False])[
            1
        ]

    @staticmethod
    def backward(ctx, ddw: Tensor) -> tuple:
        x, dy = ctx.saved_tensors
        needs_x, _, needs_dy, _ = ctx.needs_input_grad
        dx = ddy = None
        if needs_x:
            dx = _ImageGradient.apply(x.detach(), ddw, dy, ctx.settings)
        if needs_dy:
            ddy = _Convolve.apply(x, ddw, None, ctx.settings)
        return dx, None, ddy, None


def suits_winograd(x: Tensor, w: Tensor, settings: tuple) -> bool:
    """Tell whether a convolution is one that the compiled Winograd convolution does, and may do."""
    if not is_quick() or settings != WINOGRAD or w.shape[2:] != (3, 3):
        return False
    height, width = x.shape[2:]
    return math.ceil(height / 4) * math.ceil(width / 4) >= MIN_TILES and is_compiled(x, w)


def suits_strided(x: Tensor, w: Tensor, settings: tuple) -> bool:
    """Tell whether the compiled gradient in strided kernels is faster."""
    (stride, _), padding, _, transposed, _, groups = settings
    if stride == 1 or padding != [0, 0] or groups != 1 or not is_compiled(x, w):
        return False
    width = x.shape[3] if transposed else x.shape[3] // stride
    return width >= MIN_WIDTH


def is_compiled(x: Tensor, w: Tensor) -> bool:
    """Tell whether there are compiled convolutions for these images and channels."""
    fits = w.shape[0] % LANES == 0 and w.shape[1] % LANES == 0
    return fits and x.dtype == torch.float32 and x.device.type == "cpu" and native.is_used(x)
