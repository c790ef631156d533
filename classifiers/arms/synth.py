"""The arm that learns from synthetic images, too."""

from classifiers.arms import ARMS, Part
from facekit.options import PositiveShare, option


@ARMS.register("synth")
class Synth(Part):
    """Accepted synthetic images fill a share of what each minority class lacks."""

    changes = "synthetic images"

    share: PositiveShare = option(help="Of each class's deficit.")

    @property
    def synthetic_share(self) -> float:
        """Share of each class's deficit that synthetic images fill, in 0..1."""
        return self.share
