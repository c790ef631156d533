"""Labels: planted wrong labels come first, the rest is left alone."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli, labels, tables
from facedata.errors import DataError

COLORS = ["black", "brown", "red"]


@pytest.fixture
def labelled() -> tuple[pd.DataFrame, pd.DataFrame, set[str]]:
    """Curated images, out-of-fold predictions, and the images whose colour was swapped."""
    rng = np.random.default_rng(0)
    true = rng.choice(3, 300, p=[0.4, 0.4, 0.2])
    given = true.copy()
    wrong = rng.choice(300, 12, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    ids = [f"{place:03}.png" for place in range(300)]
    prob = rng.uniform(0.005, 0.05, (300, 3))
    prob[np.arange(300), true] = rng.uniform(0.8, 1.2, 300)
    prob /= prob.sum(axis=1, keepdims=True)
    curated = pd.DataFrame(
        {
            "image_id": ids,
            "cluster": range(300),
            "color": pd.Categorical.from_codes(given, COLORS),
            "age": np.arange(300.0),
        }
    )
    predictions = pd.DataFrame(prob, columns=[f"color:{name}" for name in COLORS])
    predictions.insert(0, "image_id", ids)
    # Predictions are of train alone and in another order.
    predictions = predictions.iloc[::-1].iloc[20:]
    known = set(predictions["image_id"])
    return curated, predictions, {ids[place] for place in wrong} & known


def assert_found(issues: pd.DataFrame, wrong: set[str]) -> None:
    """Check that only wrong labels are listed, and most of them (their number is estimated)."""
    assert set(issues["image_id"]) <= wrong
    assert len(issues) >= 0.7 * len(wrong)


def test_planted_errors_are_found_and_ranked(labelled):
    curated, predictions, wrong = labelled
    issues = labels.find_label_issues(curated, [predictions])
    assert list(issues.columns) == ["image_id", "attribute", "given", "suggested", "score"]
    assert_found(issues, wrong)
    assert issues["score"].is_monotonic_increasing
    assert (issues["attribute"] == "color").all()
    first = issues.iloc[0]
    given = curated.set_index("image_id").loc[first["image_id"], "color"]
    assert first["given"] == given
    assert first["suggested"] != given
    prob = predictions.set_index("image_id").loc[first["image_id"], f"color:{given}"]
    assert first["score"] == pytest.approx(prob, abs=1e-6)


def test_missing_labels_are_not_judged(labelled):
    curated, predictions, wrong = labelled
    curated.loc[curated["image_id"].isin(wrong), "color"] = np.nan
    assert len(labels.find_label_issues(curated, [predictions])) == 0


def test_attributes_are_looked_for_in_all_tables(labelled):
    curated, predictions, wrong = labelled
    other = predictions.rename(columns=lambda name: name.replace("color:", "nose:"))
    assert_found(labels.find_label_issues(curated, [other, predictions]), wrong)


def test_a_class_that_was_never_given_or_never_predicted(labelled):
    curated, predictions, _ = labelled
    curated["color"] = curated["color"].cat.add_categories("gray")
    predictions = predictions.drop(columns="color:red")
    issues = labels.find_label_issues(curated, [predictions])
    assert set(issues["suggested"]) <= {"black", "brown"}


def test_one_class_alone_is_never_doubted(labelled):
    curated, predictions, _ = labelled
    curated["color"] = pd.Categorical(["black"] * len(curated), COLORS)
    assert list(labels.find_label_issues(curated, [predictions]).columns) == list(labels.COLUMNS)
    assert len(labels.find_label_issues(curated, [predictions])) == 0


def test_predictions_of_nothing_known_are_refused(labelled):
    curated, predictions, _ = labelled
    with pytest.raises(DataError, match="no head has the name of a categorical attribute"):
        labels.find_label_issues(curated, [predictions[["image_id"]]])
    with pytest.raises(DataError, match="none of the images is in --curated"):
        labels.find_label_issues(curated, [predictions.head(1).assign(image_id="x")])
    with pytest.raises(DataError, match="is there twice"):
        labels.find_label_issues(curated, [predictions.assign(image_id="000.png")])


def test_command(labelled, tmp_path):
    curated, predictions, wrong = labelled
    tables.write(curated, tmp_path / "curated.parquet")
    tables.write(predictions, tmp_path / "oof.parquet")
    output = tmp_path / "label_issues.csv"
    arguments = [
        f"--curated={tmp_path / 'curated.parquet'}",
        f"--predictions={tmp_path / 'oof.parquet'}",
        f"--label-issues={output}",
    ]
    result = CliRunner().invoke(cli.main, ["labels", *arguments])
    assert result.exit_code == 0, result.output
    assert_found(tables.read(output), wrong)
    first = output.read_bytes()
    CliRunner().invoke(cli.main, ["labels", *arguments])
    assert output.read_bytes() == first
