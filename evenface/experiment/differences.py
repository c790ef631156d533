"""The difference between two arms over rounds, seeds and test images, and what may be said of it.

What varies between repetitions of an experiment enters the interval by what was repeated. Several
rounds, each with its own split, GAN and classifiers, on test images of their own, vary by all of
it: their mean has a t interval. One round varies by its test images alone, which all seeds share,
and by its seeds: these two variances are joined. docs/statistics.md has the method, its sources
and how often it is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenface.experiment.influence import Sample, shared_variance, spread, squared_step
from evenface.experiment.intervals import (
    detectable,
    half_width,
    p_value,
    rounds_variance,
    satterthwaite,
)
from facekit.errors import DataError

# What a claim is about. Nothing: one training of each arm cannot tell luck from merit.
Claim = Literal["method", "split", "gan", "nothing"]
Verdict = Literal["better", "worse", "none", "unclaimed", "withheld"]

MIN_CLASS_IMAGES = 10  # of the rarest class in a test part; below, intervals do not hold


@dataclass(frozen=True)
class Difference:
    """The difference of an arm from the baseline, and what may be said of it.

    Variances are of `estimate`. `shared` and `repeated` add up to that of the interval;
    `images`, `seeds` and `rounds` tell it by its source, as well as it can be told.

    Attributes:
        estimate: mean over rounds and seeds.
        low, high: ends of the interval.
        confidence: of the interval.
        p: two-sided, of the hypothesis of no difference; the interval of confidence 1 - p ends
            at 0. NaN where every value and influence is the same.
        claim: `method`, of several rounds: another split and another GAN included. `split`, of
            several on the same test part: other GANs, but this split. `gan`, of one
            round with several seeds: other classifiers and test images, but this GAN and this
            split. `nothing`, of one training of each arm.
        verdict: `better`, `worse`, `none` (no difference was found), `unclaimed` (claim is
            nothing), `withheld` (a class has too few test images).
        shared: variance by test images that all repetitions have in common.
        repeated: variance by what differs between repetitions.
        likely: the same, but no less than test images and seeds explain: that few repetitions agree
            more than these is chance. What could be seen rests on it, the interval does not.
        df_shared, df_repeated: degrees of freedom of these two: clusters, seeds or rounds less
            one; NaN where there is no such part.
        df: of the variance as a whole (Satterthwaite), for people to read.
        images, seeds, rounds: variance by source; NaN where it cannot be told.
        num_rounds, num_seeds: repetitions.
        support: of the rarest class in the smallest test part; see `Sample`.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    p: float
    claim: Claim
    verdict: Verdict
    shared: float
    repeated: float
    likely: float
    df_shared: float
    df_repeated: float
    df: float
    images: float
    seeds: float
    rounds: float
    num_rounds: int
    num_seeds: int
    support: int

    def detectable(self, confidence: float) -> float:
        """Return the smallest true difference that such an experiment finds in 4 of 5 cases.

        Args:
            confidence: of the interval that decides.
        """
        parts = (self.shared, self.df_shared, self.likely, self.df_repeated)
        return detectable(*parts, confidence=confidence)


# --- the difference ---------------------------------------------------------------------------


def measure_difference(
    samples: Sequence[Sample],
    confidence: float = 0.95,
    same_test: bool = False,
    min_class_images: int = MIN_CLASS_IMAGES,
    few_images: bool = False,
) -> Difference:
    """Return the difference over rounds and seeds, its interval and what may be said of it.

    Args:
        samples: one a round, all with the same number of seeds.
        confidence: of the interval.
        same_test: the rounds share their test part (an official split that is kept).
        min_class_images: a verdict is withheld where a class's support is less in a test part.
        few_images: of figures of few images, whose values are few, too, so that rounds may agree
            by chance: the variance between rounds is taken for no less than that by images alone.

    Raises:
        DataError: no round, rounds with different numbers of seeds, fewer than two clusters, or
            rounds whose test parts overlap (`same_test` False) or differ (True).
    """
    num_seeds = check_rounds(samples, same_test)
    by_round = np.array([one.values.mean() for one in samples])
    num_rounds = len(samples)
    estimate = float(by_round.mean())
    means = [one.influence.mean(axis=0) for one in samples]  # [C] a round

    # What the interval is made of.
    claim: Claim = "gan" if num_seeds > 1 else "nothing"
    if num_rounds > 1:
        claim = "split" if same_test else "method"
    units = by_round if num_rounds > 1 else samples[0].values
    rows = means if num_rounds > 1 else list(samples[0].influence)  # of the units
    shared, df_shared = 0.0, float("nan")
    if num_rounds == 1 or same_test:
        shared = shared_variance(np.stack(rows))
        df_shared = samples[0].influence.shape[1] - 1.0
    repeated, df_repeated = 0.0, float("nan")
    if len(units) > 1:
        between, df_repeated = float(units.var(ddof=1)), len(units) - 1.0
        # Values change in steps, so that equal ones may differ by less than one of them.
        between += float(np.mean([squared_step(row) for row in rows])) / 12
        repeated = between / len(units)
        if claim == "method":
            repeated = float(rounds_variance(between, num_rounds))
    images, seeds, rounds = by_source(samples, same_test)
    if few_images and claim == "method":
        repeated = max(repeated, images)
    likely = float(np.nansum([images, seeds, rounds])) - shared
    if claim == "method":
        likely = float(rounds_variance(likely * num_rounds, num_rounds))
    parts = (shared, df_shared, repeated, df_repeated)
    width = float(half_width(confidence, *parts))
    support = min(one.support for one in samples)
    verdict: Verdict = "none"
    if support < min_class_images:
        verdict = "withheld"
    elif claim == "nothing":
        verdict = "unclaimed"
    elif abs(estimate) > width:
        verdict = "better" if estimate > 0 else "worse"
    return Difference(
        estimate=estimate,
        low=estimate - width,
        high=estimate + width,
        confidence=confidence,
        p=p_value(estimate, *parts),
        claim=claim,
        verdict=verdict,
        shared=shared,
        repeated=repeated,
        likely=max(repeated, likely),
        df_shared=df_shared,
        df_repeated=df_repeated,
        df=satterthwaite(*parts),
        images=images,
        seeds=seeds,
        rounds=rounds,
        num_rounds=num_rounds,
        num_seeds=num_seeds,
        support=support,
    )


def check_rounds(samples: Sequence[Sample], same_test: bool) -> int:
    """Return the number of seeds; stop where the rounds cannot be taken together.

    Raises:
        DataError: see `measure_difference`.
    """
    if not samples:
        raise DataError("no round to compare; expected at least one")
    seeds = sorted({len(one.values) for one in samples})
    if len(seeds) > 1:
        raise DataError(f"rounds have {seeds} seeds; expected the same number in every round")
    fewest = min(one.influence.shape[1] for one in samples)
    if fewest < 2:
        raise DataError(f"{fewest} person or image in a test part; expected at least two")
    ids = np.concatenate([one.cluster_ids for one in samples])
    if same_test and any(
        not np.array_equal(one.cluster_ids, samples[0].cluster_ids) for one in samples
    ):
        raise DataError("the rounds' test parts differ; expected the same one in all rounds")
    num_twice = len(ids) - len(np.unique(ids))
    if num_twice and not same_test:
        raise DataError(
            f"{num_twice} persons or images are tested in more than one round; expected test"
            " parts that have nothing in common"
        )
    return seeds[0]


def by_source(samples: Sequence[Sample], same_test: bool) -> tuple[float, float, float]:
    """Return the variance of the mean by test images, by seeds and by rounds.

    Components of variance by the method of moments, each at least 0; NaN for what was not
    repeated: seeds need two in a round, rounds two rounds. With one seed a round, rounds
    hold what its seed adds, too.

    Source: Searle, Casella and McCulloch 1992 (doi:10.1002/9780470316856), chapter 3.
    """
    num_rounds, num_seeds = len(samples), len(samples[0].values)
    of_rounds = np.stack([one.influence.mean(axis=0) for one in samples]) if same_test else None
    single = np.array([spread(one.influence.mean(axis=0)[None]).item() for one in samples])
    common = 0.0  # what test images give all rounds alike
    if of_rounds is not None and num_rounds > 1:
        common = shared_variance(of_rounds)
    images = common + max(float(single.mean()) - common, 0.0) / num_rounds
    seeds = rounds = float("nan")
    if num_seeds > 1:
        excess = []
        for one in samples:
            covariance = spread(one.influence)
            own = np.trace(covariance) / num_seeds
            alike = (covariance.sum() - num_seeds * own) / (num_seeds * (num_seeds - 1))
            excess.append(float(one.values.var(ddof=1)) - (own - alike))
        seeds = max(float(np.mean(excess)), 0.0) / (num_rounds * num_seeds)
    if num_rounds > 1:
        between = float(np.var([one.values.mean() for one in samples], ddof=1)) / num_rounds
        rounds = max(between - (images - common) - float(np.nan_to_num(seeds)), 0.0)
    return images, seeds, rounds
