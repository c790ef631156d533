"""The check of photographs: each planted fault is found, nothing of the user's is touched."""

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_chromium
from click.testing import CliRunner
from PIL import Image, ImageFilter, ImageOps

from evenface import cli
from facedata.ingest.avatars import paint_portrait

HOSTILE = "<img src=x onerror=alert(1)> & \"'{{7*7}} {a} %s\n=1+1,b.png"
LOOKS = {"glasses": "none", "facial_hair": "none", "headwear": "none", "mouth": "smile"}
SIDE = 96


def portrait(seed, hair):
    """Return a drawn portrait."""
    return paint_portrait({"hair_color": hair, **LOOKS}, SIDE, SIDE, np.random.default_rng(seed))


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def bytes_of(folder):
    """Return a digest of each file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in files
    }


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Portraits with red and black hair in train and test, and what is wrong with some."""
    root = tmp_path_factory.mktemp("check") / "photos"
    for place, hair in enumerate(("red", "black")):
        for number in range(26):
            split = "train" if number < 20 else "test"
            save(portrait(100 * place + number, hair), root / split / hair / f"{number:02}.png")
    black, red = root / "train/black", root / "train/red"
    data = io.BytesIO()
    portrait(7, "black").save(data, "JPEG")
    (black / "cut.jpg").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    (black / "empty.png").write_bytes(b"")
    shutil.copy(black / "03.png", black / "copy.png")
    shutil.copy(red / "04.png", root / "test/red/leak.png")
    mirrored = ImageOps.mirror(Image.open(red / "05.png"))
    save(mirrored.crop((3, 3, SIDE - 3, SIDE - 3)), red / "mirrored.png")
    save(Image.new("RGB", (SIDE, SIDE)), black / "blank.png")
    save(portrait(300, "black").point(lambda value: value // 8), black / "dark.png")
    save(portrait(301, "red").filter(ImageFilter.GaussianBlur(4)), red / "blurred.png")
    save(portrait(302, "red").resize((3 * SIDE, SIDE)), red / "wide.png")
    save(portrait(303, "red").resize((24, 24)), red / "tiny.png")
    save(portrait(304, "red"), black / "swapped.png")
    save(portrait(305, "red"), red / HOSTILE)
    return root


def check(*arguments):
    return CliRunner().invoke(cli.main, ["check", *map(str, arguments), "--workers", "1"])


@pytest.fixture(scope="session")
def checked(photos, tmp_path_factory):
    """The outcome of a check of them, with every export."""
    folder = tmp_path_factory.mktemp("out")
    before = bytes_of(photos)
    exports = [f"--export={name}:{folder / name}" for name in ("csv", "folders")]
    exports += [f"--export={name}:{folder / name}" for name in ("huggingface", "fiftyone")]
    done = check(photos, "--out", folder / "check", "--no-faces", *exports)
    assert done.exit_code == 0, done.output
    assert bytes_of(photos) == before  # nothing was written, nothing changed
    return folder, done.output


@pytest.fixture
def problems(checked):
    with (checked[0] / "check/check.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files_with(problems, kind):
    return {row["file"] for row in problems if row["problem"] == kind}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("broken", {"train/black/cut.jpg", "train/black/empty.png"}),
        ("duplicate", {"train/black/copy.png", "train/red/04.png"}),
        ("near_duplicate", {"train/red/mirrored.png"}),
        ("leak", {"test/red/leak.png", "train/red/04.png"}),
        ("blank", {"train/black/blank.png"}),
        ("dark", {"train/black/dark.png"}),
        ("blurred", {"train/red/blurred.png"}),
        ("odd_shape", {"train/red/wide.png"}),
        ("few_pixels", {"train/red/tiny.png"}),
    ],
)
def test_planted_fault_is_found_and_nothing_else(problems, kind, expected):
    found = files_with(problems, kind)
    if kind == "duplicate":  # of two equal ones either may stay
        found = {file.replace("03.png", "copy.png") for file in found}
    if kind == "near_duplicate":
        found = {file.replace("05.png", "mirrored.png") for file in found}
    if kind in ("near_duplicate", "leak"):  # drawings may look alike
        assert found >= expected
        assert len(found) <= len(expected) + 4
    else:
        assert found == expected


def test_table_has_the_columns_and_severities_that_are_declared(checked, problems):
    assert list(problems[0]) == ["file", "problem", "detail", "severity"]
    assert {row["severity"] for row in problems} <= {"high", "medium", "low"}
    why = {row["file"]: row["detail"] for row in problems if row["problem"] == "broken"}
    assert why["train/black/empty.png"] == "an empty file"
    assert "cut off" in why["train/black/cut.jpg"]


def test_screen_says_what_was_understood_found_and_where_it_lies(checked):
    folder, output = checked
    assert "folders of an official split" in output
    assert "high         2  broken files" in output
    assert "exact copies" in output
    assert str(folder / "check/check.html") in output
    assert "left out: 2 broken, 2 exact copies" in output


def test_page_escapes_names_and_asks_for_nothing(checked):
    page = (checked[0] / "check/check.html").read_text()
    assert "<img src=x" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert page.count("http") == 1  # of http-equiv
    assert "no face found" not in page  # which was not looked for
    assert "Leave them out; <code>--export</code> does." in page


def test_page_is_the_same_when_made_again_from_what_was_kept(photos, checked):
    folder, _ = checked
    page, table = folder / "check/check.html", folder / "check/check.csv"
    before = page.read_bytes(), table.read_bytes()
    stamp = (folder / "check/work/features.npy").stat().st_mtime_ns
    done = check(photos, "--out", folder / "check", "--no-faces")
    assert done.exit_code == 0, done.output
    assert (page.read_bytes(), table.read_bytes()) == before
    assert (folder / "check/work/features.npy").stat().st_mtime_ns == stamp
    assert "Decoding:" not in done.output  # a stage that was done is not done again


def expected_clean(photos):
    return len(bytes_of(photos)) - 4  # two broken, two exact copies


def test_csv_export_holds_each_picture_once_byte_for_byte(photos, checked):
    folder = checked[0] / "csv"
    table = pd.read_csv(folder / "labels.csv")
    assert list(table) == ["file", "split", "label"]
    assert len(table) == expected_clean(photos)
    known = set(bytes_of(photos).values())
    for file in table["file"]:
        data = (folder / file).read_bytes()
        assert hashlib.sha256(data).digest() in known
    assert table.groupby("label").size().to_dict() == {"black": 29, "red": 31}


def test_of_a_leak_the_copy_in_test_stays(checked):
    table = pd.read_csv(checked[0] / "csv/labels.csv")
    assert "images/test_red_leak.png" in set(table["file"])
    assert "images/train_red_04.png" not in set(table["file"])


def test_class_folders_of_an_export_are_read_as_such(checked):
    folder = checked[0] / "folders"
    assert {path.name for path in folder.iterdir()} == {"train", "test"}
    assert {path.name for path in (folder / "train").iterdir()} == {"red", "black"}


def test_huggingface_export_names_files_that_are_there(photos, checked):
    folder = checked[0] / "huggingface"
    number = 0
    for split in ("train", "test"):
        lines = (folder / split / "metadata.jsonl").read_text().splitlines()
        for line in lines:
            row = json.loads(line)
            assert (folder / split / row["file_name"]).is_file()
            assert row["label"] in ("red", "black")
        number += len(lines)
    assert number == expected_clean(photos)


def test_fiftyone_export_has_a_label_for_each_file(photos, checked):
    folder = checked[0] / "fiftyone"
    found = json.loads((folder / "labels.json").read_text())
    assert found["classes"] == ["black", "red"]
    stems = {path.stem for path in (folder / "data").iterdir()}
    assert stems == set(found["labels"])
    assert len(stems) == expected_clean(photos)
    assert found["labels"]["test_red_leak"] == {"label": "red", "attributes": {"split": "test"}}


@pytest.mark.parametrize("option", ["--out", "--export"])
def test_nothing_is_written_among_the_photographs(photos, tmp_path, option):
    place = photos / "results"
    given = f"csv:{place}" if option == "--export" else place
    out = () if option == "--out" else ("--out", tmp_path / "out")
    done = check(photos, option, given, *out)
    assert done.exit_code == 1
    assert "where nothing is written" in done.output
    assert not place.exists()


def test_folder_that_holds_other_files_is_left_alone(photos, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for given in (["--out", tmp_path], ["--out", tmp_path / "a", "--export", f"csv:{tmp_path}"]):
        done = check(photos, *given)
        assert done.exit_code == 1
        assert str(tmp_path) in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("export", "message"),
    [("csv", "expected FORMAT:DIR"), ("excel:out", "none of csv, fiftyone, folders, huggingface")],
)
def test_wrong_export_is_told_before_any_work(photos, tmp_path, export, message):
    done = check(photos, "--out", tmp_path / "out", "--export", export)
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_folder_without_photographs_is_told(tmp_path):
    (tmp_path / "photos").mkdir()
    done = check(tmp_path / "photos", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "no photographs" in done.output


def write_table(photos, path, rows, heading="file,hair,person"):
    path.write_text("\n".join([heading, *(",".join(row) for row in rows)]) + "\n")
    return path


def test_table_tells_labels_persons_and_files_that_are_not_there(tmp_path):
    photos = tmp_path / "photos"
    rows = []
    for number in range(8):
        hair = ("red", "black")[number % 2]
        save(portrait(number, hair), photos / f"{number}.png")
        rows.append((f"{number}.png", hair, f"p{number // 2}", "test" if number > 6 else "train"))
    shutil.copy(photos / "0.png", photos / "again.png")
    rows += [("again.png", "black", "p9", "train"), ("gone.png", "red", "p9", "train")]
    save(portrait(50, "red"), photos / "unlabelled.png")
    labels = write_table(photos, tmp_path / "labels.csv", rows, "file,hair,person,split")
    done = check(photos, "--labels", labels, "--out", tmp_path / "out", "--no-faces")
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "out/check.csv", keep_default_na=False)
    by_kind = found.groupby("problem")["file"].agg(set)
    assert by_kind["missing_file"] == {"gone.png"}
    assert by_kind["no_label"] == {"unlabelled.png"}
    assert by_kind["label_conflict"] == {"0.png", "again.png"}
    assert by_kind["leak"] == {"6.png", "7.png"}  # one person in train and test
    detail = found.loc[found["problem"] == "label_conflict", "detail"]
    assert set(detail) == {
        "hair: red, its copy has black",
        "hair: black, its copy has red",
    }


def test_copies_with_contradicting_labels_are_exported_without_one(tmp_path):
    photos = tmp_path / "photos"
    for hair in ("red", "black"):
        for number in range(3):
            save(portrait(number, hair), photos / hair / f"{number}.png")
    shutil.copy(photos / "red/0.png", photos / "black/same.png")
    done = check(
        photos, "--out", tmp_path / "out", "--no-faces", "--export", f"csv:{tmp_path / 'clean'}"
    )
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "clean/labels.csv")
    assert len(table) == 6
    assert table["label"].isna().sum() == 1


def test_photographs_in_an_archive_are_checked(tmp_path):
    for number in range(3):
        save(portrait(number, "red"), tmp_path / "in" / f"{number}.png")
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "in"))
    done = check(archive, "--out", tmp_path / "out", "--no-faces")
    assert done.exit_code == 0, done.output
    assert "3 photographs in" in done.output


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_page_shows_pictures_and_fits_the_window(checked, tmp_path, width):
    with Browser(find_chromium(), tmp_path / "profile", (width, 900)) as browser:
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        browser.open(checked[0] / "check/check.html")
        assert browser.run("document.documentElement.scrollWidth") <= width
        shown = browser.run(
            "(async () => { const all = [...document.images];"
            " for (const one of all) { one.loading = 'eager'; await one.decode(); }"
            " return all.length; })()"
        )
        assert shown > 10
        names = browser.run("[...document.images].map((one) => one.alt)")
        assert all(name.startswith("Small picture of ") for name in names)
        assert browser.problems == []
