"""Images drawn so that the classes of all heads are drawn alike, as far as they can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from classifiers.samplers import SAMPLERS

if TYPE_CHECKING:
    import numpy as np

MAX_RATIO = 20.0  # most that an image is drawn more or less often than its share
NUM_ROUNDS = 100  # of evening out the classes of several heads
NUM_HALVINGS = 100  # of an interval of factors


@SAMPLERS.register("multilabel_sampler")
def multilabel_order(
    targets: Sequence[tuple[np.ndarray, int]], num_shown: int, seed: int
) -> np.ndarray:
    """Draw with replacement, by weights that even out the classes of all heads at once."""
    from classifiers.images.order import draw_order

    return draw_order(len(targets[0][0]), num_shown, seed, multilabel_weights(targets))


def multilabel_weights(targets: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """Return how often to draw each image so that the classes of all heads come close to even.

    Iterative proportional fitting: head after head, images are weighted so that its classes are
    drawn alike, until all are; no image is drawn more than MAX_RATIO times as often or as rarely as
    without weights, which is where rare combinations stop it.

    Args:
        targets: of each head class ids int64 [N] (MISSING keeps its share), and its number of
            classes.

    Returns:
        float64 [N], sum 1.

    Source: Deming and Stephan 1940 (doi:10.1214/aoms/1177731829).
    """
    import numpy as np

    from classifiers.models.heads import MISSING

    num_images = len(targets[0][0])
    weights = np.ones(num_images)
    for _ in range(NUM_ROUNDS):
        before = weights.copy()
        for target, num_classes in targets:
            known = target != MISSING
            total = np.bincount(target[known], weights[known], minlength=num_classes)
            present = total > 0
            factor = np.ones(num_classes)
            factor[present] = known.sum() / present.sum() / total[present]
            weights[known] *= factor[target[known]]
            weights = weights.clip(1 / MAX_RATIO, MAX_RATIO)
        if np.abs(weights - before).max() < 1e-4:
            break
    return limited(weights)


def limited(weights: np.ndarray) -> np.ndarray:
    """Return weights of sum 1, none of which is over MAX_RATIO times the mean, or that far below.

    Args:
        weights: float64 [N], > 0; those within the limits keep their proportions.
    """
    import numpy as np

    shares = weights / weights.sum()
    ratios, low, high = shares * len(shares), 1 / MAX_RATIO, MAX_RATIO
    if low <= ratios.min() and ratios.max() <= high:
        return shares
    # Find the factor that leaves the mean at 1 after the limits; the mean grows with it.
    least, most = low, high / ratios.min()
    for _ in range(NUM_HALVINGS):
        factor = np.sqrt(least * most)
        found = (ratios * factor).clip(low, high)
        least, most = (factor, most) if found.mean() < 1 else (least, factor)
    return found / len(found)
