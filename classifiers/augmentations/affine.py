"""Affine changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from classifiers.augmentations import AUGMENTATIONS, Frame, Move
from facekit.options import IsNumber, Share, option

if TYPE_CHECKING:
    import numpy as np

Degrees = Annotated[float, Field(ge=0, le=180), IsNumber]
Shear = Annotated[float, Field(ge=0, le=60), IsNumber]


@AUGMENTATIONS.register("affine")
class Affine(Move):
    """A turn, a change of size, a shift, a shear."""

    order = 2  # after flip, so that a mirror image's face leans, and moves, the other way

    p: Share = option(1.0, "Probability for an image.")
    rotation: Degrees = option(5.0, "Largest turn, either way.", unit="degrees")
    scale: Share = option(0.05, "Share of the size, either way.")
    shift: Share = option(0.05, "Share of height and width, either way.")
    shear: Shear = option(0.0, "Largest shear, either way.", unit="degrees")

    @property
    def is_used(self) -> bool:
        """True: where images are resampled it takes its random numbers, whatever p is."""
        return True

    @property
    def resamples(self) -> bool:
        """Whether pixels will come from between pixels."""
        return bool(self.p)

    def begin(self, frame: Frame, rng: np.random.Generator) -> Any:
        """Return which images are changed, and how they turn; shifts are drawn after mirrors."""
        chosen = rng.random(frame.num_images) < self.p
        draw = lambda largest: self._draw(largest, chosen, rng)  # noqa: E731
        angle, shear = (draw(math.radians(one)) for one in (self.rotation, self.shear))
        return chosen, angle, shear, 1 + draw(self.scale)

    def move(
        self, maps: np.ndarray, begun: Any, frame: Frame, rng: np.random.Generator
    ) -> np.ndarray:
        """Return maps followed by affine ones, [N, 3, 3]."""
        import numpy as np

        chosen, angle, shear, scale = begun
        height, width = frame.crop
        own = np.zeros((frame.num_images, 3, 3))
        own[:, 0, 0] = scale * np.cos(angle)
        own[:, 1, 0] = scale * np.sin(angle)
        own[:, 0, 1] = scale * (-np.sin(angle) + np.tan(shear) * np.cos(angle))
        own[:, 1, 1] = scale * (np.cos(angle) + np.tan(shear) * np.sin(angle))
        own[:, 0, 2] = self._draw(self.shift * width, chosen, rng)
        own[:, 1, 2] = self._draw(self.shift * height, chosen, rng)
        own[:, 2, 2] = 1
        return own @ maps

    def _draw(self, largest: float, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return chosen * rng.uniform(-largest, largest, len(chosen))
