"""Bias, activation, gain and clamp."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from stylegan2.ops import native
from stylegan2.ops.checks import check_choice, check_shape


@dataclass(frozen=True)
class Activation:
    """An activation function, and the gain and alpha it has unless told otherwise.

    is_homogeneous says that a positive factor passes through fn, so that it may come first.
    """

    fn: Callable[[Tensor, float], Tensor]  # may work in place
    gain: float = 1.0
    alpha: float = 0.0
    is_homogeneous: bool = False


ACTIVATIONS = {
    "linear": Activation(lambda x, _: x, is_homogeneous=True),
    "relu": Activation(lambda x, _: torch.relu_(x), gain=math.sqrt(2), is_homogeneous=True),
    "lrelu": Activation(functional.leaky_relu_, gain=math.sqrt(2), alpha=0.2, is_homogeneous=True),
    "tanh": Activation(lambda x, _: torch.tanh(x)),
    "sigmoid": Activation(lambda x, _: torch.sigmoid(x)),
    "elu": Activation(lambda x, _: functional.elu(x)),
    "selu": Activation(lambda x, _: functional.selu(x)),
    "softplus": Activation(lambda x, _: functional.softplus(x)),
    "swish": Activation(lambda x, _: torch.sigmoid(x) * x, gain=math.sqrt(2)),
}
NUMBERS = {name: i for i, name in enumerate(ACTIVATIONS)}  # in csrc/arithmetic.h


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Return clamp(gain * act(x + b), -clamp, clamp), of x's shape and dtype.

    Args:
        x: any shape, floating point.
        b: bias, [x.shape[dim]], or None.
        dim: dimension of x along which b runs.
        act: a name of ACTIVATIONS.
        alpha: slope of lrelu below 0; None for 0.2.
        gain: factor; None for the activation's own, which about keeps the variance.
        clamp: largest magnitude of the result, above 0; None for no limit.

    Raises:
        ValueError: act is unknown, b does not fit x, or clamp is not above 0.
    """
    check_choice("act", act, ACTIVATIONS)
    check_clamp(clamp)
    if b is not None:
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(f"dim: {dim}, expected a dimension of x, which has {x.ndim}")
        check_shape("b", b, [x.shape[dim]])
    if b is None and act == "linear" and gain in (None, 1) and clamp is None:
        return x
    if native.is_used(x):
        spec = ACTIVATIONS[act]
        return torch.ops.stylegan2.bias_act(
            x,
            b,
            0 if b is None else dim % x.ndim,
            NUMBERS[act],
            spec.alpha if alpha is None else alpha,
            spec.gain if gain is None else gain,
            math.inf if clamp is None else clamp,
        )
    early, late = split_gain(act, gain)
    if b is not None:
        b = (b.to(x.dtype) * early).reshape([-1 if i == dim % x.ndim else 1 for i in range(x.ndim)])
        x = torch.add(b, x, alpha=early)
    else:
        x = x * early
    return activate_(x, act, alpha, late, clamp)


def check_clamp(clamp: float | None) -> None:
    """Refuse a limit that is not above 0."""
    if clamp is not None and not clamp > 0:
        raise ValueError(f"clamp: {clamp!r}, expected a number above 0")


def split_gain(act: str, gain: float | None) -> tuple[float, float]:
    """Return the factors to apply before and after the activation; one of them is 1."""
    gain = ACTIVATIONS[act].gain if gain is None else gain
    return (gain, 1.0) if ACTIVATIONS[act].is_homogeneous and gain > 0 else (1.0, gain)


def activate_(
    x: Tensor,
    act: str = "linear",
    alpha: float | None = None,
    gain: float = 1,
    clamp: float | None = None,
) -> Tensor:
    """Return clamp(gain * act(x), -clamp, clamp); x is overwritten.

    Raises:
        ValueError: clamp is not above 0.
    """
    check_clamp(clamp)
    spec = ACTIVATIONS[act]
    x = spec.fn(x, spec.alpha if alpha is None else alpha)
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)
