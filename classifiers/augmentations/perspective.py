"""Changes of perspective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.augmentations import AUGMENTATIONS, Frame, Move
from facekit.options import Share, option

if TYPE_CHECKING:
    import numpy as np


@AUGMENTATIONS.register("perspective")
class Perspective(Move):
    """Another perspective."""

    order = 3  # after affine: it is the crop's corners that move, whatever turns within

    p: Share = option(0.0, "Probability for an image.")
    distortion: Share = option(0.2, "Share of half a side by which corners move inwards at most.")

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything."""
        return bool(self.p)

    def move(
        self, maps: np.ndarray, begun: Any, frame: Frame, rng: np.random.Generator
    ) -> np.ndarray:
        """Return maps followed by changes of perspective, [N, 3, 3].

        The corners move inwards, each by at most `distortion` of half a side, as torchvision's.
        """
        import numpy as np

        height, width = frame.crop
        chosen = rng.random(frame.num_images) < self.p
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]  # [4, 2]
        shape = (frame.num_images, 4, 2)
        inwards = rng.uniform(0, self.distortion, shape) * chosen[:, None, None]
        return homography(corners * (1 - inwards), np.broadcast_to(corners, shape)) @ maps


def homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the projective maps [N, 3, 3] that take four points [N, 4, 2] to four others."""
    import numpy as np

    num_images = len(source)
    x, y = source[..., 0], source[..., 1]
    matrix = np.zeros((num_images, 8, 8))
    for i in (0, 1):
        rows = slice(4 * i, 4 * i + 4)
        matrix[:, rows, 3 * i], matrix[:, rows, 3 * i + 1] = x, y
        matrix[:, rows, 3 * i + 2] = 1
        matrix[:, rows, 6], matrix[:, rows, 7] = -x * target[..., i], -y * target[..., i]
    wanted = np.concatenate([target[..., 0], target[..., 1]], axis=1)  # [N, 8]
    solved = np.linalg.solve(matrix, wanted[..., None])[..., 0]
    return np.concatenate([solved, np.ones((num_images, 1))], axis=1).reshape(num_images, 3, 3)
