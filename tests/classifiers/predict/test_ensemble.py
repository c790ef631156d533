"""Several models, measured as one by the library."""

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, GEOMETRY, HEAD_OPTIONS, VIEW, DataSet

from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import save_classifier
from classifiers.models.heads import read_heads
from classifiers.options import EvaluateOptions
from classifiers.predict import ensemble
from facekit.storage import tables

CPU = torch.device("cpu")
OPTIONS = EvaluateOptions(num_bootstrap=100, small_group=5, confidence=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataSet(tmp_path_factory.mktemp("ensemble"))


def save(data, name, seed, fold=None):
    """Write a classifier with random heads as a training of that seed would."""
    heads = read_heads(HEAD_OPTIONS, data.table, "table")
    classifier = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.manual_seed(seed + (fold or 0))
    torch.nn.init.normal_(classifier.layer.linear.weight)
    path = data.root / f"{name}.safetensors"
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "arm": "real", "seed": seed, "fold": fold}
    save_classifier(classifier, meta, path)
    return path


def evaluated(data, models, split="test"):
    return ensemble.evaluate_models(
        models, data.images, data.curated, data.splits, split, OPTIONS, 0, CPU
    )


def test_models_are_measured_without_a_command(data, tmp_path):
    found = evaluated(data, [save(data, "one", 3)])
    test = data.table[data.table["split"] == "test"]
    assert set(found.predictions) == {"val", "test"}
    predicted = found.predictions["test"]
    assert predicted["image_id"].tolist() == test["image_id"].tolist()
    assert predicted["seed"].dtype == np.int64 and set(predicted["seed"]) == {3}
    known = test["color"].notna().to_numpy()
    right = predicted["color"].astype(str).to_numpy() == test["color"].astype(str).to_numpy()
    metrics = found.evaluation.metrics["color"]
    assert metrics["accuracy"] == pytest.approx(right[known].mean())
    assert set(found.evaluation.calibrations) == {"color", "bright"}
    assert list(tmp_path.iterdir()) == []
    found.write(tmp_path)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "test_predictions.parquet"), predicted)
    assert (tmp_path / "metrics.json").is_file()


def test_val_is_measured_without_being_fitted_to(data):
    found = evaluated(data, [save(data, "one", 3)], split="val")
    assert set(found.predictions) == {"val"}
    assert found.evaluation.calibrations == {}


def test_folds_of_one_seed_keep_it_and_predict_train(data):
    found = evaluated(data, [save(data, f"fold{fold}", 5, fold) for fold in (0, 2)])
    assert set(found.predictions["test"]["seed"]) == {5}
    oof = found.predictions["oof"]
    fold = data.table.set_index("image_id")["fold"]
    assert oof["fold"].tolist() == fold[oof["image_id"]].tolist()
    assert set(oof["fold"]) == {0, 2}


def test_models_of_several_seeds_have_none(data):
    found = evaluated(data, [save(data, f"seed{seed}", seed) for seed in (0, 1)])
    for table in found.predictions.values():
        assert table["seed"].isna().all()
