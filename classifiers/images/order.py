"""The order in which images are shown, and its batches."""

import math

import numpy as np


def passes(num_images: int, num_shown: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers below num_images, each once before any again, int64 [num_shown]."""
    number = math.ceil(num_shown / num_images)
    return np.concatenate([rng.permutation(num_images) for _ in range(number)])[:num_shown]


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
    return passes(num_images, num_shown, rng)


def split_batches(order: np.ndarray, batch: int) -> list[np.ndarray]:
    """Cut an order into batches of `batch` images, give or take one: none is left nearly empty."""
    return np.array_split(order, max(round(len(order) / batch), 1))
