"""How often classes are drawn, and what the networks are told of them."""

import itertools

import numpy as np
import pytest
import torch
from gan_runs import CPU, make_options, make_pack
from safetensors.torch import load_file

from facekit.errors import DataError
from stylegan2.models.draws import Draws
from stylegan2.train import classes, loop, session
from stylegan2.train.classes import ClassOrder
from stylegan2.train.data import EndlessOrder, one_hot
from stylegan2.train.loop import Training

COUNTS = (16, 4, 0, 1)


def long_tailed():
    """Return a pack of classes with `COUNTS` images, the rarest first."""
    pack = make_pack(sum(COUNTS), classes=("black", "grey", "green", "red"))
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)[::-1].copy()
    pack.table["class"] = labels
    return pack


def make_run(**changes):
    return Training(long_tailed(), make_options(**changes), CPU)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("natural", [16 / 21, 4 / 21, 0, 1 / 21]),
        ("sqrt", [4 / 7, 2 / 7, 0, 1 / 7]),
        ("equal", [1 / 3, 1 / 3, 0, 1 / 3]),
    ],
)
def test_shares_by_hand(how, expected):
    np.testing.assert_allclose(classes.shares(np.array(COUNTS), how), expected)


def test_natural_draws_are_those_of_runs_that_know_no_other():
    run = make_run()
    order, rng = EndlessOrder(42, seed=3), np.random.default_rng([3, 1])
    for _ in range(8):
        batch = loop.draw_batch(run)
        rows = [next(order) for _ in range(8)]
        assert torch.equal(batch.real_img, run.data.images(rows))
        assert torch.equal(batch.real_c, run.data.labels(rows))
        for c in batch.gen_c.values():
            assert torch.equal(c, run.data.labels(rng.integers(42, size=8)))


@pytest.mark.parametrize("how", ["sqrt", "equal"])
def test_images_and_labels_come_by_the_shares(how):
    run = make_run(class_draw=how)
    expected = classes.shares(np.array(COUNTS), how)
    real, asked = np.zeros(4), np.zeros(4)
    for _ in range(500):
        batch = loop.draw_batch(run)
        real += batch.real_c.sum(dim=0).numpy()
        asked += sum(c.sum(dim=0).numpy() for c in batch.gen_c.values())
    np.testing.assert_allclose(real / real.sum(), expected, atol=0.03)
    np.testing.assert_allclose(asked / asked.sum(), expected, atol=0.02)


def test_labels_are_those_of_the_images():
    run = make_run(class_draw="equal")
    rows = list(itertools.islice(run.order, 200))
    assert max(rows) >= 21  # mirror images, too
    np.testing.assert_array_equal(run.classes.labels[rows], run.data.labels(rows).argmax(dim=1))


def test_the_images_of_a_class_take_turns():
    members = [np.arange(10), np.arange(10, 14)]
    order = ClassOrder(members, np.array([0.5, 0.5]), seed=0)
    shown = [index for index in itertools.islice(order, 400) if index < 10]
    counts = np.bincount(shown)
    assert counts.max() - counts.min() <= 1


def test_an_order_of_classes_goes_on():
    members = [np.arange(10), np.array([], int), np.arange(10, 14)]
    weights = np.array([0.3, 0, 0.7])
    order = ClassOrder(members, weights, seed=1)
    list(itertools.islice(order, 37))
    state = order.state_dict()
    expected = list(itertools.islice(order, 50))
    other = ClassOrder(members, weights, seed=2)
    other.load_state_dict(state)
    assert list(itertools.islice(other, 50)) == expected
    with pytest.raises(ValueError, match="by class"):
        ClassOrder(members[:1], weights[:1] / 0.3, seed=1).load_state_dict(state)


def test_the_condition_sets_in():
    run = make_run(cond_kimg=0.1)
    mean = torch.tensor([16, 4, 0, 1]) / 21
    ids, draws = np.array([0, 3]), Draws()
    for shown, t in ((0, 0), (25, 0.25), (100, 1), (1000, 1)):
        found = run.classes.tell(ids, shown, draws, CPU)
        expected = t * one_hot(ids, 4) + (1 - t) * mean
        torch.testing.assert_close(found, expected.float())


def test_labels_carry_noise_for_images_and_latents_alike():
    batch = loop.draw_batch(make_run(class_noise=0.1))
    plain = loop.draw_batch(make_run())
    for found, expected in [(batch.real_c, plain.real_c)] + [
        (batch.gen_c[name], plain.gen_c[name]) for name in plain.gen_c
    ]:
        noise = found - expected
        assert 0.05 < float(noise.std()) < 0.15 and float(noise.abs().min()) > 0
    assert all(torch.equal(batch.gen_z[name], z) for name, z in plain.gen_z.items())


@pytest.mark.parametrize("name", ["class_draw", "cond_kimg", "class_noise"])
def test_without_classes_such_an_option_is_refused(name):
    value = {"class_draw": "sqrt"}.get(name, 1.0)
    with pytest.raises(DataError, match=f"--{name.replace('_', '-')} {value}: .* no class"):
        Training(make_pack(classes=()), make_options(**{name: value}), CPU)


CHANGED = {"class_draw": "sqrt", "cond_kimg": 0.04, "class_noise": 0.2}


def test_a_stopped_run_goes_on_exactly(tmp_path, monkeypatch):
    plan = make_options(kimg=0.08, tick_kimg=0.016, **CHANGED)
    whole = load_file(session.train(long_tailed(), plan, tmp_path / "whole", CPU))
    original = loop.iterate

    def crash(run):
        if run.iteration == 6:
            monkeypatch.setattr(loop, "iterate", original)
            raise RuntimeError("crash")
        original(run)

    monkeypatch.setattr(loop, "iterate", crash)
    with pytest.raises(RuntimeError, match="crash"):
        session.train(long_tailed(), plan, tmp_path / "stopped", CPU)
    resumed = load_file(session.train(long_tailed(), plan, tmp_path / "stopped", CPU))
    assert all(torch.equal(x, resumed[name]) for name, x in whole.items())


def test_a_run_goes_on_with_other_draws_where_that_is_allowed(tmp_path, monkeypatch):
    original = loop.iterate
    monkeypatch.setattr(loop, "iterate", lambda run: original(run) if run.iteration < 5 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.train(long_tailed(), make_options(tick_kimg=0.016), tmp_path, CPU)
    monkeypatch.setattr(loop, "iterate", original)
    plan = make_options(tick_kimg=0.016, class_draw="equal")
    with pytest.raises(DataError, match="class_draw"):
        session.train(long_tailed(), plan, tmp_path, CPU)
    session.train(long_tailed(), plan, tmp_path, CPU, allow_changes=True)
