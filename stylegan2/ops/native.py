"""The compiled operators: what PyTorch has to know of them, and whether they are used.

The operators are described here (`torch.library`: signatures, gradients, shapes without data) and
computed by `csrc`. Where that is not compiled, or cannot be, callers take their own way of composed
PyTorch operators instead, which computes the same.

Under autocast they are left as they are: results have the images' type, parameters are read in any
type and enter in that of sums (float32; float64 for float64).
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from facekit.compute import build

NAMESPACE = "stylegan2"
SOURCES = {
    "cpu": (
        "cpu.cpp",
        "augment.cpp",
        "fused.cpp",
        "winograd.cpp",
        "strided.cpp",
        "operators.h",
        "product.h",
        "tensors.h",
        "arithmetic.h",
    ),
    "cuda": ("cuda.cpp", "cuda.cu", "cuda.h", "tensors.h", "arithmetic.h"),
}
OPERATORS = {
    kind: build.Operators(
        kind,
        f"{kind.upper()} operators",
        kind,
        Path(__file__).parent / "csrc",
        sources,
        "`stylegan2 doctor --rebuild` tries again and times both ways",
    )
    for kind, sources in SOURCES.items()
}

_LIBRARY = torch.library.Library(NAMESPACE, "DEF")
_is_allowed = True


@contextlib.contextmanager
def composed() -> Iterator[None]:
    """Within, the compiled operators are not used."""
    global _is_allowed
    before, _is_allowed = _is_allowed, False
    try:
        yield
    finally:
        _is_allowed = before


def is_used(x: Tensor) -> bool:
    """Tell whether an operator on this tensor is the compiled one; the first call compiles it."""
    return _is_allowed and is_ready(x.device.type)


def has_for_cpu(x: Tensor, name: str) -> bool:
    """Tell whether an operator that a CPU's library alone has is used on this tensor.

    A library of operators for GPUs that is compiled for a CPU, as tests do, has it not.
    """
    if x.device.type != "cpu" or not is_used(x):
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{name}", "CPU")


def is_ready(device_type: str) -> bool:
    """Tell whether there are compiled operators for a kind of device; see `build.is_ready`."""
    return device_type in OPERATORS and build.is_ready(OPERATORS[device_type])


# upfirdn2d: rows and cols are the taps of all terms, those of y_axis and x_axis are up, down,
# padding before and after. It is linear, and its gradient is itself with other arguments.

_LIBRARY.define(
    "upfirdn2d(Tensor x, float[] rows, float[] cols, int terms, int[] y_axis, int[] x_axis)"
    " -> Tensor"
)


def _size_out(size: int, taps: int, axis: list[int]) -> int:
    up, down, before, after = axis
    return (size * up + before + after - taps) // down + 1


def _adjoint(size: int, taps: int, axis: list[int]) -> list[int]:
    up, down, before, _ = axis
    used = size * up - _size_out(size, taps, axis) * down
    return [down, up, taps - 1 - before, used + before - up + 1]


@torch.library.register_fake(f"{NAMESPACE}::upfirdn2d", lib=_LIBRARY)
def _(x, rows, cols, terms, y_axis, x_axis):
    height = _size_out(x.shape[2], len(rows) // terms, y_axis)
    width = _size_out(x.shape[3], len(cols) // terms, x_axis)
    layout = torch._prims_common.suggest_memory_format(x)
    return x.new_empty([*x.shape[:2], height, width]).contiguous(memory_format=layout)


def _setup_upfirdn2d(ctx, inputs, output):
    x, *ctx.arguments = inputs
    ctx.size = x.shape[2:]


def _upfirdn2d_backward(ctx, dy):
    rows, cols, terms, y_axis, x_axis = ctx.arguments
    dx = torch.ops.stylegan2.upfirdn2d(
        dy,
        _reverse(rows, terms),
        _reverse(cols, terms),
        terms,
        _adjoint(ctx.size[0], len(rows) // terms, y_axis),
        _adjoint(ctx.size[1], len(cols) // terms, x_axis),
    )
    return dx, None, None, None, None, None


def _reverse(taps: list[float], terms: int) -> list[float]:
    length = len(taps) // terms
    return [
        tap for start in range(0, len(taps), length) for tap in taps[start : start + length][::-1]
    ]


torch.library.register_autograd(
    f"{NAMESPACE}::upfirdn2d", _upfirdn2d_backward, setup_context=_setup_upfirdn2d, lib=_LIBRARY
)


# bias_act: y = clamp(gain * act(x + b)). Its derivatives are taken at `ref`, which is y with from_y
# (piecewise linear functions: nothing but y is kept) or x. bias_act_first is linear in dy + add,
# add being one number a channel, and also returns its result's sums by channel if is_summed.

_ACT = "int dim, int act, float alpha, float gain, float clamp"
_LIBRARY.define(f"bias_act(Tensor x, Tensor? b, {_ACT}) -> Tensor")
_LIBRARY.define(
    f"bias_act_first(Tensor dy, Tensor? add, Tensor ref, Tensor? b, {_ACT}, bool from_y,"
    " bool is_summed) -> (Tensor, Tensor)"
)
_LIBRARY.define(
    f"bias_act_second(Tensor dy, Tensor ddx, Tensor? add, Tensor ref, Tensor? b, {_ACT},"
    " bool is_summed) -> (Tensor, Tensor)"
)
PIECEWISE_LINEAR = 3  # activations before this one are


def _sums_like(ref: Tensor, dim: int, is_summed: bool) -> Tensor:
    dtype = torch.float64 if ref.dtype == torch.float64 else torch.float32
    return ref.new_empty([ref.shape[dim] if is_summed else 0], dtype=dtype)


@torch.library.register_fake(f"{NAMESPACE}::bias_act", lib=_LIBRARY)
def _(x, b, dim, act, alpha, gain, clamp):
    return torch.empty_like(x)


@torch.library.register_fake(f"{NAMESPACE}::bias_act_first", lib=_LIBRARY)
def _(dy, add, ref, b, dim, act, alpha, gain, clamp, from_y, is_summed):
    return torch.empty_like(ref), _sums_like(ref, dim, is_summed)


@torch.library.register_fake(f"{NAMESPACE}::bias_act_second", lib=_LIBRARY)
def _(dy, ddx, add, ref, b, dim, act, alpha, gain, clamp, is_summed):
    return torch.empty_like(ref), _sums_like(ref, dim, is_summed)


def _setup_bias_act(ctx, inputs, output):
    x, b, *ctx.settings = inputs
    _, act, alpha, gain, _ = ctx.settings
    ctx.from_y = act < PIECEWISE_LINEAR and gain > 0 and alpha >= 0
    ctx.bias_dtype = None if b is None else b.dtype
    ctx.save_for_backward(*((output, None) if ctx.from_y else (x, b)))


def _bias_act_backward(ctx, dy):
    ref, b = ctx.saved_tensors
    needs_b = ctx.needs_input_grad[1]
    dx, db = torch.ops.stylegan2.bias_act_first(
        dy, None, ref, b, *ctx.settings, ctx.from_y, needs_b
    )
    return dx, db.to(ctx.bias_dtype) if needs_b else None, *[None] * 5


torch.library.register_autograd(
    f"{NAMESPACE}::bias_act", _bias_act_backward, setup_context=_setup_bias_act, lib=_LIBRARY
)


def _setup_bias_act_first(ctx, inputs, output):
    dy, add, ref, b, *ctx.settings, ctx.from_y, ctx.is_summed = inputs
    ctx.save_for_backward(dy, add, ref, b)


def _bias_act_first_backward(ctx, ddx, dsums):
    dy, add, ref, b = ctx.saved_tensors
    needs_dy, needs_add, needs_ref, needs_b, *_ = ctx.needs_input_grad
    more = dsums if ctx.is_summed else None
    g_dy = g_add = g_ref = g_b = None
    if needs_dy or needs_add:
        g_dy, g_add = torch.ops.stylegan2.bias_act_first(
            ddx, more, ref, b, *ctx.settings, ctx.from_y, needs_add
        )
    if not ctx.from_y and (needs_ref or needs_b):
        if add is not None:
            raise NotImplementedError("bias_act: third derivatives of smooth activations")
        g_ref, g_b = torch.ops.stylegan2.bias_act_second(
            dy, ddx, more, ref, b, *ctx.settings, needs_b
        )
    return (
        g_dy,
        g_add.to(add.dtype) if needs_add else None,
        g_ref,
        g_b.to(b.dtype) if needs_b and g_b is not None else None,
        *[None] * 7,
    )


torch.library.register_autograd(
    f"{NAMESPACE}::bias_act_first",
    _bias_act_first_backward,
    setup_context=_setup_bias_act_first,
    lib=_LIBRARY,
)


# modulate: y = bend(x * s + noise + b), bend a leaky rectifier with gain (above 0) and clamp. x is
# [N, C, H, W], s [N, C], noise [N or 1, 1, H, W], b [C]. y tells its own derivative; it is left out
# where bend is a factor. The gradients of tangent and adjoint are tangents and adjoints again.

_BEND = "float slope, float gain, float clamp"
_LIBRARY.define(f"modulate(Tensor x, Tensor s, Tensor? noise, Tensor? b, {_BEND}) -> Tensor")
_LIBRARY.define(
    "modulate_tangent(Tensor? dx, Tensor? ds, Tensor? dnoise, Tensor? db, Tensor x, Tensor s,"
    f" Tensor? y, {_BEND}) -> Tensor"
)
_LIBRARY.define(
    f"modulate_adjoint(Tensor dy, Tensor x, Tensor s, Tensor? y, {_BEND}, bool wants_x,"
    " bool wants_s, bool wants_noise, bool wants_b) -> (Tensor, Tensor, Tensor, Tensor)"
)


@torch.library.register_fake(f"{NAMESPACE}::modulate", lib=_LIBRARY)
def _(x, s, noise, b, slope, gain, clamp):
    return torch.empty_like(x, memory_format=torch.channels_last)


@torch.library.register_fake(f"{NAMESPACE}::modulate_tangent", lib=_LIBRARY)
def _(dx, ds, dnoise, db, x, s, y, slope, gain, clamp):
    return torch.empty_like(x, memory_format=torch.channels_last)


@torch.library.register_fake(f"{NAMESPACE}::modulate_adjoint", lib=_LIBRARY)
def _(dy, x, s, y, slope, gain, clamp, wants_x, wants_s, wants_noise, wants_b):
    num, channels, height, width = x.shape
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return (
        torch.empty_like(x, memory_format=torch.channels_last) if wants_x else x.new_empty([0]),
        x.new_empty([num if wants_s else 0, channels], dtype=dtype),
        x.new_empty([num if wants_noise else 0, 1, height, width], dtype=dtype),
        x.new_empty([channels if wants_b else 0], dtype=dtype),
    )


def _setup_modulate(ctx, inputs, output):
    x, s, noise, b, *ctx.bend = inputs
    ctx.save_for_backward(x, s, None if _is_factor(ctx.bend) else output)
    ctx.like = [None if each is None else (each.shape, each.dtype) for each in (s, noise, b)]


def _is_factor(bend: list[float]) -> bool:
    return bend[0] == 1 and bend[2] == math.inf


def _fit(gradient: Tensor, like: tuple) -> Tensor:
    shape, dtype = like
    return gradient.sum_to_size(shape).to(dtype)


def _modulate_backward(ctx, dy):
    x, s, y = ctx.saved_tensors
    wants = list(ctx.needs_input_grad[:4])
    gradients = torch.ops.stylegan2.modulate_adjoint(dy, x, s, y, *ctx.bend, *wants)
    dx = gradients[0] if wants[0] else None
    rest = [
        _fit(gradient, like) if wanted else None
        for gradient, like, wanted in zip(gradients[1:], ctx.like, wants[1:], strict=True)
    ]
    return dx, *rest, None, None, None


torch.library.register_autograd(
    f"{NAMESPACE}::modulate", _modulate_backward, setup_context=_setup_modulate, lib=_LIBRARY
)


def _setup_modulate_adjoint(ctx, inputs, output):
    dy, x, s, y, *ctx.bend = inputs[:7]
    ctx.wants = inputs[7:]
    ctx.save_for_backward(dy, x, s, y)
    ctx.set_materialize_grads(False)


def _modulate_adjoint_backward(ctx, *grads):
    dy, x, s, y = ctx.saved_tensors
    ddx, dds, ddnoise, ddb = (
        grad if wanted else None for grad, wanted in zip(grads, ctx.wants, strict=True)
    )
    needs_dy, needs_x, needs_s = ctx.needs_input_grad[:3]
    g_dy = g_x = g_s = None
    if needs_dy:
        g_dy = torch.ops.stylegan2.modulate_tangent(ddx, dds, ddnoise, ddb, x, s, y, *ctx.bend)
    g_x, g_s = _modulate_product(dy, ddx, dds, x, s, y, ctx.bend, needs_x, needs_s)
    return g_dy, g_x, g_s, *[None] * 8


def _modulate_product(g, dx, ds, x, s, y, bend, needs_x, needs_s):
    """Return the gradients in x and s of the sum of g * tangent(dx, ds)."""
    needs_x, needs_s = needs_x and ds is not None, needs_s and dx is not None
    if not (needs_x or needs_s):
        return None, None
    dx, ds = x if dx is None else dx, s if ds is None else ds
    g_x, g_s, _, _ = torch.ops.stylegan2.modulate_adjoint(
        g, dx, ds, y, *bend, needs_x, needs_s, False, False
    )
    return g_x if needs_x else None, g_s.to(s.dtype) if needs_s else None


torch.library.register_autograd(
    f"{NAMESPACE}::modulate_adjoint",
    _modulate_adjoint_backward,
    setup_context=_setup_modulate_adjoint,
    lib=_LIBRARY,
)


def _setup_modulate_tangent(ctx, inputs, output):
    dx, ds, dnoise, db, x, s, y, *ctx.bend = inputs
    ctx.save_for_backward(dx, ds, x, s, y)
    ctx.like = [None if each is None else (each.shape, each.dtype) for each in (ds, dnoise, db)]


def _modulate_tangent_backward(ctx, g):
    dx, ds, x, s, y = ctx.saved_tensors
    needs = ctx.needs_input_grad
    wants = list(needs[:4])
    g_dx, *gradients = torch.ops.stylegan2.modulate_adjoint(g, x, s, y, *ctx.bend, *wants)
    rest = [
        _fit(gradient, like) if wanted else None
        for gradient, like, wanted in zip(gradients, ctx.like, wants[1:], strict=True)
    ]
    g_x, g_s = _modulate_product(g, dx, ds, x, s, y, ctx.bend, needs[4], needs[5])
    return g_dx if wants[0] else None, *rest, g_x, g_s, *[None] * 4


torch.library.register_autograd(
    f"{NAMESPACE}::modulate_tangent",
    _modulate_tangent_backward,
    setup_context=_setup_modulate_tangent,
    lib=_LIBRARY,
)


# augment: images of up to 4 channels moved by maps [N, 2, 3] and coloured by [N, C, C + 1], both
# float64 on the CPU and empty for none; see `models/augment.py`. Without the numbers that colours
# add it is linear, and its gradient is the adjoint. CPUs only.

_LIBRARY.define("augment(Tensor x, Tensor maps, Tensor colors, float[] taps) -> Tensor")
_LIBRARY.define("augment_adjoint(Tensor dy, Tensor maps, Tensor colors, float[] taps) -> Tensor")


@torch.library.register_fake(f"{NAMESPACE}::augment", lib=_LIBRARY)
def _(x, maps, colors, taps):
    return torch.empty_like(x, memory_format=torch.channels_last)


@torch.library.register_fake(f"{NAMESPACE}::augment_adjoint", lib=_LIBRARY)
def _(dy, maps, colors, taps):
    return torch.empty_like(dy, memory_format=torch.channels_last)


def _setup_augment(ctx, inputs, output):
    _, ctx.maps, ctx.colors, ctx.taps = inputs


def _augment_backward(ctx, dy):
    dx = torch.ops.stylegan2.augment_adjoint(dy, ctx.maps, ctx.colors, ctx.taps)
    return dx, None, None, None


def _augment_adjoint_backward(ctx, ddx):
    colors = ctx.colors
    if colors.numel():
        colors = colors.clone()
        colors[..., -1] = 0
    return torch.ops.stylegan2.augment(ddx, ctx.maps, colors, ctx.taps), None, None, None


torch.library.register_autograd(
    f"{NAMESPACE}::augment", _augment_backward, setup_context=_setup_augment, lib=_LIBRARY
)
torch.library.register_autograd(
    f"{NAMESPACE}::augment_adjoint",
    _augment_adjoint_backward,
    setup_context=_setup_augment,
    lib=_LIBRARY,
)


# Convolutions of float32 on CPUs; `convolve` says when they are taken, and has their gradients.

_LIBRARY.define("winograd(Tensor x, Tensor w) -> Tensor")
_LIBRARY.define("winograd_kernels(Tensor x, Tensor dy) -> Tensor")
_LIBRARY.define(
    "strided_kernels(Tensor x, Tensor dy, int stride, int taps_y, int taps_x) -> Tensor"
)


@torch.library.register_fake(f"{NAMESPACE}::winograd", lib=_LIBRARY)
def _(x, w):
    shape = [len(x), len(w), *x.shape[2:]]
    return x.new_empty(shape).contiguous(memory_format=torch.channels_last)


@torch.library.register_fake(f"{NAMESPACE}::winograd_kernels", lib=_LIBRARY)
def _(x, dy):
    return x.new_empty([3, 3, x.shape[1], dy.shape[1]]).permute(3, 2, 0, 1)


@torch.library.register_fake(f"{NAMESPACE}::strided_kernels", lib=_LIBRARY)
def _(x, dy, stride, taps_y, taps_x):
    return x.new_empty([taps_y, taps_x, x.shape[1], dy.shape[1]]).permute(3, 2, 0, 1)


# Whole layers on CPUs; `fused` says what they compute. Their gradients stand in csrc/fused.cpp.

_CONV = "int[] conv, float[] rows, float[] cols, int[] filter"
_AFFINE = "Tensor affine, Tensor affine_bias"
_LIBRARY.define(
    f"conv_layer(Tensor x, Tensor weight, Tensor? bias, {_CONV}, float weight_gain, {_BEND})"
    " -> Tensor"
)
_LIBRARY.define(
    f"style_layer(Tensor x, Tensor w, Tensor weight, {_AFFINE}, Tensor? noise, Tensor? strength,"
    f" Tensor bias, {_CONV}, float affine_gain, float affine_bias_gain, {_BEND}) -> Tensor"
)
_LIBRARY.define(
    f"rgb_layer(Tensor x, Tensor w, Tensor weight, {_AFFINE}, Tensor bias, Tensor? img,"
    " float[] rows, float[] cols, int[] filter, float affine_gain, float affine_bias_gain,"
    " float weight_gain, float clamp) -> Tensor"
)
_LIBRARY.define(
    "dense_layers(Tensor x, Tensor[] parameters, float[] weight_gains, float[] bias_gains,"
    " float[] slopes, float[] gains) -> Tensor"
)
