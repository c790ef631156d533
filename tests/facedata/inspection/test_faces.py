"""Faces: which is the main face, and that any picture can be looked at."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from facedata import cli
from facedata.inspection import faces
from facedata.options import FacesOptions
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import fit_image
from facekit.storage import tables

SHARED = Path(__file__).parents[4] / "shared" / "data"
CPU = torch.device("cpu")
SIZE = 96, 128
OPTIONS = FacesOptions(
    min_probability=0.9, min_face_share=0.33, several_probability=0.95, several_share=0.5
)


def detect(images: np.ndarray, rows: np.ndarray | None = None, share: float = 0.33, batch: int = 8):
    rows = np.arange(len(images)) if rows is None else rows
    options = OPTIONS.model_copy(update={"min_face_share": share, "batch": batch})
    return faces.detect_faces(images, rows, options, CPU)


def test_main_face_is_the_largest_of_the_sure_ones():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 4, 4]])
    points = np.arange(30).reshape(3, 5, 2)
    found = faces._main_face(boxes, np.array([0.8, 0.95, 0.99]), points, SIZE, OPTIONS)
    assert found == [2, 0.95, 0, 0, 5, 5, *range(10, 20), True]


def test_what_reaches_beyond_the_picture_does_not_count():
    boxes = np.array([[40, 40, 90, 100], [-80, -60, 20, 60]])  # the second is larger, but cut off
    found = faces._main_face(boxes, np.array([0.99, 1.0]), np.zeros((2, 5, 2)), SIZE, OPTIONS)
    assert found[:6] == [2, 0.99, 40, 40, 90, 100]
    assert found[-1] is True  # it shows 20 x 60 pixels, more than half of the main face's size


def test_without_a_sure_face_the_surest_candidate_is_told():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 5, 5]])
    found = faces._main_face(boxes, np.array([0.7, 0.8]), np.zeros((2, 5, 2)), SIZE, OPTIONS)
    assert found[:6] == [0, 0.8, 0, 0, 5, 5]
    assert found[-1] is False


@pytest.mark.parametrize(
    ("side", "probability", "several"),
    [(10, 0.95, True), (9, 0.99, False), (19, 0.94, False), (20, 1.0, True)],
)
def test_a_second_face_counts_by_its_size_and_probability(side, probability, several):
    boxes = np.array([[0, 0, 20, 20], [20, 0, 20 + side, side]])
    found = faces._main_face(
        boxes, np.array([1.0, probability]), np.zeros((2, 5, 2)), SIZE, OPTIONS
    )
    assert found[-1] is several


def test_empty_pictures_hold_no_face():
    rng = np.random.default_rng(0)
    images = np.zeros((9, 64, 48, 3), dtype=np.uint8)
    images[3:6] = 255
    images[6:] = rng.integers(0, 256, (3, 64, 48, 3))
    table = detect(images)
    assert table["non_face"].all()
    assert (table["num_faces"] == 0).all()
    assert (table["probability"] < 0.9).all()
    assert table.loc[0, ["x0", "nose_y"]].isna().all()
    assert list(table.columns[:6]) == ["num_faces", "probability", "x0", "y0", "x1", "y1"]
    assert table.columns[-2:].tolist() == ["non_face", "several_faces"]
    assert not table["several_faces"].any()


@pytest.mark.parametrize("size", [(16, 16), (20, 100), (100, 20)])
def test_any_geometry_can_be_looked_at(size):
    images = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    for share in (0.1, 1.0):
        assert len(detect(images, share=share)) == 4


@pytest.mark.skipif(not SHARED.exists(), reason="needs real faces")
def test_small_pictures_are_enlarged():
    """Boxes are in pixels of the picture as it is packed, and agree with those of a larger one."""
    people = tables.read(SHARED / "aaf" / "labels.csv")["file"].iloc[:2000:100]
    pictures = [Image.open(SHARED / "aaf" / name).convert("RGB") for name in people]
    small, large = (
        detect(
            np.stack(
                [
                    fit_image(one, Geometry(height=height, width=width, fit="crop"))[0]
                    for one in pictures
                ]
            )
        )
        for height, width in ((32, 24), (128, 96))
    )
    both = ~small["non_face"] & ~large["non_face"]
    assert both.mean() >= 0.9
    box = ["x0", "y0", "x1", "y1"]
    assert np.abs(small[box] * 4 - large[box])[both].to_numpy().mean() < 6  # of 96 x 128 px


def test_rows_choose_the_images():
    images = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    assert len(detect(images, np.array([3, 1]))) == 2


@pytest.mark.skipif(not SHARED.exists(), reason="needs real faces")
def test_real_faces_are_found_and_other_pictures_are_not():
    truth = tables.read(SHARED / "aaf_dirty" / "truth.csv")
    empty = truth.loc[truth["fault"] == "non_face", "file"].iloc[::5]
    people = tables.read(SHARED / "aaf" / "labels.csv")["file"].iloc[::400]
    paths = [SHARED / "aaf_dirty" / name for name in empty]
    paths += [SHARED / "aaf" / name for name in people]
    geometry = Geometry(height=128, width=104, fit="pad")
    images = np.stack([fit_image(Image.open(path).convert("RGB"), geometry)[0] for path in paths])
    table = detect(images)
    assert table["non_face"][: len(empty)].all()
    assert table["non_face"][len(empty) :].mean() < 0.1
    found = table[~table["non_face"]]
    assert (found["left_eye_x"] < found["right_eye_x"]).all()
    assert ((found["y1"] - found["y0"]) > 40).all()


def test_command(tmp_path):
    inspection = pd.DataFrame(
        {"image_id": ["a", "b", "c"], "row": pd.array([0, pd.NA, 1], dtype="Int64")}
    )
    tables.write(inspection, tmp_path / "inspection.parquet")
    np.save(tmp_path / "classifier.npy", np.zeros((2, 32, 24, 3), dtype=np.uint8))
    options = {
        "inspection": tmp_path / "inspection.parquet",
        "images": tmp_path / "classifier.npy",
        "min-probability": 0.9,
        "min-face-share": 0.33,
        "several-probability": 0.95,
        "several-share": 0.5,
        "batch": 2,
        "threads": 1,
        "faces": tmp_path / "faces.parquet",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["faces", *arguments])
    assert result.exit_code == 0, result.output
    table = tables.read(options["faces"])
    assert table["image_id"].tolist() == ["a", "c"]
    assert table["non_face"].tolist() == [True, True]
    assert table["num_faces"].dtype == np.int64
    assert (tmp_path / "faces.run.json").exists()
