"""What models of a run say of a photograph is what `classifiers predict` says."""

import numpy as np
import portrait_classifiers as portraits
import pytest
import torch
from PIL import Image

from classifiers.options import PredictOptions
from classifiers.predict import of_files
from evenface.studio.models import Models
from facekit.errors import DataError

CPU = torch.device("cpu")
ARM = "round0/classifiers/hair/real"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for seed, name in enumerate(
        ["real/seed1", "real/seed0", "real/seed0/fold0", "synth@1.0/seed0"]
    ):
        path = folder / "round0" / "classifiers" / "hair" / name / "model.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        portraits.save(path, seed=seed)
    return folder


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo"
    pixels = np.random.default_rng(0).integers(0, 256, (96, 72, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def test_seeds_of_an_arm_are_one_and_folds_none(run):
    groups = Models(run, CPU).groups()
    assert list(groups) == [ARM, "round0/classifiers/hair/synth@1.0"]
    assert [path.parent.name for path in groups[ARM]] == ["seed0", "seed1"]


def test_the_mean_of_the_seeds_is_told(run, photo):
    models = Models(run, CPU)
    (said,) = models.ask(ARM, photo, is_aligned=False)
    options = PredictOptions()
    found = of_files.predict_files(models.groups()[ARM], str(photo), options, CPU)
    (row,) = found.table.to_dict("records")
    assert (said.problem, said.face) == (None, None)
    assert said.thumbnail.shape == (64, 48, 3)
    assert said.heads["color"] == row["color"]
    assert said.heads["age"] == f"{row['age']:.3g}"
    likeliest = [share for _, share in said.probabilities["color"]]
    assert likeliest == sorted(likeliest, reverse=True)
    assert sum(likeliest) == pytest.approx(1)
    assert dict(said.probabilities["color"])["red"] == pytest.approx(row["color:red"])


def test_faces_are_looked_for_where_that_is_asked(run, photo):
    (said,) = Models(run, CPU).ask(ARM, photo, is_aligned=True)
    assert (said.problem, said.thumbnail, dict(said.heads)) == ("no face found", None, {})


def test_what_is_no_picture_is_told(run, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(b"words")
    (said,) = Models(run, CPU).ask(ARM, path, is_aligned=False)
    assert said.problem.startswith("not decodable")


def test_no_other_model_is_asked(run, photo):
    with pytest.raises(DataError, match="no trained model of"):
        Models(run / "round0" / "classifiers" / "hair" / "real", CPU).ask(
            "../synth@1.0", photo, False
        )
