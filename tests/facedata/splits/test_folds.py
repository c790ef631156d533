"""Models of folds and of seeds as one, and that none is validated on what it learned from."""

import numpy as np
import pandas as pd
import pytest
from classifier_sets import COLORS, HEADS, DataSet, as_options, run

from classifiers.models import checkpoint
from facekit.storage import files, tables

COLUMNS = [*(f"color:{name}" for name in COLORS), "bright:no", "bright:yes"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A data set with one model a fold of train."""
    data = DataSet(tmp_path_factory.mktemp("folds"))
    data.models = [data.root / f"fold{k}/model.safetensors" for k in range(4)]
    for k, path in enumerate(data.models):
        run(data.train_options(path.parent, fold=k, epochs=2))
    run(data.evaluate_options(data.models, data.root / "all"))
    return data


def of_split(data, name):
    return data.table[data.table["split"] == name].reset_index(drop=True)


def test_each_fold_is_validated_on_its_own_images(folds):
    train = of_split(folds, "train")
    for k, path in enumerate(folds.models):
        own = train[train["fold"] == k]
        assert list(tables.read(path.parent / "predictions.parquet")["image_id"]) == list(
            own["image_id"]
        )
        history = pd.read_csv(path.parent / "history.csv")
        assert history["images"].iloc[-1] == 2 * (len(train) - len(own))
        assert checkpoint.load_classifier(path)[1]["fold"] == k


def test_out_of_fold_predictions_come_from_the_model_that_did_not_learn_them(folds):
    oof = tables.read(folds.root / "all/oof_predictions.parquet")
    train = of_split(folds, "train")
    assert list(oof["image_id"]) == list(train["image_id"])
    np.testing.assert_array_equal(oof["fold"], train["fold"])
    for k, path in enumerate(folds.models):
        own = tables.read(path.parent / "predictions.parquet")
        found = oof[oof["fold"] == k].reset_index(drop=True)
        np.testing.assert_allclose(found[COLUMNS], own[COLUMNS], atol=1e-5)
    metrics = files.read_json(folds.root / "all/metrics.json")
    right = oof["bright"].astype(str) == train["bright"].astype(str)
    assert metrics["bright"]["out_of_fold"]["accuracy"] == pytest.approx(right.mean())
    assert metrics["bright"]["out_of_fold"]["support"] == len(train)


def test_several_models_are_the_mean_of_their_probabilities(folds, tmp_path):
    alone = []
    for k in (0, 2):
        run(folds.evaluate_options([folds.models[k]], tmp_path / str(k)))
        alone.append(tables.read(tmp_path / str(k) / "test_predictions.parquet"))
    both = [folds.models[0], folds.models[2]]
    run(folds.evaluate_options(both, tmp_path / "both"))
    found = tables.read(tmp_path / "both/test_predictions.parquet")
    mean = (alone[0][COLUMNS] + alone[1][COLUMNS]) / 2
    np.testing.assert_allclose(found[COLUMNS], mean, atol=1e-6)
    assert list(found["color"]) == list(mean[COLUMNS[:3]].idxmax(axis=1).str.removeprefix("color:"))
    known = of_split(folds, "test")["color"].notna()
    right = found["color"].astype(str)[known] == of_split(folds, "test")["color"].astype(str)[known]
    metrics = files.read_json(tmp_path / "both/metrics.json")
    assert metrics["color"]["accuracy"] == pytest.approx(right.mean())
    # Out of fold are the images of these two folds alone.
    oof = tables.read(tmp_path / "both/oof_predictions.parquet")
    assert set(oof["fold"]) == {0, 2}

    options = {
        "curated": folds.curated,
        "heads": HEADS,
        "threshold": "macro_f1",
        "small_group": 5,
        "confidence": 0.9,
        "num_bootstrap": 100,
        "seed": 0,
        "outdir": tmp_path / "files",
    }
    paths = [
        part
        for name, option in (("test", "--predictions"), ("val", "--val-predictions"))
        for k in (0, 2)
        for part in (option, tmp_path / str(k) / f"{name}_predictions.parquet")
    ]
    # Models of folds have one seed, which a mean of seeds takes once.
    assert "each once" in run(["ensemble", *paths, *as_options(options)], code=1)


def test_models_that_do_not_belong_together_are_refused(folds, tmp_path):
    run(folds.train_options(tmp_path, arm="focal", fold=1, epochs=1))
    mixed = [folds.models[0], tmp_path / "model.safetensors"]
    assert "arm focal, but" in run(folds.evaluate_options(mixed, tmp_path / "x"), code=1)
    twice = [folds.models[1], folds.models[1]]
    assert "given twice; expected each model once" in run(
        folds.evaluate_options(twice, tmp_path / "x"), code=1
    )
    output = run(folds.train_options(tmp_path / "x", fold=9), code=1)
    assert "no image of train in fold 9" in output


# --- Mistakes that published solutions made


@pytest.mark.parametrize("fold", [None, 1])
def test_what_is_validated_on_is_never_learned_from(folds, tmp_path, fold):
    """Spoil the images and labels that the epoch is chosen by: the losses stay as they were."""
    spoilt = DataSet(tmp_path / "spoilt")
    column, held_out = ("split", "val") if fold is None else ("fold", fold)
    is_held_out = (spoilt.table[column] == held_out).fillna(False).to_numpy(dtype=bool)
    rng = np.random.default_rng(0)
    spoilt.array[is_held_out] = rng.integers(0, 256, spoilt.array[is_held_out].shape)
    spoilt.table.loc[is_held_out, "color"] = "blue"
    spoilt.table.loc[is_held_out, "bright"] = "no"
    spoilt.write()
    part = {} if fold is None else {"fold": fold}
    histories = []
    for name, data in (("as it is", folds), ("spoilt", spoilt)):
        run(data.train_options(tmp_path / name, epochs=2, **part))
        histories.append(pd.read_csv(tmp_path / name / "history.csv"))
    np.testing.assert_array_equal(histories[0]["loss"], histories[1]["loss"])
    assert (histories[0]["color.accuracy"] > histories[1]["color.accuracy"]).all()


def test_a_fold_reads_neither_val_nor_test(folds, tmp_path):
    spoilt = DataSet(tmp_path / "spoilt")
    spoilt.array[(spoilt.table["split"] != "train").to_numpy()] = 0
    spoilt.write()
    run(spoilt.train_options(tmp_path / "model", fold=0, epochs=2))
    same = (tmp_path / "model/model.safetensors").read_bytes()
    assert same == folds.models[0].read_bytes()


@pytest.mark.parametrize("fold", [None, 0])
@pytest.mark.parametrize("column", ["group", "cluster"])
def test_a_person_on_both_sides_is_refused(tmp_path, column, fold):
    data = DataSet(tmp_path)
    place = data.table["fold"] == 0 if fold == 0 else data.table["split"] == "val"
    inside = data.table.index[place.fillna(False)][0]
    outside = data.table.index[(data.table["fold"] == 1).fillna(False)][0]
    data.table.loc[inside, column] = data.table.loc[outside, column]
    data.write()
    part = {} if fold is None else {"fold": fold}
    output = run(data.train_options(tmp_path / "x", **part), code=1)
    held_out, learned = (data.table.loc[i, "image_id"] for i in (inside, outside))
    assert f"image '{held_out}' is held out, but its person or duplicate" in output
    assert learned[:2] in output
    assert not (tmp_path / "x/model.safetensors").exists()
