"""How sure the teacher must be."""

import numpy as np

from classifiers.accept.thresholds import thresholds


def test_a_large_class_has_its_own_percentile():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [4000, 4000])
    probability = np.concatenate([rng.uniform(0.2, 0.4, 4000), rng.uniform(0.6, 1.0, 4000)])
    found = thresholds(probability, label, 2, 0.1)
    np.testing.assert_allclose(found, [0.22, 0.64], atol=0.01)


def test_real_images_of_a_class_fall_below_as_often_as_said():
    """As often as the percentile says, of images that the threshold was not made of."""
    rng = np.random.default_rng(0)
    below = []
    for _ in range(300):
        probability, label = rng.beta(4, 2, 180), np.repeat([0, 1, 2], 60)
        found = thresholds(probability, label, 3, 0.1)
        below.append((rng.beta(4, 2, [200, 1]) < found).mean())
    assert abs(np.mean(below) - 0.1) < 0.01


def test_a_small_class_leans_on_the_others():
    # One image of its own beside 99 of another class, which count as 20.
    probability = np.concatenate([[0.9], np.linspace(0.01, 0.99, 99)])
    label = np.repeat([0, 1], [1, 99])
    small, _, without = thresholds(probability, label, 3, 0.1)
    # The share .1 of weights (1 + 20 / 100, 99 times 20 / 100) of 21 is reached at the 11th image.
    assert small == probability[11]
    assert without == probability[10]  # of a class without any: the tenth of a hundred


def test_percentile_0_and_no_image_refuse_nothing():
    assert thresholds(np.array([0.5]), np.array([0]), 2, 0.0).tolist() == [0, 0]
    assert thresholds(np.zeros(0), np.zeros(0, int), 2, 0.1).tolist() == [0, 0]
