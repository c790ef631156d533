"""The discriminator on frozen features: what it looks at, what it trains, what moves images."""

import pytest
import timm
import torch

from facekit.compute.weights import packaged_state_dict
from stylegan2.models import feature_discriminator as features
from stylegan2.models.draws import Draws


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return features.FeatureDiscriminator(3, 32)


def test_features_are_those_of_the_imagenet_network(network):
    model = timm.create_model(features.BACKBONE)
    model.load_state_dict(packaged_state_dict(features.BACKBONE))
    img = torch.rand(2, 3, 32, 32) * 2 - 1
    x = model.eval().bn1(model.conv_stem(img))
    expected = []
    for i, stage in enumerate(model.blocks):
        x = stage(x)
        if i in features.STAGES:
            expected.append(x)
    for ours, theirs in zip(network.frozen(img), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_only_the_heads_train(network):
    names = {name.split(".")[0] for name, x in network.named_parameters() if x.requires_grad}
    assert names == {"trained"}


def test_logits_follow_image_and_class_and_reach_the_image(network):
    img = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
    one, other = torch.eye(3)[[0, 1]], torch.eye(3)[[2, 1]]
    logits, classes = network(img, one, Draws(torch.Generator().manual_seed(0)))
    changed, _ = network(img, other, Draws(torch.Generator().manual_seed(0)))
    assert classes.shape == (2, 3)
    assert logits.shape == (2, 8**2 // 4 + 4**2 + 2**2)
    assert not torch.allclose(logits[0], changed[0])
    torch.testing.assert_close(logits[1], changed[1], rtol=0.05, atol=0.05)  # same class
    logits.sum().backward()
    assert img.grad.abs().sum() > 0


def test_unconditional_network_takes_no_labels():
    logits, classes = features.FeatureDiscriminator(0, 64)(torch.zeros(1, 3, 64, 64))
    assert len(logits) == 1 and classes is None


def test_images_too_small_for_the_features_are_refused():
    with pytest.raises(ValueError, match="need 32 px"):
        features.FeatureDiscriminator(0, 16)


def test_shift_moves_each_image_by_whole_pixels():
    img = torch.rand(64, 1, 16, 16)
    moved = features.shift(img, Draws(torch.Generator().manual_seed(0)))
    offsets = set()
    for before, after in zip(img[:, 0], moved[:, 0], strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(torch.roll(before, (dy, dx), (0, 1))[2:-2, 2:-2], after[2:-2, 2:-2])
        ]
        assert len(found) == 1
        offsets.add(found[0])
    assert len(offsets) > 15  # of 25
    assert (moved == -1).any()


def test_blank_sets_a_square_to_gray():
    img = torch.ones(200, 1, 20, 20)
    holes = (features.blank(img, Draws(torch.Generator().manual_seed(0))) == 0).sum(dim=(1, 2, 3))
    assert holes.max() == 8**2  # 2/5 of the side
    assert holes.min() >= 4**2  # cut at a corner
