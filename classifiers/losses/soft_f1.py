"""F1 of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.losses import EPS, LOSSES, Compared, Loss

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("soft_f1")
class SoftF1(Loss):
    """1 - F1 of the classes that a batch shows, with probabilities in place of predictions."""

    def of_heads(self, compared: Compared) -> Tensor:
        """Return the mean over the classes that a batch shows, [1] or [K]; 0 if it shows none."""
        import torch

        outputs, target, share, mass = (
            compared.outputs, compared.target, compared.share, compared.mass
        )  # fmt: skip
        if compared.is_binary:
            prob = torch.stack([(-outputs).sigmoid(), outputs.sigmoid()], dim=2)  # [N, K, 2]
            both, shares = (torch.stack([1 - one, one], dim=2) for one in (target, share))
            losses = soft_f1_losses(prob, shares, mass[:, :, None])
            shown = (mass[:, :, None] * both).sum(dim=0) > 0
        else:
            losses = soft_f1_losses(outputs.softmax(dim=1), share, mass)[None]  # [1, C]
            shown = (mass * target).sum(dim=0)[None] > 0
        return (losses * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1)


def soft_f1_losses(prob: Tensor, target: Tensor, mass: Tensor) -> Tensor:
    """Return 1 - F1 of each class over a batch [...].

    Args:
        prob: of the classes [N, ...].
        target: their shares likewise.
        mass: how much each image counts, likewise or [N, 1 ...].
    """
    hits = (mass * prob * target).sum(dim=0)
    total = (mass * (prob + target)).sum(dim=0)
    return 1 - 2 * hits / total.clamp(min=EPS)
