"""Arms, and the order in which each arm shows its images."""

import math
from dataclasses import dataclass

import numpy as np

from classifiers.heads import MISSING
from facedata.errors import DataError

PLAIN_ARMS = ("real", "weighted_sampler", "weighted_loss")
SYNTH = "synth@"


@dataclass(frozen=True)
class Arm:
    """A way to treat imbalance.

    Attributes:
        name: `real`, `weighted_sampler`, `weighted_loss` or `synth@SHARE`.
        share: of each class's deficit that synthetic images fill, in (0, 1]; 0 for other arms.
    """

    name: str
    share: float = 0.0


def read_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        DataError: no such arm.
    """
    if name in PLAIN_ARMS:
        return Arm(name)
    if name.startswith(SYNTH):
        try:
            share = float(name.removeprefix(SYNTH))
        except ValueError:
            share = math.nan
        if 0 < share <= 1:
            return Arm(name, share)
    raise DataError(f"arm {name!r}: expected {', '.join(PLAIN_ARMS)} or {SYNTH}SHARE in (0, 1]")


def sampling_weights(target: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how often to draw each image so that all classes are drawn alike.

    Args:
        target: class ids int64 [N], MISSING where there is no label.
        num_classes: classes without an image are left out.

    Returns:
        float64 [N], sum 1. Images without a label keep the share that they have.
    """
    known = target != MISSING
    counts = np.bincount(target[known], minlength=num_classes)
    weights = np.full(len(target), 1 / len(target))
    share = known.mean() / max(np.count_nonzero(counts), 1)
    weights[known] = share / counts[target[known]]
    return weights / weights.sum()


def draw_order(
    num_images: int, num_shown: int, seed: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return which image is shown when, int64 [num_shown].

    Args:
        num_images: images to choose from.
        num_shown: length of the order.
        seed: of the random numbers.
        weights: float64 [num_images], draws with replacement in these proportions; None shows
            every image once before any is shown again.
    """
    rng = np.random.default_rng(seed)
    if weights is not None:
        return rng.choice(num_images, size=num_shown, p=weights)
    passes = math.ceil(num_shown / num_images)
    return np.concatenate([rng.permutation(num_images) for _ in range(passes)])[:num_shown]


def split_batches(order: np.ndarray, batch: int) -> list[np.ndarray]:
    """Cut an order into batches of `batch` images, give or take one: none is left nearly empty."""
    return np.array_split(order, max(round(len(order) / batch), 1))
