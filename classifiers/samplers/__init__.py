"""Samplers: in which order a training shows its images.

Modules of this folder are imported for the names alone, so they import numpy inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from facekit.registry import Registry

if TYPE_CHECKING:
    import numpy as np

NO_SAMPLER = "none"  # every image once before any again


class Sampler(Protocol):
    """Says which image is shown when."""

    def __call__(
        self, targets: Sequence[tuple[np.ndarray, int]], num_shown: int, seed: int
    ) -> np.ndarray:
        """Return numbers of images, int64 [num_shown].

        Args:
            targets: of each head with classes, the first of the task first, class ids int64 [N]
                (MISSING where there is no label), and its number of classes.
            num_shown: length of the order.
            seed: of the random numbers.
        """


SAMPLERS: Registry[Sampler] = Registry("sampler", __name__)
