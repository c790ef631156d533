"""Boxes around faces in a table: found by names and values, and held against the photographs."""

import numpy as np
import pandas as pd
import pytest
from layouts import write
from PIL import Image
from unseen_photos import encoded, noise, portrait

from facedata.recognition import boxes
from facedata.recognition.boxes import Candidate

WIDTH, HEIGHT = 320, 240
RNG = np.random.default_rng(0)


def rows_of(**columns):
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def found(**columns):
    return boxes.find(list(columns), rows_of(**columns))


def test_columns_of_numbers_are_found_by_their_names():
    numbers = ["1", "2.5", ""]
    four = dict.fromkeys(("x_1", "y_1", "width", "height"), numbers)
    assert found(hair=["a", "b", "a"], **four) == Candidate(tuple(four), ("size",))
    plain = dict.fromkeys("xywh", numbers)
    assert found(**plain).forms == ("size", "centre")
    assert found(**{**plain, "h": ["tall", "small", "tall"]}) is None


def test_a_column_of_texts_is_found_by_its_name_or_by_what_the_texts_say():
    texts = ["[1, 2, 3, 4]", "[5, 6, 7, 8]"]
    assert found(bbox=texts) == Candidate(("bbox",), ("size", "corners", "centre"))
    assert found(place=texts) is None
    named = ['{"x": 1, "y": 2, "w": 3, "h": 4}'] * 2
    assert found(shape=named) == Candidate(("shape",), ("size",))


@pytest.fixture
def photos(tmp_path):
    paths = [f"{number:02}.png" for number in range(40)]
    for path in paths:
        write(tmp_path / path, encoded(Image.new("RGB", (WIDTH, HEIGHT)), "PNG"))
    return tmp_path, paths


def drawn_boxes():
    """Return left, top, width, height of 40 boxes within photographs."""
    size = RNG.uniform(40, 90, (40, 2))
    place = RNG.uniform(0, 1, (40, 2)) * ([WIDTH, HEIGHT] - size)
    return np.concatenate([place, size], axis=1)


def understood(photos, values, *forms):
    root, paths = photos
    named = pd.DataFrame(values, columns=list("abcd"))
    return boxes.understand(Candidate(("bbox",), forms), root, paths, named, see=False)


def as_form(size, form):
    place, sides = size[:, :2], size[:, 2:]
    if form == "corners":
        return np.concatenate([place, place + sides], axis=1)
    return np.concatenate([place + sides / 2, sides], axis=1) if form == "centre" else size


@pytest.mark.parametrize("unit", ["px", "share"])
@pytest.mark.parametrize("form", ["size", "corners"])
def test_form_and_unit_are_told_by_what_lies_within_the_photographs(photos, form, unit):
    values = as_form(drawn_boxes(), form)
    if unit == "share":
        values /= [WIDTH, HEIGHT, WIDTH, HEIGHT]
    seen = understood(photos, values, "size", "corners")
    assert (seen.form, seen.unit, seen.num_inside, seen.fit) == (form, unit, 40, True)
    assert seen.height == pytest.approx(65 / WIDTH, abs=0.04)
    words = {"px": "in pixels", "share": "in shares of the photograph's sides"}
    assert words[unit] in str(seen) and "40 of 40 looked at lie within" in str(seen)


def test_boxes_of_other_pictures_are_said_with_an_example(photos):
    values = drawn_boxes() + np.array([WIDTH, 0, 0, 0])
    values[0] = [10, 10, 30, 30]
    values[1] = [400, 20, 50, 60]
    seen = understood(photos, values, "size")
    assert not seen.fit and seen.num_inside == 1
    assert "1 of 40 looked at lie within their photographs; not 01.png" in str(seen)
    assert "400, 20, 50, 60 in 320 x 240 px" in str(seen)


def test_rows_without_a_box_and_photographs_that_cannot_be_opened_do_not_count(photos):
    root, _ = photos
    write(root / "00.png", b"no picture")
    values = drawn_boxes()
    values[1, 0] = np.nan
    assert understood(photos, values, "size").num == 38
    assert understood(photos, np.full((40, 4), np.nan), "size") is None


def test_faces_tell_the_form_where_the_numbers_do_not(tmp_path):
    """x, y of a face in the middle fit as its corner and as its centre."""
    paths, values = [], []
    for number in range(3):
        photo = noise(0, 8, 6).resize((WIDTH, HEIGHT))
        face = portrait(120)
        left, top = 90 + 10 * number, 50
        photo.paste(face, (left, top))
        write(tmp_path / f"{number}.png", encoded(photo, "PNG"))
        paths.append(f"{number}.png")
        values.append([left + face.width / 2, top + 50, 60, 75])
    named = pd.DataFrame(values, columns=list("abcd"))
    plain = Candidate(tuple("xywh"), ("size", "centre"))
    assert boxes.understand(plain, tmp_path, paths, named, see=False).form == "size"
    assert boxes.understand(plain, tmp_path, paths, named, see=True).form == "centre"
