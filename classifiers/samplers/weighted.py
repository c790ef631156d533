"""Images drawn so that all classes of the first head are drawn alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from classifiers.samplers import SAMPLERS

if TYPE_CHECKING:
    import numpy as np


@SAMPLERS.register("weighted_sampler")
def weighted_order(
    targets: Sequence[tuple[np.ndarray, int]], num_shown: int, seed: int
) -> np.ndarray:
    """Draw with replacement, each class of the first head equally often."""
    from classifiers.images.order import draw_order

    target, num_classes = targets[0]
    return draw_order(len(target), num_shown, seed, sampling_weights(target, num_classes))


def sampling_weights(target: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how often to draw each image so that all classes are drawn alike.

    Args:
        target: class ids int64 [N], MISSING where there is no label.
        num_classes: classes without an image are left out.

    Returns:
        float64 [N], sum 1. Images without a label keep the share that they have.
    """
    import numpy as np

    from classifiers.models.heads import MISSING

    known = target != MISSING
    counts = np.bincount(target[known], minlength=num_classes)
    weights = np.full(len(target), 1 / len(target))
    share = known.mean() / max(np.count_nonzero(counts), 1)
    weights[known] = share / counts[target[known]]
    return weights / weights.sum()
