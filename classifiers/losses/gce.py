"""Generalised cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.losses import LOSSES, Compared, Loss
from facekit.options import PositiveShare, option

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("gce")
class Gce(Loss):
    """(1 - p^q) / q of the class: wrong labels pull less than in cross-entropy.

    Source: Zhang and Sabuncu 2018, arXiv:1805.07836, equation 6.
    """

    q: PositiveShare = option(0.7, "Near 0 it is cross-entropy; 1 is 1 - p, the least pull.")

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        return (compared.share * self._of(compared.outputs.log_softmax(dim=1))).sum(dim=1)

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        from torch.nn.functional import logsigmoid

        share, logits = compared.share, compared.outputs
        return share * self._of(logsigmoid(logits)) + (1 - share) * self._of(logsigmoid(-logits))

    def _of(self, log_prob: Tensor) -> Tensor:
        """Return (1 - p^q) / q without the cancellation that a small q brings."""
        return -(self.q * log_prob).expm1() / self.q
