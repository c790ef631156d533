"""How near images are to those of train."""

import numpy as np
import pytest

from classifiers.accept.appearances import NUM_NEIGHBOURS, appearances, nearness
from classifiers.images.data import ImagePool
from facekit.errors import DataError


def textures(num_images, seed):
    """Return smooth random pictures, uint8 [N, 32, 24, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(num_images, 4, 3, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def looks(images):
    return appearances(ImagePool([(images, np.arange(len(images)))]), batch=16)


def gaps(x, y):
    """Return distances by a direct computation, float64 [N, M]."""

    def vectors(images):  # 4x4 px blocks of 32x24 px: thumbnails of 8x6
        small = images.reshape(len(images), 8, 4, 6, 4, 3).mean(axis=(2, 4))
        small = small.reshape(len(images), -1)
        small = small - small.mean(axis=1, keepdims=True)
        return small / np.linalg.norm(small, axis=1, keepdims=True)

    both = [
        np.linalg.norm(vectors(one)[:, None] - vectors(y), axis=2) for one in (x, x[:, :, ::-1])
    ]
    return np.minimum(*both)


def test_nearness_matches_a_direct_computation():
    queries, images = textures(30, 0), textures(50, 1)
    found = nearness(looks(queries), looks(images))
    expected = np.sort(gaps(queries, images), axis=1)[:, :NUM_NEIGHBOURS]
    np.testing.assert_allclose(found.nearest, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(found.usual, expected[:, 1:].mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(found.relative, found.nearest / found.usual)


def test_images_of_the_own_unit_are_left_out():
    images, units = textures(50, 1), np.arange(50) // 2
    found = nearness(looks(images), looks(images), (units, units))
    expected = gaps(images, images)
    expected[units[:, None] == units] = np.inf
    np.testing.assert_allclose(found.nearest, expected.min(axis=1), atol=1e-4)


def test_copies_are_near_and_new_pictures_are_not():
    rng = np.random.default_rng(0)
    train = textures(80, 0)
    copies = {
        "same": train,
        "mirrored": train[:, :, ::-1],
        "lighter": np.clip(train * 0.8 + 30, 0, 255).astype(np.uint8),
        "noisy": np.clip(train + rng.normal(0, 15, train.shape), 0, 255).astype(np.uint8),
        "shifted": np.roll(train, 1, axis=2),
    }
    for name, images in copies.items():
        assert (nearness(looks(images), looks(train)).relative < 0.6).mean() > 0.95, name
    assert (nearness(looks(textures(80, 1)), looks(train)).relative > 0.6).all()


def test_typical_pictures_are_no_copies():
    """A mean of all is nearer to each than they are to one another, but to none in particular."""
    train = textures(80, 0)
    typical = train.mean(axis=0, keepdims=True).round().astype(np.uint8)
    own = nearness(looks(typical), looks(train))
    new = nearness(looks(textures(80, 1)), looks(train))
    assert own.nearest[0] < np.median(new.nearest)
    assert own.relative[0] > np.quantile(new.relative, 0.1)


def test_one_image_of_train_is_too_few():
    with pytest.raises(DataError, match="train split: 1 images"):
        nearness(looks(textures(3, 0)), looks(textures(1, 1)))
