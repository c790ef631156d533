"""What faces and pixels tell of photographs, by measures that are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from evenface import cli
from evenface.check import findings, sources
from evenface.check.looks import Looks
from evenface.check.options import PhotographsOptions
from facedata.ingest.adapters.reading import make_index

FACES = Path(__file__).resolve().parents[4] / "shared/data/aaf/images"
GOOD = {"x0": 0.3, "y0": 0.2, "x1": 0.7, "y1": 0.8, "roll": 1.0, "num_faces": 1, "probability": 1.0}


def looks_of(faces=None, pictures=None, num_images=6):
    """Return measures of photographs of 128 x 128 pixels: gray noise, if nothing is given."""
    if pictures is None:
        rng = np.random.default_rng(0)
        pictures = rng.integers(60, 200, (num_images, 128, 128, 3), dtype=np.uint8)
    num_images = len(pictures)
    gray = pictures @ findings.LUMA
    facts = pd.DataFrame(
        {
            "image_id": [f"{i}.jpg" for i in range(num_images)],
            "row": pd.array(range(num_images), dtype="Int64"),
            "problem": pd.array([None] * num_images, dtype="str"),
            "width": pd.array([128] * num_images, dtype="Int64"),
            "height": pd.array([128] * num_images, dtype="Int64"),
            "num_bytes": pd.array([9000] * num_images, dtype="Int64"),
            "pixel_hash": [str(i) for i in range(num_images)],
            "sharpness": gray.var(axis=(1, 2)),
            "contrast": gray.std(axis=(1, 2)) / 255,
        }
    )
    pairs = pd.DataFrame(columns=["image_id_a", "image_id_b", "kind", "cluster"])
    boxes = np.tile([0, 0, 128, 128], (num_images, 1))
    return Looks(facts, pictures, boxes, faces, pairs, np.ones((num_images, 4), np.float32))


def found_in(looks, index=None):
    """Return problem -> files."""
    return problems_in(looks, index).groupby("problem")["image_id"].agg(list).to_dict()


def problems_in(looks, index=None):
    """Return a row a problem."""
    paths = list(looks.facts["image_id"])
    if index is None:
        index = make_index(paths, [None] * len(paths), paths, None, None, {})
    missing = pd.DataFrame({"image_id": [], "detail": []}, dtype="str")
    photographs = sources.Photographs(Path("photos"), index, missing)
    found = findings.find(photographs, looks, PhotographsOptions())
    return found.problems


def test_faces_are_told_by_size_place_turn_and_number():
    rows = [
        GOOD,
        {**GOOD, "num_faces": 0, "probability": 0.2},
        {**GOOD, "num_faces": 3, "several_faces": True},
        {**GOOD, "x0": 0.45, "x1": 0.55, "y0": 0.4, "y1": 0.55},  # 12 % of the shorter side
        {**GOOD, "x0": 0.7, "x1": 1.1, "y0": 0.3, "y1": 0.7},
        {**GOOD, "roll": -40.0},
    ]
    faces = pd.DataFrame(rows).assign(image_id=[f"{i}.jpg" for i in range(6)])
    faces["several_faces"] = faces["several_faces"].eq(True)
    faces["non_face"] = faces["num_faces"] == 0
    assert found_in(looks_of(faces)) == {
        "no_face": ["1.jpg"],
        "several_faces": ["2.jpg"],
        "small_face": ["3.jpg"],
        "off_centre": ["4.jpg"],
        "turned": ["5.jpg"],
    }


def test_white_background_is_no_over_exposure_but_a_white_face_is():
    rng = np.random.default_rng(1)
    pictures = np.full((6, 128, 128, 3), 255, dtype=np.uint8)
    pictures[:, 24:104, 24:104] = rng.integers(60, 200, (6, 80, 80, 3))
    pictures[2, 24:104, 24:104] = 253
    pictures[2, ::4] = 90
    assert found_in(looks_of(pictures=pictures)).keys() == {"over_exposed"}


def test_a_dark_skin_in_good_light_is_not_dark():
    rng = np.random.default_rng(2)
    pictures = rng.integers(20, 70, (6, 128, 128, 3), dtype=np.uint8)  # a dark face
    pictures[:, :20] = rng.integers(120, 200, (6, 20, 128, 3))  # before a lit wall
    pictures[3] //= 4  # without light
    assert found_in(looks_of(pictures=pictures)) == {"dark": ["3.jpg"]}


def test_rare_class_is_told_once_and_a_missing_label_is_no_class():
    codes = [0] * 20 + [1] * 16 + [2] * 3 + [-1]  # as few as 25 of 400, which `init` fills up
    paths = [f"{i}.jpg" for i in range(40)]
    hair = pd.Categorical.from_codes(codes, ["black", "brown", "red"])
    index = make_index(paths, [None] * 40, paths, None, None, {"hair": hair})
    found = found_in(looks_of(num_images=40), index)
    assert len(found["rare_class"]) == 1 and pd.isna(found["rare_class"][0])
    assert found["no_label"] == ["39.jpg"]


def test_a_rare_group_of_ages_is_told_as_init_parts_them():
    ages = [20.0] * 40 + [40.0] * 40 + [70.0] * 15
    paths = [f"{i}.jpg" for i in range(95)]
    index = make_index(paths, [None] * 95, paths, None, None, {"age": np.array(ages)})
    told = problems_in(looks_of(num_images=95), index)
    (detail,) = told.loc[told["problem"] == "rare_class", "detail"]
    assert detail == "age, parted at 30 and 60: old has 15 of 95 photographs"


@pytest.mark.skipif(not FACES.is_dir(), reason="no photographs of faces here")
def test_small_and_several_faces_of_whole_photographs_are_found(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    paths = sorted(FACES.glob("*.jpg"))[:3]
    one, two, three = (Image.open(path).convert("RGB") for path in paths)
    one.save(photos / "one.jpg")
    small = Image.new("RGB", (900, 700), (90, 110, 100))
    small.paste(two.resize((two.width * 2 // 3, two.height * 2 // 3)), (620, 80))
    small.save(photos / "small.jpg")
    several = Image.new("RGB", (one.width + three.width, 160), (90, 110, 100))
    several.paste(one, (0, 0))
    several.paste(three, (one.width, 0))
    several.save(photos / "several.jpg")
    arguments = ["check", str(photos), "--out", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "out/check.csv")
    found = table.groupby("problem")["file"].agg(list).to_dict()
    assert found["small_face"] == ["small.jpg"]
    assert found["several_faces"] == ["several.jpg"]
    assert "no_face" not in found
    assert "small.jpg" in found["off_centre"]


def test_copies_whose_numbers_are_near_agree_and_others_are_told_the_farthest_first():
    paths = [f"{i}.jpg" for i in range(6)]
    ages = {"age": [20.0, 21.0, 40.0, 60.0, 80.0, 22.0]}
    index = make_index(paths, [None] * 6, paths, None, None, ages)
    looks = looks_of()
    pairs = [("0.jpg", "1.jpg", "near", 0), ("2.jpg", "3.jpg", "near", 1)]
    pairs.append(("4.jpg", "5.jpg", "mirror", 2))
    looks.pairs = pd.DataFrame(pairs, columns=list(looks.pairs))
    found = findings.find(
        sources.Photographs(Path("photos"), index, pd.DataFrame({"image_id": [], "detail": []})),
        looks,
        PhotographsOptions(),
    )
    conflicts = found.problems[found.problems["problem"] == "label_conflict"]
    assert conflicts["image_id"].tolist() == ["4.jpg", "5.jpg", "2.jpg", "3.jpg"]
    assert conflicts["detail"].iloc[0] == "age: 80, its copy has 22"
