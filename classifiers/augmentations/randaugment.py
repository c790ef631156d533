"""RandAugment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from classifiers.augmentations import AUGMENTATIONS, OfBytes
from facekit.options import IsWhole, NotNegativeCount, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Magnitude = Annotated[int, Field(ge=0, le=30), IsWhole]


@AUGMENTATIONS.register("randaugment")
class RandAugment(OfBytes):
    """Operations drawn by chance. Source: arXiv:1909.13719."""

    num_ops: NotNegativeCount = option(0, "Operations an image; 0 for none.")
    magnitude: Magnitude = option(9, "Their strength.")

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything."""
        return bool(self.num_ops)

    def change(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return images each changed by its own operations.

        Images that got the same operation and direction are changed together.
        """
        import numpy as np
        import torch

        from classifiers.images.operations import OPERATIONS

        images = images.clone()
        height, width = images.shape[2:]
        for _ in range(self.num_ops):
            drawn = rng.integers(len(OPERATIONS), size=len(images))
            sign = rng.choice([-1, 1], len(images))
            for k, operation in enumerate(OPERATIONS.values()):
                strength = operation.strength(self.magnitude, (height, width))
                for direction in (-1, 1) if operation.is_signed else (None,):
                    chosen = drawn == k if direction is None else (drawn == k) & (sign == direction)
                    if not chosen.any():
                        continue
                    rows = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
                    images[rows] = operation.apply(images[rows], strength * (direction or 1))
        return images
