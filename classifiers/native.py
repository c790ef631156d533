"""The compiled operators of training on CPUs: their signatures, and whether they are used.

They are compiled from `csrc` when a training first calls for one. Where that cannot be done, the
modules that call them take PyTorch's operators instead, which compute the same.
"""

from pathlib import Path

import torch
from torch import Tensor

from facedata import build

OPERATORS = build.Operators(
    name="classifiers-cpu",
    title="operators for training classifiers",
    kind="cpu",
    folder=Path(__file__).parent / "csrc",
    sources=("operators.cpp", "depthwise.h", "lanes.h", "norm_act.h"),
    again="a training tries again where there is no folder {folder}; remove it",
)

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
