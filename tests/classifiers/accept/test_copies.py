"""Copies of train images, and of each other."""

import numpy as np
import pytest
from PIL import Image

from classifiers.accept.copies import copies, doubles, thumbnails
from classifiers.images.data import ImagePool

HEIGHT, WIDTH = 64, 48


def scene(seed):
    """Draw a picture with structure at all scales, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for side in (3, 6, 12, 24):
        small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 4
    return picture.astype(np.uint8)


def cropped(image, rng):
    """Return a part, placed by chance, that lacks a tenth of each side, at the old size."""
    x, y = rng.uniform(0, 0.1, 2) * (WIDTH, HEIGHT)
    box = (x, y, x + 0.9 * WIDTH, y + 0.9 * HEIGHT)
    size, filter = (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize(size, filter, box))


def small(images):
    return thumbnails(ImagePool([(np.stack(images), np.arange(len(images)))]), batch=16)


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed) for seed in range(80)]


def test_cropped_copies_of_train_are_found_and_new_pictures_are_not(scenes):
    rng = np.random.default_rng(0)
    train, new = scenes[:50], scenes[50:]
    queries = [*(cropped(one, rng) for one in train[:30]), *new]
    found = copies(small(queries), small(train))
    assert found[:30].mean() >= 0.9
    assert not found[30:].any()


def test_of_those_alike_the_first_of_a_class_stays(scenes):
    rng = np.random.default_rng(0)
    alike = [scenes[0], *(cropped(scenes[0], rng) for _ in range(19))]
    images = small([*alike, *scenes[1:11], *alike[:5]])
    label = np.repeat([3, 3, 7], [20, 10, 5])
    goes = doubles(images, label)
    assert goes.tolist() == [False, *[True] * 19, *[False] * 10, False, *[True] * 4]


def test_nothing_is_no_copy(scenes):
    nothing = np.zeros([0, 32, 32], np.float32)
    assert copies(nothing, small(scenes[:3])).tolist() == []
    assert doubles(nothing, np.zeros(0, int)).tolist() == []
