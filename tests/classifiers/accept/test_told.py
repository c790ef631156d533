"""Whether a teacher tells classes apart."""

import numpy as np
import pytest

from classifiers.accept.told import of_candidates, of_real, recognised


def test_a_rare_class_is_not_taken_for_a_frequent_one():
    probability = np.array([[0.8, 0.2], [0.95, 0.05], [0.5, 0.5]])
    assert recognised(probability, np.array([90, 10])).tolist() == [1, 0, 1]
    assert recognised(probability, np.array([90, 0])).tolist() == [0, 0, 0]  # never seen


def test_real_images_by_hand():
    label = np.array([0, 0, 0, 0, 1, 1])
    taken = np.array([0, 0, 0, 1, 1, 1])
    found = of_real(taken, label, np.arange(6), 3, 0)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["chance"] == 1 / 2  # classes that occur
    assert found["images"] == 6
    assert found["low"] <= found["balanced_accuracy"] <= found["high"]


def test_a_guessing_teacher_is_rarely_called_better_than_chance():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [200, 60, 30])
    told = [
        of_real(rng.integers(0, 3, len(label)), label, np.arange(len(label)), 3, seed)["told"]
        for seed in range(60)
    ]
    assert np.mean(told) <= 0.1  # 2.5 % are promised


def test_candidates_by_hand():
    label = np.repeat([1, 2], [10, 10])
    taken = np.array([1] * 9 + [0] + [2] * 4 + [1] * 6)
    found = of_candidates(taken, label, ["black", "red", "gray"])
    red, gray = found["classes"]
    assert (red["name"], red["candidates"], red["share"]) == ("red", 10, 0.9)
    assert red["chance"] == 0.6  # as many of those drawn as gray are taken for red
    assert gray["chance"] == pytest.approx(1 / 3)
    assert found["share"] == pytest.approx(0.65)
    assert found["chance"] == pytest.approx((0.6 + 1 / 3) / 2)


@pytest.mark.parametrize("skewed", [False, True])
def test_a_generator_that_ignores_the_class_is_found_out(skewed):
    """Whatever its images are taken for."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 60)
    share = [0.9, 0.05, 0.05] if skewed else [1 / 3] * 3
    told = [
        of_candidates(rng.choice(3, size=len(label), p=share), label, list("abc"))["told"]
        for _ in range(100)
    ]
    assert np.mean(told) <= 0.1


def test_a_generator_that_half_knows_its_classes_is_told():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 60)
    taken = np.where(rng.random(len(label)) < 0.6, label, rng.integers(0, 3, len(label)))
    found = of_candidates(taken, label, list("abc"))
    assert found["told"]
    assert all(one["told"] for one in found["classes"])


def test_without_candidates_nothing_can_be_told():
    empty = np.zeros(0, dtype=int)
    found = of_candidates(empty, empty, ["a", "b"])
    assert (found["told"], found["classes"]) == (None, [])
