"""Predictions of several models, measured as one by the library."""

import numpy as np
import pytest
from classifier_sets import COLORS, HEAD_OPTIONS, DataSet

from classifiers.evaluate import mean
from classifiers.images.data import read_labelled
from classifiers.models.heads import read_heads
from classifiers.options import FiguresOptions
from classifiers.predict.predicted import Predicted, predictions_table
from evenface.experiment import compare
from facekit.errors import DataError
from facekit.storage import tables

OPTIONS = FiguresOptions(num_bootstrap=100, small_group=5, confidence=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataSet(tmp_path_factory.mktemp("mean"))


def write_predictions(data, folder, seed):
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
        predicted = predictions_table(heads, Predicted(table, outputs), "real", seed)
        tables.write(predicted, found[split])
    return found


def test_the_mean_of_seeds_carries_no_seed(data, tmp_path):
    paths = [write_predictions(data, tmp_path, seed) for seed in (0, 1)]
    found = mean.evaluate_mean(
        [one["test"] for one in paths],
        [one["val"] for one in paths],
        data.curated,
        HEAD_OPTIONS,
        OPTIONS,
        0,
    )
    parts = [tables.read(one["test"]) for one in paths]
    names = [f"color:{color}" for color in COLORS]
    halves = (parts[0][names] + parts[1][names]) / 2
    predicted = found.predictions["test"]
    np.testing.assert_allclose(predicted[names], halves)
    assert predicted["seed"].isna().all()
    assert set(predicted["arm"]) == {"real"}

    # It is no run of an arm that could be compared with others seed by seed.
    found.write(tmp_path / "both")
    head = read_heads(HEAD_OPTIONS, data.table, "table")[0]
    curated = tables.read(data.curated)
    with pytest.raises(DataError, match="the mean of several seeds"):
        compare.read_runs([tmp_path / "both/test_predictions.parquet"], curated, head, "real")


def test_the_mean_of_one_keeps_its_seed(data, tmp_path):
    paths = write_predictions(data, tmp_path, 4)
    found = mean.evaluate_mean(
        [paths["test"]], [paths["val"]], data.curated, HEAD_OPTIONS, OPTIONS, 0
    )
    assert set(found.predictions["test"]["seed"]) == {4}
