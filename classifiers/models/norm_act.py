"""Batch norm with the activation after it, fast where networks are trained on CPUs.

PyTorch's batch norm, activation and their gradients read and write the images a dozen times a step,
which is what they take their time for; the compiled operators do so seven times.
"""

from typing import TypeGuard

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from classifiers.models import native

ACTIVATIONS = (nn.Identity, nn.ReLU, nn.ReLU6)  # by their numbers in `csrc/norm_act.h`


class _NormAct(torch.autograd.Function):
    """Batch norm by the batch's own statistics, which running ones follow, and an activation."""

    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        act: int,
    ) -> Tensor:
        y, mean, inverse = torch.ops.classifiers.norm_act(
            x, weight, bias, running_mean, running_var, momentum, eps, act
        )
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        ctx.act = act
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        found = torch.ops.classifiers.norm_act_backward(grad, *ctx.saved_tensors, ctx.act)
        return *found, None, None, None, None, None


class FastBatchNormAct2d(BatchNormAct2d):
    """timm's BatchNormAct2d, or nn.BatchNorm2d, by one operator where that is faster.

    Takes over weights and statistics, so that names and values in a state dict stay as they were.
    """

    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        assert norm.momentum is not None, "a cumulative mean, see _is_replaceable"
        super().__init__(norm.num_features, norm.eps, norm.momentum, apply_act=False)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(norm, name))
        self.act = getattr(norm, "act", self.act)
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W] of [N, C, H, W]."""
        if not (self.training and _is_fit(x) and native.is_used(x)):
            return super().forward(x)
        self.num_batches_tracked.add_(1)
        return _NormAct.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps,
            ACTIVATIONS.index(type(self.act)),
        )  # fmt: skip


def _is_fit(x: Tensor) -> bool:
    is_many = len(x) * x.shape[2:].numel() > 1  # one number has no variance: PyTorch says so
    return is_many and x.is_contiguous(memory_format=torch.channels_last)


def replace_norms(module: nn.Module) -> nn.Module:
    """Replace a network's batch norms in place, where the class above can; return it."""
    return native.replace_modules(module, _is_replaceable, FastBatchNormAct2d)


def _is_replaceable(module: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    return (
        isinstance(module, nn.BatchNorm2d)
        and type(module) in (nn.BatchNorm2d, BatchNormAct2d)
        and module.affine
        and module.track_running_stats
        and module.momentum is not None
        and type(getattr(module, "act", nn.Identity())) in ACTIVATIONS
        and type(getattr(module, "drop", nn.Identity())) is nn.Identity
    )
