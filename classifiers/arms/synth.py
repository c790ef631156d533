"""The arm that learns from synthetic images, too."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, DEFICITS, SYNTHETIC, Part
from facekit.options import PositiveShare, option

if TYPE_CHECKING:
    from classifiers.images.added import Added, Stock


@ARMS.register("synth")
class Synth(Part):
    """Accepted synthetic images fill a share of what each minority class lacks."""

    changes = "images"
    needs = frozenset({SYNTHETIC, DEFICITS})

    share: PositiveShare = option(help="Of each class's deficit.")

    @property
    def filled(self) -> float:
        """Share of each class's deficit that added images fill, in 0..1."""
        return self.share

    def added(self, stock: "Stock") -> "Added":
        """Return the images that join those of train."""
        from classifiers.images.added import synthetic_images

        return synthetic_images(stock, self.share)
