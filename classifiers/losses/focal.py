"""Focal loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from classifiers.losses import LOSSES, Compared, Loss, power
from facekit.options import NotNegative, OrNone, Share, option

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("focal")
class Focal(Loss):
    """Cross-entropy that fades for images already right. Source: arXiv:1708.02002."""

    gamma: NotNegative = option(2.0, "Exponent that takes weight from what is right already.")
    alpha: Annotated[Share | None, OrNone] = option(
        None,
        "Weight of a binary head's second class, 1 - alpha of its first; a factor for categorical"
        " heads; null for none.",
    )

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        log_prob = compared.outputs.log_softmax(dim=1)
        losses = -compared.share * log_prob
        factor = 1.0 if self.alpha is None else self.alpha
        losses = losses * factor * power(1 - log_prob.exp(), self.gamma)
        return losses.sum(dim=1)

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        from torch.nn.functional import logsigmoid

        share, logits = compared.share, compared.outputs
        weight_yes, weight_no = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        yes, no = -logsigmoid(logits), -logsigmoid(-logits)
        prob = logits.sigmoid()
        yes = yes * weight_yes * power(1 - prob, self.gamma)
        no = no * weight_no * power(prob, self.gamma)
        return share * yes + (1 - share) * no
