"""Several models, measured as one by the library."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, GEOMETRY, HEAD_OPTIONS, VIEW, DataSet

from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import load_classifier, save_classifier
from classifiers.models.heads import read_heads
from classifiers.options import EvaluateOptions
from classifiers.predict import elsewhere, ensemble
from classifiers.predict.origin import Origin
from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError
from facekit.storage import tables

CPU = torch.device("cpu")
OPTIONS = EvaluateOptions(num_bootstrap=100, small_group=5, confidence=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataSet(tmp_path_factory.mktemp("ensemble"))


def save(data, name, seed, fold=None, learned_from=(), **changed):
    """Write a classifier with random heads as a training of that seed would."""
    heads = read_heads(HEAD_OPTIONS, data.table, "table")
    classifier = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.manual_seed(seed + (fold or 0))
    torch.nn.init.normal_(classifier.layer.linear.weight)
    path = data.root / f"{name}.safetensors"
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "fold": fold}
    meta |= {**asdict(data.origin(seed=seed)), **changed}
    save_classifier(classifier, meta, path, learned_from)
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


def train_ids(data):
    return data.table.loc[data.table["split"] == "train", "image_id"]


def test_predictions_tell_where_they_come_from(data):
    models = [save(data, f"told{seed}", seed, round=2) for seed in (0, 1)]
    for split in ("test", "val"):
        origin = data.origin(seed=None, round=2, real_shown=768, images_shown=768)  # of two
        for table in evaluated(data, models, split).predictions.values():
            assert Origin.of_table(table, data.root) == origin


def other_round(data, root):
    """Return the same images, dealt so that half of train and all of val are the new test part."""
    other = DataSet(root)
    split = data.table["split"].astype(str)
    numbers = np.flatnonzero(split == "train")
    moved = split.where(split != "val", "test")
    moved.iloc[numbers[:48]] = "test"
    moved[split == "test"] = "val"
    other.table["split"] = pd.Categorical(moved, categories=["train", "val", "test"])
    other.table["fold"] = other.table["fold"].where(moved == "train")
    other.write()
    return other


def test_a_model_is_not_measured_on_what_it_learned_from(data, tmp_path):
    model = save(data, "honest", 0, learned_from=train_ids(data))
    evaluated(data, [model])
    other = other_round(data, tmp_path)
    with pytest.raises(DataError, match=r"honest.*learned from 48 of the 80 images of test in"):
        evaluated(other, [model])
    with pytest.raises(DataError, match=r"learned from 96 of the 96 images of train in"):
        evaluated(data, [model], split="train")


def test_a_model_is_measured_by_its_own_split_alone(data, tmp_path):
    model = save(data, "elsewhere", 0)  # saw none of these images
    other = other_round(data, tmp_path)
    with pytest.raises(DataError, match="in round 0 from a split whose train, val, test has other"):
        evaluated(other, [model])
    fewer = DataSet(tmp_path / "fewer")
    last = fewer.table.index[fewer.table["split"] == "test"][-2:]
    fewer.table = fewer.table.drop(last)
    fewer.write()
    with pytest.raises(DataError, match="from a split whose test has other images"):
        evaluated(fewer, [model])


def test_persons_that_straddle_are_not_measured(data, tmp_path):
    straddling = DataSet(tmp_path)
    train, test = (np.flatnonzero(straddling.table["split"] == name) for name in ("train", "test"))
    straddling.table.loc[test[0], "group"] = straddling.table.loc[train[0], "group"]
    straddling.write()
    with pytest.raises(DataError, match="is held out, but its person or duplicate"):
        evaluated(straddling, [save(data, "one", 3)])


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"round": 1}, "round 1, but"), ({"images_shown": 400}, "images_shown 400, but")],
)
def test_models_of_other_rounds_or_budgets_have_no_mean(data, changed, words):
    models = [save(data, "first", 0), save(data, "second", 1, **changed)]
    with pytest.raises(DataError, match=words):
        evaluated(data, models)


def test_budgets_of_folds_may_differ_and_are_added(data):
    shown = {0: 300, 1: 310}
    models = [
        save(data, f"part{fold}", 0, fold, real_shown=num, images_shown=num + 50)
        for fold, num in shown.items()
    ]
    table = evaluated(data, models).predictions["test"]
    assert set(table["real_shown"]) == {610} and set(table["images_shown"]) == {710}


def test_a_model_that_does_not_tell_is_to_be_trained_again(data):
    path = save(data, "old", 0)
    classifier, meta = load_classifier(path)
    save_classifier(
        classifier, {name: meta[name] for name in ("backbone", "geometry", "arm")}, path
    )
    with pytest.raises(DataError, match=r"old.*says nothing of seed, round, train_ids.*again with"):
        evaluated(data, [path])
    assert ensemble.load_models([path], CPU)[0].meta["arm"] == "real"  # for `predict`


def test_models_are_measured_on_a_set_from_elsewhere(data, tmp_path):
    """Its images may be called as those that the model learned from; no split is asked."""
    table = data.table.drop(columns=["split", "fold"], errors="ignore").head(40)
    matched = tmp_path / "matched.parquet"
    tables.write(table.assign(bright=table["bright"].mask(table["bright"].notna())), matched)
    model = save(data, "elsewhere", 3, learned_from=table["image_id"])
    found = elsewhere.evaluate_elsewhere([model], data.images, matched, OPTIONS, 0, CPU)
    assert "color" in found.evaluation.metrics
    assert "bright" not in found.evaluation.metrics  # no label of it
    predicted = found.predictions["test"]
    assert predicted["image_id"].tolist() == table["image_id"].tolist()
    assert set(predicted["test_ids"]) == {digest_of_ids(table["image_id"])}
    assert set(predicted["train_ids"]) == {data.origin(seed=3).train_ids}


def test_folds_that_were_dealt_anew_are_not_predicted(data):
    of_others = data.table.loc[data.table["fold"].isin([1, 2, 3]), "image_id"]
    model = save(data, "fold0", 0, 0, learned_from=of_others)
    assert len(evaluated(data, [model]).predictions["oof"]) == (data.table["fold"] == 0).sum()
    moved = save(data, "fold1", 0, 1, learned_from=of_others)
    with pytest.raises(DataError, match=r"learned from (\d+) of the \1 images of fold 1 of train"):
        evaluated(data, [moved])


def test_models_given_twice_and_folds_beside_a_whole_one_are_refused(data):
    whole, fold = save(data, "whole", 0), save(data, "fold0", 0, 0)
    again = save(data, "again", 1, 0)
    for paths, message in (
        ([whole, whole], "whole.safetensors: given twice"),
        ([fold, again], r"models of the folds \[0, 0\]; expected each fold once"),
        ([fold, whole], "whole.safetensors: learned from all of train; expected models of folds"),
    ):
        with pytest.raises(DataError, match=message):
            ensemble.load_models(paths, CPU)
