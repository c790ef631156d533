"""The arm that evens out the norms of the classes' weights after training."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    from classifiers.train.adjust import Trained


@ARMS.register("tau_norm")
class TauNorm(Part):
    """After training, each class's weights are divided by their norm to tau, chosen on val.

    Source: Kang et al. 2020, arXiv:1910.09217, section 4.1.
    """

    changes = "last layer"

    def adjust(self, trained: "Trained") -> dict[str, float]:
        """Change a classifier after its training; return by head what was chosen on val."""
        from classifiers.train.adjust import scale_weights

        return scale_weights(trained)
