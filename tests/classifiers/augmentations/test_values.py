"""Colours against torchvision, and erased rectangles."""

import pytest
import torch
from batches import SIZE, WHOLE, rng
from torchvision.transforms.v2 import functional

from classifiers.augmentations.color import adjust_colors
from classifiers.images.augment import View, augment_images
from classifiers.options import STILL


def test_colors_are_torchvisions():
    images = 0.3 + 0.4 * torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor(
        [[0.9, 1.2, 0.7, 0.1], [1.1, 0.8, 1.3, -0.2], [1, 1, 1, 0], [1, 1.1, 1, 0.5]]
    )
    out = adjust_colors(images, *factors.T)
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
