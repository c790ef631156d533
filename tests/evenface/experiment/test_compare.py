"""Comparison of arms: bootstrap against a slow one, honest verdicts, errors."""

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from classifier_sets import as_options
from click.testing import CliRunner

from classifiers.evaluate.bootstrap import bootstrap, interval, resample
from classifiers.models.heads import Head
from classifiers.options import HeadOptions
from evenface.cli import main
from evenface.experiment import compare
from evenface.options import CompareOptions
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.storage import files, tables

CLASSES = ("young", "middle", "old")
HEAD = Head("age", ("age",), "categorical", 1.0, CLASSES)
HEADS = [{"name": "age", "attributes": ["age"], "kind": "categorical", "weight": 1.0}]


def make_curated(num_images=300, per_group=2, seed=0):
    """Return image_id, group, cluster, age: one label missing, `old` rare."""
    rng = np.random.default_rng(seed)
    ages = rng.choice(CLASSES, p=[0.5, 0.4, 0.1], size=num_images)
    table = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(num_images)],
            "group": pd.array([f"p{i // per_group}" for i in range(num_images)], dtype="str"),
            "cluster": range(num_images),
            "age": pd.Categorical(ages, categories=list(CLASSES)),
        }
    )
    table.loc[7, "age"] = np.nan
    return table


def make_predictions(curated, arm, seed, accuracy, shuffle=False):
    """Return predictions that are right with the given chance, alike within a seed."""
    rng = np.random.default_rng([99, seed])
    truth = curated["age"].astype(object).fillna("young").to_numpy()
    other = rng.choice(CLASSES, size=len(truth))
    pred = np.where(rng.random(len(truth)) < accuracy, truth, other)
    table = pd.DataFrame({"image_id": curated["image_id"], "arm": arm, "seed": seed})
    table["age"] = pd.Categorical(pred, categories=list(CLASSES))
    return table.sample(frac=1, random_state=0) if shuffle else table


def write_runs(folder, curated, arms, seeds=(0, 1)):
    """Write one file of predictions a run; return their paths."""
    paths = []
    for arm, accuracy in arms.items():
        for seed in seeds:
            path = folder / arm / f"seed{seed}.parquet"
            table = make_predictions(curated, arm, seed, accuracy, shuffle=arm != "real")
            tables.write(table, path)
            paths.append(path)
    return paths


@pytest.fixture
def runs(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"synth@1.0": 0.8, "real": 0.6})
    return compare.read_runs(paths, curated, HEAD, "real")


def test_runs_are_aligned_and_masked(runs):
    assert runs.arms == ["real", "synth@1.0"]
    assert runs.seeds == [0, 1]
    assert runs.pred.shape == (2, 2, 299)
    curated = make_curated()
    expected = make_predictions(curated, "synth@1.0", 1, 0.8)["age"].cat.codes.to_numpy()
    np.testing.assert_array_equal(runs.pred[1, 1], np.delete(expected, 7))
    assert len(np.unique(runs.cluster)) == 150


def slow_bootstrap(runs, function, num_bootstrap, seed):
    """Return replicates [num_bootstrap, num_arms] from images drawn one by one."""
    rng = np.random.default_rng(seed)
    clusters = np.unique(runs.cluster)
    members = [np.flatnonzero(runs.cluster == one) for one in clusters]
    num_seeds = len(runs.seeds)
    replicates = []
    for _ in range(num_bootstrap):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        seeds = rng.integers(0, num_seeds, max(num_seeds - 1, 1))
        replicates.append(
            [
                np.mean([function(runs.target[drawn], arm[s][drawn]) for s in seeds])
                for arm in runs.pred
            ]
        )
    return np.array(replicates)


@pytest.mark.parametrize("measure", ["macro_f1", "accuracy", "balanced_accuracy", "recall"])
def test_intervals_match_a_direct_bootstrap(runs, measure):
    functions = {
        "accuracy": lambda t, p: np.mean(t == p),
        "balanced_accuracy": lambda t, p: np.mean([np.mean(p[t == k] == k) for k in range(3)]),
        "macro_f1": lambda t, p: sklearn.metrics.f1_score(t, p, average="macro"),
        "recall": lambda t, p: np.mean(p[t == 2] == 2),  # `old` is the rarest
    }
    confusions = compare.cluster_confusions(runs, 3)
    function = compare.pick_measure(measure, runs.target, HEAD)
    resampling = resample(confusions.shape[0], confusions.shape[2], 4000, seed=0)
    fast = bootstrap(confusions, {measure: function}, resampling)[measure]
    slow = slow_bootstrap(runs, functions[measure], 150, seed=1)
    for i in range(2):
        np.testing.assert_allclose(fast[:, i].mean(), slow[:, i].mean(), atol=0.01)
        np.testing.assert_allclose(fast[:, i].std(), slow[:, i].std(), rtol=0.25)
    differences = [one[:, 1] - one[:, 0] for one in (fast, slow)]
    np.testing.assert_allclose(
        interval(differences[0], 0.95), interval(differences[1], 0.95), atol=0.03
    )


def test_means_and_differences_match_scikit_learn(runs):
    records = compare.compare_arms(runs, HEAD, "macro_f1", CompareOptions(num_bootstrap=200), 0)
    values = np.array(
        [
            [sklearn.metrics.f1_score(runs.target, p, average="macro") for p in arm]
            for arm in runs.pred
        ]
    )
    np.testing.assert_allclose([one["mean"] for one in records], values.mean(axis=1))
    np.testing.assert_allclose(records[1]["by_seed"], values[1])
    np.testing.assert_allclose(records[1]["difference_by_seed"], values[1] - values[0])
    assert records[1]["difference"] == pytest.approx((values[1] - values[0]).mean())
    assert records[0]["difference"] is None


def test_images_of_a_group_are_drawn_together(tmp_path):
    curated = make_curated(per_group=30)  # ten persons
    paths = write_runs(tmp_path, curated, {"real": 0.6})
    together = compare.read_runs(paths, curated, HEAD, "real")
    alone = compare.read_runs(paths, curated.drop(columns="group"), HEAD, "real")
    assert len(np.unique(together.cluster)) == 10
    assert len(np.unique(alone.cluster)) == 299
    # Every image of a person right or wrong alike: intervals of groups are the wider ones.
    for one in (together, alone):
        one.pred[:] = np.where(together.cluster % 2 == 0, one.target, (one.target + 1) % 3)
    widths = []
    for one in (together, alone):
        options = CompareOptions(num_bootstrap=1000)
        record = compare.compare_arms(one, HEAD, "accuracy", options, 0)[0]
        widths.append(record["high"] - record["low"])
    assert widths[0] > 3 * widths[1]


def test_groups_and_duplicate_clusters_are_joined():
    table = pd.DataFrame(
        {"group": pd.array(["a", "a", None, "b", None], dtype="str"), "cluster": [0, 1, 1, 2, 3]}
    )
    found = units(table)
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 3


def test_spread_between_seeds_widens_the_interval(runs):
    same = compare.compare_arms(runs, HEAD, "accuracy", CompareOptions(num_bootstrap=1000), 0)[1]
    pred = runs.pred.copy()
    pred[1, 1] = runs.pred[0, 1]  # the arm gains in one seed and not in the other
    apart = compare.Runs(runs.arms, runs.seeds, pred, runs.target, runs.cluster)
    other = compare.compare_arms(apart, HEAD, "accuracy", CompareOptions(num_bootstrap=1000), 0)[1]
    assert same["verdict"] == "better"
    assert other["verdict"] == compare.NO_DIFFERENCE
    assert other["difference_low"] <= 0 < other["difference_high"]


def test_equal_arms_are_seldom_called_different():
    rng = np.random.default_rng(0)
    num_called = 0
    for trial in range(100):
        target = rng.integers(0, 3, size=200)
        hits = rng.random((2, 1, 200)) < 0.7
        pred = np.where(hits, target, (target + 1) % 3)
        runs = compare.Runs(["real", "x"], [0], pred, target, np.arange(200))
        record = compare.compare_arms(
            runs, HEAD, "accuracy", CompareOptions(num_bootstrap=300), trial
        )[1]
        num_called += record["verdict"] != compare.NO_DIFFERENCE
    assert num_called <= 12  # 5 expected


def test_several_comparisons_widen_the_intervals(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6, "a": 0.65, "b": 0.65})
    two = compare.read_runs(paths, curated, HEAD, "real")
    one = compare.read_runs(paths[:4], curated, HEAD, "real")
    wide, narrow = (
        compare.compare_arms(x, HEAD, "accuracy", CompareOptions(num_bootstrap=2000), 0)[1]
        for x in (two, one)
    )
    assert wide["difference"] == pytest.approx(narrow["difference"])
    ratio = (wide["difference_high"] - wide["difference_low"]) / (
        narrow["difference_high"] - narrow["difference_low"]
    )
    assert ratio == pytest.approx(2.241 / 1.960, rel=0.1)  # normal quantiles of 0.9875 and 0.975


def test_classes_absent_from_a_replicate_do_no_harm():
    target = np.array([0] * 50 + [2])  # `middle` never occurs, `old` once
    runs = compare.Runs(["real", "x"], [0], np.stack([[target]] * 2), target, np.arange(51))
    for measure in ("macro_f1", "recall"):
        records = compare.compare_arms(runs, HEAD, measure, CompareOptions(num_bootstrap=500), 0)
        assert records[1]["mean"] == records[1]["low"] == 1
        assert records[1]["difference_low"] == records[1]["difference_high"] == 0
        assert records[1]["verdict"] == compare.NO_DIFFERENCE
    assert records[0]["per_class_recall"] == {"young": 1.0, "middle": None, "old": 1.0}


def test_many_images_take_seconds():
    import time

    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, size=2000)
    pred = np.where(rng.random((3, 2, 2000)) < 0.8, target, rng.integers(0, 3, size=2000))
    runs = compare.Runs(["real", "a", "b"], [0, 1], pred, target, np.arange(2000))
    start = time.process_time()
    compare.compare_arms(runs, HEAD, "macro_f1", CompareOptions(num_bootstrap=2000), 0)
    assert time.process_time() - start < 10


def options(tmp_path, curated, paths, **changed):
    tables.write(curated, tmp_path / "curated.parquet")
    values = {
        "curated": tmp_path / "curated.parquet",
        "task": "faces",
        "heads": HEADS,
        "head": "age",
        "measure": "macro_f1",
        "baseline": "real",
        "confidence": 0.95,
        "num_bootstrap": 500,
        "seed": 0,
        "json": tmp_path / "out" / "faces.json",
        "csv": tmp_path / "out" / "faces.csv",
        "svg": tmp_path / "out" / "faces.svg",
        "verdict": tmp_path / "out" / "faces.txt",
        **changed,
    }
    predictions = [str(part) for path in paths for part in ("--predictions", path)]
    return ["compare", *predictions, *as_options(values)]


def invoke(arguments):
    result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_command_writes_verdict_figures_and_the_same_bytes_again(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6, "synth@1.0": 0.85, "weighted_loss": 0.6})
    arguments = options(tmp_path, curated, paths)
    result = invoke(arguments)
    assert result.exit_code == 0, result.output
    found = files.read_json(tmp_path / "out" / "faces.json")
    assert [arm["arm"] for arm in found["arms"]] == ["real", "synth@1.0", "weighted_loss"]
    better, same = found["arms"][1:]
    assert better["verdict"] == "better" and better["difference_low"] > 0
    assert same["verdict"] == "no difference could be shown" and same["difference"] == 0
    sentence = (tmp_path / "out" / "faces.txt").read_text()
    assert sentence == f"{found['verdict']}\n"
    for words in (
        "Task faces, macro F1 of age:",
        f"synth@1.0 against real: better, {better['mean']:.3f} and {found['arms'][0]['mean']:.3f}",
        f"difference {better['difference']:+.3f} [{better['difference_low']:+.3f}, ",
        "weighted_loss against real: no difference could be shown",
        "95% intervals, they hold for all 2 comparisons together (Bonferroni)",
        "2 seeds, 299 test images in 150 groups",
    ):
        assert words in sentence
    csv = pd.read_csv(tmp_path / "out" / "faces.csv")
    assert list(csv["arm"]) == ["real", "synth@1.0", "weighted_loss"]
    assert csv["recall:old"].between(0, 1).all()
    assert (tmp_path / "out" / "faces.run.json").exists()
    names = ("faces.json", "faces.csv", "faces.svg", "faces.txt")
    first = [(tmp_path / "out" / name).read_bytes() for name in names]
    assert b"<svg" in first[2]
    assert invoke(arguments).exit_code == 0
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == first


def test_the_library_compares_files_without_a_command(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6, "synth@1.0": 0.85})
    arguments = options(tmp_path, curated, paths, num_bootstrap=200)
    assert invoke(arguments).exit_code == 0
    found = compare.compare_files(
        paths,
        tmp_path / "curated.parquet",
        "faces",
        [HeadOptions(**head) for head in HEADS],
        "age",
        "macro_f1",
        CompareOptions(num_bootstrap=200),
        seed=0,
    )
    assert found.plain() == files.read_json(tmp_path / "out" / "faces.json")
    assert found.verdict.startswith("Task faces, macro F1 of age: synth@1.0 against real: better")
    assert list(found.table()["arm"]) == ["real", "synth@1.0"]
    found.draw(tmp_path / "figure.svg")
    drawn = [path.read_bytes() for path in (tmp_path / "figure.svg", tmp_path / "out/faces.svg")]
    assert drawn[0] == drawn[1]


def test_baseline_alone_has_nothing_to_compare_with(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6}, seeds=[0])
    assert invoke(options(tmp_path, curated, paths)).exit_code == 0
    assert "nothing to compare with" in (tmp_path / "out" / "faces.txt").read_text()


def test_one_seed_says_so(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6, "a": 0.7}, seeds=[3])
    assert invoke(options(tmp_path, curated, paths)).exit_code == 0
    assert (
        "chance in training is not counted; 1 seed," in (tmp_path / "out" / "faces.txt").read_text()
    )


def test_bad_runs_are_refused(tmp_path):
    curated = make_curated()
    paths = write_runs(tmp_path, curated, {"real": 0.6, "a": 0.7})

    def read(paths, curated=curated, head=HEAD, baseline="real"):
        return compare.read_runs(paths, curated, head, baseline)

    with pytest.raises(DataError, match="no predictions of the baseline b"):
        read(paths, baseline="b")
    with pytest.raises(DataError, match="no predictions of arm a, seed 1"):
        read(paths[:3])
    with pytest.raises(DataError, match="given twice"):
        read([*paths, paths[0]])
    with pytest.raises(DataError, match="not in the curated table"):
        read(paths, curated[1:])
    with pytest.raises(DataError, match="no test image has a label"):
        read(paths, curated.assign(age=curated["age"].where(curated["age"].isna())))
    table = tables.read(paths[3])
    tables.write(table[1:], paths[3])
    with pytest.raises(DataError, match="other test images"):
        read(paths)
    tables.write(table.drop(columns="age"), paths[3])
    with pytest.raises(DataError, match="age"):
        read(paths)
    tables.write(table.assign(arm=["a"] * 150 + ["b"] * 150), paths[3])
    with pytest.raises(DataError, match="one arm and seed"):
        read(paths)


def test_head_must_be_categorical_and_of_the_task(tmp_path):
    curated = make_curated().assign(years=1.0)
    paths = write_runs(tmp_path, curated, {"real": 0.6})
    years = {"name": "years", "attributes": ["years"], "kind": "numeric", "weight": 1.0}
    for head in ("hair", "years"):
        changed = {"head": head, "heads": json.dumps([*HEADS, years])}
        result = invoke(options(tmp_path, curated, paths, **changed))
        assert result.exit_code == 1 and f"head {head}" in result.output
