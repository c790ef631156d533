import numpy as np
import pytest

from evenface.experiment.influence import sum_clusters
from evenface.experiment.scores import (
    brier_losses,
    calibration_errors,
    log_losses,
    sample_calibration,
    score,
    subgroup_gaps,
)


def test_losses_by_hand():
    target, prob = np.array([1, 0]), np.array([[0.2, 0.8], [0.25, 0.75]])
    np.testing.assert_allclose(brier_losses(target, prob), [0.08, 2 * 0.75**2])
    np.testing.assert_allclose(log_losses(target, prob), -np.log([0.8, 0.25]))
    assert np.isfinite(log_losses(np.array([0]), np.array([[0.0, 1.0]]))).all()


def make_probabilities(num, seed, sharpness=1.0):
    """Return classes and probabilities that are calibrated for sharpness 1, [1, N, 2]."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, num)
    target = (rng.random(num) < 1 / (1 + np.exp(-logit))).astype(int)
    second = 1 / (1 + np.exp(-sharpness * logit))
    return target, np.stack([1 - second, second], axis=-1)[None]


def test_calibration_error_by_hand_and_what_each_image_adds():
    target, prob = make_probabilities(60, seed=0)
    errors, added = calibration_errors(target, prob)

    def by_hand(kept):
        top = prob[0, kept].max(axis=1)
        right = prob[0, kept].argmax(axis=1) == target[kept]
        total = 0.0
        for low in np.arange(15) / 15:
            inside = (top > low) & (top <= low + 1 / 15)
            if inside.any():
                total += abs(top[inside].mean() - right[inside].mean()) * inside.mean()
        return total

    everything = np.ones(60, dtype=bool)
    assert errors[0] == pytest.approx(by_hand(everything))
    for i in (0, 17, 59):
        kept = np.arange(60) != i
        assert added[0, i] == pytest.approx(by_hand(everything) - by_hand(kept))


def test_interval_of_the_brier_score_holds():
    truth = brier_losses(*(x for x in make_probabilities(200_000, seed=1))).mean()
    hits = 0
    for seed in range(200):
        target, prob = make_probabilities(150, seed=seed + 10)
        losses = brier_losses(target, prob)
        added = (losses - losses.mean()) / 149
        found = score(losses.mean(axis=1), sum_clusters(added, np.arange(150))[0])
        hits += found.low <= truth <= found.high
    assert 182 <= hits <= 199


def test_a_worse_calibrated_arm_has_a_larger_error():
    target, good = make_probabilities(2000, seed=0)
    _, bad = make_probabilities(2000, seed=0, sharpness=3.0)
    found = sample_calibration(target, good, bad, np.arange(2000))
    error = np.sqrt((found.influence**2).sum())
    assert found.values[0] > 4 * error


@pytest.mark.parametrize("per_person", [1, 8])
def test_subgroups_without_a_gap_are_seldom_marked(per_person):
    # 20 groups, some tiny; persons of whom all images are right or none.
    rng = np.random.default_rng(0)
    false_alarms = 0
    for _ in range(200):
        person = np.repeat(np.arange(1200 // per_person), per_person)
        right = (rng.random(person.max() + 1) < 0.9)[person]
        group = rng.choice(20, person.max() + 1, p=np.arange(1, 21) / 210)[person]
        found = subgroup_gaps(right, {k: group == k for k in range(20)}, person)
        false_alarms += any(one.is_marked for one in found.values())
    assert false_alarms <= 18  # 10 of 200 on average, were the test exact


def test_a_real_gap_is_marked_and_a_perfect_small_group_is_not():
    rng = np.random.default_rng(0)
    right = rng.random(1000) < 0.9
    right[:100] = rng.random(100) < 0.5
    right[100:105] = True
    members = {"bad": np.arange(1000) < 100, "few": (np.arange(1000) // 5) == 20}
    members |= {"all": np.ones(1000, dtype=bool), "none": np.zeros(1000, dtype=bool)}
    found = subgroup_gaps(right, members, np.arange(1000))
    assert list(found) == ["bad", "few"]
    assert found["bad"].is_marked
    assert found["bad"].gap == pytest.approx(right[:100].mean() - right[100:].mean())
    assert not found["few"].is_marked
    assert found["few"].support == 5
