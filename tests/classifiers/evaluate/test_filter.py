"""The filter of synthetic images as a function of the library."""

import numpy as np
import pytest
import torch
from classifier_sets import BACKBONE, GEOMETRY, HEAD_OPTIONS, VIEW, DataSet

from classifiers.evaluate import filter
from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import save_classifier
from classifiers.models.heads import read_heads
from classifiers.options import FilterOptions
from facedata.columns import SAMPLES
from facekit.errors import DataError
from facekit.storage import tables

CPU = torch.device("cpu")


def make_paths(root, arm="real"):
    """Write a data set, generated images and a teacher with random heads; return their paths."""
    data = DataSet(root)
    synth = data.make_synthetic()
    heads = read_heads(HEAD_OPTIONS, data.table, "table")
    classifier = build_classifier(BACKBONE, "none", heads, VIEW, 0).eval()
    torch.manual_seed(0)
    torch.nn.init.normal_(classifier.layer.linear.weight)
    meta = {"backbone": BACKBONE, "geometry": GEOMETRY, "arm": arm, "seed": 0}
    save_classifier(classifier, meta, root / "teacher.safetensors")
    return filter.Paths(
        teacher=root / "teacher.safetensors",
        candidates=synth / "candidates.parquet",
        images=synth / "images.npy",
        train_images=data.images,
        curated=data.curated,
        splits=data.splits,
        deficits=synth / "deficits.csv",
    )


def test_candidates_are_filtered_without_a_command(tmp_path):
    paths = make_paths(tmp_path)
    options = FilterOptions(min_probability=0.0, max_similarity=0.0, batch=16)
    found = filter.filter_candidates(paths, options, CPU)
    assert len(found) == 40
    assert found["accepted"].sum() == 20  # what blue lacks
    assert found["teacher_probability"].between(0, 1).all()
    best = found.loc[found["accepted"], "teacher_probability"].min()
    assert best >= found.loc[found["reason"] == "surplus", "teacher_probability"].max()

    # Each setting refuses for its own reason.
    median = float(found["teacher_probability"].median())
    sure = options.model_copy(update={"min_probability": median})
    refused = filter.filter_candidates(paths, sure, CPU)["reason"] == "low_probability"
    assert refused.tolist() == (found["teacher_probability"] < median).tolist()
    apart = options.model_copy(update={"max_similarity": 1.0})
    assert (filter.filter_candidates(paths, apart, CPU)["reason"] == "memorized").any()


def test_where_no_class_lacks_images_there_is_nothing_to_filter(tmp_path):
    paths = make_paths(tmp_path)
    tables.write(tables.read(paths.candidates).iloc[:0], paths.candidates)
    np.save(paths.images, np.load(paths.images)[:0])
    tables.write(tables.read(paths.deficits).assign(deficit="0"), paths.deficits)
    found = filter.filter_candidates(paths, FilterOptions(batch=16), CPU)
    tables.write(found, tmp_path / "samples.parquet")
    assert len(tables.read(tmp_path / "samples.parquet", SAMPLES)) == 0


def test_the_teacher_learned_from_real_images_alone(tmp_path):
    paths = make_paths(tmp_path, arm="synth@1.0")
    with pytest.raises(DataError, match=r"trained in the arm synth@1\.0; the teacher is to be"):
        filter.filter_candidates(paths, FilterOptions(), CPU)
