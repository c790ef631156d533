"""Mirror images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.augmentations import AUGMENTATIONS, Frame, Move
from facekit.options import Share, option

if TYPE_CHECKING:
    import numpy as np


@AUGMENTATIONS.register("flip")
class Flip(Move):
    """Mirror images."""

    order = 1  # nearest to the view: it mirrors what the other moves have made
    is_whole = True
    is_value = True

    p: Share = option(0.5, "Probability of a mirror image.")

    def move(
        self, maps: np.ndarray, begun: Any, frame: Frame, rng: np.random.Generator
    ) -> np.ndarray:
        """Return maps followed by a mirror for some images, [N, 3, 3]."""
        import numpy as np

        mirror = np.where(rng.random(frame.num_images) < self.p, -1.0, 1.0)
        return np.concatenate([maps[:, :1] * mirror[:, None, None], maps[:, 1:]], axis=1)
