"""Losses of numeric heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.losses import NUMERIC_LOSSES

if TYPE_CHECKING:
    from torch import Tensor


@NUMERIC_LOSSES.register("l1")
def l1(output: Tensor, target: Tensor) -> Tensor:
    """Return the distances [N, K]."""
    return (output - target).abs()


@NUMERIC_LOSSES.register("l2")
def l2(output: Tensor, target: Tensor) -> Tensor:
    """Return the squared distances [N, K]."""
    return (output - target) ** 2


@NUMERIC_LOSSES.register("smooth_l1")
def smooth_l1(output: Tensor, target: Tensor) -> Tensor:
    """Return half the squared distances, less than linear beyond 1, [N, K]."""
    from torch.nn.functional import smooth_l1_loss

    return smooth_l1_loss(output, target, reduction="none")
