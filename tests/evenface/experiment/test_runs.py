"""Predictions of an experiment: what they must hold, and what equal ones come to."""

from pathlib import Path

import numpy as np
import pytest
from experiments import Experiment

from facekit.errors import DataError
from facekit.storage import tables


def test_arms_that_predict_the_same_do_not_differ(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "focal": 0.7})
    for split in ("val", "test"):
        for path in made.paths(split):
            if "focal" in str(path):
                same = tables.read(Path(str(path).replace("focal", "real")))
                tables.write(same.assign(arm="focal"), path)
    gap = made.compare().result.arms[1].difference
    assert gap.difference == gap.low == gap.high == 0
    assert gap.permutation_p == 1 and gap.verdict == "none"


def test_predictions_without_probabilities_are_refused(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "focal": 0.7}, changed={"focal": {"age:old": np.nan}})
    with pytest.raises(DataError, match="300 images without a probability of each class, such as"):
        made.compare()
