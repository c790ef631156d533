"""What an arm is worth in photographs, by hand and by simulation with known truth."""

import math

import numpy as np
import pytest

from evenface.experiment.result import Arm, Contrast, Explored, Variances
from evenface.experiment.worth import (
    Slope,
    advise,
    learning_slope,
    photographs,
    won_back,
    worth_of,
)


def explored(difference, width, arm="part@0.5", of_class="red"):
    return Explored(
        arm=arm, figure="f1", of_class=of_class, support=30, difference=difference,
        low=difference - width, high=difference + width, p=None, q=None, is_marked=False,
    )  # fmt: skip


def test_figures_by_hand():
    # Half of the images lose .04, a quarter .08: twice as many gain .04.
    slope = learning_slope([0.5, 0.25], [explored(-0.04, 0.01), explored(-0.08, 0.02)])
    assert slope.doubling == pytest.approx(0.04)
    assert slope.low == pytest.approx(0.03) and slope.high == pytest.approx(0.05)
    assert photographs(0.04, 0.04, 100) == pytest.approx(100)
    assert photographs(-0.04, 0.04, 100) == pytest.approx(-50)
    assert photographs(1.0, 0.04, 100) == 300  # no further than the line is trusted
    worth = worth_of("synth@0.5", explored(0.02, 0.01), slope, 100, "red")
    assert worth.photographs == pytest.approx(100 * (math.sqrt(2) - 1))
    assert worth.low == pytest.approx(100 * (2 ** (0.01 / 0.05) - 1))
    assert worth.high == pytest.approx(100 * (2 ** (0.03 / 0.03) - 1))


def test_a_curve_that_may_not_rise_counts_nothing():
    slope = learning_slope([0.5], [explored(-0.01, 0.02)])
    worth = worth_of("synth@0.5", explored(0.02, 0.01), slope, 100, "red")
    assert worth.photographs is None and worth.low is None and not worth.is_more
    assert learning_slope([], []) is None


def test_intervals_hold_the_truth_as_often_as_promised():
    """Truth: 40 photographs more of 100. Differences share the noise of the baseline."""
    rng = np.random.default_rng(0)
    doubling, noise, num_held, num_told = 0.06, 0.008, 0, 0
    gain = doubling * math.log2(1.4)
    for _ in range(2000):
        real, *others = rng.normal(0, noise, 4)
        width = 1.96 * noise * math.sqrt(2)
        shares = [0.25, 0.5]
        parts = [
            explored(doubling * math.log2(share) + one - real, width)
            for share, one in zip(shares, others[:2], strict=True)
        ]
        slope = learning_slope(shares, parts)
        worth = worth_of("synth@0.5", explored(gain + others[2] - real, width), slope, 100, "red")
        if worth.photographs is not None:
            num_told += 1
            num_held += worth.low <= 40 <= worth.high
    assert num_told > 1800
    assert num_held / num_told >= 0.95


def test_no_slope_is_no_division():
    worth = worth_of("synth@0.5", explored(0.02, 0.01), Slope(0.0, 0.0, 0.0), 100, "red")
    assert worth.photographs is None


def arm(name, kind, difference, width):
    contrast = Contrast(
        arm=name, against="real", role="exploratory", difference=difference,
        low=difference - width, high=difference + width, p=None, corrected_p=None,
        permutation_p=None, verdict="none", claim="method", detectable=None, df=None,
        variances=Variances(images=None, seeds=None, rounds=None), by_round=[],
    )  # fmt: skip
    return Arm(
        arm=name, kind=kind, label=name, dose=None, mean=0.8, low=0.7, high=0.9, by_round=[],
        val=None, classes={}, withheld=[], mislabelled=None, difference=contrast, help=None,
    )  # fmt: skip


def test_share_of_what_was_held_back():
    arms = [arm("withheld", "withheld", 0.10, 0.02), arm("synth@1.0", "synthetic", 0.04, 0.02)]
    (found,) = won_back(arms)
    assert found.arm == "synth@1.0" and found.share == pytest.approx(0.4)
    assert found.low == pytest.approx(0.02 / 0.12) and found.high == pytest.approx(0.06 / 0.08)
    (found,) = won_back([arm("withheld", "withheld", 0.01, 0.02), arms[1]])
    assert found.share is None
    assert won_back(arms[1:]) == []


def test_what_to_do_is_ranked_by_what_is_sure():
    arms = [arm(name, kind, 0.0, 0.1) for name, kind in (
        ("part@0.5", "part"), ("synth@1.0", "synthetic"), ("focal", "other")
    )]  # fmt: skip
    found = [
        explored(-0.04, 0.01), explored(0.05, 0.02, "synth@1.0"), explored(0.06, 0.09, "focal"),
    ]  # fmt: skip
    worths, (advice,) = advise(arms, found, {"red": 80.0})
    assert [one.arm for one in worths] == ["synth@1.0", "focal"]
    assert [one.what for one in advice.options] == [
        "synthesise", "collect 80 more", "leave it", "reweight",
    ]  # fmt: skip


def test_a_part_that_is_treated_otherwise_is_no_point_of_the_curve():
    kinds = (("part@0.5", "part"), ("part@0.5+focal", "part"), ("synth@1.0", "synthetic"))
    arms = [arm(name, kind, 0.0, 0.1) for name, kind in kinds]
    found = [explored(-0.04, 0.01), explored(0.05, 0.02, "synth@1.0")]
    other = explored(0.2, 0.01, "part@0.5+focal")
    assert advise(arms, [*found, other], {"red": 80.0}) == advise(arms, found, {"red": 80.0})
