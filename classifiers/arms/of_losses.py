"""Arms that take another loss."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part
from classifiers.losses import CROSS_ENTROPY, LOSSES

if TYPE_CHECKING:
    from classifiers.options import LossOptions

# The arm of the loss's own name does the same after training.
OTHER_NAMES = {"logit_adjust": "logit_adjust_loss"}


def _arm(name: str) -> type[Part]:
    class OtherLoss(Part):
        """All heads with classes are compared by a loss of its name."""

        changes = "loss"

        def loss(self, loss: "LossOptions") -> "LossOptions":
            return loss.but(kind=name)

    return OtherLoss


for name in LOSSES:
    if name != CROSS_ENTROPY:
        ARMS.register(OTHER_NAMES.get(name, name))(_arm(name))
