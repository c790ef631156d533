"""The arm that shifts logits by the classes' shares after training."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    from classifiers.train.adjust import Trained


@ARMS.register("logit_adjust")
class LogitAdjust(Part):
    """After training, logits lose tau log(share of the class in train), tau chosen on val.

    Source: Menon et al. 2021, arXiv:2007.07314, section 4.1.
    """

    changes = "last layer"

    def adjust(self, trained: "Trained") -> dict[str, float]:
        """Change a classifier after its training; return by head what was chosen on val."""
        from classifiers.train.adjust import shift_logits

        return shift_logits(trained)
