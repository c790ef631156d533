"""`fit: face`: what surrounds the face is cut away from thumbnails; none is lost or added."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from held_tables import hold
from PIL import Image
from pydantic import ValidationError
from unseen_photos import noise, portrait

from facedata.cli import main
from facedata.columns import INSPECTION
from facedata.inspection import align
from facekit.pictures.canvas import Canvas, Geometry
from facekit.pictures.geometry import fit_image, refit
from facekit.pictures.resample import to_rgbx
from facekit.storage import tables

SIZES = {
    "gan": Geometry(height=64, width=64, fit="face"),
    "classifier": Geometry(height=96, width=80, fit="face", no_face="pad"),
    "whole": Geometry(height=60, width=80),
}
PLACES = {"left.png": (5, 40, 80, 20), "right.png": (130, 30, 100, -15)}


def thumbnail(left, top, height, turn):
    """Return a picture in which a portrait is small and turned."""
    photo = Image.new("RGB", (240, 160), (90, 110, 130))
    face = portrait(height).convert("RGBA")
    face = face.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    photo.paste(face, (left, top), face)
    return photo


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """The folder, and what the command said."""
    folder = tmp_path_factory.mktemp("thumbnails")
    (folder / "root").mkdir()
    for name, place in PLACES.items():
        thumbnail(*place).save(folder / "root" / name)
    noise(0, 200, 120).save(folder / "root/none.png")
    (folder / "root/broken.png").write_bytes(b"no picture")
    names = ["left.png", "none.png", "broken.png", "right.png"]
    tables.write(pd.DataFrame({"image_id": names, "path": names}), folder / "index.parquet")
    sizes = {name: size.plain() for name, size in SIZES.items()}
    arguments = ["inspect", "--index", folder / "index.parquet", "--root", folder / "root"]
    arguments += ["--geometries", json.dumps(sizes), "--workers", 1]
    arguments += ["--inspection", folder / "inspection.parquet", "--images", folder / "images"]
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return folder, done.output


def packed(folder, name):
    return np.load(folder / f"images/{name}.npy")


def test_no_row_is_lost_and_those_without_a_face_are_counted(inspected):
    folder, said = inspected
    table = hold(folder / "inspection.parquet", INSPECTION)
    assert table["row"].tolist() == [0, 1, pd.NA, 2]
    assert table["face_framed"].tolist() == [1, 0, pd.NA, 1]
    last = "1 of 3 images show no face that is found: centre-cropped or padded whole"
    assert said.strip().splitlines()[-1].endswith(last)


def test_faces_lie_as_the_framing_says_in_each_geometry(inspected):
    folder, _ = inspected
    finder = align.FaceFinder(0.9, torch.device("cpu"))
    for name in ("gan", "classifier"):
        framing = align.framing_of(SIZES[name])
        for row in (0, 2):
            face = finder.main_face(to_rgbx(packed(folder, name)[row]))
            assert np.abs(face.points - framing).max() < 0.06 * 96, (name, row)
    # Others are whole.
    whole = fit_image(thumbnail(*PLACES["right.png"]), SIZES["whole"])[0]
    np.testing.assert_array_equal(packed(folder, "whole")[2], whole)


def test_a_picture_without_a_face_is_fitted_as_declared(inspected):
    folder, _ = inspected
    picture = noise(0, 200, 120)
    table = tables.read(folder / "inspection.parquet")
    for name, fit in {"gan": "crop", "classifier": "pad"}.items():
        size = SIZES[name]
        plain = Canvas(height=size.height, width=size.width, fit=fit)
        expected, box = fit_image(picture, plain)
        np.testing.assert_array_equal(packed(folder, name)[1], expected)
        sides = [f"{name}_{side}" for side in ("left", "top", "right", "bottom")]
        assert tuple(table.loc[1, sides]) == box


def test_drawn_faces_are_brought_to_the_classifier_as_real_ones_lie():
    """A generator's square of the same framing, cropped, has landmarks where the framing has."""
    square, tall = Geometry(height=64, width=64, fit="face"), SIZES["classifier"]
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    x, y = align.framing_of(square)[2].round().astype(int)
    picture[0, y - 1 : y + 2, x - 1 : x + 2] = 255
    brought = refit(picture, (0, 0, 64, 64), tall)[0, ..., 0].astype(float)
    rows, columns = np.mgrid[:96, :80]
    centre = [(brought * at).sum() / brought.sum() + 0.5 for at in (columns, rows)]
    np.testing.assert_allclose(centre, align.framing_of(tall)[2], atol=1.5)


def test_sizes_say_nothing_of_faces_where_these_do_not_count():
    assert SIZES["whole"].plain() == {"height": 60, "width": 80, "fit": "pad"}
    assert Geometry.read(SIZES["classifier"].plain(), "size") == SIZES["classifier"]
    with pytest.raises(ValidationError, match="margin: given, but counts with fit: face alone"):
        Geometry(height=60, width=80, margin=0.5)


def test_faces_are_looked_for_once_whatever_the_number_of_sizes(inspected, monkeypatch):
    from facedata.inspection import inspect

    seen = []

    class Finder:
        def main_face(self, photo):
            seen.append(photo.shape)

    monkeypatch.setattr(align, "finder_here", Finder)
    folder, _ = inspected
    facts, _ = inspect.examine([str(folder / "root/left.png")], SIZES)
    assert seen == [(160, 240, 4)] and facts["face_framed"].tolist() == [0]
    inspect.examine([str(folder / "root/left.png")], {"whole": SIZES["whole"]})
    assert len(seen) == 1
