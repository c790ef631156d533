"""Linear faces: the Gaussian that they draw from, and a generator that begins with them."""

import dataclasses

import numpy as np
import pytest
import torch
from gan_runs import CPU, make_options, make_pack

from stylegan2.models.layers import normalize
from stylegan2.options import TrainOptions
from stylegan2.train import loop, session, transfer
from stylegan2.train import plan as planning
from stylegan2.train.data import TrainingSet
from stylegan2.train.linear import LinearFaces
from stylegan2.train.loop import Training


@pytest.fixture
def pack():
    """Two classes whose images vary along one direction each has more or less of."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    direction = np.zeros([16, 16, 3])
    direction[:8] = 1
    amount = rng.normal(size=400) * np.where(labels, 30, 5)
    images = 100 + 50 * labels[:, None, None, None] + amount[:, None, None, None] * direction
    made = make_pack(num=400, classes=("red", "black"))
    return dataclasses.replace(made, images=images.round().clip(0, 255).astype(np.uint8))


def test_mean_and_deviation_are_the_class_s_own(pack):
    linear = LinearFaces(TrainingSet(pack, mirror=False), 1, 0, CPU)
    z = torch.randn(5000, 1)
    for label, mean, std in ((0, 100, 5), (1, 150, 30)):
        c = torch.nn.functional.one_hot(torch.full([5000], label), 2).float()
        made = (linear(z, c) + 1) * 127.5
        expected = pack.images[pack.labels == label].astype(float)
        assert made.mean() == pytest.approx(expected.mean(), abs=1.5), mean
        # A latent of one number is made +-1 by `normalize`: all of the deviation, twice.
        assert made[:, :, :8].std(dim=0).mean() == pytest.approx(std, rel=0.1)
        assert made[:, :, 8:].std(dim=0).max() < 0.1


def test_no_more_components_than_images_have():
    pack = make_pack(num=4)
    linear = LinearFaces(TrainingSet(pack, mirror=False), 128, 0, CPU)
    z = torch.randn(3, 128)
    assert linear.components.shape == (3 * 16 * 16, 4)
    assert linear(z, torch.eye(3)).shape == (3, 3, 16, 16)


def test_without_classes_all_images_are_one():
    data = TrainingSet(make_pack(classes=()), mirror=True)
    linear = LinearFaces(data, 8, 0, CPU)
    img = linear(torch.zeros(2, 8), None)
    every = data.images(range(len(data)))
    torch.testing.assert_close(img[0], every.mean(dim=0), atol=1e-4, rtol=0)


def test_components_are_orthonormal_and_the_latent_says_where(pack):
    linear = LinearFaces(TrainingSet(make_pack(num=24), mirror=False), 8, 0, CPU)
    gram = linear.components.T @ linear.components
    torch.testing.assert_close(gram, torch.eye(8), atol=1e-4, rtol=0)
    z = torch.randn(2, 8)
    c = torch.eye(3)[:2]
    offsets = linear(z, c).flatten(1) - c @ linear.mean
    places = normalize(z) * (c @ linear.deviation)
    torch.testing.assert_close(offsets @ linear.components, places, atol=1e-4, rtol=0)


def test_images_have_the_latents_that_they_are_drawn_from():
    linear = LinearFaces(TrainingSet(make_pack(num=24), mirror=False), 8, 0, CPU)
    z = torch.randn(6, 8)
    c = torch.eye(3).repeat(2, 1)
    torch.testing.assert_close(linear.latents(linear(z, c), c), normalize(z), atol=1e-3, rtol=0)
    no_spread = LinearFaces(TrainingSet(make_pack(num=3), mirror=False), 8, 0, CPU)
    found = no_spread.latents(torch.randn(3, 3, 16, 16), torch.eye(3))  # an image a class
    assert found.shape == (3, 8) and found.isfinite().all()


def test_the_generator_imitates_first_and_is_judged_afterwards():
    run = Training(make_pack(), make_options(linear_kimg=0.4, lr=0.01), CPU)
    d_before = [x.clone() for x in run.D.parameters()]
    errors = []
    for _ in range(50):  # batches of 8
        loop.iterate(run)
        measured = run.statistics.take()
        assert "Loss/D/loss" not in measured
        errors.append(measured["Loss/G/linear"]["mean"])
    assert np.mean(errors[-5:]) < 0.5 * errors[0]
    assert all(torch.equal(x, y) for x, y in zip(run.D.parameters(), d_before, strict=True))
    loop.iterate(run)
    measured = run.statistics.take()
    assert "Loss/D/loss" in measured and "Loss/G/linear" not in measured


def test_a_short_run_imitates_for_half_of_it_at_most():
    plan, lines = planning.make(TrainOptions(cfg="cpu-32", kimg=10), 32, seed=0)
    assert plan.preset.linear_kimg == 5 and "linear_kimg 5, half of kimg 10" in lines
    plan, lines = planning.make(TrainOptions(cfg="cpu-32", kimg=10, linear_kimg=8), 32, seed=0)
    assert plan.preset.linear_kimg == 8 and not any("linear" in line for line in lines)
    assert planning.make(TrainOptions(cfg="cifar"), 32, seed=0)[0].preset.linear_kimg == 0


def test_trained_weights_are_not_lost_to_imitation(tmp_path):
    network = session.train(make_pack(), make_options(kimg=0.016), tmp_path, CPU)
    source = transfer.read(network)
    for given, expected in (("auto", 0), (8, 8)):
        options = TrainOptions(
            cfg="cpu-32", resume=str(network), linear_kimg=given, rebuild_weight=given
        )
        plan, _ = planning.make(options, 32, seed=0, source=source)
        assert plan.preset.linear_kimg == plan.preset.rebuild_weight == expected
