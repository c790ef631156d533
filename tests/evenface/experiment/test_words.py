from dataclasses import replace

import numpy as np
import pytest

from evenface.experiment.differences import measure_difference
from evenface.experiment.influence import Sample
from evenface.experiment.words import sentences


def rounds(values, support=50):
    return [
        Sample(np.array(one), np.zeros((len(one), 4)), support, np.arange(4) + 4 * i)
        for i, one in enumerate(values)
    ]


def test_a_finding_says_what_it_is_about():
    found = measure_difference(rounds([(0.03, 0.03), (0.04, 0.04), (0.05, 0.05)]))
    text = sentences(found, "synth@0.5", "real")
    assert text.startswith("synth@0.5 is better than real. Difference +0.040 [+0.0")
    assert "true of other splits and other GANs, too; 3 rounds, 2 seeds each." in text
    one = measure_difference(rounds([(0.03, 0.031, 0.032)]))
    assert "true of this GAN and this split only; 1 round, 3 seeds each." in sentences(
        one, "a", "real"
    )


def test_no_difference_says_what_would_have_been_found():
    found = measure_difference(rounds([(0.03,), (-0.02,), (0.01,)]))
    text = sentences(found, "a", "real")
    assert text.startswith("No difference between a and real was found.")
    assert f"A difference of {found.detectable:.3f} or more would be found in 4 of 5" in text


@pytest.mark.parametrize(
    ("values", "support", "why"),
    [
        ([(0.3,)], 50, "from one training of each"),
        ([(0.3, 0.3), (0.3, 0.301)], 1, "a class has 1 test image in a round, fewer than 10"),
    ],
)
def test_what_cannot_be_told_says_why(values, support, why):
    text = sentences(measure_difference(rounds(values, support)), "a", "real")
    assert text.startswith("Whether a is better than real cannot be told")
    assert why in text
    assert "4 of 5" not in text


def test_p_is_left_out_where_there_is_none():
    found = replace(measure_difference(rounds([(0.0, 0.0)])), p=float("nan"))
    assert "p =" not in sentences(found, "a", "real")
