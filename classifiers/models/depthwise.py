"""Depthwise convolutions with a backward pass that is fast on CPUs.

In float32 it is an operator of our own, which computes both gradients at once and reads and writes
images once. Where that cannot be compiled, and in bf16, it is made of oneDNN's, which has no fast
kernel for two cases that lightweight networks are full of: in bf16 the gradient to the input of a
strided depthwise convolution, and in any precision the gradient to 5x5 (and larger) depthwise
weights. Measured on one core (AVX-512, batch 64, channels last): 88 ms instead of 1.1 ms for the
input of 672 channels at stride 2, 66 ms instead of 3 ms for the weights of 1152 channels at 4x3 px.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
import torch.nn.functional as F
from timm.layers import get_same_padding
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from classifiers.models import native

TILE = 3  # side of the weights whose gradient is fast in oneDNN
SIZES, STRIDES = (3, 5, 7), (1, 2)  # that the compiled operator has

Padding = tuple[int, int, int, int]  # rows above and below, columns left and right


class _Depthwise(torch.autograd.Function):
    """conv2d of one filter a channel: x [N, C, H, W], weight [C, 1, K, K]."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, padding: Padding) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(x, weight.to(x.dtype), stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        if _is_compiled(x, weight, ctx.stride):
            found = torch.ops.classifiers.depthwise_backward(
                grad, x, weight, ctx.stride, ctx.padding
            )
        else:
            found = _gradients(grad, x, weight, ctx.stride, ctx.padding, ctx.needs_input_grad)
        return *found, None, None


def _convolve(x: Tensor, weight: Tensor, stride: int, padding: Padding) -> Tensor:
    """Return conv2d with any padding, where the second of two sides has at most `stride` more.

    PyTorch's pads both sides evenly, and a padded copy of the images takes twice as long as the
    convolution. So where sides differ both get more, and the output that this adds is cut off.
    """
    size = weight.shape[-1]
    evenly, cuts = [], []
    for side, before, after in zip(x.shape[2:], padding[::2], padding[1::2], strict=True):
        added = int(before != after)
        evenly.append(before + added * stride)
        cuts.append(slice(added, added + (side + before + after - size) // stride + 1))
    y = F.conv2d(x, weight, None, stride, evenly, 1, x.shape[1])
    return y[:, :, cuts[0], cuts[1]].contiguous(memory_format=torch.channels_last)


def _pad_unevenly(x: Tensor, padding: Padding) -> tuple[Tensor, int]:
    """Return images, padded where sides differ, and the padding of all sides that they lack."""
    top, bottom, left, right = padding
    if top == bottom == left == right:
        return x, top
    return F.pad(x, [left, right, top, bottom]), 0


def _is_compiled(x: Tensor, weight: Tensor, stride: int) -> bool:
    fits = weight.dtype == x.dtype and weight.shape[-1] in SIZES and stride in STRIDES
    return fits and native.is_used(x)


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: Padding, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients to images and weights by PyTorch's operators."""
    padded, even = _pad_unevenly(x, padding)
    grad_x = grad_weight = None
    if needs[0]:
        dtype = torch.float32 if stride > 1 else x.dtype
        like_x = torch.empty_like(padded, dtype=dtype)  # only its shape and layout are read
        grad_x = _backward(grad.to(dtype), like_x, weight.to(dtype), stride, even, "input")
        top, left = (0, 0) if padded is x else (padding[0], padding[2])
        grad_x = grad_x[:, :, top : top + x.shape[2], left : left + x.shape[3]].to(x.dtype)
    if needs[1]:
        grad_weight = _weight_gradient(grad, padded, weight.to(x.dtype), stride, even)
        grad_weight = grad_weight.to(weight.dtype)
    return grad_x, grad_weight


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: str
) -> Tensor:
    """Return PyTorch's own gradient to `input` or `weight`."""
    gradients = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0],
        x.shape[1], [wanted == "input", wanted == "weight", False],
    )  # fmt: skip
    return gradients[0] if wanted == "input" else gradients[1]


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the gradient to the weights [C, 1, K, K], tile by tile where K > TILE.

    A gradient to weights is a correlation of the input with the output's gradient; a part of the
    weights needs the input shifted to that part. Tiles overlap at the end where TILE does not
    divide K; both give the same values there.
    """
    size = weight.shape[-1]
    if size <= TILE:
        return _backward(grad, x, weight, stride, padding, "weight")
    height, width = (stride * (side - 1) + TILE for side in grad.shape[2:])
    x = F.pad(x, [padding] * 4)
    tile = weight[:, :, :TILE, :TILE].contiguous()
    result = torch.empty_like(weight)
    starts = [*range(0, size - TILE, TILE), size - TILE]
    for i in starts:
        for j in starts:
            part = x[:, :, i : i + height, j : j + width]
            part = part.contiguous(memory_format=torch.channels_last)
            gradient = _backward(grad, part, tile, stride, 0, "weight")
            result[:, :, i : i + TILE, j : j + TILE] = gradient
    return result


class DepthwiseConv2d(nn.Module):
    """A depthwise nn.Conv2d (or timm's Conv2dSame) with the faster backward pass.

    Takes over the weight, so that names and values in a state dict stay as they were.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.kernel_size, self.stride = conv.kernel_size, conv.stride
        self.is_same = type(conv) is not nn.Conv2d  # pads to ceil(size / stride), unevenly
        assert not isinstance(conv.padding, str), "see _is_replaceable"
        self.padding = conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H', W'] of [N, C, H, W], in autocast's type where that is on."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        stride, padding = self.stride[0], self._padding(x)
        if x.device.type != "cpu":
            x, even = _pad_unevenly(x, padding)
            return F.conv2d(x, self.weight, None, stride, even, 1, x.shape[1])
        return _Depthwise.apply(x, self.weight, stride, padding)

    def _padding(self, x: Tensor) -> Padding:
        if not self.is_same:
            return (self.padding[0],) * 4
        rows, columns = (
            get_same_padding(side, self.kernel_size[0], self.stride[0], 1) for side in x.shape[2:]
        )
        return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2


def replace_depthwise(module: nn.Module) -> nn.Module:
    """Replace a network's depthwise convolutions in place, where the class above can; return it."""
    return native.replace_modules(module, _is_replaceable, DepthwiseConv2d)


def _is_replaceable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and type(module).__name__ in ("Conv2d", "Conv2dSame")
        and 1 < module.groups == module.in_channels == module.out_channels
        and module.bias is None
        and module.dilation == (1, 1)
        and module.kernel_size[0] == module.kernel_size[1]
        and module.stride[0] == module.stride[1]
        and module.padding_mode == "zeros"
        and isinstance(module.padding, tuple)
        and module.padding[0] == module.padding[-1]
    )
