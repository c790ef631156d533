"""The arm that repeats real images where others add synthetic ones."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, DEFICITS, Part
from facekit.options import PositiveShare, option

if TYPE_CHECKING:
    from classifiers.images.added import Added, Stock


@ARMS.register("copy")
class Copy(Part):
    """Real images of train, repeated, fill a share of what each minority class lacks.

    What synthetic images do beyond it is not done by showing rare classes more often.
    """

    changes = "images"
    needs = frozenset({DEFICITS})
    is_control = True

    share: PositiveShare = option(help="Of each class's deficit.")

    @property
    def filled(self) -> float:
        """Share of each class's deficit that added images fill, in 0..1."""
        return self.share

    def added(self, stock: "Stock") -> "Added":
        """Return the images that join those of train."""
        from classifiers.images.added import copied_images

        return copied_images(stock, self.share)
