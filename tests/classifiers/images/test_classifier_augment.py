"""Augmentation of batches: that of whole ones, views, and the resampling against torchvision."""

import numpy as np
import pytest
import torch
from batches import BILINEAR, INSIDE, WHOLE, bytes_of, rng, smooth
from classifier_sets import AUGMENT
from torchvision.transforms.functional import _get_inverse_affine_matrix
from torchvision.transforms.v2 import functional

from classifiers.images import augment
from classifiers.images.augment import View, augment_images, center
from classifiers.options import LIGHT, STILL, AugmentOptions, ViewOptions
from facekit.errors import DataError


def test_no_augmentation_changes_nothing():
    images = bytes_of()
    out = augment_images(images, STILL, WHOLE, rng())
    torch.testing.assert_close(out, images.float() / 255)


EVERYTHING = STILL.but(
    flip=0.5,
    affine={"p": 0.5, "rotation": 10, "scale": 0.1, "shift": 0.1, "shear": 5},
    perspective={"p": 0.5, "distortion": 0.3},
    color={"p": 0.5, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1},
    erase={"p": 0.5},
    randaugment={"num_ops": 2, "magnitude": 9},
    mix={"mixup": 0.2, "cutmix": 1.0},
)


@pytest.mark.parametrize("settings", [LIGHT, EVERYTHING])
def test_the_same_seed_gives_the_same_batch(settings):
    images = bytes_of()
    first = augment_images(images, settings, WHOLE, rng(1))
    assert first.shape == images.shape and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, augment_images(images, settings, WHOLE, rng(1)))
    assert not torch.equal(first, augment_images(images, settings, WHOLE, rng(2)))
    assert torch.equal(images, bytes_of())  # the batch itself is left as it was


# --- Crop, flip, resize


def test_crop_and_flip_move_whole_pixels():
    images = bytes_of(64)
    view = View((20, 16), (20, 16))
    out = augment_images(images, STILL.but(flip=0.5, crop={"random": True}), view, rng())
    pixels, places, flips = images.float() / 255, set(), 0
    for image, seen in zip(pixels, out, strict=True):
        windows = image.unfold(1, 20, 1).unfold(2, 16, 1)  # [3, 13, 9, 20, 16]
        for is_flipped in (False, True):
            wanted = seen.flip(2) if is_flipped else seen
            match = (windows == wanted[:, None, None]).all(dim=4).all(dim=3).all(dim=0)
            if match.any():
                places.add(tuple(match.nonzero()[0].tolist()))
                flips += is_flipped
                break
        else:
            pytest.fail("no part of the image")
    assert 15 < flips < 49
    assert {place[0] for place in places} >= {0, 12} and {place[1] for place in places} >= {0, 8}


def test_without_random_crop_the_middle_is_seen():
    images, view = bytes_of(), View((21, 16), (21, 16))
    seen = augment_images(images, STILL, view, rng())
    assert torch.equal(seen, center(images.float() / 255, view))
    assert torch.equal(seen, (images.float() / 255)[:, :, 5:26, 4:20])
    # The same through a resampling that does nothing.
    still = STILL.but(affine={"p": 1.0, "rotation": 0.0, "scale": 0.0, "shift": 0.0, "shear": 0.0})
    torch.testing.assert_close(augment_images(images, still, view, rng()), seen)


def test_padding_shifts_by_at_most_its_pixels_and_repeats_the_border():
    images = bytes_of(64)
    out = augment_images(images, STILL.but(crop={"pad": 3}), WHOLE, rng()) * 255
    padded = torch.nn.functional.pad(images.float(), (3, 3, 3, 3), mode="replicate")
    shifts = set()
    for image, seen in zip(padded, out, strict=True):
        windows = image.unfold(1, 32, 1).unfold(2, 24, 1)
        match = (windows - seen[:, None, None]).abs().amax(dim=(0, 3, 4)) < 0.01
        shifts.add(tuple(match.nonzero()[0].tolist()))
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(7))


def test_resize_is_torchvisions():
    images = smooth()
    view = View((32, 24), (16, 12))
    expected = functional.resize(images, [16, 12], antialias=True)
    torch.testing.assert_close(center(images, view), expected)
    out = augment.warp(images, np.tile(np.eye(3), (4, 1, 1)), view)
    torch.testing.assert_close(out, expected, atol=0.01, rtol=0)


# --- Affine, perspective


@pytest.mark.parametrize(
    "change",
    [
        {"angle": 20.0},
        {"translate": [3, -2]},
        {"scale": 1.2},
        {"shear": [12.0, 0.0]},
        {"angle": -10.0, "translate": [1, 2], "scale": 0.9, "shear": [5.0, -3.0]},
    ],
)
def test_warp_is_torchvisions_affine(change):
    plain = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **change}
    images = smooth(2)
    maps = np.eye(3)
    maps[:2] = np.reshape(_get_inverse_affine_matrix([0.0, 0.0], **plain), (2, 3))
    out = augment.warp(images, np.stack([maps, maps]), WHOLE)
    expected = functional.affine(images, **plain, interpolation=BILINEAR)
    torch.testing.assert_close(out[INSIDE], expected[INSIDE], atol=1e-4, rtol=0)


# --- Settings


def test_labels_are_judged_by_light_augmentation():
    light = {**AUGMENT, "color": {**AUGMENT["color"], "brightness": 0.15}}
    assert AugmentOptions.read(light, "augment") == LIGHT


def test_views_are_read_and_checked():
    def view(**values):
        return View.of(ViewOptions.read(values, "view"), 218, 178)

    assert view(crop=[198, 158]) == View((198, 158), (198, 158))
    assert view(resize=[64, 48]) == View((218, 178), (64, 48))
    with pytest.raises(DataError, match=r"^crop: \[300, 100\] is larger than the images"):
        view(crop=[300, 100])
    for crop in (198, [198], [198, 0]):
        with pytest.raises(DataError, match="view: crop"):
            view(crop=crop)
