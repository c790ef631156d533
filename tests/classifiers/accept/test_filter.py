"""The filter of synthetic images as a function of the library."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, GEOMETRY, HEAD_OPTIONS, VIEW, DataSet
from held_tables import hold

from classifiers.accept.filter import Filtered, filter_candidates
from classifiers.accept.memorization import Copying
from classifiers.accept.read import Paths
from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import save_classifier
from classifiers.models.heads import read_heads
from classifiers.options import FilterOptions
from facedata.columns import DOSES, SAMPLES
from facekit.errors import DataError
from facekit.storage import files, tables

CPU = torch.device("cpu")
NOTHING_REFUSED = FilterOptions(percentile=0.0, max_similarity=0.0, batch=16)
FOLDS = range(4)


def save_teacher(data, path, fold, arm="real", learned_from=(), **origin):
    """Write a model with random heads."""
    heads = read_heads(HEAD_OPTIONS, data.table, "table")
    classifier = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.manual_seed(0 if fold is None else fold)
    torch.nn.init.normal_(classifier.layer.linear.weight)
    found = dataclasses.asdict(data.origin(arm, **origin))
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "fold": fold, **found}
    save_classifier(classifier, meta, path, learned_from)
    return path


def make_paths(root, arm="real"):
    """Write a data set, generated images and a teacher with random heads; return their paths."""
    data = DataSet(root)
    synth = data.make_synthetic()
    teacher = [save_teacher(data, root / f"fold{k}.safetensors", k, arm) for k in FOLDS]
    return data, Paths(
        teacher=teacher,
        candidates=synth / "candidates.parquet",
        images=synth / "images.npy",
        train_images=data.images,
        curated=data.curated,
        splits=data.splits,
        deficits=synth / "deficits.csv",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_paths(tmp_path_factory.mktemp("filter"))


def test_candidates_are_filtered_without_a_command(made, tmp_path):
    _, paths = made
    found = filter_candidates(paths, NOTHING_REFUSED, 0, CPU)
    found.write(*(tmp_path / name for name in ("samples.parquet", "doses.csv", "filter.json")))
    samples = hold(tmp_path / "samples.parquet", SAMPLES)
    assert len(samples) == 40
    assert samples["accepted"].sum() == 20  # what blue lacks
    assert (samples.loc[~samples["accepted"], "reason"] == "surplus").all()
    assert sorted(samples["rank"]) == list(range(40))
    assert (samples["rank"] < 20).tolist() == samples["accepted"].tolist()
    assert samples["fold"].value_counts().to_dict() == dict.fromkeys(FOLDS, 10)

    (dose,) = hold(tmp_path / "doses.csv", DOSES).to_dict("records")
    assert (dose["name"], dose["candidates"], dose["accepted"]) == ("blue", 40, 20)
    assert (dose["surplus"], dose["reached"], dose["threshold"]) == (20, 1.0, 0.0)
    facts = files.read_json(tmp_path / "filter.json")
    assert facts == json.loads(json.dumps(found.facts))
    assert list(facts) == [
        *("classes_told", "teacher", "candidates", "memorized", "memorization"),
    ]


def test_the_kept_ones_follow_from_the_seed_not_from_the_teacher(made):
    _, paths = made
    one, same, other = (
        filter_candidates(paths, NOTHING_REFUSED, seed, CPU).samples for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one["accepted"].equals(other["accepted"])
    kept = one.loc[one["accepted"], "teacher_probability"]
    assert kept.min() < one.loc[~one["accepted"], "teacher_probability"].max()


def test_each_candidate_is_judged_by_the_model_of_its_fold(made, tmp_path):
    data, paths = made
    samples = filter_candidates(paths, NOTHING_REFUSED, 0, CPU).samples
    # One model in all places: it judges each candidate.
    same = [tmp_path / f"same{k}.safetensors" for k in FOLDS]
    of_fold = {}
    for number in FOLDS:
        for k, path in zip(FOLDS, same, strict=True):
            save_teacher(data, path, number)
            meta_fold(path, k)
        found = filter_candidates(dataclasses.replace(paths, teacher=same), NOTHING_REFUSED, 0, CPU)
        of_fold[number] = found.samples["teacher_probability"]
    for number in FOLDS:
        own = samples["fold"] == number
        np.testing.assert_allclose(
            samples.loc[own, "teacher_probability"], of_fold[number][own], rtol=1e-5
        )


def meta_fold(path, fold):
    """Write another fold into a model's file."""
    from classifiers.models.checkpoint import load_classifier

    classifier, meta = load_classifier(path)
    save_classifier(classifier, {**meta, "fold": fold}, path)


def test_each_setting_refuses_for_its_own_reason(made):
    _, paths = made
    probability = filter_candidates(paths, NOTHING_REFUSED, 0, CPU).samples["teacher_probability"]
    median = float(probability.median())
    sure = NOTHING_REFUSED.but(min_probability=median)
    refused = filter_candidates(paths, sure, 0, CPU).samples["reason"] == "low_probability"
    assert refused.tolist() == (probability < median).tolist()
    by_real = filter_candidates(paths, NOTHING_REFUSED.but(percentile=50.0), 0, CPU)
    (threshold,) = by_real.doses["threshold"]
    refused = by_real.samples["reason"] == "low_probability"
    assert threshold > 0
    assert refused.tolist() == (probability < threshold).tolist()
    apart = NOTHING_REFUSED.but(max_similarity=1.0)
    assert (filter_candidates(paths, apart, 0, CPU).samples["reason"] == "memorized").any()


def test_where_no_class_lacks_images_there_is_nothing_to_filter(tmp_path):
    _, paths = make_paths(tmp_path)
    tables.write(tables.read(paths.candidates).iloc[:0], paths.candidates)
    np.save(paths.images, np.load(paths.images)[:0])
    tables.write(tables.read(paths.deficits).assign(deficit="0"), paths.deficits)
    found = filter_candidates(paths, FilterOptions(batch=16), 0, CPU)
    found.write(*(tmp_path / name for name in ("samples.parquet", "doses.csv", "filter.json")))
    assert len(tables.read(tmp_path / "samples.parquet", SAMPLES)) == 0
    assert len(tables.read(tmp_path / "doses.csv", DOSES)) == 0
    assert files.read_json(tmp_path / "filter.json")["classes_told"] is None


def test_the_teacher_learned_from_real_images_alone(tmp_path):
    _, paths = make_paths(tmp_path, arm="synth@1.0")
    with pytest.raises(DataError, match=r"the arm synth@1\.0; the teacher is to be real"):
        filter_candidates(paths, FilterOptions(), 0, CPU)


def test_a_teacher_that_learned_from_all_of_train_is_refused(made, tmp_path):
    data, paths = made
    whole = save_teacher(data, tmp_path / "all.safetensors", None)
    with pytest.raises(DataError, match="learned from all of train; give the model of each fold"):
        filter_candidates(dataclasses.replace(paths, teacher=[whole]), FilterOptions(), 0, CPU)


def test_each_fold_has_its_model(made):
    _, paths = made
    with pytest.raises(DataError, match=r"models of the folds \[0, 1, 2\], but .* \[0, 1, 2, 3\]"):
        filter_candidates(
            dataclasses.replace(paths, teacher=paths.teacher[:3]), FilterOptions(), 0, CPU
        )


def test_a_teacher_of_another_split_is_refused(made, tmp_path):
    data, paths = made
    other = [
        save_teacher(data, tmp_path / f"{k}.safetensors", k, train_ids="0" * 16) for k in FOLDS
    ]
    with pytest.raises(DataError, match="from a split whose train has other images"):
        filter_candidates(dataclasses.replace(paths, teacher=other), FilterOptions(), 0, CPU)


def test_a_model_that_learned_from_its_fold_is_refused(made, tmp_path):
    data, paths = made
    seen = data.table.loc[data.table["fold"] == 2, "image_id"].tolist()
    other = save_teacher(data, tmp_path / "2.safetensors", 2, learned_from=seen[:3])
    teacher = [other if k == 2 else path for k, path in enumerate(paths.teacher)]
    with pytest.raises(DataError, match=r"learned from 3 of the \d+ images of fold 2 in"):
        filter_candidates(dataclasses.replace(paths, teacher=teacher), FilterOptions(), 0, CPU)


def test_candidates_of_classes_that_the_deficits_lack_are_refused(tmp_path):
    _, paths = make_paths(tmp_path)
    tables.write(tables.read(paths.candidates).assign(**{"class": 7}), paths.candidates)
    with pytest.raises(DataError, match=r"classes \[7\], .* has \[0, 1, 2\]"):
        filter_candidates(paths, FilterOptions(), 0, CPU)


def test_copies_stop_or_warn(caplog):
    copied = Copying("blue", 200, 30, 90, 19.4, 1e-6, 3e-6)
    found = Filtered(pd.DataFrame(), pd.DataFrame(), {}, [copied])
    with pytest.raises(
        DataError, match=r"blue: 90 of 200 accepted images .* 19 would be by chance"
    ):
        found.check_copies("stop")
    found.check_copies("warn")
    assert "90 of 200" in caplog.text
    dataclasses.replace(found, copied=[]).check_copies("stop")
