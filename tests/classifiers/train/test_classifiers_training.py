"""Training by arm, evaluation, filter and out-of-fold predictions, through their commands."""

import json

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from classifier_sets import (
    AUGMENT,
    BACKBONE,
    COLORS,
    HEAD,
    HEADS,
    LOSS,
    VIEW,
    DataSet,
    as_options,
    run,
)
from held_tables import hold
from sklearn.metrics import classification_report
from torchvision.transforms.v2 import functional

from classifiers.arms import read_arm
from classifiers.columns import HISTORY
from classifiers.images import synthetic
from classifiers.images.data import ImagePool, read_labelled
from classifiers.measures import MEASURES
from classifiers.models import checkpoint
from classifiers.models.backbones import build_classifier
from classifiers.models.heads import MISSING, Head, read_heads
from classifiers.options import LIGHT, HeadOptions, LossOptions, TrainOptions
from classifiers.predict.origin import Origin
from classifiers.train import loop
from facedata.columns import DOSES, PREDICTIONS, SAMPLES
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import files, tables

HEADS_OF = [HeadOptions(**head) for head in HEADS]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set with a model of the arm real and its synthetic images, filtered."""
    data = DataSet(tmp_path_factory.mktemp("set"))
    data.model = data.root / "real"
    run(data.train_options(data.model))
    data.synth = data.make_synthetic()
    data.folds = []
    for k in range(4):
        data.folds.append(data.root / f"fold{k}")
        run(data.train_options(data.folds[-1], fold=k))
    run(filter_options(data, data.synth))
    return data


def test_tables_are_as_declared(trained):
    hold(trained.model / "predictions.parquet", PREDICTIONS)
    hold(trained.model / "history.csv", HISTORY)
    hold(trained.synth / "samples.parquet", SAMPLES)


def filter_options(data, outdir, teacher=None, **changed):
    values = {
        "candidates": data.synth / "candidates.parquet",
        "images": data.synth / "images.npy",
        "train_images": data.images,
        "curated": data.curated,
        "splits": data.splits,
        "deficits": data.synth / "deficits.csv",
        "batch": 32,
        "seed": 0,
        "threads": 1,
        "device": "cpu",
        "samples": outdir / "samples.parquet",
        "doses": outdir / "doses.csv",
        "facts": outdir / "filter.json",
        **changed,
    }
    folders = data.folds if teacher is None else teacher
    models = [part for one in folders for part in ("--teacher", one / "model.safetensors")]
    return ["filter", *models, *as_options(values)]


def synth_options(data):
    return {
        "synth_images": data.synth / "images.npy",
        "synth_samples": data.synth / "samples.parquet",
        "deficits": data.synth / "deficits.csv",
    }


def meta_of(folder):
    with safetensors.safe_open(folder / "model.safetensors", framework="pt") as file:
        return json.loads(file.metadata()[checkpoint.KEY])


# --- Training


def test_training_writes_what_it_says(trained):
    history = pd.read_csv(trained.model / "history.csv")
    assert list(history["images"]) == [96, 192, 288, 384]  # 96 images of train, 4 epochs
    assert history["best"].sum() == 1
    assert history.loc[history["best"], "score"].item() == history["score"].max()
    meta = meta_of(trained.model)
    assert (meta["arm"], meta["seed"], meta["backbone"]) == ("real", 0, BACKBONE)
    assert [head["classes"] for head in meta["heads"]] == [list(COLORS), ["no", "yes"]]
    predictions = tables.read(trained.model / "predictions.parquet")
    val = trained.table[trained.table["split"] == "val"]
    assert list(predictions["image_id"]) == list(val["image_id"])
    columns = [*PREDICTIONS.names, "color", *(f"color:{name}" for name in COLORS)]
    assert list(predictions.columns) == [*columns, "bright", "bright:no", "bright:yes"]
    origin = trained.origin()  # 4 epochs of 96 images
    assert Origin.of_meta(meta, trained.model) == origin
    assert Origin.read(trained.model / "predictions.parquet") == origin
    train = trained.table.loc[trained.table["split"] == "train", "image_id"]
    learned = checkpoint.read_learned(trained.model / "model.safetensors")
    assert set(learned) == set(checkpoint.hash_ids(train)) and len(set(learned)) == 96
    prob = predictions[[f"color:{name}" for name in COLORS]]
    np.testing.assert_allclose(prob.sum(axis=1), 1)
    assert list(predictions["color"]) == list(prob.idxmax(axis=1).str.removeprefix("color:"))
    record = files.read_json(trained.model / "run.json")
    assert record["values"]["arm"] == "real"


def test_training_learns(trained):
    history = pd.read_csv(trained.model / "history.csv")
    assert history["loss"].iloc[-1] < 0.6 * history["loss"].iloc[0]
    assert history["color.accuracy"].max() > 0.9


def test_same_seed_same_bytes_and_another_seed_another_model(trained, tmp_path):
    run(trained.train_options(tmp_path / "again"))
    for name in ("model.safetensors", "history.csv", "predictions.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (trained.model / name).read_bytes()
    run(trained.train_options(tmp_path / "other", seed=1))
    other = (tmp_path / "other" / "history.csv").read_bytes()
    assert other != (trained.model / "history.csv").read_bytes()


def test_test_rows_are_never_touched(trained, tmp_path):
    poisoned = DataSet(tmp_path / "poisoned")
    is_test = (poisoned.table["split"] == "test").to_numpy()
    poisoned.array[is_test] = 255
    poisoned.table.loc[is_test, "color"] = "blue"
    poisoned.table.loc[is_test, ["bright", "age"]] = np.nan
    poisoned.write()
    run(poisoned.train_options(tmp_path / "model"))
    same = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert same == (trained.model / "model.safetensors").read_bytes()


class Recorder(ImagePool):
    """A pool that counts how often each image is taken."""

    def __init__(self, parts):
        super().__init__(parts)
        self.counts = np.zeros(len(self), dtype=int)

    def take(self, numbers):
        np.add.at(self.counts, numbers, 1)
        return super().take(numbers)


def shown_by_arm(data, name, epochs=2):
    """Train an arm and return how often it showed each image, and the steps taken."""
    table = read_labelled(data.curated, data.splits, ["train", "val"])
    train_table, val_table = (table[table["split"] == one] for one in ("train", "val"))
    heads = read_heads(HEADS_OF, train_table, "curated")
    train = loop.Examples.of(data.array, train_table, heads)
    arm = read_arm(name)
    if arm.share:
        samples = tables.read(data.synth / "samples.parquet")
        deficits = synthetic.read_deficits(data.synth / "deficits.csv")
        chosen = synthetic.choose_samples(samples, deficits, arm.share, seed=0)
        images = synthetic.open_synthetic(
            data.synth / "images.npy", chosen, Geometry(height=32, width=24, fit="pad")
        )
        train += loop.Examples.of_synthetic(images, chosen, heads).as_added(arm.added_weight)
    recorder = Recorder(train.pool.parts)
    options = TrainOptions(
        epochs=epochs, batch=16, lr=0.005, augment=LIGHT, sampler=arm.sampler("none"),
        precision="fp32", exposure="all",
    )  # fmt: skip
    each = loop.losses_of(options, HEADS_OF, arm)
    classifier = build_classifier(BACKBONE, "none", heads, VIEW, 0)
    history = loop.train_classifier(
        classifier,
        loop.Examples(recorder, train.targets, train.weights, train.num_added),
        loop.Examples.of(data.array, val_table, heads),
        each,
        len(train_table),
        options,
        0,
        torch.device("cpu"),
        arm=arm,
    )
    return recorder.counts, train, history


def test_arms_show_the_same_number_of_images_where_all_count(trained):
    shown = {}
    arms = ("real", "weighted_sampler", "balanced_sampler", "multilabel_sampler", "weighted_loss",
            "synth@0.5", "synth@1.0")  # fmt: skip
    for name in arms:
        counts, train, history = shown_by_arm(trained, name)
        shown[name] = counts
        assert counts.sum() == 192 == history["images"].iloc[-1]
        assert len(counts) == 96 + {"synth@0.5": 10, "synth@1.0": 20}.get(name, 0)
        if name.endswith("_sampler"):
            target = train.targets["color"]
            drawn = np.bincount(target[target != MISSING], counts[target != MISSING])
            assert drawn.min() > 0.7 * drawn.max()  # all classes alike
    assert set(shown["real"]) == {2}
    np.testing.assert_array_equal(shown["weighted_loss"], shown["real"])
    assert shown["synth@1.0"].min() >= 1  # 116 images, each shown before any again


def test_weighted_loss_only_changes_the_loss(trained):
    _, train, plain = shown_by_arm(trained, "real")
    _, _, weighted = shown_by_arm(trained, "weighted_loss")
    assert weighted["loss"].iloc[0] != plain["loss"].iloc[0]
    heads = [Head("color", ("color",), "categorical", 1.0, tuple(COLORS))]
    counts = np.bincount(train.targets["color"][train.targets["color"] != MISSING])
    for name, expected in (("weighted_loss", counts.sum() / 3), ("real", None)):
        each = {"color": read_arm(name).loss(LossOptions())}
        (part,) = loop.make_loss(train, heads, each, 0.0, torch.device("cpu")).parts
        if expected is None:
            assert part.class_weights is None
        else:
            np.testing.assert_allclose(part.class_weights.numpy() * counts, expected, rtol=1e-6)


def test_synthetic_images_carry_the_labels_the_generator_was_told(trained):
    _, train, _ = shown_by_arm(trained, "synth@0.5")
    assert (train.targets["color"][96:] == 2).all()
    assert (train.targets["bright"][96:] == MISSING).all()
    added = train.pool.take(np.arange(96, 106))
    assert added.shape == (10, 32, 24, 3)
    images = np.load(trained.synth / "images.npy")
    samples = tables.read(trained.synth / "samples.parquet")
    deficits = synthetic.read_deficits(trained.synth / "deficits.csv")
    rows = synthetic.choose_samples(samples, deficits, 0.5, seed=0)["row"]
    np.testing.assert_array_equal(added, images[rows, :, 4:28])


def test_synth_arm_through_the_command(trained, tmp_path):
    options = trained.train_options(tmp_path, "synth@0.5", epochs=1, **synth_options(trained))
    run(options)
    assert meta_of(tmp_path)["num_synthetic"] == 10
    predictions = tables.read(tmp_path / "predictions.parquet")
    assert set(predictions["arm"]) == {"synth@0.5"}


@pytest.mark.parametrize("arm", ["ldam", "focal+weighted_sampler", "asymmetric", "soft_f1"])
def test_arms_with_other_losses_learn(trained, tmp_path, arm):
    heads = [HEADS[0], {**HEADS[1], "kind": "binary", "loss": {"kind": "cross_entropy"}}]
    head = {"hidden": 16, "batch_norm": True, "dropout": 0.2, "samples": 2}
    run(trained.train_options(tmp_path, arm, heads=heads, head=head, label_smoothing=0.0))
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["loss"].iloc[-1] < 0.9 * history["loss"].iloc[0]
    assert history["color.accuracy"].max() > 0.6
    meta = meta_of(tmp_path)
    assert meta["head"]["cosine"] == ({"color": 30.0, "bright": 30.0} if arm == "ldam" else {})
    classifier, _ = checkpoint.load_classifier(tmp_path / "model.safetensors")
    prob = tables.read(tmp_path / "predictions.parquet")[["bright:no", "bright:yes"]]
    np.testing.assert_allclose(prob.sum(axis=1), 1)
    val = trained.table[trained.table["split"] == "val"]
    images = torch.from_numpy(trained.array[val["row"].to_numpy(dtype=int)[:5]])
    with torch.inference_mode():
        logits = classifier(images.permute(0, 3, 1, 2).float() / 255)[:, 3]
    np.testing.assert_allclose(torch.sigmoid(logits), prob["bright:yes"][:5], atol=1e-4)


def test_training_and_predicting_through_a_view_with_every_augmentation(trained, tmp_path):
    augment = {
        **AUGMENT,
        "crop": {"random": True, "pad": 2},
        "perspective": {"p": 0.5, "distortion": 0.2},
        "erase": {"p": 0.5, "min_area": 0.02, "max_area": 0.2},
        "randaugment": {"num_ops": 1, "magnitude": 5},
        "mix": {"p": 0.8, "mixup": 0.2, "cutmix": 1.0},
    }
    view = {"crop": [28, 20], "resize": [36, 24]}
    options = trained.train_options(tmp_path, augment=augment, view=view, epochs=2)
    run(options)
    classifier, meta = checkpoint.load_classifier(tmp_path / "model.safetensors")
    assert meta["view"] == view
    val = trained.table[trained.table["split"] == "val"]
    images = trained.array[val["row"].to_numpy(dtype=int)]
    middle = torch.from_numpy(images[:, 2:30, 2:22]).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        seen = functional.resize(middle, [36, 24], antialias=True)
        prob = classifier(seen)[:, :3].softmax(dim=1)
    found = tables.read(tmp_path / "predictions.parquet")[[f"color:{name}" for name in COLORS]]
    np.testing.assert_allclose(prob, found, atol=1e-4)


def test_numeric_and_joint_heads_in_bf16_with_part_of_an_epoch(trained, tmp_path):
    heads = [
        {"name": "age", "attributes": ["age"], "kind": "numeric", "weight": 0.5},
        {"name": "both", "attributes": ["color", "bright"], "kind": "categorical", "weight": 1.0},
    ]
    run(trained.train_options(tmp_path, heads=heads, precision="bf16", epochs=1.5))
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["images"]) == [96, 144]
    assert {"age.mae", "both.macro_f1"} <= set(history.columns)
    predictions = tables.read(tmp_path / "predictions.parquet")
    assert predictions["age"].between(0, 100).all()
    run(trained.evaluate_options([tmp_path / "model.safetensors"], tmp_path))
    metrics = files.read_json(tmp_path / "metrics.json")
    assert metrics["age"]["mae"] > 0
    assert len(metrics["both"]["per_class"]) == 6
    assert "mae" in (tmp_path / "report.txt").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arm": "huber"}, "arm 'huber'"),
        (
            {"view": {"crop": [40, 20], "resize": None}},
            "--view: crop: [40, 20] is larger than the images",
        ),
        ({"arm": "synth@1.0"}, "needs --synth-images"),
        ({"geometry": {"height": 48, "width": 48, "fit": "pad"}}, "24x32 px"),
        ({"geometry": {"height": 48}}, "geometry: width: missing"),
        ({"backbone": "no_such_net"}, "timm"),
        ({"heads": [{**HEADS[0], "attributes": ["hair"]}]}, "hair"),
        ({"device": "cuda"}, "device cuda"),
        ({"lr": 1e20, "weight_decay": 0.0}, "the loss is"),
        ({"lr": 1e20, "weight_decay": 1e30, "epochs": 0.1}, "no longer finite"),
        ({"epochs": 1e-9}, "epochs: 1e-09 of "),
        ({"backbone": "convnext_atto", "weights": "none"}, "convnext_atto: cannot look at"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(trained, tmp_path, change, words):
    if "device" in change and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    output = run(trained.train_options(tmp_path / "out", **change), code=1)
    assert "error: " in output and words in output
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": {**LOSS, "kind": "hinge"}}, "'--loss' (kind): 'hinge' is not one of"),
        ({"head": {**HEAD, "samples": 2}}, "'--head' (samples): 2, but no dropout"),
        ({"augment": {**AUGMENT, "flip": 2}}, "'--augment' (flip): 2 is not number"),
        ({"sampler": "even"}, "'--sampler': 'even' is not one of none, balanced_sampler"),
        ({"heads": [{**HEADS[0], "name": "arm"}]}, "a column of predictions is called arm"),
        ({"lr": "nan"}, "'--lr': 'nan' is not number > 0"),
        ({"weights": "vggface2"}, "'--weights': vggface2 is of inception_resnet_v1, not of"),
    ],
)
def test_wrong_options_are_usage_errors(trained, tmp_path, change, words):
    output = run(trained.train_options(tmp_path / "out", **change), code=2)
    assert words in " ".join(output.split())
    assert not (tmp_path / "out").exists()


def test_bad_tables_are_refused(tmp_path):
    data = DataSet(tmp_path)
    np.save(data.images, data.array[:50])
    assert "has 50 images" in run(data.train_options(tmp_path / "out"), code=1)
    data.write()
    tables.write(data.table[["image_id", "split", "fold"]][5:], data.splits)
    assert "no split for image '0000'" in run(data.train_options(tmp_path / "out"), code=1)
    data.table["split"] = pd.Categorical(
        ["train"] * len(data.table), data.table["split"].cat.categories
    )
    data.write()
    assert "no image in the split val" in run(data.train_options(tmp_path / "out"), code=1)
    tables.write(pd.concat([data.table, data.table])[["image_id", "row"]], data.curated)
    assert "occurs twice" in run(data.train_options(tmp_path / "out"), code=1)


# --- Models on disk


def test_saved_classifier_predicts_the_same(trained):
    classifier, meta = checkpoint.load_classifier(trained.model / "model.safetensors")
    images = torch.rand(4, 3, 32, 24)
    with torch.inference_mode():
        one = classifier(images)
        two = checkpoint.load_classifier(trained.model / "model.safetensors")[0](images)
    assert torch.equal(one, two)
    assert meta["geometry"] == {"height": 32, "width": 24, "fit": "pad"}


def test_files_that_are_no_classifier_are_refused(trained, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in ("bad", "other"):
        with pytest.raises(DataError, match=name):
            checkpoint.load_classifier(tmp_path / f"{name}.safetensors")


# --- Evaluation


def test_evaluation_writes_what_it_says(trained, tmp_path):
    models = [trained.model / "model.safetensors"]
    run(trained.evaluate_options(models, tmp_path, batch=10))
    metrics = files.read_json(tmp_path / "metrics.json")
    test = trained.table[trained.table["split"] == "test"].reset_index(drop=True)
    predictions = tables.read(tmp_path / "test_predictions.parquet")
    assert list(predictions["image_id"]) == list(test["image_id"])
    known = test["color"].notna()
    right = predictions["color"].astype(str)[known] == test["color"].astype(str)[known]
    assert metrics["color"]["accuracy"] == pytest.approx(right.mean())
    assert metrics["color"]["support"] == known.sum() < len(test)
    assert set(metrics["color"]) == {
        *MEASURES, "average_precision", "ece",
        "support", "per_class", "intervals", "subgroups", "temperature", "ece_calibrated",
        "threshold", "tuned", "brier", "log_loss",
    }  # fmt: skip
    confusion = pd.read_csv(tmp_path / "confusion.csv")
    assert list(confusion.columns) == ["head", "true", "predicted", "count"]
    counts = confusion[confusion["head"] == "color"]
    assert counts["count"].sum() == known.sum()
    assert counts.loc[counts["true"] == counts["predicted"], "count"].sum() == right.sum()
    mistakes = pd.read_csv(tmp_path / "mistakes.csv")
    assert list(mistakes.columns) == ["head", "image_id", "true", "predicted", "score"]
    mistakes = mistakes[mistakes["head"] == "color"]
    assert set(mistakes["image_id"]) == set(test["image_id"][known][~right])
    assert mistakes["score"].is_monotonic_increasing
    by_image = predictions.set_index("image_id")
    for row in mistakes.to_dict("records"):
        assert row["predicted"] == by_image.loc[row["image_id"], "color"]
        given = by_image.loc[row["image_id"], f"color:{row['true']}"]
        assert row["score"] == pytest.approx(given, abs=1e-6)
    assert mistakes["true"].tolist() == [
        test.set_index("image_id").loc[one, "color"] for one in mistakes["image_id"]
    ]
    report = classification_report(
        test["color"][known].astype(str),
        predictions["color"][known].astype(str),
        labels=list(COLORS),
        digits=4,
        zero_division=0,
    )
    assert f"color\n{report}\n" in (tmp_path / "report.txt").read_text()
    assert "<svg" in (tmp_path / "confusion.svg").read_text()
    assert (tmp_path / "metrics.run.json").exists()

    # Another batch size, the same images: the same figures.
    run(trained.evaluate_options(models, tmp_path))
    again = tables.read(tmp_path / "test_predictions.parquet")
    pd.testing.assert_frame_equal(again, predictions, rtol=1e-4, atol=1e-6)


# --- Filter


def test_filter_fills_the_deficit(trained):
    samples = tables.read(trained.synth / "samples.parquet")
    assert samples["accepted"].sum() == 20
    assert samples.loc[samples["accepted"], "reason"].isna().all()
    (dose,) = hold(trained.synth / "doses.csv", DOSES).to_dict("records")
    assert (dose["name"], dose["deficit"], dose["accepted"]) == ("blue", 20, 20)
    assert dose["reached"] == 1
    # Plain squares, in the colour that was asked for, and no copies.
    facts = files.read_json(trained.synth / "filter.json")
    assert facts["classes_told"]
    assert facts["teacher"]["balanced_accuracy"] > 0.8
    assert facts["memorized"] == []


def test_filter_refuses_copies_of_train_images(trained, tmp_path):
    candidates = tables.read(trained.synth / "candidates.parquet")
    images = np.load(trained.synth / "images.npy")
    train = trained.table[(trained.table["split"] == "train") & (trained.table["color"] == "blue")]
    num_copies = min(len(train), 5)
    images[:num_copies, :, 4:28] = trained.array[train["row"][:num_copies].to_numpy(dtype=int)]
    np.save(tmp_path / "images.npy", images)
    files.write_json({"content_box": [4, 0, 28, 32]}, tmp_path / "images.json")
    output = run(filter_options(trained, tmp_path, images=tmp_path / "images.npy"))
    samples = tables.read(tmp_path / "samples.parquet")
    assert (samples["reason"][:num_copies] == "memorized").all()
    assert not (samples["reason"][num_copies:] == "memorized").any()
    assert len(samples) == len(candidates)
    assert "blue: 20 of 40 candidates accepted" in output


def test_filter_reports_what_is_missing(trained, tmp_path):
    output = run(filter_options(trained, tmp_path, min_probability=1.0))
    samples = tables.read(tmp_path / "samples.parquet")
    assert set(samples["reason"]) == {"low_probability"}
    assert "20 of 20 missing images remain unfilled" in output
    (dose,) = tables.read(tmp_path / "doses.csv", DOSES).to_dict("records")
    assert (dose["accepted"], dose["low_probability"], dose["reached"]) == (0, 40, 0)


def test_filter_takes_a_teacher_of_real_images_only(trained, tmp_path):
    run(trained.train_options(tmp_path / "m", "weighted_loss", epochs=1))
    options = filter_options(trained, tmp_path, teacher=[tmp_path / "m"])
    assert "the teacher is to be real" in run(options, code=1)
