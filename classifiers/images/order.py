"""The order in which images are shown, and its batches."""

import math
from collections.abc import Callable

import numpy as np


def passes(num_images: int, num_shown: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers below num_images, each once before any again, int64 [num_shown]."""
    number = math.ceil(num_shown / num_images)
    found = [rng.permutation(num_images) for _ in range(number)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])[:num_shown]


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


def strewn(
    order: np.ndarray, added: np.ndarray, until: float, rng: np.random.Generator
) -> np.ndarray:
    """Return an order with other images strewn in evenly; both keep their own order.

    Args:
        order: int64 [N].
        added: to be strewn in, int64 [M].
        until: share of the order that they are strewn into, in (0, 1].
        rng: of random numbers.
    """
    times = [
        share * (np.arange(len(one)) + rng.random(len(one))) / max(len(one), 1)
        for one, share in ((order, 1.0), (added, until))
    ]
    both = np.argsort(np.concatenate(times), kind="stable")
    return np.concatenate([order, added])[both]


def until_shown(
    draw: Callable[[int], np.ndarray], num_real: int, num_real_shown: int
) -> np.ndarray:
    """Return the beginning of an order in which real images are shown so many times in all.

    Args:
        draw: returns an order of some length, int64.
        num_real: numbers below it are of real images; it shows such.
        num_real_shown: how many.
    """
    length = num_real_shown
    while True:
        order = draw(length)
        seen = np.cumsum(order < num_real)
        if length == 0 or seen[-1] >= num_real_shown:
            return order[: np.searchsorted(seen, num_real_shown) + 1]
        length *= 2


def split_batches(order: np.ndarray, batch: int) -> list[np.ndarray]:
    """Cut an order into batches of `batch` images, give or take one: none is left nearly empty."""
    return np.array_split(order, max(round(len(order) / batch), 1))
