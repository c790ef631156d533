"""Resampling by matrix products, against Pillow's."""

import numpy as np
import pytest
from PIL import Image

from facekit.pictures import resample
from facekit.pictures.resample import Pictures


def picture(width, height, seed=0):
    """Noise of every scale and edges: what natural pictures have; no black and no white.

    Pillow cuts at black and white between rows and columns, where filters overshoot.
    """
    rng = np.random.default_rng(seed)
    values = np.zeros((height, width, 3))
    for side in (4, 9, 20, 45, 100):
        noise = rng.normal(0, 14, (side, side, 3)) + 25
        layer = [Image.fromarray(noise[..., c].astype(np.float32)) for c in range(3)]
        values += np.stack([np.asarray(part.resize((width, height))) for part in layer], axis=-1)
    values[height // 3 : height // 2, width // 4 : width // 2] = [180, 75, 90]
    return Image.fromarray(values.clip(70, 185).astype(np.uint8))


def pictures(*images):
    return Pictures([resample.to_rgbx(np.asarray(image)) for image in images])


def resized(image, width, height, mode="RGB", box=None):
    left, top, right, bottom = box or (0, 0, *image.size)
    found = resample.resize(pictures(image), width, height, mode, (left, right), (top, bottom))
    return found[0].astype(int)


def by_pillow(image, width, height, mode="RGB", box=None):
    found = image.convert(mode).resize((width, height), Image.Resampling.LANCZOS, box=box)
    return np.asarray(found).reshape(height, width, -1).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(50, 61), (36, 60), (90, 40), (64, 120), (35, 35)])
def test_without_averaging_it_is_pillows_lanczos(mode, size):
    image = picture(60, 72)
    difference = resized(image, *size, mode) - by_pillow(image, *size, mode)
    # Pillow rounds between rows and columns, and gray before that.
    assert np.abs(difference).max() <= (1 if mode == "RGB" else 2)


@pytest.mark.parametrize("box", [(3.5, 10.25, 40.5, 71.5), (0, 0, 30, 36), (59, 71, 60, 72)])
def test_a_box_is_read_as_pillow_reads_it(box):
    image = picture(60, 72)
    difference = resized(image, 25, 29, box=box) - by_pillow(image, 25, 29, box=box)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("size", [(48, 59), (26, 32), (32, 32), (17, 20), (90, 20)])
def test_with_averaging_the_difference_is_small(size):
    image = picture(178, 218)
    assert 178 / size[0] > 2 * resample.GAP or size[0] == 90
    difference = resized(image, *size) - by_pillow(image, *size)
    assert (difference**2).mean() ** 0.5 < 1.5
    assert abs(difference.mean()) < 0.2  # Pillow's means round halves up


def test_the_same_size_changes_no_pixel():
    image = picture(60, 72)
    np.testing.assert_array_equal(resized(image, 60, 72), image)


def test_pictures_do_not_depend_on_their_neighbours():
    images = [picture(90, 75, seed) for seed in range(5)]
    together = resample.resize(pictures(*images), 33, 41, "RGB", (0, 90), (0, 75))
    for image, found in zip(images, together, strict=True):
        np.testing.assert_array_equal(resized(image, 33, 41), found)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.2, 1), (1.9, 1), (2.0, 2), (3.99, 2), (4, 4), (1000, 512)]
)
def test_halvings(ratio, expected):
    assert resample.halvings(ratio) == expected


def test_bands_are_one_filter():
    for num_in, num_out, start, end in [(89, 48, 0, 89), (30, 77, 2.5, 21.5), (5, 1, 0, 5)]:
        whole = np.zeros((num_out, num_in))
        for wanted, read, weights in resample.bands(num_in, num_out, start, end):
            assert weights.shape == (wanted.stop - wanted.start, read.stop - read.start)
            assert not whole[wanted].any()
            whole[wanted, read] = weights
        np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)
        centres = start + (np.arange(num_out) + 0.5) * (end - start) / num_out
        inner = (centres > 3.5 * (end - start) / num_out) & (centres < num_in - 4)
        middle = (whole @ (np.arange(num_in) + 0.5))[inner]
        np.testing.assert_allclose(middle, centres[inner], atol=0.02)


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (178, 218), (33, 64)])
def test_means_of_squares(size, monkeypatch):
    monkeypatch.setattr(resample, "STRIP", 5 * 8 * size[0])  # strips of five lines of the result
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    found = pictures(*noise)
    padded = noise.astype(float)
    for factor in (1, 2, 4, 8):
        expected = padded.transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found.means(factor, "RGB"), expected, atol=1e-4)
        gray = expected.transpose(0, 2, 3, 1) @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(found.means(factor, "L")[:, 0], gray, atol=1e-3)
        odd = [(0, 0), *((0, side % 2) for side in padded.shape[1:3]), (0, 0)]
        padded = np.pad(padded, odd, "edge")
        padded = (padded[:, 0::2] + padded[:, 1::2]) / 2
        padded = (padded[:, :, 0::2] + padded[:, :, 1::2]) / 2


def test_the_fourth_byte_of_a_pixel_is_not_looked_at():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    for factor in (1, 2):
        found = Pictures([noise]).means(factor, "RGB")
        np.testing.assert_array_equal(found, pictures(noise[..., :3]).means(factor, "RGB"))
