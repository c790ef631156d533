"""Learning rates against PyTorch's schedulers, optimizers, averaged weights, frozen backbones."""

import copy

import numpy as np
import pytest
import torch
from classifier_sets import BACKBONE, COLORS, VIEW, draw
from torch.optim import lr_scheduler

from classifiers.images.augment import View
from classifiers.images.data import ImagePool
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import Head
from classifiers.options import (
    STILL,
    OptimizerOptions,
    ScheduleOptions,
    SelectOptions,
    TrainOptions,
)
from classifiers.train import loop, optim
from classifiers.train.optim import LearningRate
from facekit.errors import DataError

COLOR = Head("color", ("color",), "categorical", 1.0, tuple(COLORS))
CPU = torch.device("cpu")


def build(name=BACKBONE, seed=0):
    return build_classifier(name, "none", [COLOR], VIEW, seed)


def examples(num_images=48, seed=0):
    target = np.arange(num_images) % 3
    images = draw([list(COLORS)[k] for k in target], ["yes"] * num_images, seed)
    pool = ImagePool([(images, np.arange(num_images))])
    return loop.Examples(pool, {"color": target}, np.ones(num_images, dtype=np.float32))


def make_run(num_images=48, classifier=None, **changed):
    plain = {"lr": 0.01, "weight_decay": 0.0, "label_smoothing": 0.0, "augment": STILL}
    options = TrainOptions(**{"epochs": 3, "batch": 16, "precision": "fp32", **plain, **changed})
    classifier = classifier or build()
    return loop.Training(
        classifier, examples(num_images), {"color": options.loss}, num_images, options, 0, CPU
    )


def recipe(lr, weight_decay=0.0, **optimizer):
    """Return options of a training with an optimizer."""
    return TrainOptions(lr=lr, weight_decay=weight_decay, optimizer=optimizer)


def schedule_of(name="one_cycle", warm_up=0.25, **values):
    return ScheduleOptions(name=name, warm_up=warm_up, **values)


# --- Learning rates


def theirs(make, num_steps, lr=0.1):
    """Return the rates (and momenta) of one of PyTorch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr, momentum=0.9)
    scheduler, rates, momenta = make(optimizer), [], []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    return rates, momenta


def ours(schedule, num_steps, epochs, lr=0.1):
    rate = LearningRate(schedule, num_steps, epochs)
    return [lr * rate.share(step) for step in range(num_steps)]


@pytest.mark.parametrize("warm_up", [0.25, 0.3, 0.1])
def test_one_cycle_is_pytorchs(warm_up):
    make = lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=40, pct_start=warm_up)  # noqa: E731
    rates, momenta = theirs(make, 40)
    schedule = schedule_of("one_cycle", warm_up)
    np.testing.assert_allclose(ours(schedule, 40, 4), rates, rtol=1e-6)
    rate = LearningRate(schedule, 40, 4)
    np.testing.assert_allclose([rate.momentum(step) for step in range(40)], momenta, rtol=1e-6)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_the_shortest_one_cycles_have_rates(num_steps):
    shares = ours(schedule_of(), num_steps, 1, lr=1.0)
    assert all(0 < share <= 1 for share in shares)


def test_cosine_is_pytorchs():
    make = lambda o: lr_scheduler.CosineAnnealingLR(o, 30, eta_min=0.01)  # noqa: E731
    rates, _ = theirs(make, 30)
    np.testing.assert_allclose(ours(schedule_of("cosine", 0.0, final=0.1), 30, 3), rates, rtol=1e-6)


def test_step_and_exponential_are_pytorchs_epoch_by_epoch():
    rates, _ = theirs(lambda o: lr_scheduler.StepLR(o, 2, gamma=0.3), 7)
    found = ours(schedule_of("step", 0.0, gamma=0.3, step=2.0), 70, 7)
    np.testing.assert_allclose(found, np.repeat(rates, 10), rtol=1e-6)
    rates, _ = theirs(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9), 7)
    found = ours(schedule_of("exponential", 0.0, gamma=0.9), 70, 7)
    np.testing.assert_allclose(found, np.repeat(rates, 10), rtol=1e-6)


def test_plateau_is_pytorchs():
    scores = [0.1, 0.2, 0.15, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.5, patience=2, threshold=0)
    rate = LearningRate(schedule_of("plateau", 0.0, gamma=0.5, patience=2), 100, 10)
    for score in scores:
        scheduler.step(score)
        rate.end_epoch(score)
        assert 0.1 * rate.share(50) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert rate.share(50) < 0.3
    again = LearningRate(rate.schedule, 100, 10)
    again.load_state_dict(rate.state_dict())
    assert again.share(50) == rate.share(50)


@pytest.mark.parametrize("name", ["cosine", "step", "exponential", "plateau", "constant"])
def test_rates_rise_during_the_warm_up(name):
    shares = ours(schedule_of(name, 0.2, gamma=0.99, step=10.0), 50, 1, lr=1.0)
    np.testing.assert_allclose(shares[:10], np.arange(1, 11) / 10, rtol=0.02)
    assert shares[0] == pytest.approx(0.1, rel=0.02)


def test_the_rate_that_was_given_is_the_one_that_is_used():
    for name in ("sgd", "adam", "adamw"):
        run = make_run(lr=0.02, optimizer={"name": name}, schedule=schedule_of("constant", 0.0))
        run.take_step()
        assert {group["lr"] for group in run.optimizer.param_groups} == {0.02}
    before = copy.deepcopy(build().state_dict())
    moved = []
    for lr in (0.001, 0.002):
        run = make_run(
            classifier=build(),
            lr=lr,
            optimizer={"name": "sgd", "momentum": 0.0},
            schedule=schedule_of("constant", warm_up=0.0),
        )
        run.take_step()
        weight = run.classifier.state_dict()["layer.linear.weight"]
        moved.append((weight - before["layer.linear.weight"]).norm().item())
    assert moved[1] == pytest.approx(2 * moved[0], rel=1e-3)


# --- Optimizers


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimizers_decay_weights_of_matrices_alone(name):
    classifier = build()
    made = optim.make_optimizer(classifier, recipe(0.1, 0.05, name=name))
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    assert type(made) is kinds[name]
    seen = []
    for group in made.param_groups:
        assert {one.ndim > 1 for one in group["params"]} == {group["weight_decay"] == 0.05}
        seen += group["params"]
    assert {id(one) for one in seen} == {id(one) for one in classifier.parameters()}
    assert len(seen) == len(list(classifier.parameters()))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv2_100", "resnet18"])
def test_layer_decay_falls_block_by_block_towards_the_image(name):
    classifier = build(name)
    made = optim.make_optimizer(classifier, recipe(0.1, layer_decay=0.8))
    scale = {id(x): group["lr_scale"] for group in made.param_groups for x in group["params"]}
    names = dict(classifier.named_parameters())
    assert len(scale) == len(names)
    assert scale[id(names["layer.linear.weight"])] == 1
    of_backbone = [scale[id(x)] for key, x in names.items() if key.startswith("backbone.")]
    powers = np.log(of_backbone) / np.log(0.8)
    np.testing.assert_allclose(powers, np.rint(powers), atol=1e-6)
    assert of_backbone[0] == min(of_backbone) < 0.5  # the stem
    assert max(of_backbone) == pytest.approx(0.8)


def test_facenet_has_layers_to_decay_by():
    view = View((96, 80), (96, 80))
    classifier = build_classifier("inception_resnet_v1", "none", [COLOR], view, 0)
    made = optim.make_optimizer(classifier, recipe(0.1, layer_decay=0.9))
    scale = {id(x): group["lr_scale"] for group in made.param_groups for x in group["params"]}
    names = dict(classifier.backbone.named_parameters())
    order = ["conv2d_1a.conv.weight", "repeat_1.0.conv2d.weight", "block8.conv2d.weight",
             "last_bn.weight"]  # fmt: skip
    scales = [scale[id(names[name])] for name in order]
    assert scales == sorted(scales) and len(set(scales)) == 4
    assert scales[-1] == pytest.approx(0.9)


def test_gradients_are_clipped_together():
    moved = {}
    for clip in (0.0, 1e-3):
        classifier = build()
        before = [x.detach().clone() for x in classifier.parameters()]
        run = make_run(
            classifier=classifier,
            lr=1.0,
            optimizer={"name": "sgd", "momentum": 0.0, "clip": clip},
            schedule=schedule_of("constant", 0.0),
        )
        run.take_step()
        change = [x.detach() - y for x, y in zip(classifier.parameters(), before, strict=True)]
        moved[clip] = torch.cat([x.flatten() for x in change]).norm().item()
    assert moved[0.0] > 0.01
    assert moved[1e-3] == pytest.approx(1e-3, rel=0.01)


# --- Averaged weights


def test_averaged_weights_by_hand():
    classifier = build()
    averaged = copy.deepcopy(classifier)
    name = "backbone.conv_stem.weight"
    expected = averaged.state_dict()[name].double().numpy().copy()
    for step in range(5):
        with torch.no_grad():
            classifier.backbone.conv_stem.weight.add_(1.0)
            classifier.backbone.bn1.num_batches_tracked.add_(1)
        optim.average(averaged, classifier, 0.3, step)
        decay = min(0.3, (1 + step) / (10 + step))
        now = classifier.state_dict()[name].double().numpy()
        expected = decay * expected + (1 - decay) * now
    np.testing.assert_allclose(averaged.state_dict()[name], expected, rtol=1e-5)
    assert averaged.backbone.bn1.num_batches_tracked == 5


def test_the_averaged_weights_are_what_is_kept():
    run = make_run(ema=0.9)
    for _ in range(4):
        run.take_step()
    run.end_epoch(examples(12, seed=1))
    own, kept = run.classifier.state_dict(), run.best[2]
    averaged = run.averaged.state_dict()
    assert all(torch.equal(kept[name], averaged[name]) for name in kept)
    assert not torch.equal(own["backbone.conv_stem.weight"], kept["backbone.conv_stem.weight"])


# --- Freezing, early end


def test_a_frozen_backbone_stays_as_it_is_with_its_statistics():
    run = make_run(freeze=1.0, weight_decay=0.1)
    before = copy.deepcopy(run.classifier.state_dict())
    for _ in range(3):  # one epoch
        run.take_step()
    after = run.classifier.state_dict()
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(value for name, value in same.items() if name.startswith("backbone."))
    assert not same["layer.linear.weight"]
    run.take_step()
    after = run.classifier.state_dict()
    assert not torch.equal(before["backbone.conv_stem.weight"], after["backbone.conv_stem.weight"])
    name = "backbone.bn1.running_mean"
    assert not torch.equal(before[name], after[name])


def test_the_training_ends_when_no_better_epoch_comes(monkeypatch):
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])
    monkeypatch.setattr(loop, "score", lambda metrics, measure: next(scores))
    options = TrainOptions(
        epochs=5, batch=16, lr=0.01, schedule=schedule_of("constant", 0.0), select={"patience": 2}
    )
    history = loop.train_classifier(
        build(), examples(), examples(12, 1), {"color": options.loss}, 48, options, 0, CPU
    )
    assert list(history["score"]) == [0.2, 0.5, 0.4, 0.5]
    assert list(history["best"]) == [False, True, False, False]


def test_epochs_are_compared_by_the_chosen_measure():
    metrics = {"a": {"macro_f1": 0.2, "accuracy": 0.8}, "b": {"r2": 0.4}}
    assert loop.score(metrics, "macro_f1") == pytest.approx(0.3)
    assert loop.score(metrics, "accuracy") == pytest.approx(0.6)


# --- Settings


@pytest.mark.parametrize(
    ("cls", "change", "words"),
    [
        (OptimizerOptions, {"name": "lion"}, "name: 'lion' is not"),
        (OptimizerOptions, {"momentum": 1.0}, "momentum: 1.0 is not number >= 0 < 1"),
        (OptimizerOptions, {"layer_decay": 0.0}, "layer_decay: 0.0 is not number > 0 <= 1"),
        (OptimizerOptions, {"clip": -1.0}, "clip: -1.0 is not number >= 0"),
        (OptimizerOptions, {"lr": 0.1}, "lr: unknown key"),
        (ScheduleOptions, {"name": "linear"}, "name: 'linear' is not"),
        (ScheduleOptions, {"warm_up": 1.0}, "warm_up: 1.0 is not number >= 0 < 1"),
        (ScheduleOptions, {"gamma": 0.0}, "gamma: 0.0 is not number > 0 <= 1"),
        (ScheduleOptions, {"step": 0.0}, "step: 0.0 is not number > 0"),
        (SelectOptions, {"measure": "auc"}, "measure: 'auc' is not one of accuracy"),
        (TrainOptions, {"lr": float("nan")}, "lr: nan is not number > 0"),
    ],
)
def test_bad_settings_are_refused(cls, change, words):
    with pytest.raises(DataError, match=words):
        cls.read(change, "config")
