"""Fitting pictures into packed sizes."""

import numpy as np
import pytest
from PIL import Image

from facedata.options import InspectOptions
from facekit.errors import DataError
from facekit.pictures import geometry
from facekit.pictures.canvas import Canvas


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth colours: resampling there and back keeps them."""
    y, x = np.mgrid[0:160, 0:124]
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def test_pad_keeps_aspect_and_centres(picture):
    fitted, box = geometry.fit_image(picture, Canvas(height=128, width=128, fit="pad"))
    assert box == (14, 0, 113, 128)  # 124 * 128 / 160 = 99.2 wide, (128 - 99) // 2 left
    assert fitted.shape == (128, 128, 3)
    assert fitted.dtype == np.uint8
    assert not fitted[:, :14].any()
    assert not fitted[:, 113:].any()
    assert fitted[:, 14:113].any(axis=2).all()


def test_pad_of_a_wide_picture_has_bars_above_and_below():
    fitted, box = geometry.fit_image(
        np.full((10, 40, 3), 200, np.uint8), Canvas(height=20, width=20, fit="pad")
    )
    assert box == (0, 7, 20, 12)
    assert (fitted[7:12] == 200).all()
    assert not fitted[:7].any()
    assert not fitted[12:].any()


def test_pad_of_a_thread_keeps_one_pixel():
    _, box = geometry.fit_image(
        np.full((1000, 2, 3), 200, np.uint8), Canvas(height=32, width=32, fit="pad")
    )
    assert box == (15, 0, 16, 32)


def test_crop_cuts_both_sides_equally(picture):
    fitted, box = geometry.fit_image(picture, Canvas(height=124, width=124, fit="crop"))
    assert box == (0, 0, 124, 124)
    np.testing.assert_array_equal(fitted, picture[18:142])


def test_crop_scales_to_cover():
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 255
    fitted, _ = geometry.fit_image(picture, Canvas(height=10, width=10, fit="crop"))
    assert (fitted > 230).all()  # all but the very edge sees white alone


def test_stretch_fills(picture):
    fitted, box = geometry.fit_image(picture, Canvas(height=32, width=64, fit="stretch"))
    assert box == (0, 0, 64, 32)
    assert fitted[:, 0, 0].max() < 10
    assert fitted[:, -1, 0].min() > 110


def test_same_size_changes_no_pixel(picture):
    for fit in ("pad", "crop", "stretch"):
        fitted, box = geometry.fit_image(picture, Canvas(height=160, width=124, fit=fit))
        np.testing.assert_array_equal(fitted, picture)
        assert box == (0, 0, 124, 160)


def test_shrinking_averages():
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checks[:, :, None], 3, axis=2)
    fitted, _ = geometry.fit_image(picture, Canvas(height=16, width=16, fit="pad"))
    assert np.ptp(fitted) < 10  # no moire
    assert abs(fitted.mean() - 127.5) < 2


def test_pil_and_array_give_the_same(picture):
    a, _ = geometry.fit_image(picture, Canvas(height=50, width=70, fit="pad"))
    b, _ = geometry.fit_image(Image.fromarray(picture), Canvas(height=50, width=70, fit="pad"))
    np.testing.assert_array_equal(a, b)


def test_refit_undoes_padding(picture):
    fitted, box = geometry.fit_image(picture, Canvas(height=160, width=160, fit="pad"))
    images = np.stack([fitted, fitted // 2])
    back = geometry.refit(images, box, Canvas(height=160, width=124, fit="stretch"))
    np.testing.assert_array_equal(back[0], picture)
    np.testing.assert_array_equal(back[1], picture // 2)


def test_refit_into_another_geometry_has_no_bars_inside(picture):
    fitted, box = geometry.fit_image(picture, Canvas(height=128, width=128, fit="pad"))
    (direct, _), again = (
        geometry.fit_image(picture, Canvas(height=80, width=80, fit="crop")),
        geometry.refit(fitted[None], box, Canvas(height=80, width=80, fit="crop"))[0],
    )
    assert np.abs(direct.astype(int) - again).max() <= 4


def test_refit_refuses_a_box_outside(picture):
    for box in [(0, 0, 125, 10), (5, 5, 5, 9), (-1, 0, 4, 4)]:
        with pytest.raises(ValueError, match="content box"):
            geometry.refit(picture[None], box, Canvas(height=8, width=8, fit="pad"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "geometries: {} is not"),
        ([1], "geometries: .1. is not"),
        ({"gan": {"height": 32}}, "gan.width: missing"),
        ({"gan": {"height": 32, "width": 32, "x": 1}}, "gan.x: unknown key; known here: height"),
        ({"gan": {"height": 32.5, "width": 32}}, "gan.height: 32.5 is not integer >= 16"),
        ({"gan": {"height": 0, "width": 32}}, "gan.height: 0 is not integer >= 16"),
        ({"gan": {"height": 32, "width": 32, "fit": "zoom"}}, "not one of pad, crop, stretch"),
    ],
)
def test_wrong_geometries_are_named(values, message):
    with pytest.raises(DataError, match=message):
        InspectOptions.read({"geometries": values}, "inspect")


def test_crop_of_odd_sizes_reads_inside_the_picture():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 90, (200, 2)):
        picture = np.full((height, width, 3), 77, np.uint8)
        fitted, _ = geometry.fit_image(picture, Canvas(height=31, width=17, fit="crop"))
        assert (fitted == 77).all()


def test_columns_of_a_box():
    assert geometry.box_columns("gan") == ["gan_left", "gan_top", "gan_right", "gan_bottom"]
