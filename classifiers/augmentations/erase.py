"""Erased rectangles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import model_validator as validator

from classifiers.augmentations import AUGMENTATIONS, OfValues
from facekit.options import Share, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MAX_ASPECT = 3.3  # of an erased rectangle, either way; torchvision's


@AUGMENTATIONS.register("erase")
class Erase(OfValues):
    """A rectangle of noise. Source: arXiv:1708.04896."""

    order = 2  # after color: the noise is the same, whatever the picture's colours

    p: Share = option(0.0, "Probability for an image.")
    min_area: Share = option(0.02, "Its smallest share of the image.")
    max_area: Share = option(0.33, "Its largest.")

    @validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(f"min_area: {self.min_area} is more than max_area {self.max_area}")
        return self

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything."""
        return bool(self.p)

    def change(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return images some of which have a rectangle of noise."""
        import numpy as np
        import torch

        from classifiers.images.boxes import draw_boxes, inside

        num_images, _, *size = images.shape
        area = rng.uniform(self.min_area, self.max_area, num_images)
        area = np.where(rng.random(num_images) < self.p, area, 0.0)
        aspect = np.exp(rng.uniform(-math.log(MAX_ASPECT), math.log(MAX_ASPECT), num_images))
        mask = inside(draw_boxes(area, aspect, size, rng), size, images.device)
        noise = torch.from_numpy(rng.random(images.shape, dtype=np.float32)).to(images.device)
        return torch.where(mask, noise, images)
