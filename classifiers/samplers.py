"""Arms, and the order in which each arm shows its images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from classifiers.heads import MISSING
from classifiers.losses import Loss
from facekit.errors import DataError

SYNTH = "synth@"
REAL = "real"
NO_SAMPLER = "none"
SAMPLERS = ("weighted_sampler", "balanced_sampler", "multilabel_sampler")
MAX_RATIO = 20.0  # most that an image is drawn more or less often than its share
NUM_ROUNDS = 100  # of evening out the classes of several heads
WEIGHTED_LOSS = "weighted_loss"
LOSSES = ("focal", "ldam", "soft_f1", "asymmetric")  # by their kind
JOIN = "+"


@dataclass(frozen=True)
class Arm:
    """A way to treat imbalance.

    Attributes:
        name: `real`, or one of SAMPLERS, LOSSES, `weighted_loss` and `synth@SHARE`, or several of
            them joined by `+`.
        share: of each class's deficit that synthetic images fill, in (0, 1]; 0 for other arms.
        sampler: one of SAMPLERS; None leaves the task's.
        loss: one of LOSSES; None leaves the task's.
        weigh: whether classes weigh inversely to their frequency.
    """

    name: str
    share: float = 0.0
    sampler: str | None = None
    loss: str | None = None
    weigh: bool = False

    def adjust(self, loss: Loss) -> Loss:
        """Return a head's loss in this arm."""
        if self.loss:
            loss = replace(loss, kind=self.loss)
        return replace(loss, weights="inverse") if self.weigh else loss


def read_arm(name: str) -> Arm:
    """Return the arm of that name.

    Raises:
        DataError: no such arm, or two parts of one kind.
    """
    found: dict[str, Any] = {}
    for part in [] if name == REAL else name.split(JOIN):
        key, value = _read_part(part)
        if key is None or key in found:
            known = ", ".join([WEIGHTED_LOSS, *SAMPLERS, *LOSSES, f"{SYNTH}SHARE in (0, 1]"])
            raise DataError(
                f"arm {name!r}: expected {REAL}, or one or several of {known}, joined by {JOIN};"
                " no two samplers, losses or shares"
            )
        found[key] = value
    return Arm(name, **found)


def _read_part(part: str) -> tuple[str | None, Any]:
    """Return the attribute of an arm that a part of its name sets, and the value."""
    if part.startswith(SYNTH):
        try:
            share = float(part.removeprefix(SYNTH))
        except ValueError:
            share = math.nan
        return ("share", share) if 0 < share <= 1 else (None, None)
    if part == WEIGHTED_LOSS:
        return "weigh", True
    if part in SAMPLERS:
        return "sampler", part
    return ("loss", part) if part in LOSSES else (None, None)


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
    return weights / weights.sum()


def balanced_order(
    target: np.ndarray, num_classes: int, num_shown: int, rng: np.random.Generator
) -> np.ndarray:
    """Return an order that shows the classes in turn, int64 [num_shown].

    So every stretch of as many images as there are classes holds one of each, in random order, and
    each class's images are all shown before any of them again. Images without a label are left out.

    Args:
        target: class ids int64 [N] with MISSING.
        num_classes: classes without an image are left out.
        num_shown: length of the order.
        rng: of random numbers.
    """
    members = [np.flatnonzero(target == k) for k in range(num_classes)]
    members = [one for one in members if len(one)]
    num_rounds = math.ceil(num_shown / len(members))
    columns = [_passes(len(one), num_rounds, rng) for one in members]
    rows = np.stack([one[place] for one, place in zip(members, columns, strict=True)], axis=1)
    return rng.permuted(rows, axis=1).ravel()[:num_shown]


def _passes(num_images: int, num_shown: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers below num_images, each once before any again, int64 [num_shown]."""
    passes = math.ceil(num_shown / num_images)
    return np.concatenate([rng.permutation(num_images) for _ in range(passes)])[:num_shown]


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
    return _passes(num_images, num_shown, rng)


def split_batches(order: np.ndarray, batch: int) -> list[np.ndarray]:
    """Cut an order into batches of `batch` images, give or take one: none is left nearly empty."""
    return np.array_split(order, max(round(len(order) / batch), 1))
