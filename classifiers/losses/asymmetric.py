"""Asymmetric loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.losses import LOSSES, Compared, Loss, power
from facekit.options import NotNegative, Share, option

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("asymmetric")
class Asymmetric(Loss):
    """Focal loss with one exponent for what an image shows and one for the rest.

    Source: arXiv:2009.14119.
    """

    gamma_positive: NotNegative = option(1.0, "Exponent for what an image shows.")
    gamma_negative: NotNegative = option(4.0, "Exponent for what it does not show.")
    clip: Share = option(
        0.05, "Probability below which what it does not show costs nothing (binary heads)."
    )

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        log_prob = compared.outputs.log_softmax(dim=1)
        target, prob = compared.target, log_prob.exp()
        shown = target * power(1 - prob, self.gamma_positive)
        factor = shown + (1 - target) * power(prob, self.gamma_negative)
        return (-compared.share * log_prob * factor).sum(dim=1)

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        from torch.nn.functional import logsigmoid

        share, logits = compared.share, compared.outputs
        yes = -logsigmoid(logits)
        prob = logits.sigmoid()
        shifted = (prob - self.clip).clamp(min=0)
        yes = yes * power(1 - prob, self.gamma_positive)
        no = -power(1 - shifted, 1.0).log() * power(shifted, self.gamma_negative)
        return share * yes + (1 - share) * no
