"""Where pixels come from: affine changes, mirrors, perspective."""

import numpy as np
import pytest
import torch
from batches import BILINEAR, INSIDE, SIZE, WHOLE, bytes_of, rng, smooth
from torchvision.transforms.v2 import functional

from classifiers.augmentations import Frame, Move
from classifiers.augmentations.affine import Affine
from classifiers.augmentations.flip import Flip
from classifiers.augmentations.perspective import Perspective, homography
from classifiers.images.augment import View, augment_images, draw_maps, warp
from classifiers.options import STILL, AugmentOptions


def test_warp_is_torchvisions_perspective():
    height, width = SIZE
    start = [[0, 0], [width, 0], [width, height], [0, height]]
    end = [[2, 3], [width - 1, 1], [width - 3, height - 4], [0, height - 2]]
    middle = np.array([width / 2, height / 2])
    maps = homography(np.array([end]) - middle, np.array([start]) - middle)
    images = smooth(1)
    out = warp(images, maps, WHOLE)
    expected = functional.perspective(images, start, end, interpolation=BILINEAR)
    torch.testing.assert_close(out[INSIDE], expected[INSIDE], atol=1e-4, rtol=0)


def test_affine_maps_lie_in_their_ranges():
    affine = Affine(p=0.5, rotation=20, scale=0.2, shift=0.1, shear=15)
    maps = draw_maps([Flip(p=0.5), affine], Frame(4000, SIZE, SIZE), rng())
    linear, shift = maps[:, :2, :2], maps[:, :2, 2]
    assert np.mean(np.linalg.det(linear) < 0) == pytest.approx(0.5, abs=0.05)  # mirror images
    linear[np.linalg.det(linear) < 0, :, 0] *= -1
    angle = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    scale = np.hypot(linear[:, 0, 0], linear[:, 1, 0])
    cosine = (linear[:, :, 0] * linear[:, :, 1]).sum(axis=1) / scale**2
    shear = np.degrees(np.arctan(cosine))
    for values, limit in (
        (angle, 20), (scale - 1, 0.2), (shear, 15), (shift[:, 0], 2.4), (shift[:, 1], 3.2)
    ):  # fmt: skip
        assert np.abs(values).max() <= limit + 1e-6
        moved = values[np.abs(values) > 1e-9]
        assert len(moved) / len(values) == pytest.approx(0.5, abs=0.05)
        # Uniform: mean 0 and variance limit^2 / 3.
        assert abs(moved.mean()) < 0.1 * limit
        assert moved.var() == pytest.approx(limit**2 / 3, rel=0.1)


def test_rotation_keeps_circles_round_in_oblong_images():
    y, x = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(32) - 15.5, indexing="ij")
    disc = (((y**2 + x**2) < 10**2) * 255).to(torch.uint8).expand(8, 3, 64, 32)
    view = View((64, 32), (64, 32))
    out = augment_images(
        disc,
        STILL.but(affine={"p": 1.0, "rotation": 90, "scale": 0.0, "shift": 0.0, "shear": 0.0}),
        view,
        rng(),
    )
    assert (out - disc / 255).abs().mean() < 0.02


def test_perspective_moves_corners_inwards_only():
    perspective = Perspective(p=0.5, distortion=0.4)
    maps = draw_maps([perspective], Frame(500, SIZE, SIZE), rng())
    corners = np.array([[-12, -16, 1], [12, -16, 1], [12, 16, 1], [-12, 16, 1]])
    back = np.linalg.inv(maps) @ corners.T  # [N, 3, 4]: where the input's corners are seen
    seen = (back[:, :2] / back[:, 2:]) / corners.T[:2]
    assert seen.max() <= 1 + 1e-6 and seen.min() >= 0.6 - 1e-6
    assert np.mean(np.abs(seen - 1).max(axis=(1, 2)) < 1e-9) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("affine_p", [0.5, 0.0])
def test_random_numbers_are_taken_for_turns_then_mirrors_shifts_perspective_and_places(affine_p):
    """Another order would give other trainings by the same seeds; so each is drawn here by hand."""
    height, width, num = 20, 16, 50
    settings = AugmentOptions().but(
        flip=0.4, crop={"random": True, "pad": 2}, perspective={"p": 0.7, "distortion": 0.3},
        affine={"p": affine_p, "rotation": 20, "scale": 0.2, "shift": 0.1, "shear": 10},
    )  # fmt: skip
    moves = [one for one in settings.used.values() if isinstance(one, Move)]
    found = draw_maps(moves, Frame(num, SIZE, (height, width)), rng())

    numbers = rng()
    chosen = numbers.random(num) < affine_p
    angle, shear = (numbers.uniform(-np.radians(x), np.radians(x), num) for x in (20, 10))
    scale = numbers.uniform(-0.2, 0.2, num)
    mirror = numbers.random(num) < 0.4
    shifts = [numbers.uniform(-0.1 * side, 0.1 * side, num) for side in (width, height)]
    is_seen_aslant = numbers.random(num) < 0.7
    inwards = numbers.uniform(0, 0.3, (num, 4, 2))
    places = []
    for part, whole in ((width, SIZE[1]), (height, SIZE[0])):
        first = numbers.integers(0, whole - part + 1, num) + numbers.integers(-2, 3, num)
        places.append(first + part / 2 - whole / 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    for i in range(num):
        point = np.array([3.0, -5.0])  # of the view
        if mirror[i]:
            point[0] *= -1
        if chosen[i]:
            turn = np.array(
                [[np.cos(angle[i]), -np.sin(angle[i])], [np.sin(angle[i]), np.cos(angle[i])]]
            )
            slope = np.array([[1, np.tan(shear[i])], [0, 1]])
            point = (1 + scale[i]) * turn @ slope @ point + [shifts[0][i], shifts[1][i]]
        if is_seen_aslant[i]:
            [to_corners] = homography(corners[None] * (1 - inwards[i]), corners[None])
            point = to_corners @ [*point, 1]
            point = point[:2] / point[2]
        x, y, z = found[i] @ [3.0, -5.0, 1.0]
        wanted = [point[0] + places[0][i], point[1] + places[1][i]]
        np.testing.assert_allclose([x / z, y / z], wanted, atol=1e-9)


def test_whole_pixels_are_taken_by_a_place_then_a_mirror():
    images, view = bytes_of(50), View((20, 16), (20, 16))
    out = augment_images(images, STILL.but(flip=0.4, crop={"random": True}), view, rng())
    numbers = rng()
    left, top = numbers.integers(0, 9, 50), numbers.integers(0, 13, 50)
    mirror = numbers.random(50) < 0.4
    for i in range(50):
        wanted = images[i, :, top[i] : top[i] + 20, left[i] : left[i] + 16] / 255
        assert torch.equal(out[i], wanted.flip(2) if mirror[i] else wanted)
