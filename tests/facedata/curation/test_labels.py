"""Labels: planted wrong labels come first, the rest is left alone."""

import numpy as np
import pandas as pd
import pytest
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from click.testing import CliRunner
from held_tables import hold
from scipy import stats

from facedata import cli
from facedata.columns import LABEL_ISSUES
from facedata.curation import labels
from facekit.errors import DataError
from facekit.storage import tables

COLORS = ["black", "brown", "red"]


@pytest.fixture
def labelled() -> tuple[pd.DataFrame, pd.DataFrame, set[str]]:
    """Labelled images, out-of-fold predictions, and the images whose colour was swapped."""
    rng = np.random.default_rng(0)
    true = rng.choice(3, 300, p=[0.4, 0.4, 0.2])
    given = true.copy()
    wrong = rng.choice(300, 12, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    ids = [f"{place:03}.png" for place in range(300)]
    prob = rng.uniform(0.005, 0.05, (300, 3))
    prob[np.arange(300), true] = rng.uniform(0.8, 1.2, 300)
    prob /= prob.sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "image_id": ids,
            "cluster": range(300),
            "color": pd.Categorical.from_codes(given, COLORS),
            "age": np.arange(300.0),
        }
    )
    predictions = pd.DataFrame(prob, columns=[f"color:{name}" for name in COLORS])
    predictions.insert(0, "image_id", ids)
    # Predictions are of some images alone and in another order.
    predictions = predictions.iloc[::-1].iloc[20:]
    known = set(predictions["image_id"])
    return table, predictions, {ids[place] for place in wrong} & known


def flagged(issues: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that count as wrong, of the attribute color."""
    return issues[issues["issue"] & (issues["attribute"] == "color")]


def assert_found(issues: pd.DataFrame, wrong: set[str]) -> None:
    """Check that only wrong labels are flagged, and most of them (their number is estimated)."""
    assert set(flagged(issues)["image_id"]) <= wrong
    assert len(flagged(issues)) >= 0.7 * len(wrong)


def test_planted_errors_are_found_and_ranked(labelled):
    table, predictions, wrong = labelled
    issues = labels.find_label_issues(table, predictions)
    assert list(issues.columns) == list(LABEL_ISSUES.names)
    assert_found(issues, wrong)
    assert issues["score"].is_monotonic_increasing
    assert (issues["attribute"] == "color").all()
    assert (issues["given"] != issues["suggested"]).all()
    assert set(issues["image_id"].head(len(wrong))) == wrong
    first = issues.iloc[0]
    given = table.set_index("image_id").loc[first["image_id"], "color"]
    assert first["given"] == given
    prob = predictions.set_index("image_id").loc[first["image_id"], f"color:{given}"]
    assert first["score"] == pytest.approx(prob, abs=1e-6)


def test_every_label_that_is_not_the_likeliest_is_listed_flagged_or_not(labelled):
    table, predictions, _ = labelled
    issues = labels.find_label_issues(table, predictions)
    both = table.merge(predictions, on="image_id")
    likeliest = both[[f"color:{name}" for name in COLORS]].to_numpy().argmax(axis=1)
    doubted = both["image_id"][likeliest != both["color"].cat.codes]
    assert sorted(issues["image_id"]) == sorted(doubted)


def test_a_number_far_off_its_prediction_is_an_issue(labelled):
    table, predictions, _ = labelled
    rng = np.random.default_rng(1)
    ages = table.set_index("image_id")["age"][predictions["image_id"]].to_numpy()
    predictions["age"] = ages + rng.uniform(-5, 5, len(ages)) + 2  # all predicted 2 years too old
    predictions.loc[predictions["image_id"] == "100.png", "age"] += 60
    predictions.loc[predictions["image_id"] == "101.png", "age"] = 101 + 2 + 9
    issues = labels.find_label_issues(table, predictions)
    issues = issues[issues["attribute"] == "age"]
    assert issues["image_id"].tolist() == ["100.png", "101.png"]
    assert issues["given"].tolist() == ["100", "101"]
    assert 155 < float(issues["suggested"].iloc[0]) < 170
    assert issues["issue"].tolist() == [True, False]


def test_classes_of_a_number_are_as_doubtful_as_it(labelled):
    table, predictions, _ = labelled
    ages = table.set_index("image_id")["age"][predictions["image_id"]].to_numpy()
    predictions["age"] = ages + np.resize([-1.0, 1.0], len(ages))
    predictions.loc[predictions["image_id"] == "100.png", "age"] = 160.0
    predictions.loc[predictions["image_id"] == "200.png", "age"] = 260.0  # old as well
    item = {"name": "age_group", "source": "age", "bins": [150], "classes": ["young", "old"]}
    joint = {"name": "both", "sources": ["color", "age_group"]}
    issues = labels.find_label_issues(table, predictions, [item, joint])
    of_age = issues[issues["attribute"] == "age"].set_index("image_id")
    assert set(of_age.index) == {"100.png", "200.png"}
    of_group = issues[issues["attribute"] == "age_group"]
    assert of_group[["image_id", "given", "suggested"]].to_numpy().tolist() == [
        ["100.png", "young", "old"]
    ]
    assert of_group["score"].iloc[0] == of_age.loc["100.png", "score"]
    assert of_group["issue"].all()
    assert "both" not in set(issues["attribute"])


def test_score_of_a_number_is_the_tail_of_a_normal_distribution():
    given = np.zeros(101)
    predicted = np.linspace(-2, 2, 101)  # median 0, median absolute deviation 1
    is_issue, score = labels.judge_numbers(given, predicted)
    deviation = 0.6745 * np.abs(predicted)
    np.testing.assert_allclose(score, 2 * stats.norm.sf(deviation), rtol=1e-12)
    assert not is_issue.any()
    predicted[0] = -3.6 / 0.6745
    assert labels.judge_numbers(given, predicted)[0].nonzero()[0].tolist() == [0]


def test_many_binary_attributes_are_judged_one_by_one_as_cleanlab_does():
    rng = np.random.default_rng(0)
    true = rng.random((400, 4)) < [0.5, 0.3, 0.1, 0.6]
    given = true ^ (rng.random(true.shape) < 0.04)
    prob = np.clip(np.where(true, 0.85, 0.15) + rng.normal(0, 0.08, true.shape), 0.01, 0.99)
    of_classes = find_multilabel_issues_per_class(
        [np.flatnonzero(row).tolist() for row in given], prob, n_jobs=1
    )
    for place in range(4):
        two = np.stack([1 - prob[:, place], prob[:, place]], axis=1)
        is_issue, score = labels.judge_classes(given[:, place].astype(int), two)
        np.testing.assert_array_equal(is_issue, of_classes[:, place])
        np.testing.assert_allclose(score, two[np.arange(400), given[:, place].astype(int)])


def test_predictions_that_know_nothing_are_told(labelled, caplog):
    table, predictions, _ = labelled
    labels.find_label_issues(table, predictions)
    assert "the predictions may be to blame" not in caplog.text
    colors = [f"color:{name}" for name in COLORS]
    predictions[colors] = np.random.default_rng(2).dirichlet([1, 1, 1], len(predictions))
    labels.find_label_issues(table, predictions)
    assert "color: so many that the predictions may be to blame" in caplog.text


def test_missing_labels_are_not_judged(labelled):
    table, predictions, wrong = labelled
    table.loc[table["image_id"].isin(wrong), "color"] = np.nan
    assert len(labels.find_label_issues(table, predictions)) == 0


def test_a_class_that_was_never_given_or_never_predicted(labelled):
    table, predictions, _ = labelled
    table["color"] = table["color"].cat.add_categories("gray")
    predictions = predictions.drop(columns="color:red")
    issues = labels.find_label_issues(table, predictions)
    assert set(issues["suggested"]) <= {"black", "brown"}


def test_one_class_alone_is_never_doubted(labelled):
    table, predictions, _ = labelled
    table["color"] = pd.Categorical(["black"] * len(table), COLORS)
    issues = labels.find_label_issues(table, predictions)
    assert list(issues.columns) == list(LABEL_ISSUES.names)
    assert len(issues) == 0


def test_predictions_of_nothing_known_are_refused(labelled):
    table, predictions, _ = labelled
    with pytest.raises(DataError, match="of no attribute"):
        labels.find_label_issues(table, predictions[["image_id"]].assign(nose=0.5))
    with pytest.raises(DataError, match="none of the images has predictions"):
        labels.find_label_issues(table, predictions.head(1).assign(image_id="x"))
    with pytest.raises(DataError, match="is there twice"):
        labels.find_label_issues(table, predictions.assign(image_id="000.png"))


def test_command(labelled, tmp_path):
    table, predictions, wrong = labelled
    tables.write(table, tmp_path / "screened.parquet")
    tables.write(predictions, tmp_path / "oof.parquet")
    output = tmp_path / "label_issues.csv"
    arguments = [
        f"--screened={tmp_path / 'screened.parquet'}",
        f"--predictions={tmp_path / 'oof.parquet'}",
        "--derived=[]",
        f"--label-issues={output}",
    ]
    result = CliRunner().invoke(cli.main, ["labels", *arguments])
    assert result.exit_code == 0, result.output
    written = hold(output, LABEL_ISSUES)
    assert list(written.columns) == LABEL_ISSUES.names
    assert written["issue"].any()
    assert set(written["image_id"][written["issue"]]) <= wrong
    first = output.read_bytes()
    CliRunner().invoke(cli.main, ["labels", *arguments])
    assert output.read_bytes() == first
