"""`classifiers train` on a folder of photographs and a table, and what reads its model."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import BACKBONE, run
from held_tables import hold
from layouts import write
from PIL import Image
from unseen_photos import noise, portrait

from classifiers.columns import HISTORY
from classifiers.folders import ready
from classifiers.images import sets
from classifiers.models import checkpoint
from facedata.columns import CURATED, FACES, PREDICTIONS, REJECTED, SPLITS
from facedata.ingest.avatars import paint_portrait
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import files

SHARED = Path(__file__).parents[4] / "shared" / "data"
QUICK = ["--backbone", BACKBONE, "--weights", "none", "--epochs", 1, "--batch", 8]
QUICK += ["--threads", 1, "--device", "cpu", "--no-tensorboard"]
NUM = 48
PLAIN = {"hair_color": "brown", "glasses": "none", "facial_hair": "none", "headwear": "none"}
PLAIN |= {"mouth": "smile"}
HEAD = '[{{"name": "a", "attributes": ["{}"]}}]'
HEADING = ["file", "sex", "age", "hat", "person", "note", "site"]


def faces(root, number=NUM):
    """Draw faces in nested folders: two of a person, men with beards; return the table's rows."""
    rows = []
    for i in range(number):
        rng = np.random.default_rng(i)
        sex, hat = "FM"[i // 2 % 2], ("cap", "bare", "bare")[i % 3]
        labels = PLAIN | {"facial_hair": "beard" if sex == "M" else "none"}
        labels |= {"headwear": "hat" if hat == "cap" else "none"}
        name = f"{'ab'[i % 2]}/deep/{i:03}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        paint_portrait(labels, 60, 48, rng).save(root / name)
        rows.append([name, sex, str(20 + i % 40), hat, f"p{i // 2}", f"text {i}", "here"])
    return rows


def table(path, rows, heading=HEADING):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a table beside it, as people have them, and a model that learned from it."""
    root = tmp_path_factory.mktemp("folder")
    rows = faces(root / "photos")
    rows[1][1] = " f "  # another spelling
    rows[2][1] = ""  # no label
    rows.append(["gone.png", "F", "30", "bare", "p99", "text", "here"])
    Image.open(root / "photos" / rows[5][0]).save(root / "photos/a/copy.png")
    rows.append(["a/copy.png", "M", "25", "bare", "p77", "copied", "here"])
    write(root / "photos/a/broken.png", b"no picture")
    rows.append(["a/broken.png", "M", "25", "bare", "p0", "broken", "here"])
    write(root / "photos/a/.hidden/x.png", b"")
    labels = table(root / "labels.csv", rows)
    out = root / "run"
    said = run(
        [
            "train",
            "--images",
            root / "photos",
            "--labels",
            labels,
            "--size",
            48,
            "--out",
            out,
            *QUICK,
        ]
    )
    return root, out, said


def test_a_folder_and_a_table_are_enough(trained):
    _, out, said = trained
    hold(out / "predictions.parquet", PREDICTIONS)
    hold(out / "history.csv", HISTORY)
    curated = hold(out / "data/curated.parquet", CURATED)
    hold(out / "data/splits.parquet", SPLITS)
    hold(out / "data/faces.parquet", FACES)
    meta = checkpoint.load_classifier(out / "model.safetensors")[1]
    assert meta["geometry"] == {"height": 48, "width": 40, "fit": "pad"}
    assert [(one["name"], one["kind"]) for one in meta["heads"]] == [
        ("sex", "categorical"), ("age", "numeric"), ("hat", "categorical"),
    ]  # fmt: skip
    assert len(curated) == NUM + 1 and curated["sex"].notna().sum() == NUM
    assert "attribute sex: 2 classes (F 24, M 24); missing 1" in said
    assert "attribute age: numbers, 20 to 59" in said
    assert "person: persons (" in said
    assert "note: left out, 51 values, like identifiers or free text" in said
    assert "site: left out, always here" in said
    assert "has no image of" not in said  # a missing label is no class
    record = files.read_json(out / "run.json")["values"]
    assert record["epochs"] == 1 and record["curated"] == str(out / "data/curated.parquet")


def test_what_is_left_out_is_listed_and_counted_on_the_last_line(trained):
    _, out, said = trained
    gone = hold(out / "data/left_out.csv", REJECTED).set_index("image_id")
    assert gone["reason"].to_dict() == {"gone.png": "missing_file", "a/broken.png": "not_decodable"}
    last = said.strip().splitlines()[-1]
    assert f"{NUM + 1} images, train " in last
    assert "left out: 1 missing_file, 1 not_decodable, 1 hidden or system (a/.hidden)" in last


def test_persons_and_copies_are_in_one_split(trained):
    _, out, _ = trained
    found = pd.read_parquet(out / "data/curated.parquet").merge(
        pd.read_parquet(out / "data/splits.parquet"), on="image_id"
    )
    assert set(found["split"]) == {"train", "val", "test"}
    assert len(found[["group", "split"]].drop_duplicates()) == found["group"].nunique()
    of_image = found.set_index("image_id")["split"]
    assert of_image["a/copy.png"] == of_image["b/deep/005.png"]


def test_its_own_test_part_is_measured_and_photos_are_predicted(trained, tmp_path):
    root, out, _ = trained
    model = out / "model.safetensors"
    measured = tmp_path / "test"
    run(["evaluate", "--model", model, "--outdir", measured, "--threads", 1, "--device", "cpu"])
    metrics = files.read_json(measured / "metrics.json")
    splits = pd.read_parquet(out / "data/splits.parquet")
    tested = pd.read_parquet(measured / "test_predictions.parquet")
    assert set(tested["image_id"]) == set(splits.loc[splits["split"] == "test", "image_id"])
    assert metrics["sex"]["support"] == len(tested)

    predicted = tmp_path / "predicted.csv"
    run(["predict", "--model", model, "--images", root / "photos", "--out", predicted])
    rows = pd.read_csv(predicted).set_index("file")
    assert rows.loc["a/broken.png", "problem"].startswith("not decodable")
    assert set(rows.drop("a/broken.png")["sex"]) <= {"F", "M"}

    run(["export", "--model", model, "--out", tmp_path / "model.onnx"])
    assert (tmp_path / "model.onnx").is_file()


def test_another_seed_learns_from_the_same_split_and_another_round_from_another(trained, tmp_path):
    root, out, _ = trained
    words = ["train", "--images", root / "photos", "--labels", root / "labels.csv", "--size", 48]
    words += ["--attribute", "sex", "--attribute", "sex", *QUICK]
    first = pd.read_parquet(out / "data/splits.parquet")
    for name, same in (("--seed", True), ("--round", False)):
        run([*words, name, 1, "--out", tmp_path / name])
        found = pd.read_parquet(tmp_path / name / "data/splits.parquet")
        tests = [set(one.loc[one["split"] == "test", "image_id"]) for one in (first, found)]
        assert (tests[0] == tests[1]) == same
    meta = checkpoint.load_classifier(tmp_path / "--seed/model.safetensors")[1]
    assert [head["name"] for head in meta["heads"]] == ["sex"]


@pytest.mark.parametrize(
    ("num_train", "epochs"), [(20, 60), (140, 60), (700, 29), (2_100, 10), (5_000, 4), (90_000, 4)]
)
def test_a_small_set_is_passed_over_more_often(num_train, epochs):
    counts = {"train": num_train, "val": 9, "test": 9}
    made = ready.Ready((), Geometry(height=64, width=48, fit="pad"), counts, None, "")
    assert made.epochs == epochs


def test_folders_of_classes_need_no_table(tmp_path):
    for i in range(24):
        picture = paint_portrait(PLAIN, 40, 40, np.random.default_rng(i))
        folder = tmp_path / "photos" / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{i}.png")
    said = run(["train", "--images", tmp_path / "photos", "--out", tmp_path / "run", *QUICK])
    assert "attribute label: 2 classes (cat 12, dog 12)" in said
    assert "no column of persons" in said
    assert said.strip().endswith("24 images, train 16, val 4, test 4")  # nothing is left out


def test_faces_are_cut_out_of_photographs_whose_boxes_are_said_not_to_be_read(tmp_path):
    rows = [[*row[:2], 0, 0, 40, 40] for row in faces(tmp_path / "photos", 12)]
    labels = table(tmp_path / "labels.csv", rows, ["file", "sex", "x", "y", "w", "h"])
    words = ["--images", tmp_path / "photos", "--labels", labels, "--out", tmp_path / "run"]
    said = run(["train", *words, "--size", 40, "--fit", "face", *QUICK])
    assert "x, y, w, h: left out, boxes; photographs are taken by --fit" in said
    meta = checkpoint.load_classifier(tmp_path / "run/model.safetensors")[1]
    assert meta["geometry"]["fit"] == "face" and meta["geometry"]["width"] == 40
    assert [head["name"] for head in meta["heads"]] == ["sex"]
    assert not (tmp_path / "run/data/faces.parquet").exists()  # the geometry says how they lie


def test_how_faces_lie_is_told_by_some_images_of_train(tmp_path, monkeypatch):
    monkeypatch.setattr(ready, "NUM_FRAMED", 12)
    images = np.stack([np.asarray(noise(i, 100, 120)) for i in range(60)])
    whole = np.asarray(portrait(120).crop((1, 0, 101, 120)))
    images[10:50] = whole  # train, but for one
    train = pd.DataFrame({"image_id": [f"{row}.png" for row in range(9, 50)], "row": range(9, 50)})
    found = ready.find_faces(images, train, torch.device("cpu"))
    assert found["image_id"].tolist()[::11] == ["9.png", "49.png"] and len(found) == 12
    assert found["non_face"].tolist() == [True, *[False] * 11]
    found.to_parquet(tmp_path / "faces.parquet")
    hold(tmp_path / "faces.parquet", FACES)
    framing = np.array(sets.read_framing(tmp_path / "faces.parquet", train["image_id"].tolist()))
    eyes, mouth = framing[:2], framing[3:]
    assert (eyes[:, 1] < framing[2, 1]).all() and (mouth[:, 1] > framing[2, 1]).all()
    assert framing[:, 0].min() > 20 and framing[:, 0].max() < 80
    with pytest.raises(DataError, match="has none of the images of train"):
        sets.read_framing(tmp_path / "faces.parquet", ["other.png"])


@pytest.mark.skipif(not (SHARED / "aaf").is_dir(), reason="no real faces here")
def test_a_model_of_a_folder_finds_faces_in_photographs(tmp_path):
    labels = pd.read_csv(SHARED / "aaf/labels.csv").iloc[:60]
    for name in labels["file"]:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).symlink_to(SHARED / "aaf" / name)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    words = ["--images", tmp_path / "photos", "--labels", tmp_path / "labels.csv"]
    run(["train", *words, "--attribute", "gender", "--out", tmp_path / "run", *QUICK])
    assert 30 <= len(pd.read_parquet(tmp_path / "run/data/faces.parquet")) <= 45  # of train
    portrait(600).save(tmp_path / "other.png")
    words = ["--model", tmp_path / "run/model.safetensors", "--images", tmp_path / "other.png"]
    run(["predict", *words, "--align", "--out", tmp_path / "predicted.csv"])
    row = pd.read_csv(tmp_path / "predicted.csv").iloc[0]
    assert row["gender"] in ("female", "male") and 100 < row["x1"] - row["x0"] < 300


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        (lambda r: None, ["--attribute", "sexx"], "no column 'sexx'"),
        (lambda r: None, ["--attribute", "site"], "--attribute site: always here"),
        (lambda r: None, ["--person", "who"], "--person: no column 'who'"),
        (lambda r: None, ["--round", 6], "--round 6: no images of test are left"),
        (lambda r: [row.__setitem__(1, "F") for row in r], ["--attribute", "sex"], "always F"),
        (
            lambda r: [row.__setitem__(1, "X" if n == 0 else row[1]) for n, row in enumerate(r)],
            ["--attribute", "sex"],
            "class X has 1 of 12 images, expected 2 or more",
        ),
        (lambda r: [row.__setitem__(0, f"{row[0]}x") for row in r], [], "no column names photo"),
        (lambda r: r.clear(), [], "no column names photographs"),
        (
            lambda r: r.extend([[f"gone{i}", *r[i % 12][1:]] for i in range(36)]),
            [],
            "such as a/deep/000.png, in 50% of the rows or more",
        ),
        (
            lambda r: r.append(["gone", *r[0][1:]]),
            ["--max-left-out", 0],
            "no such file below the data set's folder); --max-left-out lets more pass",
        ),
        (lambda r: None, ["--heads", HEAD.format("hatt")], "did you mean 'hat'?"),
        (lambda r: None, ["--attribute", "hat", "--fold", 9], "in fold 9, found 0 to 2"),
        (
            lambda r: [row.__setitem__(4, f"p{n % 2}") for n, row in enumerate(r)],
            ["--person", "person", "--attribute", "hat"],
            "12 images of 2 persons",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(tmp_path, change, more, words):
    rows = faces(tmp_path / "photos", 12)
    change(rows)
    labels = table(tmp_path / "labels.csv", rows)
    options = ["--images", tmp_path / "photos", "--labels", labels, "--out", tmp_path / "run"]
    said = run(["train", *options, *more, *QUICK], code=1)
    assert words in said.strip().splitlines()[-1]
    assert not (tmp_path / "run/model.safetensors").exists()


def test_a_table_of_many_more_photographs_is_read_where_that_is_said(tmp_path):
    rows = faces(tmp_path / "photos", 12)
    rows += [[f"gone{i}", *rows[i % 12][1:]] for i in range(36)]
    labels = table(tmp_path / "labels.csv", rows)
    words = ["--images", tmp_path / "photos", "--labels", labels, "--attribute", "hat"]
    said = run(["train", *words, "--max-left-out", 0.9, "--out", tmp_path / "run", *QUICK])
    assert said.strip().endswith("left out: 36 missing_file")


def test_messages_name_no_keys_of_a_config(tmp_path):
    """Persons told by values alone, a spelling that may be a class, units that cannot be dealt."""
    rows = faces(tmp_path / "photos", 48)
    rows[3][3] = "carp"
    rows += [[f"gone{i}", *rows[i][1:]] for i in range(4, 16)]
    heading = [*HEADING[:4], "code", *HEADING[5:]]
    labels = table(tmp_path / "labels.csv", rows, heading)
    words = ["--images", tmp_path / "photos", "--labels", labels, "--out", tmp_path / "run"]
    said = run(["train", *words, "--attribute", "hat", *QUICK])
    assert (
        "code: taken for persons by its values; where it is none, name it by --attribute, or leave"
        " it out of the table" in said
    )
    assert "carp 1; looks like cap; correct it if it is" in said

    for number, row in enumerate(rows):
        row[4] = "one" if number < 30 or number > 47 else f"p{number}"
        row[6] = "train" if row[4] == "one" else "test"
    heading[6] = "split"
    labels = table(tmp_path / "labels.csv", rows, heading)
    said = run(["train", *words, "--person", "code", *QUICK], code=1)
    assert said.strip().endswith("more images of more persons are needed")
    assert "--folds" not in said and "--balance" not in said


def test_nothing_is_written_among_the_photographs(tmp_path):
    labels = table(tmp_path / "labels.csv", faces(tmp_path / "photos", 12))
    out = tmp_path / "photos/run"
    options = ["--images", tmp_path / "photos", "--labels", labels, "--out", out]
    assert "is part of" in run(["train", *options, *QUICK], code=1)
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--curated", "splits.parquet"], "--curated: given, but --images is a folder"),
        (["--faces", "splits.parquet"], "--faces: given, but --images is a folder"),
        (
            ["--heads", json.dumps([{"name": "a", "attributes": ["a"]}]), "--attribute", "a"],
            "--attribute: given, but --heads",
        ),
        (["--geometry", "{}", "--size", "64"], "--size: given, but --geometry"),
    ],
)
def test_options_of_packed_images_do_not_go_with_a_folder(tmp_path, monkeypatch, more, words):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "splits.parquet", b"")
    (tmp_path / "photos").mkdir()
    assert words in run(["train", "--images", "photos", "--out", "run", *more], code=2)


def test_packed_images_need_their_tables(tmp_path):
    packed = write(tmp_path / "classifier.npy", b"")
    said = run(["train", "--images", packed, "--out", tmp_path / "run"], code=2)
    assert "Missing option '--curated'" in said
    said = run(["train", "--images", packed, "--labels", packed, "--out", tmp_path / "run"], code=2)
    assert "--labels: given, but --images is no folder" in said


def test_a_model_of_packed_images_does_not_say_what_to_measure(trained, tmp_path):
    model = write(tmp_path / "model.safetensors", b"")
    said = run(["evaluate", "--model", model, "--outdir", tmp_path / "out"], code=2)
    assert "Missing option '--images'" in said
