"""The arm that weighs classes in the loss by their effective number of images."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    from classifiers.options import LossOptions


@ARMS.register("effective_loss")
class EffectiveLoss(Part):
    """Classes weigh inversely to their effective number of images, with the loss's beta.

    Source: Cui et al. 2019, arXiv:1901.05555.
    """

    changes = "weights"

    def loss(self, loss: "LossOptions") -> "LossOptions":
        """Return a head's loss in this arm."""
        return loss.but(weights="effective")
