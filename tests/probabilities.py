"""Probabilities whose calibration is known, for tests of what is made of them."""

import numpy as np


def make_probabilities(num, seed, sharpness=1.0):
    """Return classes and probabilities that are calibrated for sharpness 1, [1, N, 2]."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, num)
    target = (rng.random(num) < 1 / (1 + np.exp(-logit))).astype(int)
    second = 1 / (1 + np.exp(-sharpness * logit))
    return target, np.stack([1 - second, second], axis=-1)[None]
