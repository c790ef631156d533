from dataclasses import replace

import numpy as np
import pytest

from evenface.experiment.power import (
    Design,
    Variances,
    assumed_variances,
    detectable_by,
    improvements,
)

VARIANCES = Variances(images=0.1, noise=0.1, seeds=1e-4, rounds=1e-4)


def test_more_of_anything_sees_more():
    design = Design(rounds=3, seeds=2, images=1000)
    seen = detectable_by(design, VARIANCES)
    for more in ({"rounds": 4}, {"seeds": 3}, {"images": 2000}):
        assert detectable_by(replace(design, **more), VARIANCES) < seen


def test_rounds_see_what_their_standard_deviation_says():
    # 11.6 s of two rounds and 3.3 s of three, with s between rounds, which correlate a little.
    deviation = np.sqrt(0.2 / 1000 + 1e-4 + 1e-4)
    one_seed = Design(rounds=2, seeds=1, images=1000)
    assert detectable_by(one_seed, VARIANCES) == pytest.approx(
        11.55 * deviation * np.sqrt(1.05 / 0.95), rel=0.01
    )
    three = replace(one_seed, rounds=3)
    assert detectable_by(three, VARIANCES) == pytest.approx(
        3.264 * deviation * np.sqrt(1.1 / 0.95), rel=0.01
    )


def test_one_training_of_each_arm_detects_nothing():
    assert detectable_by(Design(1, 1, 100_000), VARIANCES) == np.inf


def test_the_best_improvement_comes_first():
    two = improvements(Design(rounds=2, seeds=2, images=1000), VARIANCES)
    assert two[0][0] == "rounds"
    seen = [value for *_, value in two]
    assert seen == sorted(seen)
    of_seeds = Variances(images=0.001, noise=0.001, seeds=1e-2, rounds=0.0)
    best, *_ = improvements(Design(rounds=1, seeds=3, images=1000), of_seeds, 1200)[0]
    assert best in ("seeds", "rounds")
    assert "images" not in [n for n, *_ in improvements(Design(1, 3, 1000), of_seeds, 1200)]


def test_assumed_variance_of_images_is_that_of_a_mean_recall():
    # Arms that differ in 15 % of images: the variance of the difference of two mean recalls.
    rng = np.random.default_rng(0)
    shares, found = np.array([0.9, 0.1]), []
    for _ in range(3000):
        target = rng.choice(2, 400, p=shares)
        gap = rng.choice([-1, 0, 1], 400, p=[0.075, 0.85, 0.075])
        found.append(np.mean([gap[target == k].mean() for k in range(2)]))
    assumed = assumed_variances(shares)
    assert (assumed.images + assumed.noise) / 400 == pytest.approx(np.var(found), rel=0.1)


def test_rounds_on_the_same_test_images_do_not_share_their_luck_out():
    design = Design(rounds=4, seeds=2, images=1000)
    of_images = Variances(images=0.1, noise=0.0, seeds=0.0, rounds=0.0)
    same = detectable_by(replace(design, same_test=True), of_images)
    assert same == pytest.approx(detectable_by(Design(1, 2, 1000), of_images), rel=1e-3)
    assert same == pytest.approx((1.96 + 0.8416) * 0.01, rel=1e-3)
