"""Evaluation of predictions: tables, intervals and subgroups against direct computations."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from classifiers.evaluate import evaluate, figures
from classifiers.evaluate.bootstrap import interval, resample
from classifiers.evaluate.subgroups import all_groups, groups_for, measure_groups
from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.options import FiguresOptions
from classifiers.predict.predicted import Predicted
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.storage import files

AGES = ("young", "middle", "old")
AGE = Head("age", ("age",), "categorical", 1.0, AGES)
GLASSES = Head("glasses", ("glasses",), "binary", 1.0, ("no", "yes"))
HEIGHT = Head("height", ("height",), "numeric", 1.0, mean=170.0, std=10.0)
HEADS = [AGE, GLASSES, HEIGHT]
SMALL = 12
OPTIONS = FiguresOptions(confidence=0.9, num_bootstrap=400, small_group=SMALL)
SEED = 0


def make_table(num_images=240, seed=0):
    """Return images in pairs of a person; hats are rare, some labels are missing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(num_images)],
            "group": pd.array([f"p{i // 2}" for i in range(num_images)], dtype="str"),
            "age": pd.Categorical(rng.choice(AGES, num_images, p=[0.5, 0.4, 0.1]), AGES),
            "glasses": pd.Categorical(rng.choice(["no", "yes"], num_images), ["no", "yes"]),
            "hat": pd.Categorical(
                rng.choice(["no", "yes"], num_images, p=[0.96, 0.04]), ["no", "yes", "both"]
            ),
            "height": rng.normal(170, 10, num_images),
        }
    )
    table.loc[3, "age"] = table.loc[9, "hat"] = np.nan
    table.loc[5, "height"] = np.nan
    return table


def make_outputs(table, seed=1):
    """Return outputs that are right more often than not, worse where there is a hat."""
    rng = np.random.default_rng(seed)
    outputs = {}
    for head in (AGE, GLASSES):
        prob = rng.dirichlet(np.ones(len(head.classes)), len(table))
        target = head_targets(head, table)
        bonus = np.where(table["hat"] == "yes", 0.0, 0.6)
        prob[np.arange(len(table)), target] += bonus  # a missing one: of the last class
        outputs[head.name] = prob / prob.sum(axis=1, keepdims=True)
    outputs["height"] = table["height"].fillna(170).to_numpy() + rng.normal(0, 5, len(table))
    return outputs


@pytest.fixture(scope="module")
def predicted():
    table = make_table()
    return Predicted(table, make_outputs(table))


@pytest.fixture(scope="module")
def written(predicted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    val = make_table(seed=2).assign(group=None)  # other persons
    val = Predicted(val, make_outputs(val, seed=3))
    evaluate.measure_predictions(HEADS, predicted, val, OPTIONS, SEED).write(folder)
    return folder


def labelled(predicted, head):
    """Return true and predicted classes of the images that have a label, and which they are."""
    target = head_targets(head, predicted.table)
    known = target != MISSING
    return target[known], predicted.outputs[head.name].argmax(axis=1)[known], known


def test_attributes_have_a_row_each_and_their_mean(predicted, written):
    table = pd.read_csv(written / "attributes.csv").set_index("head")
    assert list(table.index) == ["age", "glasses", "mean"]
    for head in (AGE, GLASSES):
        target, pred, known = labelled(predicted, head)
        row = table.loc[head.name]
        assert row["support"] == known.sum()
        assert row["accuracy"] == pytest.approx(np.mean(target == pred))
        assert row["weighted_f1"] == pytest.approx(
            sklearn.metrics.f1_score(target, pred, average="weighted")
        )
        assert row["low"] < row["accuracy"] < row["high"]
    mean = (table.loc["age"] + table.loc["glasses"]) / 2
    names = ["accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "average_precision", "ece"]
    np.testing.assert_allclose(table.loc["mean", names], mean[names])
    # The mean varies less than its parts, and more than nothing.
    assert 0 < np.ptp(table.loc["mean", ["low", "high"]]) < np.ptp(mean[["low", "high"]]) * 0.95


def slow_replicates(cluster, function, num_bootstrap, seed):
    """Return a function's values on images drawn person by person."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(cluster == one) for one in np.unique(cluster)]
    values = []
    for _ in range(num_bootstrap):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        values.append(function(drawn))
    return np.array(values)


def test_intervals_match_a_direct_bootstrap_by_person(predicted, written):
    metrics = files.read_json(written / "metrics.json")
    cluster = predicted.table["group"].factorize()[0]
    target, pred = head_targets(AGE, predicted.table), predicted.outputs["age"].argmax(axis=1)

    def macro_f1(drawn):
        drawn = drawn[target[drawn] != MISSING]
        return sklearn.metrics.f1_score(target[drawn], pred[drawn], average="macro")

    expected = np.quantile(slow_replicates(cluster, macro_f1, 300, 1), [0.05, 0.95])
    np.testing.assert_allclose(metrics["age"]["intervals"]["macro_f1"], expected, atol=0.025)
    height, value = predicted.table["height"].to_numpy(), predicted.outputs["height"]
    measures = {
        "mae": sklearn.metrics.mean_absolute_error,
        "rmse": sklearn.metrics.root_mean_squared_error,
        "r2": sklearn.metrics.r2_score,
    }
    for name, measure in measures.items():

        def of_height(drawn, measure=measure):
            drawn = drawn[~np.isnan(height[drawn])]
            return measure(height[drawn], value[drawn])

        expected = slow_replicates(cluster, of_height, 300, 1)
        found = metrics["height"]["intervals"][name]
        np.testing.assert_allclose(
            found, np.quantile(expected, [0.05, 0.95]), atol=0.5 * expected.std()
        )


def draw(cluster):
    return resample(cluster.max() + 1, 1, OPTIONS.num_bootstrap, SEED)


def test_replicates_match_images_repeated_as_often_as_drawn(predicted):
    cluster = units(predicted.table)
    target, output = head_targets(AGE, predicted.table), predicted.outputs["age"]
    everyone = np.ones(len(target), dtype=bool)
    hatless = (predicted.table["hat"] == "no").to_numpy()
    resampling = draw(cluster)
    assert (resampling.counts.sum(axis=1) == cluster.max() + 1).all()
    members = np.stack([everyone, hatless])
    found = measure_groups(AGE, target, output, cluster, members, resampling)
    known = target != MISSING
    for i in (0, 255, 256, 399):  # around the end of a chunk, too
        times = resampling.counts[i][cluster]
        for k, member in enumerate((everyone, hatless)):
            drawn = np.repeat(np.arange(len(target)), np.where(known & member, times, 0))
            truth, pred = target[drawn], output[drawn].argmax(axis=1)
            f1 = sklearn.metrics.f1_score(truth, pred, average="macro", labels=np.unique(truth))
            assert found.replicates["macro_f1"][i, k] == pytest.approx(f1)
            assert found.replicates["accuracy"][i, k] == pytest.approx(np.mean(truth == pred))


def test_intervals_leave_out_what_is_not_defined():
    rng = np.random.default_rng(0)
    replicates = rng.normal(size=(500, 4))
    replicates[::3, 1] = replicates[:, 3] = np.nan
    low, high = interval(replicates, 0.8)
    for i in range(3):
        known = replicates[~np.isnan(replicates[:, i]), i]
        np.testing.assert_allclose([low[i], high[i]], np.quantile(known, [0.1, 0.9]))
    assert np.isnan([low[3], high[3]]).all()


def test_persons_are_drawn_whole():
    table = make_table()
    table["group"] = pd.array([f"p{i // 24}" for i in range(len(table))], dtype="str")
    right = np.arange(len(table)) // 24 % 2 == 0  # a person's images are right or wrong together
    target = head_targets(GLASSES, table)
    output = np.eye(2)[np.where(right, target, 1 - target)]
    everyone = np.ones((1, len(table)), dtype=bool)
    of_persons, of_images = (
        measure_groups(GLASSES, target, output, cluster, everyone, draw(cluster)).replicates[
            "accuracy"
        ]
        for cluster in (units(table), np.arange(len(table)))
    )
    assert of_persons.std() > 3 * of_images.std()


def test_subgroups_match_a_direct_computation(predicted, written):
    rows = pd.read_csv(written / "subgroups.csv").set_index(
        ["head", "attribute", "class", "measure"]
    )
    others = {"age": ["glasses", "hat"], "glasses": ["age", "hat"], "height": ["age", "glasses"]}
    for head, attributes in others.items():
        assert set(attributes) <= set(rows.loc[head].index.get_level_values("attribute"))
        assert head not in rows.loc[head].index.get_level_values("attribute")
    target, pred, known = labelled(predicted, AGE)
    table = predicted.table[known].reset_index(drop=True)
    for attribute in ("glasses", "hat"):
        for one in ("no", "yes"):
            member = (table[attribute] == one).to_numpy()
            row = rows.loc["age", attribute, one, "macro_f1"]
            present = np.unique(target[member])
            f1 = sklearn.metrics.f1_score(
                target[member], pred[member], labels=present, average="macro"
            )
            assert row["value"] == pytest.approx(f1)
            overall = sklearn.metrics.f1_score(target, pred, average="macro")
            assert row["gap"] == pytest.approx(f1 - overall)
            assert row["support"] == member.sum()
            assert row["num_units"] == table["group"][member].nunique()
            assert row["small"] == (row["num_units"] < SMALL)
            assert row["low"] <= row["value"] <= row["high"]
            assert row["gap_low"] <= row["gap"] <= row["gap_high"]
    assert rows.loc["age", "hat", "yes", "accuracy"]["small"]
    # The best class is one that is not small.
    hats = rows.loc["age", "hat"]
    assert hats.loc[("no", "accuracy"), "gap_to_best"] == 0
    difference = hats.loc[("yes", "accuracy"), "value"] - hats.loc[("no", "accuracy"), "value"]
    assert hats.loc[("yes", "accuracy"), "gap_to_best"] == pytest.approx(difference)
    absent = hats.loc[("both", "accuracy")]
    assert absent["support"] == 0 and absent[["value", "low", "gap", "gap_to_best"]].isna().all()
    # Errors: the best is the smallest.
    ages = rows.loc["height", "glasses"].xs("mae", level="measure")
    assert (ages["gap_to_best"] >= 0).all() and ages["gap_to_best"].min() == 0


def test_gaps_are_paired_with_all_images(predicted):
    """The gap of a group that is nearly everyone varies far less than the measure itself."""
    target = head_targets(GLASSES, predicted.table)
    most = np.arange(len(target)) >= 6
    cluster = units(predicted.table)
    measured = measure_groups(
        GLASSES, target, predicted.outputs["glasses"], cluster,
        np.stack([np.ones_like(most), most]), draw(cluster),
    )  # fmt: skip
    replicates = measured.replicates["accuracy"]
    assert (replicates[:, 1] - replicates[:, 0]).std() < 0.3 * replicates[:, 1].std()


def test_metrics_hold_the_subgroups(predicted, written):
    metrics = files.read_json(written / "metrics.json")
    rows = pd.read_csv(written / "subgroups.csv")
    row = rows[(rows["head"] == "age") & (rows["class"] == "yes") & (rows["attribute"] == "hat")]
    found = metrics["age"]["subgroups"]["hat"]["yes"]
    assert found["small"] is True
    assert found["support"] == row["support"].iloc[0]
    for measure in ("accuracy", "macro_f1"):
        expected = row.loc[row["measure"] == measure, "gap_high"].item()
        assert found[measure]["gap_high"] == pytest.approx(expected)
    assert set(metrics["height"]["subgroups"]["hat"]["no"]) == {
        "support", "num_units", "small", "mae",
    }  # fmt: skip


def test_a_joint_head_is_measured_by_each_of_its_attributes():
    table = make_table()
    both = Head("both", ("age", "glasses"), "categorical", 1.0)
    found = {(attribute, one) for attribute, one, _ in groups_for(both, all_groups(table))}
    assert {("age", "old"), ("glasses", "yes"), ("hat", "no")} <= found


def test_thresholds_are_not_fitted_to_persons_that_are_measured(predicted):
    same = make_table(seed=2)
    val = Predicted(same, make_outputs(same))
    with pytest.raises(DataError, match=r"image 'i0' is held out, but its person .* 'i0' is not"):
        evaluate.measure_predictions(HEADS, predicted, val, OPTIONS, SEED)


def test_heads_without_any_label_are_told_as_such(predicted, tmp_path):
    table = predicted.table.assign(
        age=predicted.table["age"].where(predicted.table["age"].isna()), height=np.nan
    )
    blind = Predicted(table, predicted.outputs)
    val = Predicted(table.assign(group=None), predicted.outputs)
    found = evaluate.measure_predictions(HEADS, blind, val, OPTIONS, SEED)
    found.write(tmp_path)
    metrics = found.metrics
    assert metrics["age"]["accuracy"] is metrics["age"]["intervals"]["accuracy"] is None
    assert metrics["height"]["mae"] is None
    assert metrics["age"]["temperature"] == 1 and metrics["age"]["ece_calibrated"] is None
    assert list(pd.read_csv(tmp_path / "attributes.csv")["head"]) == ["glasses", "mean"]


@pytest.mark.parametrize("sizes", [[2], [18], [2, 3, 6], [18, 2, 3], [2] * 40])
def test_figures_show_each_head_on_a_page_of_readable_width(sizes):
    names = [f"h{i}" for i in range(len(sizes))]
    counts = [np.diag(np.arange(size) + 1) for size in sizes]
    confusions = [
        (name, [f"c{k}" for k in range(len(one))], one)
        for name, one in zip(names, counts, strict=True)
    ]
    figure = figures.draw_confusions(confusions)
    texts = figure.axes[0].texts
    assert [one.get_text() for one in texts if one.get_text() in names] == names
    cells = [one for one in texts if "%" in one.get_text()]
    assert len({one.get_position() for one in cells}) == sum(one.size for one in counts)
    assert cells[-1].get_text() == f"{sizes[-1]}\n100%"
    bins = np.array([[0, 0, 0], [4, 2.2, 3], [6, 5.4, 5]])
    reliability = figures.draw_reliability(
        [(name, {"as predicted": bins, "calibrated": bins[:2]}) for name in names]
    )
    lines = [one.get_xydata() for one in reliability.axes[0].lines]
    for frame, _, predicted, calibrated in zip(*[iter(lines)] * 4, strict=True):
        sides = frame[[2, 0]].diagonal() - frame[1]  # from (0, 0) to the right, and up
        places = (predicted - frame[1]) / sides
        np.testing.assert_allclose(places, [[0.55, 0.75], [0.9, 5 / 6]])
        np.testing.assert_allclose(calibrated, predicted[:1])
    assert len(lines) == 4 * len(names)
    for one in (figure, reliability):
        assert max(one.get_size_inches()) < 17  # inches; none is a long row or column
        width, height = one.get_size_inches()
        for x, y in (text.get_position() for text in one.axes[0].texts):
            assert 0 <= x <= width and 0 <= y <= height
