"""Out-of-fold predictions: no image is judged by a model that was fitted to it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, COLORS, VIEW, DataSet, as_options
from click.testing import CliRunner
from held_tables import hold

from classifiers.cli import main
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import MISSING, Head, read_heads
from classifiers.options import LIGHT, CrossvalOptions, TrainOptions
from classifiers.train import crossval
from facedata.columns import OUT_OF_FOLD
from facedata.curation import labels
from facekit.errors import DataError
from facekit.storage import tables

COLOR = Head("color", ("color",), "categorical", 1.0, tuple(COLORS))
CPU = torch.device("cpu")
AGE = Head("age", ("age",), "numeric", 1.0, mean=40.0, std=17.0)
RECIPE = TrainOptions(
    epochs=3, batch=16, lr=0.01, weight_decay=0.01, label_smoothing=0.0, precision="fp32",
    augment=LIGHT,
)  # fmt: skip


def run(arguments, code=0):
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """A data set whose table has folds: colours to learn, ages that follow brightness."""
    data = DataSet(tmp_path_factory.mktemp("crossval"))
    data.table["fold"] = np.arange(len(data.table)) // 2 % 4
    data.table["age"] = np.where(data.table["bright"] == "yes", 50.0, 20.0)
    tables.write(data.table.drop(columns="split"), data.root / "screened.parquet")
    return data


def options(data, output, **changed):
    values = {
        "images": data.images,
        "screened": data.root / "screened.parquet",
        "attributes": ["color", "bright", "age"],
        "backbone": BACKBONE,
        "weights": "none",
        "kimg": 0,
        "passes": 1,
        "batch": 16,
        "lr": 0.01,
        "weight_decay": 0.01,
        "label_smoothing": 0.0,
        "precision": "fp32",
        "threads": 1,
        "device": "cpu",
        "seed": 0,
        "predictions": output,
    }
    return ["crossval", *as_options({**values, **changed})]


@pytest.mark.parametrize(("kimg", "passes"), [(0, 1), (0.36, 2)])
def test_command_predicts_every_image(screened, tmp_path, kimg, passes):
    first, again = tmp_path / "a.parquet", tmp_path / "b.parquet"
    output = run(options(screened, first, kimg=kimg, passes=passes))
    predictions = hold(first, OUT_OF_FOLD)
    assert list(predictions["image_id"]) == list(screened.table["image_id"])
    columns = {"fold", "color", "color:blue", "bright:yes", "age"}
    assert columns <= set(predictions.columns)
    known = screened.table["color"].notna()
    right = predictions["color"].astype(str) == screened.table["color"].astype(str)
    assert right[known].mean() > 0.8
    assert np.corrcoef(predictions["age"], screened.table["age"])[0, 1] > 0.8
    assert "color: out-of-fold accuracy" in output
    assert ("pass 2/2, fold 4/4: loss" in output) == (passes == 2)
    assert "age: median out-of-fold error" in output
    run(options(screened, again, kimg=kimg, passes=passes))
    pd.testing.assert_frame_equal(tables.read(again), predictions)


def test_the_library_predicts_out_of_fold_without_a_command(screened, tmp_path):
    path, given = tmp_path / "screened.parquet", ["color", "age"]
    kept = ["image_id", "row", "fold", *given]
    tables.write(screened.table[kept], path)
    settings = CrossvalOptions(backbone=BACKBONE, weights="none", kimg=0)
    assert settings.attributes == "all"
    found = crossval.predict_out_of_fold(screened.images, path, settings, 0, CPU, num_workers=1)
    run(options(screened, tmp_path / "out.parquet", attributes=given, screened=path))
    pd.testing.assert_frame_equal(tables.read(tmp_path / "out.parquet"), found)
    with pytest.raises(DataError, match="no attribute 'mouth'"):
        wrong = settings.model_copy(update={"attributes": ("mouth",)})
        crossval.predict_out_of_fold(screened.images, path, wrong, 0, CPU, num_workers=1)


def test_folds_side_by_side_give_the_same_as_one_after_the_other(screened, tmp_path):
    command = Path(sys.executable).with_name("classifiers")
    tables_made = []
    for threads in (1, 3):
        output = tmp_path / f"{threads}.parquet"
        # A process of its own: forked workers need one that has not computed yet.
        arguments = options(screened, output, kimg=0.1, threads=threads)
        subprocess.run([command, *map(str, arguments)], check=True, timeout=300)
        tables_made.append(tables.read(output))
    pd.testing.assert_frame_equal(*tables_made)


def test_no_attribute_to_judge_gives_no_issue(screened, tmp_path):
    oof, issues = tmp_path / "oof.parquet", tmp_path / "label_issues.csv"
    run(options(screened, oof, attributes=[]))
    assert list(tables.read(oof).columns) == ["image_id", "fold"]
    found = labels.find_label_issues(screened.table, tables.read(oof))
    tables.write(found, issues)
    assert issues.read_text() == "image_id,attribute,given,suggested,score,issue\n"


def test_frozen_models_never_see_their_own_fold():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 10)).astype(np.float32)
    color, age = rng.integers(0, 2, size=60), rng.uniform(0, 80, size=60)
    color[:5], age[5:9] = MISSING, np.nan
    folds = np.arange(60) % 3
    targets = {"color": color, "age": age}
    prob = crossval.fit_frozen(features, targets, folds, COLOR)
    np.testing.assert_allclose(prob.sum(axis=1), 1)
    assert not prob[:, 2].any()
    values = crossval.fit_frozen(features, targets, folds, AGE)
    changed = {
        "color": np.where((folds == 0) & (color != MISSING), 1 - color, color),
        "age": np.where(folds == 0, 80 - age, age),
    }
    for head, before in ((COLOR, prob), (AGE, values)):
        after = crossval.fit_frozen(features, changed, folds, head)
        np.testing.assert_array_equal(after[folds == 0], before[folds == 0])
        assert (after[folds == 1] != before[folds == 1]).any()


def test_trained_models_never_see_their_own_fold(screened):
    table = screened.table
    heads = [COLOR]

    def outputs(labelled):
        return crossval.trained_outputs(
            screened.images,
            labelled,
            heads,
            crossval.all_targets(labelled, heads),
            partial(build_classifier, BACKBONE, "none", heads, VIEW),
            RECIPE,
            0,
            1,
            torch.device("cpu"),
            num_workers=1,
        )["color"]

    before = outputs(table)
    swapped = table.copy()
    of_fold = (table["fold"] == 0) & table["color"].notna()
    swapped.loc[of_fold, "color"] = table["color"].map({"red": "green"}).fillna("red")[of_fold]
    after = outputs(swapped)
    is_fold = (table["fold"] == 0).to_numpy()
    np.testing.assert_array_equal(after[is_fold], before[is_fold])
    assert (after[~is_fold] != before[~is_fold]).any()
    np.testing.assert_allclose(before.sum(axis=1), 1)


def test_second_pass_does_not_learn_from_labels_that_the_first_contradicts():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, size=200)
    prob = np.full((200, 3), 0.02)
    prob[np.arange(200), target] = 0.96
    age = rng.uniform(0, 80, size=200)
    predicted = age + rng.uniform(-5, 5, size=200)
    given = {"color": target.copy(), "age": age.copy()}
    given["color"][:6] = (target[:6] + 1) % 3
    given["color"][6] = MISSING
    given["age"][:4] = age[:4] + 70
    given["age"][4] = np.nan
    kept = crossval.without_doubted(given, {"color": prob, "age": predicted}, [COLOR, AGE])
    assert set(np.flatnonzero(kept["color"] == MISSING)) <= set(range(7))
    assert (kept["color"][:7] == MISSING).sum() >= 5  # how many are wrong is estimated
    assert set(np.flatnonzero(np.isnan(kept["age"]))) == set(range(5))
    assert (given["color"][:6] != MISSING).all()  # the labels themselves stay
    np.testing.assert_array_equal(kept["color"][7:], target[7:])


def test_attributes_that_nothing_can_be_learned_of_are_left_out(caplog):
    table = pd.DataFrame(
        {
            "color": pd.Categorical(["red", "blue"]),
            "nose": pd.Categorical(["long", "long"]),
            "age": [3.0, 4.0],
        }
    )
    settings = crossval.attribute_heads(table, ["color", "nose", "age"])
    assert [(one.name, one.kind) for one in settings] == [
        ("color", "categorical"),
        ("age", "numeric"),
    ]
    assert "nose: fewer than two values" in caplog.text
    assert [head.name for head in read_heads(settings, table, "table")] == ["color", "age"]
    with pytest.raises(DataError, match="no attribute 'mouth'"):
        crossval.attribute_heads(table, ["mouth"])


def test_a_fold_without_which_one_class_is_left(screened):
    targets = {"color": np.array([0, 0, 0, 1])}
    features = np.zeros((4, 2), dtype=np.float32)
    with pytest.raises(DataError, match="without fold 1 fewer than two classes"):
        crossval.fit_frozen(features, targets, np.array([0, 0, 1, 1]), COLOR)
