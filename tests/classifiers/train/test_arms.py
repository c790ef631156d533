"""What arms do: images added or left out, how often each is shown, last layers, mixtures."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, COLORS, HEADS, VIEW, DataSet, draw, run

from classifiers import arms
from classifiers.arms import read_arm
from classifiers.evaluate.confusions import confusion_matrix
from classifiers.images import sets
from classifiers.images.order import draw_order
from classifiers.measures import MEASURES
from classifiers.models import checkpoint
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import MISSING, Head, class_counts
from classifiers.options import STILL, HeadOptions, TrainOptions
from classifiers.predict.inference import raw_outputs
from classifiers.train import adjust, loop, state
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import files, tables

CPU = torch.device("cpu")
GEOMETRY = Geometry(height=32, width=24, fit="pad")
HEAD_OPTIONS = [HeadOptions(**head) for head in HEADS]
DEFICIT = {1: 12, 2: 30}  # green and blue


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set with two minority classes, synthetic images of both, and a reserve."""
    found = DataSet(tmp_path_factory.mktemp("set"), num_images=240)
    place = np.arange(240) // 2 % 10
    split = found.table["split"].astype(str).where(place != 9, "reserve")
    found.table["split"] = pd.Categorical(split, ["train", "val", "test", "reserve"])
    found.write()
    colors = ["green"] * 20 + ["blue"] * 35
    images = np.zeros((55, 32, 32, 3), dtype=np.uint8)
    images[:, :, 4:28] = draw(colors, ["yes"] * 55, 3)
    np.save(found.root / "images.npy", images)
    files.write_json({"content_box": [4, 0, 28, 32]}, found.root / "images.json")
    samples = pd.DataFrame(
        {
            "row": range(55),
            "class": [1] * 20 + [2] * 35,
            "color": pd.Categorical(colors, categories=list(COLORS)),
            "seed": range(55),
            "psi": 1.0,
            "accepted": True,
            "reason": pd.array([pd.NA] * 55, dtype="str"),
            "rank": [*range(20), *range(35)],
            "teacher_probability": np.linspace(0.9, 0.5, 55),
            "nearest_distance": 1.0,
        }
    )
    tables.write(samples, found.root / "samples.parquet")
    deficits = pd.DataFrame(
        {"class": range(3), "name": list(COLORS), "color": list(COLORS), "count": [70, 58, 20],
         "deficit": [0, DEFICIT[1], DEFICIT[2]]}
    )  # fmt: skip
    tables.write(deficits, found.root / "deficits.csv")
    return found


def paths_of(data, arm, **changed):
    given = {}
    if arms.needs_synthetic(arm):
        given = {"synth_images": "images.npy", "synth_samples": "samples.parquet"}
    if arms.needs_deficits(arm):
        given["deficits"] = "deficits.csv"
    return {name: data.root / file for name, file in given.items()} | changed


def read(data, arm, seed=0, **changed):
    paths = sets.Paths(data.images, data.curated, data.splits, **paths_of(data, arm, **changed))
    return sets.read_sets(paths, HEAD_OPTIONS, read_arm(arm), GEOMETRY, seed=seed)


def make_training(found, name, **changed):
    arm = read_arm(name)
    values = {"epochs": 3, "batch": 16, "precision": "fp32", "augment": STILL, **changed}
    options = TrainOptions(**values, sampler=arm.sampler("none"))
    classifier = build_classifier(BACKBONE, "none", found.heads, VIEW, 0)
    losses = loop.losses_of(options, HEAD_OPTIONS, arm)
    return loop.Training(classifier, found.train, losses, found.num_whole, options, 0, CPU, arm=arm)


def shown(training):
    """Return how often each image is shown."""
    order = np.concatenate(training.batches)
    return np.bincount(order, minlength=len(training.train.pool))


def colors_of(found):
    """Return the color's class ids of the images that were added."""
    return found.train.targets["color"][found.train.num_real :]


# --- Names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("synth@0.5+copy@0.5", "two parts change the images"),
        ("part@0.5+synth@0.5", "two parts change the images"),
        ("crt+tau_norm", "two parts change the last layer"),
        ("mixup+cutmix", "two parts change the mixing"),
        ("soft@0.5", "no part adds any"),
        ("soft@0.5+part@0.5", "no part adds any"),
        ("synth_pretrain@1+weighted_sampler", "says itself which images"),
        ("crt+synth_pretrain@1", "says itself which images"),
        ("copy", "expected real"),
        ("withheld@0", "expected real"),
        ("crt@1", "expected real"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_in_words(name, words):
    with pytest.raises(DataError, match=words):
        read_arm(name)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("real", ""), ("focal+crt", ""), ("synth@0.5+soft@0.5", "sd"), ("shuffled@1", "sd"),
        ("synth_pretrain@1", "sd"), ("copy@0.5+weighted_loss", "d"), ("part@0.5", "d"),
        ("withheld", "dr"), ("withheld@0.5", "dr"),
    ],
)  # fmt: skip
def test_an_arm_says_what_it_needs(name, needs):
    found = (arms.needs_synthetic(name), arms.needs_deficits(name), arms.needs_reserve(name))
    assert found == tuple(letter in needs for letter in "sdr")


def test_controls_are_marked_and_a_value_may_lack_where_there_is_a_default():
    controls = ("copy@0.5", "shuffled@0.5+crt", "withheld", "part@0.25")
    assert all(arms.is_control(name) for name in controls)
    assert not any(arms.is_control(name) for name in ("real", "synth@0.5", "crt"))
    assert arms.is_same("withheld", "withheld@1.0")
    assert read_arm("withheld").share == 1 and read_arm("part@0.5").share == 0


def test_the_loss_of_the_name_logit_adjust_has_another_arm():
    loss = TrainOptions().loss
    assert read_arm("logit_adjust_loss").loss(loss).kind == "logit_adjust"
    assert read_arm("logit_adjust").loss(loss) == loss


# --- What is added, and what is left out


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_copies_stand_in_for_synthetic_images_class_by_class(data, share):
    copies, synthetic = read(data, f"copy@{share}"), read(data, f"synth@{share}")
    wanted = {one: round(share * deficit) for one, deficit in DEFICIT.items()}
    for found in (copies, synthetic):
        assert found.num_real == found.num_whole == found.train.num_real
    np.testing.assert_array_equal(colors_of(copies), colors_of(synthetic))
    assert dict(zip(*np.unique(colors_of(copies), return_counts=True), strict=True)) == wanted
    order = np.concatenate(make_training(copies, f"copy@{share}").batches)
    other = np.concatenate(make_training(synthetic, f"synth@{share}").batches)
    np.testing.assert_array_equal(order, other)  # the same places
    assert (copies.num_synthetic, synthetic.num_synthetic) == (0, sum(wanted.values()))


def test_copies_are_of_train_and_even(data):
    found = read(data, "copy@1.0")
    images = found.train.pool.take(np.arange(len(found.train.pool)))
    own, copies = images[: found.num_real], images[found.num_real :]
    same = (copies[:, None] == own[None]).all(axis=(2, 3, 4))
    assert (same.sum(axis=1) == 1).all()
    source = same.argmax(axis=1)
    for name in ("color", "bright"):  # every label goes with its image
        target = found.train.targets[name]
        np.testing.assert_array_equal(target[found.num_real :], target[source])
    blue = np.bincount(source[colors_of(found) == 2])
    num_blue = (found.train.targets["color"][: found.num_real] == 2).sum()
    assert num_blue < DEFICIT[2]
    assert len(blue[blue > 0]) == num_blue and np.ptp(blue[blue > 0]) <= 1
    again = read(data, "copy@1.0").train.pool.take(np.arange(len(images)))
    np.testing.assert_array_equal(again, images)


def test_shuffled_has_the_images_of_synth_under_other_classes(data):
    synthetic, shuffled = read(data, "synth@1.0"), read(data, "shuffled@1.0")
    numbers = np.arange(len(synthetic.train.pool))
    np.testing.assert_array_equal(
        synthetic.train.pool.take(numbers), shuffled.train.pool.take(numbers)
    )
    one, other = colors_of(synthetic), colors_of(shuffled)
    assert sorted(one) == sorted(other)
    # As many are wrong as in a draw without replacement: 2 * 12 * 30 / 42 = 17.1 +- 3.
    assert 8 <= (one != other).sum() <= 26
    assert (colors_of(read(data, "shuffled@1.0", seed=1)) != other).any()
    assert (shuffled.train.targets["bright"][synthetic.num_real :] == MISSING).all()


def test_shuffling_a_single_class_is_refused(data, tmp_path):
    deficits = tables.read(data.root / "deficits.csv")
    deficits.loc[deficits["class"] == "1", "deficit"] = "0"
    tables.write(deficits, tmp_path / "deficits.csv")
    with pytest.raises(DataError, match="all images of the arm are of class 2"):
        read(data, "shuffled@0.5", deficits=tmp_path / "deficits.csv")


@pytest.mark.parametrize("share", ["", "@0.2"])
def test_withheld_takes_minority_images_of_the_reserve_alone(data, share, caplog):
    found = read(data, f"withheld{share}")
    reserve = data.table[data.table["split"] == "reserve"]
    added = found.train_ids[found.num_whole :]
    assert len(set(added)) == len(added) == found.train.num_added
    assert set(added) <= set(reserve["image_id"])
    for one, color in ((1, "green"), (2, "blue")):
        wanted = round(DEFICIT[one] * (0.2 if share else 1.0))
        there = (reserve["color"] == color).sum()
        assert (colors_of(found) == one).sum() == min(wanted, there)
        text = f"{color}: {there} images held back of {wanted} wanted"
        assert (text in caplog.text) == (there < wanted)
    rows = reserve.set_index("image_id").loc[added, "row"].to_numpy(dtype=int)
    numbers = np.arange(found.num_whole, len(found.train.pool))
    np.testing.assert_array_equal(found.train.pool.take(numbers), data.array[rows])


def test_nobody_else_sees_the_reserve(data):
    reserve = set(data.table.loc[data.table["split"] == "reserve", "image_id"])
    for name in ("real", "copy@1.0", "synth@1.0", "part@0.5"):
        found = read(data, name)
        assert not reserve & {*found.train_ids, *found.val_table["image_id"]}


def test_withheld_without_a_reserve_is_refused(data, tmp_path):
    other = DataSet(tmp_path)
    with pytest.raises(DataError, match="no image in the split reserve"):
        read(other, "withheld", deficits=data.root / "deficits.csv")


def test_parts_of_minorities_are_nested_and_of_whole_units(data):
    train = data.table[data.table["split"] == "train"].reset_index(drop=True)
    unit = units(train)
    kept = {}
    for share in (0.25, 0.5, 0.75, 1.0):
        found = read(data, f"part@{share}")
        assert found.num_whole == len(train) and found.train.num_added == 0
        kept[share] = train["image_id"].isin(found.train_ids).to_numpy()
        for color in ("green", "blue"):
            own = (train["color"] == color).to_numpy()
            number = np.count_nonzero(kept[share] & own)
            assert round(share * own.sum()) <= number <= round(share * own.sum()) + 1  # pairs
            of_kept, of_others = (set(unit[own & one]) for one in (kept[share], ~kept[share]))
            assert not of_kept & of_others
    assert kept[1.0].all()
    for less, more in pairwise(kept.values()):
        assert (less <= more).all() and (less < more).any()
    others = ~train["color"].isin(["green", "blue"]).to_numpy()  # red, and those without a label
    assert kept[0.25][others].all()


def test_an_arm_that_adds_nothing_is_refused(data, tmp_path):
    samples = tables.read(data.root / "samples.parquet")
    tables.write(samples.assign(accepted=False), tmp_path / "samples.parquet")
    with pytest.raises(DataError, match=r"arm synth@1\.0: no image is added"):
        read(data, "synth@1.0", synth_samples=tmp_path / "samples.parquet")
    deficits = tables.read(data.root / "deficits.csv").assign(deficit=0)
    tables.write(deficits, tmp_path / "deficits.csv")
    with pytest.raises(DataError, match=r"arm copy@1\.0: no image is added"):
        read(data, "copy@1.0", deficits=tmp_path / "deficits.csv")
    with pytest.raises(DataError, match="no minority class"):
        read(data, "part@0.5", deficits=tmp_path / "deficits.csv")


@pytest.mark.parametrize(
    ("arm", "given", "words"),
    [
        ("copy@0.5", {}, "needs --deficits"),
        ("synth@0.5", {"deficits": "deficits.csv"}, "needs --synth-images"),
        ("real", {"deficits": "deficits.csv"}, "takes no --deficits"),
        ("copy@0.5", {"synth_images": "images.npy"}, "takes no synthetic images"),
    ],
)
def test_files_have_to_fit_the_arm(data, arm, given, words):
    paths = {name: data.root / file for name, file in given.items()}
    with pytest.raises(DataError, match=words):
        sets.read_sets(
            sets.Paths(data.images, data.curated, data.splits, **paths),
            HEAD_OPTIONS, read_arm(arm), GEOMETRY,
        )  # fmt: skip


def test_soft_weighs_added_images_alone(data):
    weights = read(data, "synth@0.5+soft@0.25").train.weights
    num_added = read(data, "synth@0.5").train.num_added
    assert (weights[:-num_added] == 1).all() and (weights[-num_added:] == 0.25).all()


# --- How often images are shown


ARMS = (
    "real", "weighted_loss", "copy@0.5", "synth@1.0", "shuffled@0.5", "withheld",
    "synth@0.5+soft@0.5", "logit_adjust", "mixup",
)  # fmt: skip


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_shows_each_real_image_as_often(data, name):
    found = read(data, name)
    training = make_training(found, name)
    counts = shown(training)
    assert (counts == 3).all()  # added ones, too, on top
    assert training.budget == {
        "real_shown": 3 * found.num_whole,
        "images_shown": 3 * (found.num_whole + found.train.num_added),
    }
    order = np.concatenate(training.batches)
    real = draw_order(found.num_whole, 3 * found.num_whole, 0)
    np.testing.assert_array_equal(order[order < found.num_whole], real)
    added = np.flatnonzero(order >= found.num_whole)  # evenly among them
    if len(added):
        quarters = np.histogram(added, 4, (0, len(order)))[0]
        assert np.ptp(quarters) <= 2


@pytest.mark.parametrize(
    "name",
    ["weighted_sampler", "synth@1.0+weighted_sampler", "copy@0.5+balanced_sampler",
     "withheld+multilabel_sampler", "crt", "synth@0.5+crt", "part@0.5", "synth_pretrain@1.0"],
)  # fmt: skip
def test_every_arm_shows_as_many_real_images(data, name):
    found = read(data, name)
    budget = make_training(found, name).budget
    assert budget["real_shown"] == 3 * found.num_whole
    assert (budget["images_shown"] > budget["real_shown"]) == (found.train.num_added > 0)


@pytest.mark.parametrize(
    "name", ["real", "synth@1.0", "copy@0.5", "synth@1.0+weighted_sampler", "synth_pretrain@0.5"]
)
def test_exposure_to_all_shows_as_many_images(data, name):
    found = read(data, name)
    training = make_training(found, name, exposure="all")
    assert training.budget["images_shown"] == 3 * found.num_whole
    assert (training.budget["real_shown"] < 3 * found.num_whole) == (found.train.num_added > 0)
    if name == "synth@1.0":
        assert set(shown(training)) <= {1, 2, 3}  # once before any again


def test_parts_show_the_images_that_they_have_more_often(data):
    found = read(data, "part@0.25")
    counts = shown(make_training(found, "part@0.25", epochs=4))
    assert len(counts) < found.num_whole
    assert counts.sum() == 4 * found.num_whole and np.ptp(counts) <= 1


def test_pretraining_shows_synthetic_images_in_the_first_half(data):
    found = read(data, "synth_pretrain@1.0")
    training = make_training(found, "synth_pretrain@1.0", epochs=4)
    counts = shown(training)
    assert (counts[: found.num_real] == 4).all() and (counts[found.num_real :] == 2).all()
    order = np.concatenate(training.batches)
    is_added = order >= found.num_real
    last = np.flatnonzero(is_added).max()
    assert np.count_nonzero(~is_added[:last]) <= 2 * found.num_real
    # With share 1 the classes are balanced there: 46 of red as of the others.
    target = found.train.targets["color"]
    half = np.cumsum(~is_added) <= 2 * found.num_real
    seen = target[order[half]]
    per_class = np.bincount(seen[seen != MISSING])
    real = class_counts(found.heads[0], target[: found.num_real])
    np.testing.assert_allclose(per_class, 2 * (real + np.array([0, *DEFICIT.values()])), atol=3)


# --- After training


def trained_classifier(found, name="real", **changed):
    training = make_training(found, name, lr=0.005, **changed)
    loop.show_steps(training, len(training.batches), "steps")
    return training.classifier


def scores_on_val(classifier, found, measure="balanced_accuracy"):
    outputs = raw_outputs(classifier, found.val.pool, 64, CPU, "val")[:, :3]
    confusion = confusion_matrix(found.val.targets["color"], outputs.argmax(axis=1), 3)
    return outputs, float(MEASURES[measure](confusion))


def test_logit_adjustment_is_the_best_shift_on_val(data):
    found = read(data, "real")
    classifier = trained_classifier(found, epochs=1)
    plain, _ = scores_on_val(classifier, found)
    trained = adjust.Trained(classifier, found.train.targets, found.val, "balanced_accuracy", CPU)
    chosen = read_arm("logit_adjust").parts[0].adjust(trained)
    known = found.train.targets["color"][found.train.targets["color"] != MISSING]
    prior = np.bincount(known) / len(known)
    scores = {}
    for tau in np.arange(0, 2.01, 0.05):  # by hand
        pred = (plain - tau * np.log(prior)).argmax(axis=1)
        target = found.val.targets["color"]
        scores[tau] = np.mean([(pred == k)[target == k].mean() for k in range(3)])
    best = next(tau for tau in scores if scores[tau] == max(scores.values()))
    assert chosen["color"] == pytest.approx(best) and set(chosen) == {"color", "bright"}
    assert best > 0  # one epoch favours what is frequent
    shifted, score = scores_on_val(classifier, found)
    np.testing.assert_allclose(shifted, plain - best * np.log(prior), atol=1e-5)
    assert score == pytest.approx(max(scores.values()))


def test_logit_adjustment_of_a_binary_head_shifts_the_second_class():
    head = Head("bright", ("bright",), "binary", 1.0, ("no", "yes"))
    classifier = build_classifier(BACKBONE, "none", [head], VIEW, 0)  # starts even
    images = draw(["red"] * 10, ["yes"] * 10, 0)
    table = pd.DataFrame(
        {"row": range(10), "bright": pd.Categorical(["no"] * 2 + ["yes"] * 8, ["no", "yes"])}
    )
    val = loop.Examples.of(images, table, [head])
    target = {"bright": np.array([0] * 20 + [1] * 80)}
    chosen = adjust.shift_logits(adjust.Trained(classifier, target, val, "accuracy", CPU))
    assert chosen == {"bright": 0.0}  # argmax of a draw is the first class, so tau > 0 stays so
    target = {"bright": np.array([0] * 80 + [1] * 20)}
    chosen = adjust.shift_logits(adjust.Trained(classifier, target, val, "accuracy", CPU))
    assert chosen["bright"] == pytest.approx(0.05)
    expected = -0.05 * np.log(0.2 / 0.8)
    assert classifier.layer.linear.bias.item() == pytest.approx(expected, rel=1e-5)


def test_tau_normalisation_evens_out_norms_and_keeps_their_size(data):
    found = read(data, "real")
    classifier = build_classifier(BACKBONE, "none", found.heads, VIEW, 0)
    linear, of_train = classifier.layer.linear, []
    raw_outputs(classifier, found.train.pool, 64, CPU, "train", of_train)
    features, target = np.concatenate(of_train), found.train.targets["color"]
    means = np.stack([features[target == k].mean(axis=0) for k in range(3)])
    with torch.no_grad():  # the frequent class has the larger weights, as after a training
        linear.weight[:3] = torch.from_numpy(means * [[3], [2], [1]])
        linear.bias[:3] = 0
    before = linear.weight.detach().clone()
    plain, score = scores_on_val(classifier, found)
    trained = adjust.Trained(classifier, found.train.targets, found.val, "balanced_accuracy", CPU)
    tau = read_arm("tau_norm").parts[0].adjust(trained)["color"]
    norms = before[:3].norm(dim=1).numpy()
    factor = (norms / np.exp(np.log(norms).mean())) ** -tau
    found_outputs, found_score = scores_on_val(classifier, found)
    np.testing.assert_allclose(found_outputs, plain * factor, atol=1e-4)
    assert found_score > score and tau > 0
    assert torch.equal(linear.weight[3:].isfinite(), torch.ones(2, before.shape[1]).bool())
    assert np.prod(factor) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "heads", "words"),
    [
        ("ldam+logit_adjust", HEADS, "are cosines"),
        ("ldam+tau_norm", HEADS, "takes cosines"),
        ("tau_norm", [{**HEADS[1], "kind": "binary"}], "all heads are binary"),
        ("logit_adjust", [{"name": "age", "attributes": ["age"], "kind": "numeric"}], "no head"),
        ("mixup", [{"name": "age", "attributes": ["age"], "kind": "numeric"}], "has no classes"),
        ("crt", [{"name": "age", "attributes": ["age"], "kind": "numeric"}], "has no classes"),
    ],
)
def test_arms_that_do_not_fit_the_heads_are_refused(data, tmp_path, name, heads, words):
    output = run(data.train_options(tmp_path, name, heads=heads, epochs=1), code=1)
    assert words in output
    assert not (tmp_path / "model.safetensors").exists()


def test_the_last_layer_alone_is_learned_anew_of_balanced_classes(data):
    found = read(data, "crt")
    training = make_training(found, "crt", epochs=4, lr=0.01)
    first, second = training.stages
    assert sum(map(len, first.batches)) == round(3 * found.num_whole)
    assert second.first == len(first.batches)
    target = found.train.targets["color"][np.concatenate(second.batches)]
    assert np.ptp(np.bincount(target)) <= 1 and len(target) == found.num_whole
    while training.step < second.first:
        training.take_step()
        if training.step in training.ends:
            training.end_epoch(found.val)
    best = training.best[2]
    training.take_step()
    assert training.best is None
    weights = training.classifier.state_dict()
    changed = {name for name, one in best.items() if not torch.equal(one, weights[name])}
    assert changed == {"layer.linear.weight", "layer.linear.bias"}
    # One step from zero: AdamW moves each weight by about the learning rate.
    rate = second.rate.share(0) * 5 * 0.01
    assert weights["layer.linear.weight"].abs().max() == pytest.approx(rate, rel=0.05)
    while not training.is_done:
        training.take_step()
    training.end_epoch(found.val)
    weights = training.classifier.state_dict()
    assert {name for name in best if not torch.equal(best[name], weights[name])} == changed


def test_the_layer_that_is_learned_anew_finds_rare_classes(data, tmp_path):
    run(data.train_options(tmp_path, "crt", epochs=6))
    history = pd.read_csv(tmp_path / "history.csv")
    assert len(history) == 7 and history["best"].iloc[-2:].any()  # of the second stage
    assert history["color.balanced_accuracy"].iloc[-1] > 0.8
    output = run(
        data.train_options(tmp_path / "b", "crt", select={"measure": "macro_f1", "patience": 1}),
        code=1,
    )
    assert "select.patience: arm crt" in output


# --- Mixtures


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_partners_are_of_all_classes_alike(data, kind):
    found = read(data, kind)
    training = make_training(found, kind, epochs=30)
    partners = np.concatenate(training.partners)
    assert len(partners) == training.budget["images_shown"]
    target = found.train.targets["color"][partners]
    shares = np.bincount(target, minlength=3) / len(target)  # none without a label
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_half_of_the_batches_are_mixed_with_their_partners(data, kind):
    found = read(data, kind)
    training = make_training(found, kind, epochs=10)
    num_mixed = 0
    for step in range(len(training.batches)):
        batch = training.draw_batch()
        own, partner = training.batches[step], training.partners[step]
        images, others = (
            torch.from_numpy(found.train.pool.take(one)).permute(0, 3, 1, 2).float() / 255
            for one in (own, partner)
        )
        training.step += 1
        if torch.allclose(batch.images, images):
            torch.testing.assert_close(
                batch.targets, torch.from_numpy(training.encoded[own]), equal_nan=True
            )
            continue
        num_mixed += 1
        a, b = (torch.from_numpy(training.encoded[one])[:, :3] for one in (own, partner))
        for i in np.flatnonzero((own != partner) & ~a.isnan()[:, 0].numpy()):
            if kind == "mixup":
                gap = (images[i] - others[i]).flatten()
                share = float(((batch.images[i] - others[i]).flatten() @ gap) / (gap @ gap))
            else:
                share = float((batch.images[i] == images[i]).all(dim=0).float().mean())
            expected = share * a[i] + (1 - share) * b[i]
            torch.testing.assert_close(batch.targets[i, :3], expected, atol=0.02, rtol=0)
    assert 0.3 < num_mixed / len(training.batches) < 0.7


# --- Through the command


@pytest.mark.parametrize(
    "name",
    ["copy@0.5+weighted_loss", "shuffled@0.5", "withheld", "part@0.5", "synth_pretrain@1.0",
     "synth@0.5+soft@0.5", "logit_adjust", "tau_norm", "crt", "mixup", "focal+cutmix+crt"],
)  # fmt: skip
def test_a_stopped_arm_ends_with_the_same_bytes(data, tmp_path, monkeypatch, name):
    options = {"epochs": 2, "ema": 0.5, **paths_of(data, name)}
    run(data.train_options(tmp_path / "whole", name, **options))
    monkeypatch.setattr(state, "SECONDS", 0.0)  # a state after every step
    take_step, parts = loop.Training.take_step, tmp_path / "parts"
    for step in (5, "last"):  # twice, the second time in the last layer's steps

        class Stopped(Exception):
            pass

        def stopping(self, step=step, stopped=Stopped):
            if self.step == (len(self.batches) - 1 if step == "last" else step):
                raise stopped
            take_step(self)

        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(loop.Training, "take_step", stopping)
            run(data.train_options(parts, name, **options))
    run(data.train_options(parts, name, **options))
    for file in ("model.safetensors", "history.csv", "predictions.parquet"):
        assert (parts / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_model_tells_what_it_was_shown_and_what_was_chosen(data, tmp_path):
    num_whole = (data.table["split"] == "train").sum()
    found = {}
    for name in ("withheld+logit_adjust", "part@0.25"):
        run(data.train_options(tmp_path / name, name, epochs=2, **paths_of(data, name)))
        _, found[name] = checkpoint.load_classifier(tmp_path / name / "model.safetensors")
        assert found[name]["real_shown"] == 2 * num_whole
        assert found[name]["num_synthetic"] == 0
    withheld, part = found.values()
    assert withheld["images_shown"] > withheld["real_shown"] == part["images_shown"]
    assert set(withheld["adjusted"]["logit_adjust"]) == {"color", "bright"}
    assert part["num_train"] < num_whole < withheld["num_train"]
