"""How often images are shown: every arm shows as many real ones, or as many in all."""

from collections.abc import Sequence

import numpy as np

from classifiers.images.examples import Examples
from classifiers.images.order import draw_order, passes, strewn, until_shown
from classifiers.models.heads import MISSING, Head
from classifiers.samplers import NO_SAMPLER, SAMPLERS
from facekit.errors import DataError

ADDED, STREWN, PARTNERS = 2, 3, 5  # parts of a seed


def train_order(
    sampler: str,
    train: Examples,
    heads: Sequence[Head],
    num_shown: int,
    seed: int,
    exposure: str = "all",
    added_until: float = 1.0,
) -> np.ndarray:
    """Return the order in which images are shown, int64.

    Args:
        sampler: NO_SAMPLER or one of SAMPLERS.
        train: images to learn from.
        heads: of the task.
        num_shown: images to show in all (`all`), or real ones, with added ones on top (`real`).
        seed: of the random numbers.
        exposure: `real` or `all`, see `TrainOptions`. Without a sampler `real` shows added images
            as often as the real ones.
        added_until: share of the order in which added images are shown.

    Raises:
        DataError: the sampler wants classes, but the first head is numeric; or it is to stop
            showing added images.
    """
    if sampler == NO_SAMPLER:
        return _plain_order(train, num_shown, seed, exposure, added_until)
    if added_until < 1:
        raise DataError(f"sampler {sampler}: the arm says itself which images are shown when")
    if not heads[0].classes:
        raise DataError(f"{sampler}: the first head, {heads[0].name}, has no classes")
    targets = [(train.targets[head.name], len(head.classes)) for head in heads if head.classes]
    draw = lambda length: SAMPLERS[sampler](targets, length, seed)  # noqa: E731
    if exposure == "all":
        return draw(num_shown)
    return until_shown(draw, train.num_real, num_shown)


def _plain_order(
    train: Examples, num_shown: int, seed: int, exposure: str, added_until: float
) -> np.ndarray:
    """Return the order without a sampler: every image once before any again."""
    if exposure == "all" and added_until == 1:
        return draw_order(len(train.pool), num_shown, seed)
    num_added_shown = round(num_shown * added_until * train.num_added / train.num_real)
    if exposure == "all":  # as many in all, in the same proportions
        share = num_shown / (num_shown + num_added_shown)
        num_added_shown = round(num_added_shown * share)
        num_shown -= num_added_shown
    order = draw_order(train.num_real, num_shown, seed)
    if not num_added_shown:
        return order
    added = passes(train.num_added, num_added_shown, np.random.default_rng([seed, ADDED]))
    rng = np.random.default_rng([seed, STREWN])
    return strewn(order, train.num_real + added, added_until, rng)


def partner_order(train: Examples, heads: Sequence[Head], num_shown: int, seed: int) -> np.ndarray:
    """Return which image each one shown may be mixed with, int64 [num_shown].

    The classes of the first head are drawn alike; images without that label are none.

    Raises:
        DataError: the first head is numeric.
    """
    if not heads[0].classes:
        raise DataError(f"mixing by classes: the first head, {heads[0].name}, has no classes")
    target = train.targets[heads[0].name]
    known = np.flatnonzero(target != MISSING)
    weights = 1 / np.bincount(target[known])[target[known]]
    rng = np.random.default_rng([seed, PARTNERS])
    return rng.choice(known, size=num_shown, p=weights / weights.sum())
