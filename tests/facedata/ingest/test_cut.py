"""Whole photographs: one image a face, labelled by a declared rule, upright and in one framing."""

import csv
import io
import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from held_tables import hold
from layouts import picture, write, write_zip
from PIL import Image
from unseen_photos import encoded, noise, portrait, turned

from facedata.cli import main
from facedata.columns import INDEX
from facedata.ingest import adapters, cut
from facedata.ingest.cut import Photograph, choose
from facedata.ingest.dataset import ingest, summary
from facedata.inspection import align
from facedata.inspection.align import FaceFinder
from facedata.options import IngestOptions
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.pictures.canvas import Canvas
from facekit.storage import archives, tables

HAIR = {"name": "hair", "column": "hair", "kind": "categorical", "classes": ["red", "blue"]}
LARGE, SMALL, PASSER = [10, 10, 60, 60], [100, 20, 135, 55], [200, 0, 212, 12]
OPTIONS = IngestOptions(faces="cut")


def chosen(boxes, *named, **changes):
    """Return (row, face from 1, reason) of rows of one photograph that name a face so."""
    photograph = Photograph("a.jpg", tuple(range(len(named))), named)
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    found = choose(photograph, boxes, OPTIONS.but(**changes), (220, 100))
    return [(one.row, one.face if one.face is None else one.face + 1, one.reason) for one in found]


def box(left, top, right, bottom):
    return {"left": left, "top": top, "width": right - left, "height": bottom - top}


def test_the_only_face_has_the_labels_and_passers_by_do_not_count():
    assert chosen([LARGE], {}) == [(0, 1, "")]
    assert chosen([LARGE, PASSER], {}) == [(0, 1, "")]
    assert chosen([], {}) == [(0, None, "no_face")]


def test_with_several_faces_the_declared_rule_decides():
    assert chosen([LARGE, SMALL], {}) == [(0, None, "several_faces")]
    both = chosen([LARGE, SMALL], {}, several="largest")
    assert both == [(0, 1, ""), (None, 2, "other_face")]
    assert chosen([LARGE, SMALL], {}, several_share=0.8) == [(0, 1, "")]


def test_a_row_can_name_its_face_by_a_box():
    faces = [LARGE, SMALL, PASSER]
    assert chosen(faces, box(95, 10, 140, 70), box(0, 0, 70, 70)) == [(0, 2, ""), (1, 1, "")]
    # A box around all of them is about the one that fills most of it.
    assert chosen(faces, box(0, 0, 220, 80))[0] == (0, 1, "")
    assert chosen(faces, box(195, -5, 215, 15))[0] == (0, 3, "")
    assert chosen(faces, box(150, 60, 180, 90)) == [(0, None, "no_such_face")]
    assert chosen(faces, box(0, 10, 70, 10)) == [(0, None, "no_such_face")]
    # A row without a box goes by the rule for photographs.
    assert chosen(faces, {}) == [(0, None, "several_faces")]


def test_of_several_boxes_one_that_lies_outside_loses_its_row_alone():
    found = chosen([LARGE, SMALL], box(0, 0, 70, 70), box(230, 0, 300, 70), box(0, -90, 70, 0))
    outside = [(1, None, "box_outside"), (2, None, "box_outside")]
    assert found == [(0, 1, ""), *outside, (None, 2, "other_face")]


def test_a_row_can_name_its_face_by_a_number():
    faces = [LARGE, SMALL]
    swapped = [[one[0] - 100, *one[1:2], one[2] - 100, one[3]] for one in (SMALL,)]
    assert chosen(faces, {"by_size": 2.0})[0] == (0, 2, "")
    assert chosen([LARGE, *swapped], {"from_left": 1.0}, {"from_left": 2.0}) == [
        (0, 2, ""),
        (1, 1, ""),
    ]
    for wrong in (0.0, 3.0, 1.5):
        assert chosen(faces, {"by_size": wrong}) == [(0, None, "no_such_face")]


def test_two_rows_never_share_a_face():
    found = chosen([LARGE, SMALL], box(0, 0, 70, 70), box(5, 5, 65, 65))
    assert found == [(0, 1, ""), (1, 1, "face_taken"), (None, 2, "other_face")]


def group_photo(*places, size=(700, 500)):
    """Return the portrait pasted several times: left, top, height, degrees."""
    photo = Image.new("RGB", size, (90, 110, 130))
    for left, top, height, turn in places:
        face = portrait(height).convert("RGBA")
        face = face.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        photo.paste(face, (left, top), face)
    return photo


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def label(root, heading, *rows):
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])


def read(root, archive, workers=1, settings=None, **changes):
    """Ingest photographs; `archive` gets the faces."""
    options = OPTIONS.but(**changes)
    cutter = partial(
        cut.cut_faces, root=root, options=options, archive=archive, num_workers=workers
    )
    return ingest("table", root, {"attributes": [HAIR], **(settings or {})}, 0, cutter)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photographs with no, one, two and three faces, small and turned."""
    root = tmp_path_factory.mktemp("photos")
    save(group_photo((300, 200, 130, 28)), root / "one.jpg")
    save(group_photo((40, 200, 170, 0), (400, 120, 240, -24)), root / "two.jpg")
    save(
        group_photo((20, 60, 150, 15), (260, 180, 200, 0), (500, 40, 160, -30)), root / "three.jpg"
    )
    save(noise(0, 300, 200), root / "none.png")
    (root / "broken.jpg").write_bytes((root / "one.jpg").read_bytes()[:3000])
    label(
        root, ["file", "hair"], *[[name, "red"] for name in sorted(p.name for p in root.iterdir())]
    )
    return root


def test_faces_are_found_turned_upright_and_lie_in_one_framing(photos, tmp_path):
    before = {one: one.stat().st_mtime_ns for one in photos.iterdir()}
    found = read(photos, tmp_path / "cut.zip", several="largest")
    index = found.index
    assert index["image_id"].tolist() == ["one.jpg#1", "three.jpg#1", "two.jpg#1"]
    assert index["cut_from"].tolist() == ["one.jpg", "three.jpg", "two.jpg"]
    assert (index["hair"] == "red").all()
    reasons = found.rejected.groupby("reason")["image_id"].agg(list).to_dict()
    assert reasons == {
        "no_face": ["none.png"],
        "other_face": ["three.jpg#2", "three.jpg#3", "two.jpg#2"],
        "truncated": ["broken.jpg"],
    }
    assert "left out: 1 no_face, 3 other_face, 1 truncated" in summary(found)
    # The box is of the face in the photograph: of two.jpg the one on the right is larger.
    assert 400 < index["cut_x0"].iloc[2] < index["cut_x1"].iloc[2] < 700
    framing = align.framing_of(Canvas(height=256, width=256, fit="face"))
    finder = FaceFinder(0.9, torch.device("cpu"))
    for path in index["path"]:
        pixels = np.asarray(Image.open(io.BytesIO(archives.read_bytes(tmp_path / path))))
        assert pixels.shape == (256, 256, 3)
        _, points = finder.find(np.dstack([pixels, np.full((256, 256), 255, np.uint8)]))
        assert np.abs(points[0] - framing).max() < 0.05 * 256
        dx, dy = points[0][1] - points[0][0]
        assert abs(np.degrees(np.arctan2(dy, dx))) < 5
    assert {one: one.stat().st_mtime_ns for one in photos.iterdir()} == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cut.zip"]


# What follows needs no detector: faces are where rows of coloured squares are.


class Squares:
    """Finds squares of more red than blue, as if they were faces; counts the photographs."""

    def __init__(self):
        self.num_seen, self.stop_at = 0, None

    def find(self, photo):
        self.num_seen += 1
        if self.num_seen == self.stop_at:
            raise KeyboardInterrupt
        columns = np.flatnonzero((photo[:10, :, 0] > 200).all(axis=0))  # smaller ones are none
        parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else []
        boxes = np.array([[part[0], 0, part[-1] + 1, len(part)] for part in parts], dtype=float)
        boxes = boxes.reshape(-1, 4)
        boxes = boxes[np.argsort(boxes[:, 0] - boxes[:, 2], kind="stable")]
        sizes = boxes[:, 2:] - boxes[:, :2]
        return boxes, boxes[:, None, :2] + align.FILLING * sizes[:, None]


@pytest.fixture
def squares(monkeypatch):
    finder = Squares()
    monkeypatch.setattr(align, "finder_here", lambda min_probability: finder)
    return finder


def draw(path, *widths):
    """Draw squares of some widths beside each other, in the PNG format."""
    pixels = np.zeros((40, 10 + sum(widths) + 10 * len(widths), 3), np.uint8)
    left = 10
    for width in widths:
        pixels[:width, left : left + width, 0] = 255
        left += width + 10
    save(Image.fromarray(pixels), path)


def test_rows_of_one_photograph_are_its_faces_and_stay_together(tmp_path, squares):
    root = tmp_path / "photos"
    draw(root / "a.png", 40, 30)
    draw(root / "b.png", 40)
    label(
        root,
        ["file", "hair", "who", "x", "y", "w", "h"],
        ["a.png", "red", "anna", 8, 0, 44, 44],
        ["a.png", "blue", "bert", 58, 0, 34, 34],
        ["a.png", "blue", "bert", 58, 0, 34, 34],
        ["b.png", "red", "cleo", "", "", "", ""],
    )
    settings = {"box": ["x", "y", "w", "h"], "group_column": "who"}
    found = read(root, tmp_path / "cut.zip", settings=settings)
    index = found.index
    assert index["image_id"].tolist() == ["a.png#1", "a.png#2", "b.png#1"]
    assert index["hair"].tolist() == ["red", "blue", "red"]
    assert index["group"].tolist() == ["anna", "bert", "cleo"]
    assert index["table_row"].tolist() == [1, 2, 4]
    assert index[["cut_x0", "cut_x1"]].to_numpy().tolist() == [[10, 50], [60, 90], [10, 50]]
    assert found.rejected["reason"].tolist() == ["repeated_row"]
    assert units(index).tolist() == [0, 0, 1]
    tables.write(index, tmp_path / "index.parquet")
    assert list(hold(tmp_path / "index.parquet", INDEX)) == [*INDEX.names, "hair"]


def test_boxes_are_read_in_each_form_and_unit(tmp_path, squares):
    draw(tmp_path / "photos/a.png", 40, 30)  # squares at 10 to 50 and 60 to 90 of 90 px, 40 high
    forms = {
        ("size", "px"): ["10 0 40 40", "60 0 30 30"],
        ("corners", "px"): ["[10, 0, 50, 40]", "[60, 0, 90, 30]"],
        ("centre", "share"): ["0.333 0.5 0.444 1", "0.833 0.375 0.333 0.75"],
        ("size", "share"): ['{"x": 0.11, "y": 0, "w": 0.44, "h": 1}', "(0.66, 0, 0.33, 0.75)"],
    }
    for (form, unit), texts in forms.items():
        rows = [["a.png", hair, text] for hair, text in zip(["red", "blue"], texts, strict=True)]
        label(tmp_path / "photos", ["file", "hair", "bbox"], *rows)
        settings = {"box": ["bbox"], "box_form": form, "box_unit": unit}
        index = read(tmp_path / "photos", tmp_path / "cut.zip", settings=settings).index
        assert index["cut_x0"].tolist() == [10, 60], form
        assert index["hair"].tolist() == ["red", "blue"]


def test_what_is_no_box_is_noted_and_the_row_goes_by_the_rule_for_photographs(tmp_path, squares):
    draw(tmp_path / "photos/a.png", 40)
    label(tmp_path / "photos", ["file", "hair", "bbox"], ["a.png", "red", "somewhere"])
    found = read(tmp_path / "photos", tmp_path / "cut.zip", settings={"box": ["bbox"]})
    assert found.index["cut_x0"].tolist() == [10]
    assert found.notes["note"].tolist() == ["set missing: not a box of four numbers"]


def test_faces_are_numbered_by_size_or_from_the_left(tmp_path, squares):
    draw(tmp_path / "photos/a.png", 30, 40)
    label(tmp_path / "photos", ["file", "hair", "n"], ["a.png", "red", 1], ["a.png", "blue", 2])
    for order, lefts in (("largest", [50, 10]), ("left", [10, 50])):
        settings = {"face_column": "n", "face_order": order}
        found = read(tmp_path / "photos", tmp_path / "cut.zip", settings=settings)
        assert found.index["hair"].tolist() == ["red", "blue"]
        assert found.index["cut_x0"].tolist() == lefts


def test_any_name_makes_an_image_of_its_own(tmp_path, squares):
    names = ["a", "a#1", "a#1#1", "{x} ;'\"$(b)", "ünï\ncode", "=1+1", "..x"]
    for name in names:
        draw(tmp_path / f"photos/{name}.png", 40)
    write_zip(tmp_path / "photos/in.zip", {"a.png": (tmp_path / "photos/a.png").read_bytes()})
    files = [f"{name}.png" for name in names] + ["in.zip/a.png"]
    label(tmp_path / "photos", ["file", "hair"], *[[name, "red"] for name in files])
    found = read(tmp_path / "photos", tmp_path / "cut.zip")
    assert sorted(found.index["image_id"]) == sorted(f"{name}#1" for name in files)
    assert sorted(found.index["cut_from"]) == sorted(files)
    with zipfile.ZipFile(tmp_path / "cut.zip") as archive:
        assert archive.namelist() == [f"{row:07}.png" for row in range(len(files))]


def many(root, num_photos=40):
    for number in range(num_photos):
        draw(root / f"{number:02}.png", 20 + number % 20)
    label(root, ["file", "hair"], *[[f"{number:02}.png", "red"] for number in range(num_photos)])


def test_processes_change_nothing(tmp_path, squares):
    many(tmp_path / "photos")
    one, two = (
        read(tmp_path / "photos", tmp_path / f"{workers}/cut.zip", workers) for workers in (1, 2)
    )
    pd.testing.assert_frame_equal(one.index, two.index)
    assert (tmp_path / "1/cut.zip").read_bytes() == (tmp_path / "2/cut.zip").read_bytes()


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, squares):
    many(tmp_path / "photos")
    squares.stop_at = 37
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path / "photos", tmp_path / "cut.zip")
    assert not (tmp_path / "cut.zip").exists()
    draw(tmp_path / "photos/01.png", 25, 25)  # of the first chunk, which is looked at again
    squares.num_seen, squares.stop_at = 0, None
    found = read(tmp_path / "photos", tmp_path / "cut.zip")
    assert squares.num_seen == 40 - cut.CHUNK
    assert "01.png#1" not in set(found.index["image_id"]) and len(found.index) == 39
    assert not (tmp_path / ".cut").exists()


def test_photographs_without_any_face_are_refused(tmp_path, squares):
    for number in range(3):
        write(tmp_path / f"photos/{number}.png", picture(number))
    label(tmp_path / "photos", ["file", "hair"], *[[f"{n}.png", "red"] for n in range(3)])
    squares.find = lambda photo: (np.zeros((0, 4)), np.zeros((0, 5, 2)))
    with pytest.raises(DataError, match="no face to cut in 3 photographs: 3 no_face"):
        read(tmp_path / "photos", tmp_path / "cut.zip")
    assert not (tmp_path / "cut.zip").exists()


def test_too_many_photographs_without_a_face_stop_the_stage(tmp_path, squares):
    for number in range(3):
        draw(tmp_path / f"photos/{number}.png", *[40] * (number == 0), 5)
    label(tmp_path / "photos", ["file", "hair"], *[[f"{n}.png", "red"] for n in range(3)])
    with pytest.raises(DataError, match=r"2 of 3 rows and files .*2 no_face \(1.png: no face"):
        read(tmp_path / "photos", tmp_path / "cut.zip")


def test_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match="faces: keep, but columns of the table name faces"):
        ingest("table", tmp_path, {"attributes": [HAIR], "face_column": "n"}, 0)
    with pytest.raises(DataError, match="faces: cut, but this adapter draws"):
        ingest("avatars", tmp_path, {}, 0, lambda found: found)
    both = {"attributes": [HAIR], "face_column": "n", "box": ["x", "y", "w", "h"]}
    with pytest.raises(DataError, match="face_column: given, but box names the face"):
        adapters.read("table", both)
    with pytest.raises(DataError, match="box: 3 columns, expected four, or one"):
        adapters.read("table", {"attributes": [HAIR], "box": ["x", "y", "w"]})


def test_the_command_cuts_and_the_next_stage_reads_it(photos, tmp_path):
    out = {name: tmp_path / f"{name}.csv" for name in ("rejected", "notes")}
    out["index"] = tmp_path / "index.parquet"
    arguments = ["ingest", "--adapter", "table", "--root", photos, "--seed", 0, "--faces", "cut"]
    arguments += ["--several", "largest"]
    arguments += ["--settings", json.dumps({"attributes": [HAIR]})]
    arguments += [word for name, path in out.items() for word in (f"--{name}", path)]
    refused = CliRunner().invoke(main, [*map(str, arguments), "--cut", "elsewhere/cut.zip"])
    assert refused.exit_code == 1 and "--cut: expected a .zip file beside --index" in refused.output
    done = CliRunner().invoke(main, [*map(str, arguments), "--cut", str(tmp_path / "cut.zip")])
    assert done.exit_code == 0, done.output
    assert tables.read(out["rejected"])["reason"].value_counts()["other_face"] == 3
    size = '{"classifier": {"height": 64, "width": 64}}'
    arguments = ["inspect", "--index", out["index"], "--root", tmp_path, "--geometries", size]
    arguments += ["--inspection", tmp_path / "inspection.parquet", "--images", tmp_path / "images"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert np.load(tmp_path / "images/classifier.npy").shape == (3, 64, 64, 3)


# --- Photographs that are odd, and faces that are


def test_odd_photographs_are_cut_and_counted(tmp_path):
    face, root = portrait(300), tmp_path / "photos"
    gray = np.asarray(face.convert("L"))
    odd = {
        "cmyk.jpg": encoded(face.convert("CMYK")),
        "deep.png": encoded(Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        "gray.jpg": encoded(face.convert("L")),
        "plain.jpg": encoded(face),
        "turned.jpg": turned(face, 6, "JPEG"),
    }
    for name, data in odd.items():
        write(root / name, data)
    width, height = face.size
    box = [0, 0, width, height]
    label(root, ["file", "hair", "x1", "y1", "x2", "y2"], *[[name, "red", *box] for name in odd])
    settings = {"box": ["x1", "y1", "x2", "y2"], "box_form": "corners"}
    found = read(root, tmp_path / "cut.zip", settings=settings)
    assert found.index["image_id"].tolist() == [f"{name}#1" for name in odd]
    corners = found.index[["cut_x0", "cut_y0", "cut_x1", "cut_y1"]].to_numpy()
    assert np.abs(corners - corners[3]).max() < 15  # of the upright photograph, whatever its kind
    assert found.said == ("of 5 photographs 1 CMYK, 1 I;16, 1 L, 1 turned upright as EXIF says",)
    assert found.said[0] in summary(found)


def test_faces_at_the_edge_and_tiny_ones_are_cut_and_counted(tmp_path):
    """A tiny one is found where a box says that there is one."""
    root = tmp_path / "photos"
    large = portrait(240)
    photo = Image.new("RGB", (420, 300), (90, 110, 130))
    photo.paste(large.crop((75, 0, *large.size)), (0, 60))  # its left side is cut off
    save(photo, root / "edge.png")
    tiny = Image.new("RGB", (300, 200), (90, 110, 130))
    tiny.paste(portrait(32), (140, 90))
    save(tiny, root / "tiny.png")
    rows = [["edge.png", "red", 0, 60, 130, 240], ["tiny.png", "red", 140, 90, 27, 32]]
    label(root, ["file", "hair", "x", "y", "w", "h"], *rows)
    found = read(root, tmp_path / "cut.zip", settings={"box": ["x", "y", "w", "h"]})
    assert found.index["image_id"].tolist() == ["edge.png#1", "tiny.png#1"]
    assert 140 < found.index["cut_x0"].iloc[1] < found.index["cut_x1"].iloc[1] < 167
    assert found.said == ("of 2 faces 1 smaller than 20 px, 1 at the edge, which is repeated",)


def test_faces_are_framed_as_they_lie_in_other_thumbnails(tmp_path, squares):
    """In the median, and in the aspect of those."""
    root = tmp_path / "photos"
    draw(root / "a.png", 30)
    label(root, ["file", "hair"], ["a.png", "red"])
    size = Canvas(height=40, width=30)
    points = np.broadcast_to(align.FILLING * 20 + [5, 10], (12, 5, 2)).reshape(12, 10)
    faces = pd.DataFrame(points, columns=align.POINT_COLUMNS)
    faces.insert(0, "image_id", [f"{n}.png" for n in range(12)])
    tables.write(faces.assign(non_face=False), tmp_path / "faces.parquet")
    frame = cut.Frame.like(tmp_path / "faces.parquet", size, OPTIONS.but(side=80))
    assert (frame.height, frame.width) == (80, 60)
    np.testing.assert_allclose(frame.points, 2 * points[0].reshape(5, 2), atol=0.01)
    archive = tmp_path / "cut.zip"
    cutter = partial(
        cut.cut_faces, root=root, options=OPTIONS, archive=archive, num_workers=1, frame=frame
    )
    found = ingest("table", root, {"attributes": [HAIR]}, 0, cutter)
    picture = np.asarray(
        Image.open(io.BytesIO(archives.read_bytes(tmp_path / found.index["path"][0])))
    )
    assert picture.shape == (80, 60, 3)
    # The square of 30 px lies from 10, 20 to 50, 60; above it the edge is repeated.
    red = picture[..., 0] > 128
    assert red[:58, 12:48].all() and not red[62:].any()
    assert not red[:, :8].any() and not red[:, 52:].any()
    # Of drawings, in which no faces are found, nothing is known.
    tables.write(faces.assign(non_face=True), tmp_path / "faces.parquet")
    declared = cut.Frame.like(tmp_path / "faces.parquet", size, OPTIONS)
    assert declared == cut.Frame.declared(OPTIONS) and declared.height == OPTIONS.side


REAL = Path(__file__).parents[4] / "shared/data/aaf"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs real photographs")
def test_real_faces_pasted_small_and_turned_are_found(tmp_path):
    rng = np.random.default_rng(0)
    sources = sorted((REAL / "images").iterdir())[::3000][:4]
    for number, source in enumerate(sources):
        photo = Image.new("RGB", (640, 480), (90, 110, 130))
        face = Image.open(source).convert("RGBA")
        face = face.rotate(rng.uniform(-30, 30), Image.Resampling.BICUBIC, expand=True)
        photo.paste(face, tuple(rng.integers(0, (380, 220))), face)
        save(photo, tmp_path / f"photos/{number:02}.png")
    label(tmp_path / "photos", ["file", "hair"], *[[f"{n:02}.png", "red"] for n in range(4)])
    found = read(tmp_path / "photos", tmp_path / "cut.zip")
    assert len(found.index) >= 3
