"""The arm whose synthetic images show another class than they are said to."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS
from classifiers.arms.synth import Synth

if TYPE_CHECKING:
    from classifiers.images.added import Added, Stock


@ARMS.register("shuffled")
class Shuffled(Synth):
    """The images of `synth`, with their classes shuffled among them: a control that cannot help."""

    is_control = True

    def added(self, stock: "Stock") -> "Added":
        """Return the images that join those of train."""
        from classifiers.images.added import shuffled_images

        return shuffled_images(stock, self.share)
