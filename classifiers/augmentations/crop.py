"""Places of the crop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.augmentations import AUGMENTATIONS, Frame, Move
from facekit.options import NotNegativeCount, option

if TYPE_CHECKING:
    import numpy as np


@AUGMENTATIONS.register("crop")
class Crop(Move):
    """Where the view's crop lies in training."""

    order = 4  # last, since all others turn and mirror about the crop's middle
    is_whole = True

    random: bool = option(False, "Anywhere, not in the middle.")
    pad: NotNegativeCount = option(0, "How far it may reach over the border.", unit="pixels")

    def move(
        self, maps: np.ndarray, begun: Any, frame: Frame, rng: np.random.Generator
    ) -> np.ndarray:
        """Return maps followed by the way from the crop's middle to the image's, [N, 3, 3]."""
        import numpy as np

        offsets = self.draw_offsets(frame, rng)
        return np.concatenate(
            [maps[:, :2] + offsets[:, :, None] * maps[:, 2:], maps[:, 2:]], axis=1
        )

    def draw_offsets(self, frame: Frame, rng: np.random.Generator) -> np.ndarray:
        """Return where crops' middles lie from the images' middles, pixels (x, y), float64 [N, 2].

        Whole pixels, so that a crop alone blurs nothing.
        """
        import numpy as np

        num_images = frame.num_images
        offsets = np.zeros((num_images, 2))
        for i, (part, whole) in enumerate(zip(frame.crop[::-1], frame.size[::-1], strict=True)):
            spare = whole - part
            first = spare // 2 if not self.random else rng.integers(0, spare + 1, num_images)
            if self.pad:
                first = first + rng.integers(-self.pad, self.pad + 1, num_images)
            offsets[:, i] = first - spare / 2
        return offsets
