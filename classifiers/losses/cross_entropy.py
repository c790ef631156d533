"""Cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.losses import CROSS_ENTROPY, LOSSES, Compared, Loss

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register(CROSS_ENTROPY)
class CrossEntropy(Loss):
    """Cross-entropy of categorical heads, binary cross-entropy of binary ones."""

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        return (-compared.share * compared.outputs.log_softmax(dim=1)).sum(dim=1)

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        from torch.nn.functional import logsigmoid

        share, logits = compared.share, compared.outputs
        return share * -logsigmoid(logits) + (1 - share) * -logsigmoid(-logits)
