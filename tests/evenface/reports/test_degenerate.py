"""Public reports of data with one class, one image or nothing in it.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import numpy as np
import pandas as pd
import pytest

from classifiers.evaluate import evaluate
from classifiers.evaluate.calibration import fit_temperature
from classifiers.models.heads import Head
from classifiers.options import FiguresOptions
from classifiers.predict.predicted import Predicted
from facedata.curation import likeness
from stylegan2.metrics import formulas

SEX = Head("sex", ("sex",), "categorical", 1.0, ("female", "male"))
AGE = Head("age", ("age",), "numeric", 1.0, mean=40.0, std=10.0)
OPTIONS = FiguresOptions(confidence=0.9, num_bootstrap=100, small_group=2)


def predictions(sexes, ages, begin=0):
    """Return images with labels; all are said to be women with 0.8, and 40 years old."""
    table = pd.DataFrame({"image_id": [f"{begin + i}" for i in range(len(sexes))]})
    table["group"] = pd.array([pd.NA] * len(sexes), dtype="str")
    table["sex"] = pd.Categorical(sexes, SEX.classes)
    table["age"] = np.array(ages, dtype=float)
    outputs = {"sex": np.tile([0.8, 0.2], (len(sexes), 1)), "age": np.full(len(sexes), 40.0)}
    return Predicted(table, outputs)


def measured(tmp_path, test, val):
    found = evaluate.measure_predictions([SEX, AGE], test, val, OPTIONS, 0)
    found.write(tmp_path)
    assert {"report.txt", "confusion.svg", "reliability.svg"} <= {
        path.name for path in tmp_path.iterdir()
    }
    return found.metrics, (tmp_path / "report.txt").read_text()


# --- one class


@pytest.mark.parametrize("number", [1, 6])
def test_images_of_one_class_are_no_proof(tmp_path, caplog, number):
    """amazon-science/patchcore-inspection#68, abhishekkrthakur/tez#27: one class in y_true."""
    val = predictions(["female", "male"] * 3, range(6), begin=100)
    found, report = measured(tmp_path, predictions(["female"] * number, [40] * number), val)
    assert found["sex"]["average_precision"] is None
    assert found["sex"]["per_class"]["female"]["recall"] == 1.0
    assert found["sex"]["per_class"]["male"]["recall"] is None
    assert (found["age"]["mae"], found["age"]["r2"]) == (0.0, None)
    said = "no image of male is measured; means over classes are of the others"
    assert said in report and f"sex: {said}" in caplog.text


def test_a_label_that_nobody_has_is_told(tmp_path, caplog):
    """drscotthawley/panotti#35: no positive sample at all."""
    val = predictions(["female", "male"] * 3, range(6), begin=100)
    test = predictions([None] * 4, [np.nan] * 4)
    found, report = measured(tmp_path, test, val)
    assert found["sex"]["support"] == found["age"]["support"] == 0
    assert found["sex"]["accuracy"] is None and found["age"]["mae"] is None
    assert report.count("no image that is measured has this label") == 2
    assert "age: no image that is measured has this label" in caplog.text


@pytest.mark.parametrize("sexes", [["male"] * 5, ["female"] * 5, [None] * 5, ["male"]])
def test_val_of_one_class_calibrates_nothing(tmp_path, sexes):
    """Likewise: the temperature went to the end of its range, 20, and all became 0.5."""
    val = predictions(sexes, [30] * len(sexes), begin=100)
    found, _ = measured(tmp_path, predictions(["female", "male"] * 3, range(6)), val)
    assert found["sex"]["temperature"] == 1.0 and found["sex"]["threshold"] is None
    assert found["sex"]["ece_calibrated"] == pytest.approx(0.3)


def test_two_classes_still_calibrate():
    target, prob = np.array([0, 1, 0, 1]), np.tile([0.9, 0.1], (4, 1))
    assert fit_temperature(target, prob) == pytest.approx(20.0, rel=0.01)


# --- one image, or all alike


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("is_same", [True, False])
def test_a_map_of_few_images_has_a_place_for_each(number, is_same):
    """Kitware/nrtk-explorer#64: more components than images."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (number, 8, 8, 3), dtype=np.uint8)
    pictures = pictures[:1].repeat(number, axis=0) if is_same else pictures
    found = likeness.vectors(pictures, np.zeros((number, 0)))
    assert found.shape[0] == number and np.isfinite(found).all()
    places = likeness.on_map(found)
    assert places.shape == (number, 2) and ((places >= 0) & (places <= 1)).all()
    assert (places == 0.5).all() == (is_same or number == 1)
    alike = likeness.nearest(found, range(number), np.arange(number), np.ones(number, bool), 5)
    assert [len(one) for one in alike] == [number - 1] * number


def test_fewer_images_than_a_subset_holds_are_taken_whole():
    """toshas/torch-fidelity#45 and #8."""
    rng = np.random.default_rng(0)
    real, generated = rng.normal(0, 1, (5, 4)), rng.normal(0, 1, (3, 4)).astype(np.float32)
    found = formulas.kernel_distance(real, generated, 100, 1000, 0)
    assert np.isfinite(found)
    assert formulas.kernel_distance(real, real, 1, 1000, 0) == pytest.approx(
        formulas.kernel_distance(real[::-1].copy(), real, 1, 1000, 1)
    )


def test_a_generator_that_draws_one_picture_has_a_distance():
    """bioinf-jku/TTUR#4: a covariance without full rank gave nan or complex numbers."""
    rng = np.random.default_rng(0)
    real = rng.normal(0, 1, (50, 80))
    one = np.tile(rng.normal(0, 1, (1, 80)), (50, 1))
    found = formulas.frechet_distance(formulas.moments(real), formulas.moments(one))
    gap = ((real.mean(axis=0) - one[0]) ** 2).sum() + real.var(axis=0).sum()
    assert found == pytest.approx(gap)
    assert formulas.frechet_distance(*[formulas.moments(one)] * 2) == pytest.approx(0, abs=1e-8)
