"""Mixtures by hand."""

import numpy as np
import pytest
import torch
from batches import SIZE, rng

from classifiers.augmentations.mix import Mix


def test_mixup_mixes_images_and_targets_in_the_same_share():
    num_images = 400
    images = torch.rand(num_images, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    values = images.mean(dim=(1, 2, 3))[:, None]
    mixed, targets, trust = Mix(mixup=0.2).change(images, values, values[:, 0], rng())
    assert not torch.equal(mixed, images)
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3))[:, None], targets)
    torch.testing.assert_close(trust, targets[:, 0])


def test_cutmix_pastes_a_box_and_counts_its_pixels():
    num_images = 200
    images = torch.arange(num_images).float().view(-1, 1, 1, 1).expand(-1, 3, *SIZE).contiguous()
    targets = torch.eye(num_images)
    mixed, found, _ = Mix(cutmix=1.0).change(images, targets, torch.ones(num_images), rng())
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
    _, found, _ = Mix(mixup=alpha).change(images, targets, torch.ones(num_images), rng())
    own = found.diagonal().numpy()
    assert own.mean() == pytest.approx(0.5, abs=0.03)
    assert own.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    np.testing.assert_allclose(found.sum(dim=1), 1, atol=1e-6)


def test_mixtures_of_missing_labels_are_missing():
    images, targets = torch.rand(50, 3, 8, 8), torch.ones(50, 1)
    targets[:10] = float("nan")
    _, found, _ = Mix(mixup=1.0).change(images, targets, torch.ones(50), rng())
    assert found[:10].isnan().all()
    assert 10 < found.isnan().sum() <= 20
    assert (found[~found.isnan()] == 1).all()


def test_some_batches_are_left_unmixed():
    images, targets = torch.rand(4, 3, 8, 8), torch.eye(4)
    generator, changed = rng(), 0
    for _ in range(200):
        out, *_ = Mix(mixup=1.0, p=0.3).change(images, targets, torch.ones(4), generator)
        changed += not torch.equal(out, images)
    assert 35 < changed < 85
