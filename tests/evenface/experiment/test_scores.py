import numpy as np
from probabilities import make_probabilities

from evenface.experiment.scores import sample_calibration


def test_a_worse_calibrated_arm_has_a_larger_error():
    target, good = make_probabilities(2000, seed=0)
    _, bad = make_probabilities(2000, seed=0, sharpness=3.0)
    found = sample_calibration(target, good, bad, np.arange(2000))
    error = np.sqrt((found.influence**2).sum())
    assert found.values[0] > 4 * error
