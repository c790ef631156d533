"""The arm that learns from a part of the rare classes' images."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, DEFICITS, Part
from facekit.options import PositiveShare, option

if TYPE_CHECKING:
    import numpy as np

    from classifiers.images.added import Stock


@ARMS.register("part")
class PartOfReal(Part):
    """A share of each minority class's images, for learning curves; all others stay.

    As many images are shown as in `real`. A smaller share is within a larger one.
    """

    changes = "images"
    needs = frozenset({DEFICITS})
    is_control = True

    share: PositiveShare = option(help="Of each minority class's images.")

    def kept(self, stock: "Stock") -> "np.ndarray":
        """Return which images of train are learned from, bool [N]."""
        from classifiers.images.added import part_of_minorities

        return part_of_minorities(stock, self.share)
