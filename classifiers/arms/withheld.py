"""The arm that gets real images which were held back from all others."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, DEFICITS, RESERVE, Part
from facekit.options import PositiveShare, option

if TYPE_CHECKING:
    from classifiers.images.added import Added, Stock


@ARMS.register("withheld")
class Withheld(Part):
    """Real images of the reserve fill a share of what each minority class lacks.

    What real images would do: a control that helps, if anything can.
    """

    changes = "images"
    needs = frozenset({DEFICITS, RESERVE})
    is_control = True

    share: PositiveShare = option(1.0, "Of each class's deficit, as far as there are images.")

    @property
    def filled(self) -> float:
        """Share of each class's deficit that added images fill, in 0..1."""
        return self.share

    def added(self, stock: "Stock") -> "Added":
        """Return the images that join those of train."""
        from classifiers.images.added import withheld_images

        return withheld_images(stock, self.share)
