"""The arm that weighs classes in the loss."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    from classifiers.options import LossOptions


@ARMS.register("weighted_loss")
class WeightedLoss(Part):
    """Classes weigh inversely to their frequency."""

    changes = "weights"

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        return loss.but(weights="inverse")
