"""Alignment: every face comes to lie as the faces of the data set do."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from unseen_photos import noise, portrait

from facedata.inspection import align
from facedata.inspection.faces import detect_faces
from facedata.options import FacesOptions
from facekit.pictures.canvas import Canvas, Geometry
from facekit.pictures.geometry import fit_image
from facekit.pictures.resample import to_rgbx

# Where faces lie in thumbnails of 96x120 px: eyes, nose, corners of the mouth.
GEOMETRY = Geometry(height=120, width=96, fit="crop")
FRAMING = np.array([[34.0, 52], [62, 52], [48, 68], [37, 84], [59, 84]])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finder():
    return align.FaceFinder(0.9, CPU)


def photo(image):
    return to_rgbx(np.asarray(image))


def test_similarity_undoes_a_known_turn_scale_and_shift():
    rng = np.random.default_rng(0)
    points, angle = rng.normal(size=(5, 2)), 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 3 * points @ turn.T + [10, -4]
    found = align.similarity(points, moved)
    np.testing.assert_allclose(found, np.column_stack([3 * turn, [10, -4]]), atol=1e-12)


def test_similarity_has_the_least_squared_error():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))

    def error(matrix):
        return ((source @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum()

    found = align.similarity(source, target)
    for _ in range(50):
        a, b, c, d = rng.normal(scale=0.05, size=4)
        assert error(found) < error(found + np.array([[a, -b, c], [b, a, d]]))


@pytest.mark.parametrize("size", [(96, 120), (192, 240), (500, 625), (48, 60)])
def test_a_photo_that_lies_as_it_should_is_only_resized(size):
    image = portrait(600).resize(size)
    points = FRAMING * np.array(size) / (96, 120)
    cut = align.cut_face(photo(image), points, FRAMING, GEOMETRY)
    np.testing.assert_array_equal(cut, fit_image(image, GEOMETRY)[0])


def test_what_lies_outside_repeats_the_border():
    image = Image.new("RGB", (40, 40), (10, 200, 30))
    cut = align.cut_face(photo(image), FRAMING / 4, FRAMING, GEOMETRY)
    assert (cut == [10, 200, 30]).all()


def test_landmarks_at_nearly_one_place_do_no_harm():
    points = 20 + FRAMING / 1e6
    assert align.cut_face(photo(noise(0, 40, 40)), points, FRAMING, GEOMETRY).shape == (120, 96, 3)


@pytest.mark.parametrize("height", [150, 400, 1500])
@pytest.mark.parametrize("angle", [0, 25, -20])
def test_faces_of_photos_come_to_lie_as_told(finder, height, angle):
    """The detector is asked again where the landmarks of the cut face are."""
    image = photo(portrait(height).rotate(angle, expand=True, resample=Image.Resampling.BICUBIC))
    boxes, points = finder.find(image)
    assert len(boxes) == 1
    cut = align.cut_face(image, points[0], FRAMING, GEOMETRY)
    faces = detect_faces(cut[None], np.array([0]), FacesOptions(several_share=0.5), CPU)
    again = faces[align.POINT_COLUMNS].to_numpy().reshape(5, 2)
    # No face has all five where the framing has them: they agree as far as a similarity can.
    fitted = align.similarity(points[0], FRAMING)
    wanted = points[0] @ fitted[:, :2].T + fitted[:, 2]
    assert np.abs(again - wanted).max() < 4
    assert np.abs(again.mean(axis=0) - FRAMING.mean(axis=0)).max() < 1.5


def test_all_faces_are_found_the_largest_first(finder):
    canvas = Image.new("RGB", (900, 500), "gray")
    canvas.paste(portrait(200), (20, 100))
    canvas.paste(portrait(420), (400, 40))
    boxes, points = finder.find(photo(canvas))
    assert len(boxes) == len(points) == 2
    assert boxes[0, 0] > 400 and boxes[1, 2] < 250
    for box, one in zip(boxes, points, strict=True):
        assert (one > box[:2]).all() and (one < box[2:]).all()


@pytest.mark.parametrize("size", [(16, 16), (16, 256), (256, 16), (333, 17), (64, 64)])
def test_pictures_without_a_face_have_none(finder, size):
    boxes, points = finder.find(photo(noise(3, *size)))
    assert boxes.shape == (0, 4) and points.shape == (0, 5, 2)


def faces_table(points, non_face=()):
    """Return a table of faces whose landmarks are [N, 5, 2]."""
    table = pd.DataFrame(points.reshape(len(points), 10), columns=align.POINT_COLUMNS)
    table["non_face"] = np.isin(np.arange(len(points)), list(non_face))
    return table


def test_the_framing_is_the_median_of_what_was_found():
    rng = np.random.default_rng(0)
    points = FRAMING + rng.normal(size=(31, 5, 2))
    points[:3] = -500  # no faces
    found = align.measure_framing(faces_table(points, non_face=range(3)))
    np.testing.assert_allclose(found, np.median(points[3:], axis=0), atol=1e-3)


@pytest.mark.parametrize(("num_images", "num_faces"), [(9, 9), (40, 19)])
def test_drawings_have_no_framing(num_images, num_faces):
    points = np.broadcast_to(FRAMING, (num_images, 5, 2))
    assert align.measure_framing(faces_table(points, range(num_faces, num_images))) is None


# --- The declared framing, and thumbnails that are cut out around the face


@pytest.mark.parametrize("side", [112, 224])
def test_the_declared_framing_has_the_face_in_the_middle_with_its_margin(side):
    nose = align.framing_of(Canvas(height=side, width=side, fit="face", margin=0.0))[2]
    np.testing.assert_allclose(nose, np.array([56.0252, 71.7366]) * side / 112)
    nose = align.framing_of(Canvas(height=side, width=side, fit="face", margin=0.5))[2]
    np.testing.assert_allclose(nose, np.array([56 + 56.0252, 56 + 71.7366]) * side / 224)


def test_a_canvas_that_is_not_square_shows_the_middle_of_the_square():
    """So a square picture with that framing is brought to it by cropping, as drawn ones are."""
    square = align.framing_of(Canvas(height=64, width=64, fit="face"))
    tall = align.framing_of(Canvas(height=64, width=48, fit="face"))
    np.testing.assert_allclose(square - tall, np.broadcast_to([8, 0], (5, 2)))


def test_of_faces_as_large_the_one_in_the_middle_is_meant(finder):
    class Found:
        def find(self, photo):
            return boxes, np.zeros((len(boxes), 5, 2))

    def main(*found):
        nonlocal boxes
        boxes = np.array(found, dtype=float)
        face = align.FaceFinder.main_face(Found(), np.zeros((100, 200, 4), np.uint8))
        return face.box.tolist()

    boxes = np.zeros((0, 4))
    edge, middle, small = [0, 0, 44, 44], [80, 30, 120, 70], [95, 45, 105, 55]
    assert main(edge, middle, small) == middle
    assert main([0, 0, 90, 90], middle) == [0, 0, 90, 90]
    assert main([-60, 0, 20, 60], middle) == middle  # by what of it is in the picture
    boxes = np.zeros((0, 4))
    assert align.FaceFinder.main_face(Found(), np.zeros((100, 200, 4), np.uint8)) is None


def test_what_of_a_cut_face_lies_outside_is_told():
    inside = align.share_outside((96, 120), FRAMING, FRAMING, GEOMETRY)
    half = align.share_outside((96, 120), FRAMING - [48, 0], FRAMING, GEOMETRY)
    assert inside == 0 and half == pytest.approx(0.5)
