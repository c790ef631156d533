"""Copying by class: how often it is found where there is none, and where there is."""

import itertools
from math import comb

import numpy as np
import pytest

from classifiers.accept.appearances import appearances, nearness
from classifiers.accept.memorization import LEVEL, copying
from classifiers.images.data import ImagePool


def test_p_is_that_of_all_orders():
    """Of all ways to mix 4 images and 3 faces as many have so many images before the first face."""
    images, faces = np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.5, 0.7, 0.8])
    zeros = np.zeros
    (found,) = copying(images, zeros(4, int), faces, zeros(3, int), ["a"])
    orders = list(itertools.combinations(range(7), 3))  # places of the faces
    expected = sum(order[0] >= 3 for order in orders) / comb(7, 3)
    assert found.nearer == 3
    assert found.p == pytest.approx(expected)
    assert found.expected == pytest.approx(np.mean([order[0] for order in orders]))
    assert (found.accepted, found.held_out) == (4, 3)


def test_a_small_excess_is_no_copying():
    """However many images show it."""
    rng = np.random.default_rng(0)
    zeros = np.zeros(20_000, int)
    images = np.where(rng.random(20_000) < 0.05, 0, rng.random(20_000))
    (found,) = copying(images, zeros, rng.random(20_000), zeros, ["a"])
    assert found.p < 1e-6
    assert not found.is_found


def test_without_held_out_faces_nothing_is_found():
    (found,) = copying(np.zeros(9), np.zeros(9, int), np.zeros(0), np.zeros(0, int), ["a"])
    assert (found.p, found.is_found) == (1.0, False)


def test_correction_is_holms():
    rng = np.random.default_rng(1)
    label, faces = np.repeat([0, 1, 2], 60), rng.random(90)
    images = np.concatenate([rng.random(60) * 0.7, rng.random(60) * 0.85, rng.random(60)])
    found = copying(images, label, faces, np.repeat([0, 1, 2], 30), list("abc"))
    first, second, third = sorted(found, key=lambda one: one.p)
    assert first.corrected == pytest.approx(min(3 * first.p, 1))
    assert second.corrected == pytest.approx(min(max(2 * second.p, first.corrected), 1))
    assert third.corrected == pytest.approx(min(max(third.p, second.corrected), 1))


# --- By simulation


def faces_of(num, rng):
    """Return drawn faces: sums of smooth patterns, so that some are more alike than others."""
    y, x = np.mgrid[0:1:16j, 0:1:12j][:, :, :, None]
    image = np.zeros([num, 16, 12, 3])
    for _ in range(6):
        place, color = rng.random([2, num, 1, 1, 1]), rng.normal(size=[num, 1, 1, 3])
        width = rng.uniform(0.02, 0.1, [num, 1, 1, 1])
        image += color * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / width)
    return (255 / (1 + np.exp(-image))).astype(np.uint8)


def jittered(images, rng):
    """Return copies: shifted by a pixel, lighter or darker, with noise."""
    moved = [
        np.roll(one, rng.integers(-1, 2, 2), axis=(0, 1)) * rng.uniform(0.85, 1.15)
        for one in images
    ]
    return np.clip(moved + rng.normal(0, 8, images.shape), 0, 255).astype(np.uint8)


def looks(images):
    return appearances(ImagePool([(images, np.arange(len(images)))]), batch=256)


def found_in(rng, share_copied):
    """Return the classes found of three, in one drawn experiment; copies are of the first."""
    train, val, new = (faces_of(num, rng) for num in (300, 60, 240))
    if share_copied:
        num = round(share_copied * 80)
        new[:num] = jittered(train[rng.choice(100, num, replace=False)], rng)
    of_train, own = looks(train), np.arange(300)
    faces = [nearness(looks(val), of_train), nearness(of_train, of_train, (own, own))]
    found = copying(
        nearness(looks(new), of_train).relative, np.repeat([0, 1, 2], 80),
        np.concatenate([one.relative for one in faces]),
        np.concatenate([np.repeat([0, 1, 2], num) for num in (20, 100)]), list("abc"),
    )  # fmt: skip
    return [one.name for one in found if one.is_found]


def test_held_out_faces_in_place_of_generated_ones_are_rarely_taken_for_copies():
    rng = np.random.default_rng(0)
    fired = np.mean([bool(found_in(rng, 0)) for _ in range(40)])
    assert fired <= 0.05  # LEVEL is promised


def test_a_third_of_copies_in_one_class_is_found():
    rng = np.random.default_rng(1)
    found = [found_in(rng, 0.3) for _ in range(15)]
    assert np.mean(["a" in one for one in found]) >= 0.8
    assert np.mean([bool(set(one) - {"a"}) for one in found]) <= 0.08


def test_the_level_is_kept_by_any_distances():
    """Also where classes have few images, or faces."""
    rng = np.random.default_rng(2)
    for num, num_faces in ((200, 30), (30, 200), (20, 20), (500, 25)):
        label, of_faces = np.repeat([0, 1, 2], num), np.repeat([0, 1, 2], num_faces)
        fired = [
            any(
                one.is_found
                for one in copying(
                    rng.random(3 * num), label, rng.random(3 * num_faces), of_faces, list("abc")
                )
            )
            for _ in range(1000)
        ]
        assert np.mean(fired) <= LEVEL + 3 * np.sqrt(LEVEL / 1000)
