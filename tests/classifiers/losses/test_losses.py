"""Losses against plain numpy, written from the papers' formulas one image at a time."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from classifiers.arms import read_arm
from classifiers.losses import LOSSES, smooth
from classifiers.models.heads import MISSING, Head, columns_of
from classifiers.options import HeadOptions, LossOptions, TrainOptions
from classifiers.train.class_weights import inverse_effective_number, inverse_frequency
from classifiers.train.loop import losses_of
from classifiers.train.task_loss import TaskLoss, encode_targets
from facekit.errors import DataError

COLOR = Head("color", ("color",), "categorical", 1.0, ("red", "green", "blue"))
HAT = Head("hat", ("hat",), "binary", 1.0, ("no", "yes"))
AGE = Head("age", ("age",), "numeric", 1.0, mean=40.0, std=10.0)
CPU = torch.device("cpu")
COUNTS = {"color": np.array([60, 30, 10]), "hat": np.array([80, 20])}
VALUES = {
    "kind": "cross_entropy",
    "numeric": "smooth_l1",
    "weights": "none",
    "beta": 0.99,
    "focal": {"gamma": 3.0, "alpha": 0.25},
    "ldam": {"max_margin": 0.5, "scale": 5.0, "defer": 0.8, "beta": 0.9},
    "asymmetric": {"gamma_positive": 1.0, "gamma_negative": 4.0, "clip": 0.05},
    "gce": {"q": 0.6},
    "logit_adjust": {"tau": 1.5},
}
KINDS = ["cross_entropy", "focal", "ldam", "asymmetric", "gce", "logit_adjust"]


def make_loss(kind="cross_entropy", **changed):
    return LossOptions.read({**VALUES, "kind": kind, **changed}, "loss")


def compute(head, loss, outputs, target, trust=None, progress=0.0, smoothing=0.0):
    """Return the loss of one head from its outputs [N, D] and its targets as read from a table."""
    matrix = torch.from_numpy(encode_targets([head], {head.name: np.asarray(target)}))
    task = TaskLoss([head], {head.name: loss}, COUNTS, smoothing, CPU)
    trust = None if trust is None else torch.tensor(trust)
    return task(torch.as_tensor(outputs, dtype=torch.float32), matrix, trust, progress)


def random_outputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def softmax(row):
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def expected_categorical(loss, row, label, smoothing=0.0):
    """Return the loss of one image, by loops over classes."""
    num_classes = len(row)
    wanted = [(1 - smoothing) * (k == label) + smoothing / num_classes for k in range(num_classes)]
    row = row.astype(float).copy()
    if loss.kind == "ldam":
        margins = [0.5 * (n / 10) ** -0.25 for n in COUNTS["color"]]  # the rarest has 10 images
        row[label] -= loss.ldam.scale * margins[label]
    if loss.kind == "logit_adjust":
        row += [1.5 * np.log(n / 100) for n in COUNTS["color"]]
    p, total = softmax(row), 0.0
    for k in range(num_classes):
        if loss.kind == "gce":
            total += wanted[k] * (1 - p[k] ** 0.6) / 0.6
            continue
        factor = 1.0
        if loss.kind == "focal":
            factor = (0.25 if loss.focal.alpha else 1.0) * (1 - p[k]) ** 3.0
        if loss.kind == "asymmetric":
            factor = (1 - p[k]) if k == label else p[k] ** 4.0
        total -= wanted[k] * factor * np.log(p[k])
    return total


def expected_binary(loss, z, label, smoothing=0.0):
    wanted = (1 - smoothing) * label + smoothing / 2
    if loss.kind == "ldam":
        margins = [0.5 * (n / 20) ** -0.25 for n in COUNTS["hat"]]
        z = z - loss.ldam.scale * margins[1] if label else z + loss.ldam.scale * margins[0]
    if loss.kind == "logit_adjust":
        z = z + 1.5 * np.log(20 / 80)  # of COUNTS of hat
    p = 1 / (1 + np.exp(-float(z)))
    yes, no = -np.log(p), -np.log(1 - p)
    if loss.kind == "focal":
        yes, no = yes * 0.25 * (1 - p) ** 3, no * 0.75 * p**3
    if loss.kind == "asymmetric":
        shifted = max(p - 0.05, 0)
        yes, no = yes * (1 - p), -np.log(1 - shifted) * shifted**4
    if loss.kind == "gce":
        yes, no = (1 - p**0.6) / 0.6, (1 - (1 - p) ** 0.6) / 0.6
    return wanted * yes + (1 - wanted) * no


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_categorical_losses_match_numpy(kind, smoothing):
    loss = make_loss(kind)
    outputs, target = random_outputs(7, 3), [0, 1, MISSING, 2, 2, 1, 0]
    expected = [
        expected_categorical(loss, row, label, smoothing)
        for row, label in zip(outputs, target, strict=True)
        if label != MISSING
    ]
    found = compute(COLOR, loss, outputs, target, smoothing=smoothing)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_binary_losses_match_numpy(kind, smoothing):
    loss = make_loss(kind)
    outputs, target = 2 * random_outputs(7, 1), [0, 1, MISSING, 0, 0, 1, 0]
    expected = [
        expected_binary(loss, row[0], label, smoothing)
        for row, label in zip(outputs, target, strict=True)
        if label != MISSING
    ]
    found = compute(HAT, loss, outputs, target, smoothing=smoothing)
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_cross_entropy_and_focal_match_other_implementations():
    outputs, target = torch.from_numpy(random_outputs(9, 3)), np.array([0, 1, 2] * 3)
    expected = F.cross_entropy(outputs, torch.from_numpy(target), label_smoothing=0.1)
    found = compute(COLOR, make_loss(), outputs, target, smoothing=0.1)
    torch.testing.assert_close(found, expected)
    labels = torch.tensor([0.0, 1, 0, 0, 1, 1, 0, 1, 0])
    expected = sigmoid_focal_loss(outputs[:, 0], labels, alpha=0.25, gamma=3, reduction="mean")
    found = compute(HAT, make_loss("focal"), outputs[:, :1], labels.long().numpy())
    torch.testing.assert_close(found, expected)
    expected = F.binary_cross_entropy_with_logits(outputs[:, 0], labels)
    torch.testing.assert_close(
        compute(HAT, make_loss(), outputs[:, :1], labels.long().numpy()), expected
    )


def test_focal_without_gamma_and_alpha_is_cross_entropy():
    outputs, target = random_outputs(6, 3), [0, 1, 2, 2, 1, 0]
    focal = make_loss("focal", focal={"gamma": 0.0, "alpha": None})
    torch.testing.assert_close(
        compute(COLOR, focal, outputs, target), compute(COLOR, make_loss(), outputs, target)
    )


def test_gce_lies_between_cross_entropy_and_the_missing_probability():
    outputs, target = random_outputs(6, 3), [0, 1, 2, 2, 1, 0]
    near_zero = compute(COLOR, make_loss("gce", gce={"q": 1e-4}), outputs, target)
    assert near_zero.item() == pytest.approx(
        compute(COLOR, make_loss(), outputs, target).item(), rel=1e-3
    )
    one = compute(COLOR, make_loss("gce", gce={"q": 1.0}), outputs, target)
    missing = [1 - softmax(row)[label] for row, label in zip(outputs, target, strict=True)]
    assert one.item() == pytest.approx(np.mean(missing), rel=1e-5)


def test_gce_pulls_by_the_probability_to_the_power_of_q():
    """Its gradient is that of cross-entropy times p^q: little for labels that look wrong."""
    outputs = torch.tensor([[4.0, 0.0, -1.0]], requires_grad=True)
    (plain,) = torch.autograd.grad(compute(COLOR, make_loss(), outputs, [2]), outputs)
    (found,) = torch.autograd.grad(compute(COLOR, make_loss("gce"), outputs, [2]), outputs)
    torch.testing.assert_close(found, plain * outputs.detach().softmax(dim=1)[0, 2] ** 0.6)


def test_logit_adjusted_shares_cost_least_at_even_logits():
    """Where images tell nothing, the shares are fitted by the adjustment, and the logits are 0."""
    target = [0] * 6 + [1] * 3 + [2]  # as COUNTS
    loss = make_loss("logit_adjust", logit_adjust={"tau": 1.0})
    outputs = torch.zeros(10, 3, requires_grad=True)
    cost = compute(COLOR, loss, outputs, target)
    (gradient,) = torch.autograd.grad(cost, outputs)
    torch.testing.assert_close(gradient.sum(dim=0), torch.zeros(3), rtol=0, atol=1e-6)
    plain = make_loss("logit_adjust", logit_adjust={"tau": 0.0})
    some = random_outputs(10, 3)
    expected = compute(COLOR, make_loss(), some, target).item()
    assert compute(COLOR, plain, some, target).item() == pytest.approx(expected, rel=1e-6)


def test_soft_f1_of_sure_predictions_is_scikit_learns():
    rng = np.random.default_rng(0)
    target, pred = rng.integers(0, 3, size=40), rng.integers(0, 3, size=40)
    sure = 60.0 * np.eye(3)[pred]
    expected = 1 - sklearn.metrics.f1_score(target, pred, average="macro")
    found = compute(COLOR, make_loss("soft_f1"), sure, target)
    assert found.item() == pytest.approx(expected, abs=1e-5)
    yes = 60.0 * (2 * (pred > 0) - 1)[:, None]
    expected = 1 - sklearn.metrics.f1_score(target > 0, pred > 0, average="macro")
    found = compute(HAT, make_loss("soft_f1"), yes, (target > 0).astype(int))
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_soft_f1_by_hand_leaves_out_missing_labels_and_absent_classes():
    prob = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    target = [0, 1, MISSING]
    first = 1 - 2 * 0.7 / (0.7 + 0.5 + 1)
    second = 1 - 2 * 0.3 / (0.2 + 0.3 + 1)
    found = compute(COLOR, make_loss("soft_f1"), np.log(prob), target)
    assert found.item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("l1", [0.5, 2.0]), ("l2", [0.25, 4.0]), ("smooth_l1", [0.125, 1.5])],
)
def test_numeric_losses_by_hand(kind, expected):
    target = np.array([40.0, 60.0, np.nan])  # standardised 0 and 2
    outputs = np.array([[0.5], [0.0], [9.0]])
    found = compute(AGE, make_loss(numeric=kind), outputs, target)
    assert found.item() == pytest.approx(np.mean(expected))


# --- Weights of classes


def test_weights_are_inverse_to_frequency_not_the_frequency():
    counts = np.array([60, 30, 0, 10])
    weights = inverse_frequency(counts)
    assert weights[0] < weights[1] < weights[3] and weights[2] == 0
    assert (weights * counts).sum() == pytest.approx(counts.sum())
    np.testing.assert_allclose((weights * counts)[[0, 1, 3]], counts.sum() / 3)
    balanced = sklearn.utils.class_weight.compute_class_weight(
        "balanced", classes=np.arange(3), y=np.repeat(np.arange(3), [60, 30, 10])
    )
    np.testing.assert_allclose(weights[[0, 1, 3]], balanced)


def test_effective_numbers_by_hand():
    counts, beta = np.array([60, 30, 10]), 0.9
    numbers = [sum(beta**i for i in range(n)) for n in counts]  # the paper's geometric series
    expected = 1 / np.array(numbers)
    found = inverse_effective_number(counts, beta)
    np.testing.assert_allclose(found / found[0], expected / expected[0])
    assert (found * counts).sum() == pytest.approx(counts.sum())
    np.testing.assert_allclose(inverse_effective_number(counts, 0.0), 1)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_multiply_each_image(smoothing):
    outputs, target = random_outputs(5, 3), [0, 0, 1, 2, MISSING]
    loss = make_loss(weights="inverse")
    weights = [100 / 3 / n for n in COUNTS["color"]]
    each = [
        weights[y] * expected_categorical(loss, outputs[i], y, smoothing)
        for i, y in enumerate(target[:4])
    ]
    found = compute(COLOR, loss, outputs, target, smoothing=smoothing)
    assert found.item() == pytest.approx(np.mean(each), rel=1e-5)
    yes_no = [0, 1, 1, 0, MISSING]
    weights = [100 / 2 / n for n in COUNTS["hat"]]
    each = [
        weights[y] * expected_binary(loss, outputs[i, 0], y, smoothing)
        for i, y in enumerate(yes_no[:4])
    ]
    found = compute(HAT, loss, outputs[:, :1], yes_no, smoothing=smoothing)
    assert found.item() == pytest.approx(np.mean(each), rel=1e-5)


def test_the_arm_effective_loss_by_hand():
    """COUNTS of color: 60, 30 and 10 images; beta 0.5, so that all digits can be checked."""
    loss = read_arm("effective_loss").loss(make_loss(beta=0.5))
    numbers = [(1 - 0.5**n) / (1 - 0.5) for n in (60, 30, 10)]
    raw = [1 / number for number in numbers]
    mean = (60 * raw[0] + 30 * raw[1] + 10 * raw[2]) / 100  # over the images of train: 1
    outputs, target = random_outputs(3, 3), [0, 1, 2]
    losses = [expected_categorical(loss, row, k) for k, row in enumerate(outputs)]
    expected = np.mean([weight / mean * one for weight, one in zip(raw, losses, strict=True)])
    assert compute(COLOR, loss, outputs, target).item() == pytest.approx(expected, rel=1e-5)
    focal = read_arm("focal+effective_loss").loss(make_loss(beta=0.5))
    assert (focal.kind, focal.weights, focal.beta) == ("focal", "effective", 0.5)
    with pytest.raises(DataError, match="two parts change the weights"):
        read_arm("effective_loss+weighted_loss")


def test_ldam_weighs_classes_in_the_last_part_of_the_training_alone():
    outputs, target = random_outputs(4, 3), [0, 1, 2, 2]
    loss = make_loss("ldam")
    weights = inverse_effective_number(COUNTS["color"], 0.9)  # its own beta, not that of `weights`
    each = [expected_categorical(loss, outputs[i], y) for i, y in enumerate(target)]
    early = compute(COLOR, loss, outputs, target, progress=0.79)
    late = compute(COLOR, loss, outputs, target, progress=0.8)
    assert early.item() == pytest.approx(np.mean(each), rel=1e-5)
    assert late.item() == pytest.approx(np.mean(weights[target] * each), rel=1e-5)


# --- Targets


def test_smoothing_changes_targets_and_no_prediction():
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(smooth(target, 0.2, 4), torch.tensor([[0.85, 0.05, 0.05, 0.05]]))
    # The loss is least where the prediction is the smoothed target; a smoothed prediction would
    # want to be as extreme as it can.
    logits = torch.log(smooth(target[:, :3], 0.3, 3))
    best = compute(COLOR, make_loss(), logits, [0], smoothing=0.3)
    for extreme in (logits * 1.3, logits * 0.7):
        assert compute(COLOR, make_loss(), extreme, [0], smoothing=0.3) > best


def test_targets_of_all_kinds_side_by_side():
    targets = {
        "color": np.array([2, MISSING]),
        "hat": np.array([MISSING, 1]),
        "age": np.array([50, np.nan]),
    }  # fmt: skip
    matrix = encode_targets([COLOR, HAT, AGE], targets)
    nan = np.nan
    np.testing.assert_array_equal(matrix, [[0, 0, 1, nan, 1], [nan, nan, nan, 1, nan]])
    assert [(place.start, place.stop) for place in columns_of([COLOR, HAT, AGE])] == [
        (0, 3), (3, 4), (4, 5),
    ]  # fmt: skip


def test_mixed_targets_cost_the_mixture():
    outputs = random_outputs(1, 3)
    matrix = torch.tensor([[0.3, 0.7, 0.0]])
    for kind in ("cross_entropy", "focal"):
        loss = make_loss(kind)
        task = TaskLoss([COLOR], {"color": loss}, COUNTS, 0.0, CPU)
        expected = 0.3 * expected_categorical(loss, outputs[0], 0) + 0.7 * expected_categorical(
            loss, outputs[0], 1
        )
        found = task(torch.from_numpy(outputs), matrix)
        assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "soft_f1"])
def test_missing_labels_and_untrusted_images_have_no_gradient(kind):
    outputs = torch.from_numpy(random_outputs(6, 3)).requires_grad_()
    target = [0, MISSING, 2, MISSING, 1, 1]
    loss = compute(COLOR, make_loss(kind), outputs, target, trust=[1.0, 1, 1, 1, 0, 0.5])
    loss.backward()
    assert outputs.grad[[0, 2, 5]].abs().sum(dim=1).min() > 0
    assert not outputs.grad[[1, 3, 4]].any()


@pytest.mark.parametrize("kind", [*KINDS, "soft_f1"])
@pytest.mark.parametrize("head", [COLOR, HAT, AGE])
def test_without_any_label_the_loss_is_zero(kind, head):
    target = np.full(4, np.nan if head.kind == "numeric" else MISSING)
    outputs = torch.randn(4, head.num_outputs, requires_grad=True)
    loss = compute(head, make_loss(kind), outputs, target.astype(float if head is AGE else int))
    assert loss.item() == 0
    loss.backward()
    assert not outputs.grad.any()


@pytest.mark.parametrize("kind", [*KINDS, "soft_f1"])
def test_extreme_outputs_keep_finite_gradients(kind):
    for gamma in (0.0, 0.5, 2.0):
        asymmetric = {"gamma_positive": gamma, "gamma_negative": gamma}
        loss = make_loss(kind, focal={"gamma": gamma}, asymmetric=asymmetric)
        for head, target in ((COLOR, [0, 1]), (HAT, [0, 1])):
            outputs = torch.full((2, head.num_outputs), -200.0)
            outputs[:, 0] = 200.0
            outputs.requires_grad_()
            found = compute(head, loss, outputs, target)
            found.backward()
            assert found.isfinite() and outputs.grad.isfinite().all()


def test_trust_scales_a_batch():
    outputs, target = random_outputs(4, 3), [0, MISSING, 1, 2]
    each = [expected_categorical(make_loss(), outputs[i], target[i]) for i in (0, 3)]
    found = compute(COLOR, make_loss(), outputs, target, trust=[1.0, 1.0, 0.0, 0.25])
    assert found.item() == pytest.approx((each[0] + 0.25 * each[1]) / 3, rel=1e-5)


# --- Tasks


def test_a_task_is_the_weighted_sum_of_its_heads():
    heads = [
        HAT,
        replace(COLOR, weight=2.0),
        AGE,
        replace(HAT, name="cap", weight=0.5),
        replace(AGE, name="years", weight=3.0),
    ]
    each = {head.name: make_loss() for head in heads}
    each["cap"] = make_loss("focal")
    rng = np.random.default_rng(1)
    targets = {
        "hat": rng.integers(-1, 2, 8),
        "color": rng.integers(-1, 3, 8),
        "age": rng.normal(40, 10, 8),
        "cap": rng.integers(-1, 2, 8), "years": rng.normal(40, 10, 8),
    }  # fmt: skip
    counts = {**COUNTS, "cap": np.array([50, 50])}
    outputs = random_outputs(8, 7)
    task = TaskLoss(heads, each, counts, 0.0, CPU)
    assert len(task.parts) == 4  # both numeric heads in one
    found = task(torch.from_numpy(outputs), torch.from_numpy(encode_targets(heads, targets)))
    expected = 0.0
    for head, place in zip(heads, columns_of(heads), strict=True):
        one = {head.name: each[head.name]}
        alone = TaskLoss([replace(head, weight=1.0)], one, counts, 0.0, CPU)
        matrix = torch.from_numpy(encode_targets([head], targets))
        expected += head.weight * alone(torch.from_numpy(outputs[:, place]), matrix).item()
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_forty_binary_heads_are_one_computation():
    heads = [replace(HAT, name=f"a{i}", weight=1 + i / 10) for i in range(40)]
    rng = np.random.default_rng(0)
    targets = {head.name: rng.integers(-1, 2, 16) for head in heads}
    counts = {head.name: rng.integers(5, 95, 2) for head in heads}
    loss = make_loss("focal", weights="inverse")
    task = TaskLoss(heads, {head.name: loss for head in heads}, counts, 0.1, CPU)
    assert len(task.parts) == 1
    outputs = random_outputs(16, 40)
    found = task(torch.from_numpy(outputs), torch.from_numpy(encode_targets(heads, targets)))
    expected = 0.0
    for i, head in enumerate(heads):
        weights = counts[head.name].sum() / 2 / counts[head.name]
        known = np.flatnonzero(targets[head.name] >= 0)
        each = [
            weights[targets[head.name][k]]
            * expected_binary(loss, outputs[k, i], targets[head.name][k], 0.1)
            for k in known
        ]
        expected += head.weight * np.mean(each)
    assert found.item() == pytest.approx(expected, rel=1e-5)


# --- Settings


def test_a_heads_own_loss_is_laid_over_the_tasks():
    own = {"kind": "focal", "focal": {"gamma": 1.0}}
    heads = [{"name": "a", "attributes": ["a"]}, {"name": "b", "attributes": ["b"], "loss": own}]
    options = TrainOptions(loss=make_loss())
    read = [HeadOptions.read(head, "head") for head in heads]
    # As JSON, too, such as on a command line, a head says what is its own alone.
    again = [HeadOptions.read(head.plain(), "head") for head in read]
    for task in (read, again):
        found = losses_of(options, task, read_arm("real"))
        assert found["a"] == make_loss()
        assert found["b"].chosen == LOSSES["focal"](gamma=1.0, alpha=0.25)
        assert found["b"].ldam == make_loss().ldam
    found = losses_of(options, read, read_arm("weighted_loss+ldam"))
    assert {(one.kind, one.weights) for one in found.values()} == {("ldam", "inverse")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "hinge"}, "kind: 'hinge' is not one of asymmetric, cross_entropy, focal"),
        ({"numeric": "l3"}, "numeric: 'l3' is not one of l1, l2, smooth_l1"),
        ({"weights": "frequency"}, "weights: 'frequency' is not"),
        ({"beta": 1.5}, "beta: 1.5 is not number >= 0 <= 1"),
        ({"focal": {"gamma": -1.0}}, r"focal\.gamma: -1.0 is not number >= 0"),
        ({"focal": {"gama": 1.0}}, r"focal\.gama: unknown key; did you mean gamma"),
        ({"ldam": {"scale": 0}}, r"ldam\.scale: 0 is not number > 0"),
    ],
)
def test_bad_losses_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        LossOptions.read({**VALUES, **change}, "loss")
    with pytest.raises(DataError, match=words):
        HeadOptions.read({"name": "a", "attributes": ["a"], "loss": change}, "head")


def test_every_loss_with_options_is_a_key_of_the_config():
    assert set(LossOptions.model_fields) == {
        "kind", "numeric", "weights", "beta",
        *(name for name, loss in LOSSES.items() if loss.model_fields),
    }  # fmt: skip
