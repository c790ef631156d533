"""The compiled operators of training on CPUs: signatures, whether they are used, and where.

They are compiled from `csrc` when a training first calls for one. Where that cannot be done, the
modules that call them take PyTorch's operators instead, which compute the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from facekit.compute import build

OPERATORS = build.Operators(
    name="classifiers-cpu",
    title="operators for training classifiers",
    kind="cpu",
    folder=Path(__file__).parent / "csrc",
    sources=("operators.cpp", "depthwise.h", "lanes.h", "norm_act.h"),
    again="a training tries again where there is no folder {folder}; remove it",
)

Replaced = TypeVar("Replaced", bound=nn.Module)
_LIBRARY = torch.library.Library("classifiers", "DEF")
_LIBRARY.define(
    "depthwise_backward(Tensor dy, Tensor x, Tensor w, int stride, int[] padding)"
    " -> (Tensor, Tensor)"
)
_LIBRARY.define(
    "norm_act(Tensor x, Tensor weight, Tensor bias, Tensor(a!) running_mean,"
    " Tensor(b!) running_var, float momentum, float eps, int act) -> (Tensor, Tensor, Tensor)"
)
_LIBRARY.define(
    "norm_act_backward(Tensor dy, Tensor x, Tensor weight, Tensor bias, Tensor mean,"
    " Tensor scale, int act) -> (Tensor, Tensor, Tensor)"
)


def is_used(x: Tensor) -> bool:
    """Tell whether operators on this tensor are the compiled ones; the first call compiles them."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and build.is_ready(OPERATORS)


def replace_modules(
    network: nn.Module,
    suits: Callable[[nn.Module], TypeGuard[Replaced]],
    make: Callable[[Replaced], nn.Module],
) -> nn.Module:
    """Replace the modules of a network that suit by what is made of them, in place; return it."""
    for name, child in network.named_children():
        if suits(child):
            setattr(network, name, make(child))
        else:
            replace_modules(child, suits, make)
    return network
