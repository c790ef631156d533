"""Scores of probabilities and their intervals: by hand, and by how often they hold."""

import numpy as np
import pytest
from probabilities import make_probabilities

from classifiers.evaluate.scores import brier_losses, calibration_errors, log_losses, score_head


def test_losses_by_hand():
    target, prob = np.array([1, 0]), np.array([[0.2, 0.8], [0.25, 0.75]])
    np.testing.assert_allclose(brier_losses(target, prob), [0.08, 2 * 0.75**2])
    np.testing.assert_allclose(log_losses(target, prob), -np.log([0.8, 0.25]))
    assert np.isfinite(log_losses(np.array([0]), np.array([[0.0, 1.0]]))).all()


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


@pytest.mark.parametrize("per_person", [1, 4])
def test_intervals_of_scores_hold(per_person):
    # Persons, of whom all images are alike, count once.
    target, prob = make_probabilities(200_000, seed=1)
    truth = {
        "brier": brier_losses(target, prob).mean(),
        "log_loss": log_losses(target, prob).mean(),
    }
    hits = dict.fromkeys(truth, 0)
    for seed in range(400):
        target, prob = make_probabilities(150, seed=seed + 5000)
        person = np.repeat(np.arange(150), per_person)
        found = score_head(target[person], prob[0, person], person, 0.95)
        for name in truth:
            value, (low, high) = found[name]
            hits[name] += low <= truth[name] <= high
            assert low < value < high
    assert all(0.925 <= num / 400 <= 0.975 for num in hits.values()), hits


def test_scores_by_hand():
    target, prob = np.array([1, 0]), np.array([[0.2, 0.8], [0.25, 0.75]])
    found = score_head(target, prob, np.arange(2), 0.95)
    assert found["brier"][0] == pytest.approx((0.08 + 2 * 0.75**2) / 2)
    assert found["log_loss"][0] == pytest.approx(-np.log([0.8, 0.25]).mean())
    # Bins of [0.733, 0.8] hold both: one right, mean confidence 0.775.
    assert found["ece"][0] == pytest.approx(abs(0.775 - 0.5))
    assert score_head(target, prob, np.zeros(2, int), 0.95)["brier"][1] is None


def test_the_calibration_error_has_an_interval_that_no_figure_leaves():
    target, prob = make_probabilities(400, seed=3, sharpness=3.0)
    value, (low, high) = score_head(target, prob[0], np.arange(400), 0.95)["ece"]
    assert 0 < low < value < high
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, 400, 400) for _ in range(300))
    direct = np.std([calibration_errors(target[one], prob[:, one])[0][0] for one in draws])
    assert (high - low) / (2 * 1.966) == pytest.approx(direct, rel=0.15)
