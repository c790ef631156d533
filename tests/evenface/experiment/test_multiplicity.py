import numpy as np
import pytest

from evenface.experiment.multiplicity import benjamini_hochberg, correct, holm


def test_holm_multiplies_by_what_is_left():
    # Sorted .01, .02, .03, .04: times 4, 3, 2, 1, and never below the one before.
    found = holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, np.nan, 0.06, 0.06])


def test_benjamini_hochberg_divides_by_rank():
    # .01 * 4/1, .03 * 4/2, .035 * 4/3, .5 * 4/4, and never above the next.
    found = benjamini_hochberg(np.array([0.035, 0.01, 0.5, 0.03]))
    np.testing.assert_allclose(found, [0.035 * 4 / 3, 0.04, 0.5, 0.035 * 4 / 3])
    assert benjamini_hochberg(np.array([])).shape == (0,)


def test_the_primary_comparison_is_not_corrected():
    p = {("hair", "synth@0.5"): 0.04, ("hair", "focal"): 0.02, ("age", "focal"): 0.04}
    found = correct(p, primary=("hair", "synth@0.5"))
    assert list(found) == list(p)
    primary, *others = found.values()
    assert (primary.role, primary.corrected, primary.is_finding) == ("primary", 0.04, True)
    assert [one.corrected for one in others] == [0.04, 0.04]
    assert {one.role for one in others} == {"exploratory"}
    assert not any(one.is_finding for one in correct(p).values())
    with pytest.raises(KeyError):
        correct(p, primary=("hair", "none"))
