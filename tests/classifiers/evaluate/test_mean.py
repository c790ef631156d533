"""Predictions of several models, measured as one by the library."""

import numpy as np
import pytest
from classifier_sets import COLORS, HEAD_OPTIONS, DataSet

from classifiers.evaluate import mean
from classifiers.images.data import read_labelled
from classifiers.models.heads import read_heads
from classifiers.options import FiguresOptions
from classifiers.predict.origin import Origin
from classifiers.predict.predicted import Predicted, predictions_table
from facekit.errors import DataError
from facekit.storage import tables

OPTIONS = FiguresOptions(num_bootstrap=100, small_group=5, confidence=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataSet(tmp_path_factory.mktemp("mean"))


def write_predictions(data, folder, seed, **changed):
    """Write a seed's predictions of val and test, at random; return their paths by split."""
    heads = read_heads(HEAD_OPTIONS, data.table, "table")
    rng = np.random.default_rng(seed)
    found = {}
    for split in ("val", "test"):
        table = read_labelled(data.curated, data.splits, [split])
        outputs = {
            head.name: rng.dirichlet(np.ones(len(head.classes)), len(table)) for head in heads
        }
        found[split] = folder / f"{split}{seed}.parquet"
        origin = data.origin(seed=seed, **changed)
        predicted = predictions_table(heads, Predicted(table, outputs), origin)
        tables.write(predicted, found[split])
    return found


def measured(data, paths):
    """Return the measures of several seeds' mean."""
    test, val = ([one[split] for one in paths] for split in ("test", "val"))
    return mean.evaluate_mean(test, val, data.curated, HEAD_OPTIONS, OPTIONS, 0)


def test_the_mean_of_seeds_carries_no_seed(data, tmp_path):
    paths = [write_predictions(data, tmp_path, seed) for seed in (0, 1)]
    found = measured(data, paths)
    parts = [tables.read(one["test"]) for one in paths]
    names = [f"color:{color}" for color in COLORS]
    halves = (parts[0][names] + parts[1][names]) / 2
    predicted = found.predictions["test"]
    np.testing.assert_allclose(predicted[names], halves)
    assert predicted["seed"].isna().all()
    assert set(predicted["arm"]) == {"real"}


def test_the_mean_of_one_keeps_its_seed(data, tmp_path):
    found = measured(data, [write_predictions(data, tmp_path, 4)])
    assert set(found.predictions["test"]["seed"]) == {4}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"round": 1}, "round 1, but .*0.parquet has 0"),
        ({"train_ids": "0123456789abcdef"}, "train_ids 0123456789abcdef, but"),
        ({"test_ids": "0123456789abcdef"}, "test_ids 0123456789abcdef, but"),
        ({"real_shown": 400}, "real_shown 400, but .* has 384"),
        ({"images_shown": 400}, "images_shown 400, but .* has 384"),
        ({"arm": "focal"}, "arm focal, but .* has real"),
    ],
)
def test_seeds_that_do_not_belong_together_have_no_mean(data, tmp_path, changed, words):
    paths = [
        write_predictions(data, tmp_path, 0),
        write_predictions(data, tmp_path, 1, **changed),
    ]
    with pytest.raises(DataError, match=words):
        measured(data, paths)


def test_val_is_of_the_same_seeds_each_once(data, tmp_path):
    paths = [write_predictions(data, tmp_path, seed) for seed in (0, 1, 2)]
    with pytest.raises(DataError, match="of seeds 0, 1, --val-predictions of 0, 2; expected the"):
        measured(data, [paths[0], {"test": paths[1]["test"], "val": paths[2]["val"]}])
    with pytest.raises(DataError, match="of seeds 0, 0, --val-predictions of 0, 0; expected the"):
        measured(data, [paths[0], paths[0]])


def test_predictions_of_an_earlier_version_are_to_be_made_again(data, tmp_path):
    paths = write_predictions(data, tmp_path, 0)
    table = tables.read(paths["test"])
    tables.write(table.drop(columns=["round", "train_ids"]), paths["test"])
    with pytest.raises(DataError, match=r"no column \['round', 'train_ids'\].*make it again with"):
        measured(data, [paths])


def test_the_mean_tells_what_all_were_shown(data, tmp_path):
    paths = [write_predictions(data, tmp_path, seed, round=3) for seed in (0, 1)]
    found = measured(data, paths)
    origin = data.origin(seed=None, round=3, real_shown=768, images_shown=768)
    for table in found.predictions.values():
        assert Origin.of_table(table, tmp_path) == origin
