"""Augmentation of batches against torchvision, image by image, and mixtures by hand."""

import numpy as np
import pytest
import torch
from classifier_sets import AUGMENT
from torchvision.transforms import v2
from torchvision.transforms.functional import _get_inverse_affine_matrix
from torchvision.transforms.v2 import functional

from classifiers.images import augment
from classifiers.images.augment import LIGHT, STILL, View, augment_images, center, mix_batch
from classifiers.images.randaugment import randaugment
from classifiers.options import AugmentOptions, MixOptions, RandAugmentOptions, ViewOptions
from facekit.errors import DataError

SIZE = (32, 24)
WHOLE = View(SIZE, SIZE)


def rng(seed=0):
    return np.random.default_rng(seed)


def bytes_of(num_images=8, size=SIZE, seed=0):
    pixels = rng(seed).integers(0, 256, (num_images, *size, 3), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def smooth(num_images=4, size=SIZE):
    """Return images float32 [N, 3, H, W] without edges, so that resampling hardly blurs them."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    planes = [0.5 + 0.3 * torch.sin(x + i) * torch.cos(2 * y - i) for i in range(3 * num_images)]
    return torch.stack(planes).view(num_images, 3, *size)


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


INSIDE = (slice(None), slice(None), slice(9, 23), slice(7, 17))  # where no border comes in
BILINEAR = v2.InterpolationMode.BILINEAR


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


def test_warp_is_torchvisions_perspective():
    height, width = SIZE
    start = [[0, 0], [width, 0], [width, height], [0, height]]
    end = [[2, 3], [width - 1, 1], [width - 3, height - 4], [0, height - 2]]
    middle = np.array([width / 2, height / 2])
    maps = augment.homography(np.array([end]) - middle, np.array([start]) - middle)
    images = smooth(1)
    out = augment.warp(images, maps, WHOLE)
    expected = functional.perspective(images, start, end, interpolation=BILINEAR)
    torch.testing.assert_close(out[INSIDE], expected[INSIDE], atol=1e-4, rtol=0)


def test_affine_maps_lie_in_their_ranges():
    settings = STILL.but(
        flip=0.5, affine={"p": 0.5, "rotation": 20, "scale": 0.2, "shift": 0.1, "shear": 15}
    )
    maps = augment.draw_affine(settings.affine, settings.flip, SIZE, rng(), 4000)
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
    settings = STILL.but(perspective={"p": 0.5, "distortion": 0.4})
    maps = augment.draw_perspective(settings.perspective, SIZE, rng(), 500)
    corners = np.array([[-12, -16, 1], [12, -16, 1], [12, 16, 1], [-12, 16, 1]])
    back = np.linalg.inv(maps) @ corners.T  # [N, 3, 4]: where the input's corners are seen
    seen = (back[:, :2] / back[:, 2:]) / corners.T[:2]
    assert seen.max() <= 1 + 1e-6 and seen.min() >= 0.6 - 1e-6
    assert np.mean(np.abs(seen - 1).max(axis=(1, 2)) < 1e-9) == pytest.approx(0.5, abs=0.1)


# --- Colours


def test_colors_are_torchvisions():
    images = 0.3 + 0.4 * torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor(
        [[0.9, 1.2, 0.7, 0.1], [1.1, 0.8, 1.3, -0.2], [1, 1, 1, 0], [1, 1.1, 1, 0.5]]
    )
    out = augment.adjust_colors(images, *factors.T)
    for image, found, (brightness, contrast, saturation, hue) in zip(
        images, out, factors.tolist(), strict=True
    ):
        image = functional.adjust_brightness(image, brightness)
        image = functional.adjust_contrast(image, contrast)
        image = functional.adjust_saturation(image, saturation)
        expected = functional.adjust_hue(image, hue)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_color_factors_lie_in_their_ranges_image_by_image():
    images = torch.full((2000, 3, 2, 2), 100, dtype=torch.uint8)
    settings = STILL.but(color={"p": 0.5, "brightness": 0.3, "contrast": 0.0})
    view = View((2, 2), (2, 2))
    factor = augment_images(images, settings, view, rng())[:, 0, 0, 0] * 255 / 100
    assert 0.7 <= factor.min() < 0.71 and 1.29 < factor.max() <= 1.3001
    assert ((factor - 1).abs() < 1e-6).float().mean() == pytest.approx(0.5, abs=0.05)


# --- Erasing, RandAugment


def test_erasing_replaces_one_rectangle_of_the_wanted_size():
    images = torch.zeros(400, 3, *SIZE, dtype=torch.uint8)
    settings = STILL.but(erase={"p": 0.6, "min_area": 0.1, "max_area": 0.3})
    out = augment_images(images, settings, WHOLE, rng())
    is_erased = (out > 0).any(dim=1)
    share = is_erased.float().mean(dim=(1, 2))
    assert (share > 0).float().mean() == pytest.approx(0.6, abs=0.08)
    for mask in is_erased[share > 0]:
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert mask.sum() == height * width  # all of the rectangle, nothing else
    found = share[share > 0]
    assert found.min() > 0.05 and found.max() < 0.34
    assert found.mean() == pytest.approx(0.2, abs=0.03)


def test_randaugment_is_torchvisions_operation_by_operation():
    images, magnitude = bytes_of(60), 9
    out = randaugment(images, RandAugmentOptions(num_ops=1, magnitude=magnitude), rng())
    method, kinds = v2.RandAugment(1, magnitude), set()
    for image, found in zip(images, out, strict=True):
        for name, (strengths, is_signed) in method._AUGMENTATION_SPACE.items():
            strength = strengths(31, *SIZE)
            strength = 0.0 if strength is None else float(strength[magnitude])
            for sign in (1, -1) if is_signed else (1,):
                expected = method._apply_image_or_video_transform(
                    image, name, sign * strength, method.interpolation, method._fill
                )
                if torch.equal(found, expected):
                    kinds.add(name)
                    break
            else:
                continue
            break
        else:
            pytest.fail("none of the operations")
    assert len(kinds) > 9


# --- Mixing


def test_mixup_mixes_images_and_targets_in_the_same_share():
    num_images = 400
    images = torch.rand(num_images, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    values = images.mean(dim=(1, 2, 3))[:, None]
    mixed, targets, trust = mix_batch(images, values, values[:, 0], MixOptions(mixup=0.2), rng())
    assert not torch.equal(mixed, images)
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3))[:, None], targets)
    torch.testing.assert_close(trust, targets[:, 0])


def test_cutmix_pastes_a_box_and_counts_its_pixels():
    num_images = 200
    images = torch.arange(num_images).float().view(-1, 1, 1, 1).expand(-1, 3, *SIZE).contiguous()
    targets = torch.eye(num_images)
    mixed, found, _ = mix_batch(
        images, targets, torch.ones(num_images), MixOptions(cutmix=1.0), rng()
    )
    shares = []
    for i in range(num_images):
        pixels = mixed[i, 0]
        own = (pixels == i).float().mean().item()
        assert found[i, i].item() == pytest.approx(own, abs=1e-6) or own == 1
        others = pixels[pixels != i].unique()
        assert len(others) <= 1
        if len(others):
            assert found[i, int(others[0])].item() == pytest.approx(1 - own, abs=1e-6)
            mask = pixels != i
            assert mask.sum() == mask.any(dim=0).sum() * mask.any(dim=1).sum()
        shares.append(own)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)  # Beta(1, 1) is uniform
    assert np.var(shares) == pytest.approx(1 / 12, rel=0.25)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_shares_are_drawn_from_beta(alpha):
    num_images = 4000
    images, targets = torch.zeros(num_images, 1, 1, 1), torch.eye(num_images)
    _, found, _ = mix_batch(images, targets, torch.ones(num_images), MixOptions(mixup=alpha), rng())
    own = found.diagonal().numpy()
    assert own.mean() == pytest.approx(0.5, abs=0.03)
    assert own.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    np.testing.assert_allclose(found.sum(dim=1), 1, atol=1e-6)


def test_mixtures_of_missing_labels_are_missing():
    images, targets = torch.rand(50, 3, 8, 8), torch.ones(50, 1)
    targets[:10] = float("nan")
    _, found, _ = mix_batch(images, targets, torch.ones(50), MixOptions(mixup=1.0), rng())
    assert found[:10].isnan().all()
    assert 10 < found.isnan().sum() <= 20
    assert (found[~found.isnan()] == 1).all()


def test_some_batches_are_left_unmixed():
    images, targets = torch.rand(4, 3, 8, 8), torch.eye(4)
    generator, changed = rng(), 0
    for _ in range(200):
        out, *_ = mix_batch(images, targets, torch.ones(4), MixOptions(mixup=1.0, p=0.3), generator)
        changed += not torch.equal(out, images)
    assert 35 < changed < 85


# --- Settings


def test_labels_are_judged_by_light_augmentation():
    light = {**AUGMENT, "color": {**AUGMENT["color"], "brightness": 0.15}}
    assert AugmentOptions.read(light, "augment") == LIGHT


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("flip", 1.5, "flip: 1.5 is not number >= 0 <= 1"),
        ("color", {"hue": 0.6}, "color.hue: 0.6 is not number >= 0 <= 0.5"),
        ("erase", {"min_area": 0.5}, "erase.min_area: 0.5 is more than max_area 0.33"),
        ("affine", {"rotation": float("nan")}, "affine.rotation: nan is not"),
        ("crop", {"padding": 1}, "crop.padding: unknown key"),
        ("blur", 1, "blur: unknown key"),
    ],
)
def test_bad_settings_are_refused(key, value, words):
    with pytest.raises(DataError, match=words):
        AugmentOptions.read({**AUGMENT, key: value}, "augment")


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
