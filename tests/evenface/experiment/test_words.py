"""A verdict in words; whole verdicts are read in test_compare.py."""

import pytest

from evenface.experiment import words
from evenface.experiment.result import Contrast, Dose, Readings, Round, Variances

NOTHING = Variances(images=None, seeds=None, rounds=None)
ROUND = Round(
    round=2, seeds=[0, 1], num_images=90, num_units=80, support={"red": 12, "black": 78},
    train_ids="a", val_ids="b", test_ids="c",
)  # fmt: skip


def contrast(**changed):
    values = {
        "arm": "synth@0.5", "against": "real", "role": "primary", "difference": 0.04, "low": 0.01,
        "high": 0.07, "p": 0.012, "corrected_p": 0.012, "permutation_p": 0.0005,
        "verdict": "better", "claim": "method", "detectable": 0.06, "df": 2.0,
        "variances": NOTHING, "by_round": [[0.04, 0.04]],
    }  # fmt: skip
    return Contrast(**values | changed)


def test_figures_tell_interval_p_and_what_they_speak_of():
    assert words.figures(contrast(), 0.95, [ROUND, ROUND]) == (
        "Difference +0.040 [+0.010, +0.070] (95% interval), p = 0.012 (permutation p < 0.001), it"
        " speaks of other splits and other GANs, too; 2 rounds, 2 seeds each."
    )


def test_no_difference_says_what_would_have_been_found():
    text = words.figures(contrast(verdict="none", claim="gan"), 0.95, [ROUND])
    assert "of this GAN and this split only; 1 round, 2 seeds each." in text
    assert text.endswith(
        "No difference was found; one of 0.060 or more would have been, in 4 of 5 cases."
    )
    short = words.short(contrast(verdict="none", role="exploratory", corrected_p=0.3))
    assert short == (
        "no difference found, +0.040 [+0.010, +0.070], corrected p = 0.300, 0.060 would have been"
        " found"
    )


@pytest.mark.parametrize("changed", [{"p": None}, {"claim": "nothing", "detectable": None}])
def test_p_is_left_out_where_there_is_none(changed):
    assert "p =" not in words.figures(contrast(**changed), 0.95, [ROUND])


def test_one_training_says_that_its_interval_lacks_chance_in_training():
    text = words.figures(contrast(claim="nothing", verdict="unclaimed"), 0.95, [ROUND])
    assert "which counts test images alone" in text and "4 of 5" not in text


@pytest.mark.parametrize(
    ("dose", "label", "text"),
    [
        ((0.5, None, None, None), "synth@0.5", "; what was reached is not recorded."),
        ((0.5, 0.5, 0.5, 0.5), "synth@0.5", ", 0.50 reached."),
        ((0.5, 0.31, 0.25, 0.37), "synth@0.5 (0.31 reached)", "reached (0.25 to 0.37 by round)."),
    ],
)
def test_a_dose_is_told_as_it_was_reached(dose, label, text):
    dose = Dose(**dict(zip(("nominal", "reached", "low", "high"), dose, strict=True)))
    assert words.label_of("synth@0.5", dose) == label
    assert words.dose_words(dose).endswith(text)


def test_support_names_the_rarest_class():
    assert words.support_words([ROUND], 90, 80) == (
        "90 test images of 80 persons or clusters; the fewest of a class in a round: 12 (red)."
    )


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        ((1, 1, []), "The test part has been read once."),
        ((7, 1, []), "The test part has been read 7 times by the same settings."),
        ((7, 3, []), "The test part has been read 7 times by 3 different settings."),
    ],
)
def test_readings_are_told(readings, text):
    found = Readings(**dict(zip(("readings", "settings", "damaged"), readings, strict=True)))
    assert words.ledger_words(found) == text


def test_damaged_lines_are_named():
    text = words.ledger_words(Readings(readings=2, settings=1, damaged=[3, 9]))
    assert text.endswith("cannot be read, and are not counted: 3 and 9.")
