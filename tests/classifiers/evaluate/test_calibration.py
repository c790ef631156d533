"""Temperatures and thresholds: against scans and scikit-learn, and never chosen on test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from classifier_sets import DataSet
from click.testing import CliRunner
from held_tables import hold
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from classifiers.cli import main
from classifiers.columns import CONFUSION, MEASURED, MISTAKES, SUBGROUPS
from classifiers.evaluate import calibration, metrics
from classifiers.models.heads import MISSING, Head
from facedata.columns import PREDICTIONS
from facekit.errors import DataError
from facekit.storage import files

COLOR = Head("color", ("color",), "categorical", 1.0, ("red", "green", "blue"))
HAT = Head("hat", ("hat",), "binary", 1.0, ("no", "yes"))
AGE = Head("age", ("age",), "numeric", 1.0, mean=40.0, std=10.0)


def make_logits(num_images=4000, num_classes=3, seed=0):
    """Return logits whose softmax is the true probability of the targets, and targets."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (num_images, num_classes))
    uniform = rng.random((num_images, 1))
    target = (softmax(logits, axis=1).cumsum(axis=1) < uniform).sum(axis=1)
    return logits, np.minimum(target, num_classes - 1)


def rare_scores(num_images=500, seed=0):
    """Return targets of a rare second class and probabilities that are too low for it."""
    rng = np.random.default_rng(seed)
    target = (rng.random(num_images) < 0.1).astype(int)
    prob = 1 / (1 + np.exp(-(rng.normal(0, 1, num_images) + 1.5 * target - 2.5)))
    return target, np.round(prob, 3)  # with ties


# --- Temperature


def test_temperature_undoes_over_and_underconfidence():
    logits, target = make_logits()
    for factor in (0.4, 1.0, 3.0):
        prob = softmax(factor * logits, axis=1)
        found = calibration.fit_temperature(target, prob)
        assert found == pytest.approx(factor, rel=0.06)
        better = calibration.scale(prob, found)
        np.testing.assert_allclose(better, softmax(factor * logits / found, axis=1), atol=1e-12)
        error = metrics.calibration_error(target, prob)
        assert metrics.calibration_error(target, better) < max(0.5 * error, 0.02)
        np.testing.assert_array_equal(better.argmax(axis=1), prob.argmax(axis=1))


def test_temperature_has_the_least_loss_of_a_scan():
    logits, target = make_logits(num_images=300)
    prob = softmax(2.2 * logits, axis=1)
    found = calibration.fit_temperature(target, prob)

    def loss(temperature):
        return sklearn.metrics.log_loss(target, softmax(2.2 * logits / temperature, axis=1))

    scan = np.geomspace(0.2, 10, 400)
    assert loss(found) <= min(loss(one) for one in scan) + 1e-9


def test_certain_predictions_stay_finite():
    target = np.array([0, 1, 0, MISSING])
    prob = np.array([[1, 0], [0, 1], [1, 0], [0.5, 0.5]], dtype=float)
    found = calibration.fit_temperature(target, prob)
    wrong = calibration.fit_temperature(1 - target[:3], prob[:3])
    assert found == 1 < wrong <= calibration.LIMITS[1]
    assert np.isfinite(calibration.scale(prob, found)).all()
    assert calibration.fit_temperature(np.full(4, MISSING), prob) == 1


def test_reliability_bins_match_scikit_learn():
    rng = np.random.default_rng(0)
    prob = rng.uniform(0.5, 1, 2000)
    target = np.where(rng.random(2000) < prob**2, 1, 0)
    bins = metrics.calibration_bins(target, np.stack([1 - prob, prob], axis=1))
    number, confidence, right = bins[bins[:, 0] > 0].T
    expected = calibration_curve(target, prob, n_bins=metrics.NUM_BINS)
    np.testing.assert_allclose([right / number, confidence / number], expected)


# --- Thresholds


@pytest.mark.parametrize("measure", ["macro_f1", "balanced_accuracy", "accuracy", "weighted_f1"])
def test_threshold_is_the_best_of_all(measure):
    target, prob = rare_scores()
    functions = {
        "macro_f1": lambda t, p: sklearn.metrics.f1_score(t, p, average="macro"),
        "weighted_f1": lambda t, p: sklearn.metrics.f1_score(t, p, average="weighted"),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score,
        "accuracy": sklearn.metrics.accuracy_score,
    }

    def score(threshold):
        return functions[measure](target, prob >= threshold)

    found = calibration.fit_threshold(target, prob, measure)
    assert score(found) == pytest.approx(max(score(one) for one in np.arange(0, 1.001, 0.0005)))
    if measure != "accuracy":
        assert score(found) > score(0.5) + 0.03
    chosen = calibration.choose(np.stack([1 - prob, prob], axis=1), found)
    np.testing.assert_array_equal(chosen, prob >= found)


def test_equally_good_thresholds_leave_it_at_one_half():
    target = np.array([0, 0, 1, 1, MISSING])
    assert calibration.fit_threshold(target, np.array([0.1, 0.2, 0.8, 0.9, 0.3]), "macro_f1") == 0.5
    low = calibration.fit_threshold(target, np.array([0.1, 0.2, 0.3, 0.4, 0.9]), "macro_f1")
    assert low == pytest.approx(0.25)
    assert calibration.fit_threshold(np.array([0, 0]), np.array([0.1, 0.2]), "macro_f1") is None


def test_only_two_classes_have_thresholds():
    logits, target = make_logits(num_images=200)
    rare, prob = rare_scores(200)
    outputs = {
        "color": softmax(2 * logits, axis=1),
        "hat": np.stack([1 - prob, prob], axis=1),
        "age": np.full(200, 30.0),
    }
    targets = {"color": target, "hat": rare, "age": np.full(200, 31.0)}
    found = calibration.calibrate([COLOR, HAT, AGE], targets, outputs, "macro_f1")
    assert list(found) == ["color", "hat"]
    assert found["color"].threshold is None and found["color"].temperature > 1.5
    # The threshold is one of calibrated probabilities.
    calibrated = calibration.scale(outputs["hat"], found["hat"].temperature)[:, 1]
    assert found["hat"].threshold == calibration.fit_threshold(rare, calibrated, "macro_f1")
    none = calibration.calibrate([HAT], targets, outputs, calibration.NO_THRESHOLD)
    assert none["hat"].threshold is None and none["hat"].temperature == found["hat"].temperature


def test_calibrations_are_read_as_they_were_written(tmp_path):
    found = {"a": calibration.Calibration(1.5, 0.25), "b": calibration.Calibration(0.7)}
    calibration.write_calibration(found, tmp_path / "calibration.json")
    assert calibration.read_calibration(tmp_path / "calibration.json") == found
    files.write_json({"a": {"heat": 3}}, tmp_path / "other.json")
    with pytest.raises(DataError, match=r"other\.json: no calibration"):
        calibration.read_calibration(tmp_path / "other.json")


# --- Chosen on val alone


def run(options):
    result = CliRunner().invoke(main, [str(one) for one in options])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = DataSet(tmp_path_factory.mktemp("calibration"))
    run(data.train_options(data.root / "model", epochs=2))
    return data


def evaluated(trained, folder, changed_split=None, **changed):
    """Return calibration and metrics after the labels and images of a split are spoilt."""
    data = DataSet(folder)
    is_changed = (data.table["split"] == changed_split).to_numpy()
    bright = data.table["bright"].map({"no": "yes", "yes": "no"})
    data.table["bright"] = data.table["bright"].where(~is_changed, bright.astype(object))
    data.table["bright"] = pd.Categorical(data.table["bright"], ["no", "yes"])
    data.array[is_changed] = 255 - data.array[is_changed] // 2
    data.write()
    run(data.evaluate_options([trained.root / "model/model.safetensors"], folder, **changed))
    return (folder / "calibration.json").read_bytes(), files.read_json(folder / "metrics.json")


def test_changes_of_test_never_change_temperature_or_threshold(trained, tmp_path):
    before, metrics_before = evaluated(trained, tmp_path / "a")
    after, metrics_after = evaluated(trained, tmp_path / "b", "test")
    assert metrics_before["bright"]["tuned"] != metrics_after["bright"]["tuned"]
    assert before == after
    assert evaluated(trained, tmp_path / "c", "train")[0] == before
    assert evaluated(trained, tmp_path / "d", "val")[0] != before


def test_tuned_figures_are_those_of_the_threshold(trained, tmp_path):
    _, found = evaluated(trained, tmp_path)
    predictions = hold(tmp_path / "test_predictions.parquet", PREDICTIONS)
    for declared in (MEASURED, SUBGROUPS, MISTAKES, CONFUSION):
        hold(tmp_path / Path(declared.name).name, declared)
    test = trained.table[trained.table["split"] == "test"]
    assert found["color"]["threshold"] is found["color"]["tuned"] is None  # three classes
    bright = found["bright"]
    p = predictions["bright:yes"].to_numpy() ** (1 / bright["temperature"])
    q = predictions["bright:no"].to_numpy() ** (1 / bright["temperature"])
    pred = np.where(p / (p + q) >= bright["threshold"], "yes", "no")
    truth = test["bright"].astype(str)
    expected = sklearn.metrics.accuracy_score(truth, pred)
    assert bright["tuned"]["accuracy"] == pytest.approx(expected)
    row = pd.read_csv(tmp_path / "attributes.csv").set_index("head").loc["bright"]
    assert row["tuned_accuracy"] == pytest.approx(expected)
    assert row["threshold"] == pytest.approx(bright["threshold"])
    assert "<svg" in (tmp_path / "reliability.svg").read_text()


def test_val_is_not_calibrated_by_itself(trained, tmp_path):
    calibrations, found = evaluated(trained, tmp_path, split="val")
    assert calibrations == b"{}\n"
    assert "tuned" not in found["bright"] and found["bright"]["accuracy"] > 0
