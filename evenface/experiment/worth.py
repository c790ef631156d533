"""What an arm is worth in photographs, and what to do next for each class.

A class's F1 by the logarithm of its images in train is taken for a straight line through `real`,
which the arms `part@` (with a share of each minority's images) give the slope of. An arm's gain
over `real` then is as good as so many photographs more. Source of the shape: error falls as a power
of the images (Hestness et al. 2017, arXiv:1712.00409), near one point a line in their logarithm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classifiers.arms import JOIN, VALUE
from evenface.experiment.result import Advice, Arm, Explored, Gain, WonBack, Worth

FIGURE = "f1"
MOST = 3.0  # times its images: further than that the line says nothing


@dataclass(frozen=True)
class Slope:
    """F1 gained by twice as many images of a class, with the ends of its interval."""

    doubling: float
    low: float
    high: float


def learning_slope(shares: Sequence[float], found: Sequence[Explored]) -> Slope | None:
    """Return the slope of a class's learning curve.

    Differences of all shares rest on the same training of `real`, so their errors are added up as
    if they were one: the interval holds at least as often as theirs do.

    Args:
        shares: of the class's images, each in (0, 1).
        found: differences to all of them, one a share.

    Returns:
        None without a share.
    """
    if not shares:
        return None
    x = [math.log2(share) for share in shares]
    total = sum(one * one for one in x)
    estimate = sum(a * one.difference for a, one in zip(x, found, strict=True)) / total
    # x is negative: the low end of a difference makes the high end of the slope.
    high = sum(a * one.low for a, one in zip(x, found, strict=True)) / total
    low = sum(a * one.high for a, one in zip(x, found, strict=True)) / total
    return Slope(estimate, low, high)


def photographs(gain: float, slope: float, count: float) -> float:
    """Return how many photographs more give a gain, at most MOST times as many as there are.

    Args:
        gain: of F1; negative: so many fewer would do.
        slope: F1 gained by twice as many, positive.
        count: images of the class in train.
    """
    return count * min(2.0 ** min(gain / slope, 60.0) - 1, MOST)


def worth_of(arm: str, gain: Explored, slope: Slope, count: float, of_class: str) -> Worth:
    """Return what an arm's gain in a class is worth; no number where the slope may be none.

    The ends take the ends of the gain with those of the slope that make the interval widest, so
    that it holds where both do.
    """
    told = slope.low > 0 and slope.doubling > 0
    low = high = best = None
    if told:
        ends = [
            photographs(value, one, count)
            for value in (gain.low, gain.high)
            for one in (slope.low, slope.high)
        ]
        best, low, high = photographs(gain.difference, slope.doubling, count), min(ends), max(ends)
    return Worth(
        arm=arm,
        of_class=of_class,
        count=round(count),
        photographs=best,
        low=low,
        high=high,
        is_more=told and (high or 0) >= MOST * count,
    )


def won_back(arms: Sequence[Arm]) -> list[WonBack]:
    """Return which share of the gain of images that were held back each other arm reaches.

    The interval takes the ends of both differences that make it widest, so that it holds where
    both do.

    Args:
        arms: of a comparison; the best of those that get images back is the measure. Nothing is
            said of one whose verdict is withheld, or that claims nothing.
    """
    gains = {
        one.arm: one.difference
        for one in arms
        if one.difference is not None and one.difference.verdict in ("better", "worse", "none")
    }
    returned = [gains[one.arm] for one in arms if one.kind == "withheld" and one.arm in gains]
    if not returned:
        return []
    whole = max(returned, key=lambda one: one.difference)
    found = []
    for one in arms:
        if one.arm not in gains or one.kind not in ("synthetic", "copies", "other"):
            continue
        gain = gains[one.arm]
        share = low = high = None
        if whole.low > 0:
            share = gain.difference / whole.difference
            ends = [a / b for a in (gain.low, gain.high) for b in (whole.low, whole.high)]
            low, high = min(ends), max(ends)
        found.append(WonBack(arm=one.arm, share=share, low=low, high=high))
    return found


def advise(
    arms: Sequence[Arm], classes: Sequence[Explored], counts: Mapping[str, float]
) -> tuple[list[Worth], list[Advice]]:
    """Return what arms are worth by class, and what would do a class most good.

    Args:
        arms: of a comparison, the baseline among them.
        classes: differences by class to the baseline.
        counts: images in train by class, of those that lack images; mean over rounds.

    Returns:
        Nothing where no arm has a part of the images.
    """
    kinds = {one.arm: one.kind for one in arms}
    gains = {
        (one.arm, one.of_class): one for one in classes if one.figure == FIGURE and one.of_class
    }
    alone = [arm for arm, kind in kinds.items() if kind == "part" and JOIN not in arm]
    shares = {arm: float(arm.partition(VALUE)[2]) for arm in alone}
    shares = {arm: share for arm, share in shares.items() if share < 1}
    worths, advice = [], []
    for name, count in counts.items():
        of_class = {arm: gains[arm, name] for arm in kinds if (arm, name) in gains}
        curve = {arm: shares[arm] for arm in shares if arm in of_class}
        slope = learning_slope(list(curve.values()), [of_class[arm] for arm in curve])
        others = {
            arm: gain
            for arm, gain in of_class.items()
            if kinds[arm] in ("synthetic", "copies", "other")
        }
        if slope is not None:
            worths += [worth_of(arm, gain, slope, count, name) for arm, gain in others.items()]
        advice.append(_advice(name, count, others, kinds, slope))
    return worths, advice


def _advice(
    name: str,
    count: float,
    others: Mapping[str, Explored],
    kinds: Mapping[str, str],
    slope: Slope | None,
) -> Advice:
    """Return what can be done for a class, the surest gain first."""
    options = [Gain(what="leave it", arm=None, gain=0.0, low=0.0, high=0.0)]
    for what, wanted in (("synthesise", ("synthetic",)), ("reweight", ("other",))):
        chosen = [arm for arm in others if kinds[arm] in wanted]
        if chosen:
            best = max(chosen, key=lambda arm: others[arm].low)
            one = others[best]
            options.append(
                Gain(what=what, arm=best, gain=one.difference, low=one.low, high=one.high)
            )
    if slope is not None:
        more = f"collect {round(count)} more"
        options.append(
            Gain(what=more, arm=None, gain=slope.doubling, low=slope.low, high=slope.high)
        )
    ranked = sorted(options, key=lambda one: (-one.low, -one.gain))
    return Advice(of_class=name, count=round(count), options=ranked)
