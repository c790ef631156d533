"""Folders of classes, and the archives that StyleGAN tools train on: read, written, read again."""

import io
import json
import os
import shlex
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from layouts import picture, write, write_stylegan
from PIL import Image

from facedata.cli import main
from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facedata.packs import storage
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.storage import archives, tables

FOLDERS = {"attribute": "hair", "classes": None, "official_split": False}
ARCHIVE = {"file": "dataset.zip", "attribute": "label", "classes": None}


def read(adapter, root, **changes):
    settings = (FOLDERS if adapter == "imagefolder" else ARCHIVE) | changes
    return ingest(adapter, root, settings, seed=0)


def reasons(found):
    return dict(zip(found.rejected["image_id"], found.rejected["reason"], strict=True))


@pytest.fixture
def folders(tmp_path):
    for path in ("red/1.png", "red/more/2.JPG", "brown/3.jpeg", "brown/notes.txt", ".cache/9.png"):
        write(tmp_path / path)
    write(tmp_path / "list.csv")
    return tmp_path


def test_the_class_is_the_folder(folders):
    found = read("imagefolder", folders)
    index = found.index
    assert index["path"].tolist() == ["brown/3.jpeg", "red/1.png", "red/more/2.JPG"]
    assert index["image_id"].tolist() == index["path"].tolist()
    assert index["hair"].tolist() == ["brown", "red", "red"]
    assert index["hair"].cat.categories.tolist() == ["brown", "red"]
    assert index["table_row"].tolist() == [1, 2, 3]
    assert index["official_split"].isna().all()
    assert found.rejected.empty


def test_classes_may_be_listed_in_an_order(folders):
    write(folders / "blue/4.png")
    write(folders / "5.png")
    found = read("imagefolder", folders, classes=["Red", "brown", "gray"])
    assert found.index["hair"].cat.categories.tolist() == ["Red", "brown", "gray"]
    assert found.index["hair"].tolist() == ["brown", "Red", "Red"]
    assert reasons(found) == {"5.png": "no_class", "blue/4.png": "unknown_class"}


def test_official_splits_come_before_the_classes(tmp_path):
    for path in ("train/red/1.png", "valid/red/2.png", "test/brown/3.png"):
        write(tmp_path / path)
    for path in ("extra/red/4.png", "train/5.png", "6.png"):
        write(tmp_path / path)
    found = read("imagefolder", tmp_path, official_split=True)
    assert found.index["path"].tolist() == [
        "test/brown/3.png",
        "train/red/1.png",
        "valid/red/2.png",
    ]
    assert found.index["official_split"].tolist() == ["test", "train", "val"]
    assert found.index["hair"].tolist() == ["brown", "red", "red"]
    assert reasons(found) == {
        "6.png": "no_class",
        "extra/red/4.png": "unknown_split",
        "train/5.png": "no_class",
    }


def test_classes_in_linked_folders_are_read(folders, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    write(away / "7.png")
    (folders / "gray").symlink_to(away)
    (away / "round").symlink_to(away)  # round and round
    assert "gray/7.png" in read("imagefolder", folders).index["path"].tolist()


def test_links_within_classes_are_followed(folders, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    write(away / "7.png")
    (folders / "red/linked").symlink_to(away)
    found = read("imagefolder", folders)
    assert found.index.set_index("path")["hair"]["red/linked/7.png"] == "red"


def test_hidden_folders_are_no_classes_and_the_last_line_tells(folders, caplog):
    write(folders / "red/.ipynb_checkpoints/1-checkpoint.png")
    write(folders / "__MACOSX/red/._1.png")
    caplog.set_level("INFO")
    found = read("imagefolder", folders)
    assert found.index["path"].tolist() == ["brown/3.jpeg", "red/1.png", "red/more/2.JPG"]
    assert caplog.messages[-1] == (
        "3 images in the index; left out: 3 hidden or system (.cache, __MACOSX,"
        " red/.ipynb_checkpoints); not read: list.csv"
    )


def test_names_that_are_no_utf_8_are_indexed_and_can_be_decoded(tmp_path):
    write(tmp_path / os.fsdecode(b"caf\xe9/\xff.png"), picture(0))
    write(tmp_path / "red/1.png", picture(1))
    found = read("imagefolder", tmp_path)
    tables.write(found.index, tmp_path / "index.parquet")
    index = tables.read(tmp_path / "index.parquet")
    assert index["image_id"].tolist() == [r"caf\udce9/\udcff.png", "red/1.png"]
    assert index["hair"].tolist() == [r"caf\udce9", "red"]
    assert decode.read(tmp_path / index["path"][0]) == picture(0)
    found = read("stylegan_zip", tmp_path, file=".")
    assert found.index["image_id"].tolist() == [r"caf\udce9/\udcff.png", "red/1.png"]


def test_folders_that_look_alike_are_one_class(tmp_path):
    for form in ("NFC", "NFD"):
        write(tmp_path / unicodedata.normalize(form, "ch\xe2tain") / f"{form}.png")
    write(tmp_path / "Red/1.png")
    write(tmp_path / "red/2.png")
    hair = read("imagefolder", tmp_path).index["hair"]
    assert len(hair.cat.categories) == 2 and hair.value_counts().tolist() == [2, 2]


def test_most_pictures_in_folders_that_are_no_class_stop(folders):
    for number in range(9):
        write(folders / f"reds/{number}.png")
    message = r"9 of 12 rows and files .* 9 unknown_class \(reds/0.png: reds is none of the classes"
    with pytest.raises(DataError, match=message):
        read("imagefolder", folders, classes=["red", "brown"])


@pytest.mark.parametrize("name", ["00000\\\\img.png", "./00000/img.png", "00000/img.png"])
def test_labels_name_images_with_either_slash(tmp_path, name):
    write(tmp_path / "00000/img.png")
    write(tmp_path / "dataset.json", f'{{"labels": [["{name}", 1]]}}')
    found = read("stylegan_zip", tmp_path, file=".")
    assert found.index["image_id"].tolist() == ["00000/img.png"] and found.rejected.empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": ["blue", "gray"]},
            r"no pictures in <class>/, expected one of \['blue', 'gray",
        ),
        ({"official_split": True}, "no pictures in train/<class>/, expected one of any class"),
        ({"classes": ["red", "Red"]}, "do not differ but for case"),
        ({"attribute": "hair color"}, "attribute: 'hair color' is not text like"),
        ({"attribute": "class"}, "attribute 'class': the name is taken"),
    ],
)
def test_folders_that_cannot_be_read_say_why(folders, changes, message):
    with pytest.raises(DataError, match=message):
        read("imagefolder", folders, **changes)


def test_classes_are_declared_where_they_are_set():
    assert adapters.read("imagefolder", FOLDERS).class_lists() == {"hair": []}
    assert adapters.read("stylegan_zip", ARCHIVE | {"classes": ["a", "b"]}).class_lists() == {
        "label": ["a", "b"]
    }
    assert adapters.read("imagefolder", FOLDERS).tables(None) == []


LABELS = [["00000/img00000000.png", 2], ["00000/img00000001.png", 0], ["b.png", 2]]


def test_an_archive_is_read_with_its_labels(tmp_path):
    write_stylegan(tmp_path, LABELS)
    found = read("stylegan_zip", tmp_path)
    index = found.index
    assert index["image_id"].tolist() == [name for name, _ in LABELS]
    assert index["path"].tolist() == [f"dataset.zip/{name}" for name, _ in LABELS]
    assert index["label"].tolist() == ["class2", "class0", "class2"]
    assert index["label"].cat.categories.tolist() == ["class0", "class1", "class2"]
    for number, path in enumerate(index["path"]):
        assert archives.read_bytes(tmp_path / path) == picture(number, 16, 16)
    assert adapters.read("stylegan_zip", ARCHIVE).tables(tmp_path) == [tmp_path / "dataset.zip"]


def test_names_of_classes_are_those_of_settings_then_of_the_archive(tmp_path):
    write_stylegan(tmp_path, LABELS, extra={"classes": ["x", "y", "z"]})
    assert read("stylegan_zip", tmp_path).index["label"].tolist() == ["z", "x", "z"]
    found = read("stylegan_zip", tmp_path, classes=["red", "brown", "gray", "blue"])
    assert found.index["label"].tolist() == ["gray", "red", "gray"]
    with pytest.raises(DataError, match="class 2, but names of 2"):
        read("stylegan_zip", tmp_path, classes=["red", "brown"])


def test_one_hot_labels_are_classes(tmp_path):
    write_stylegan(tmp_path, [["a.png", [0.0, 1.0, 0.0]], ["b.png", [1.0, 0.0, 0.0]]])
    assert read("stylegan_zip", tmp_path).index["label"].tolist() == ["class1", "class0"]


@pytest.mark.parametrize("folder", [".", "faces"])
def test_a_folder_is_read_as_an_archive_is(tmp_path, folder):
    write(tmp_path / folder / "0/a.png", picture(0))
    write(tmp_path / folder / "0/b.png", picture(1))
    path = write(tmp_path / folder / "dataset.json", '{"labels": [["0/a.png", 1]]}')
    found = read("stylegan_zip", tmp_path, file=folder)
    prefix = "" if folder == "." else "faces/"
    assert found.index["path"].tolist() == [f"{prefix}0/a.png"]
    assert found.index["label"].tolist() == ["class1"]
    assert reasons(found) == {"0/b.png": "file_without_row"}
    assert adapters.read("stylegan_zip", ARCHIVE | {"file": folder}).tables(tmp_path) == [path]


@pytest.mark.parametrize("labels", [None, "none"])
def test_without_labels_there_is_no_attribute(tmp_path, labels):
    names = ["b.png", "a.png"]
    if labels is None:
        write_stylegan(tmp_path, None, names)
    else:  # no dataset.json at all
        with zipfile.ZipFile(tmp_path / "dataset.zip", "w") as file:
            for name in names:
                file.writestr(name, b"")
    found = read("stylegan_zip", tmp_path)
    assert found.index["image_id"].tolist() == ["a.png", "b.png"]
    assert found.index["table_row"].tolist() == [1, 2]
    assert "label" not in found.index


def test_labels_and_images_that_lack_each_other_are_rejected(tmp_path):
    write_stylegan(tmp_path, [["gone.png", 0], ["a.png", 1]], names=["a.png", "more.png"])
    found = read("stylegan_zip", tmp_path)
    assert found.index["table_row"].tolist() == [2]
    assert reasons(found) == {"gone.png": "missing_file", "more.png": "file_without_row"}
    assert found.rejected["table_row"].tolist() == [1, pd.NA]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"expected \{\"labels\": \[\[file, class\], ...\]\}"),
        ("{}", "expected"),
        ("{", "not JSON"),
        ('{"labels": 3}', "labels: found 3, expected a list or null"),
        ('{"labels": [["a.png"]]}', r"labels\[0\]: found \['a.png'\], expected \[file, class\]"),
        ('{"labels": [["a.png", 0], ["a.png", 1]]}', r"labels\[1\]: .*expected another file"),
        ('{"labels": [["a.png", -1]]}', "expected a class number or a one-hot list"),
        ('{"labels": [["a.png", 1000000000000]]}', "expected a class number or a one-hot list"),
        ('{"labels": [["a.png", true]]}', "expected a class number or a one-hot list"),
        ('{"labels": [["a.png", [0.5, 0.5]]]}', "expected a class number or a one-hot list"),
        ('{"labels": [["a.png", [1, 0]], ["b.png", 1]]}', "expected a label of the same kind"),
        ('{"labels": [["z.png", 0]]}', "none of 1 labels is of an image that is there"),
        ('{"labels": [["a.png", 0]], "classes": ["x", "x"]}', "classes: .*expected different na"),
    ],
)
def test_labels_of_another_format_say_why(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "dataset.zip", "w") as file:
        file.writestr("a.png", b"")
        file.writestr("dataset.json", content)
    with pytest.raises(DataError, match=rf"dataset\.zip/dataset\.json: .*{message}"):
        read("stylegan_zip", tmp_path)


def test_an_archive_that_is_not_there_or_empty_is_named(tmp_path):
    with pytest.raises(DataError, match=r"dataset\.zip: no such file"):
        read("stylegan_zip", tmp_path)
    with pytest.raises(DataError, match=r"dataset\.zip: no such file; check dataset_root"):
        adapters.read("stylegan_zip", ARCHIVE).tables(tmp_path)
    write(tmp_path / "dataset.zip", b"no archive")
    with pytest.raises(DataError, match="not a readable ZIP archive"):
        read("stylegan_zip", tmp_path)
    with zipfile.ZipFile(tmp_path / "dataset.zip", "w") as file:
        file.writestr("dataset.json", '{"labels": null}')
    with pytest.raises(DataError, match=r"no images, expected a folder or a \.zip archive"):
        read("stylegan_zip", tmp_path)


@pytest.fixture
def pack(tmp_path):
    """A pack of 1,003 images in two classes: more than a folder of the archive holds."""
    images = np.random.default_rng(0).integers(0, 256, (1003, 8, 8, 3), dtype=np.uint8)
    hair = np.where(np.arange(len(images)) % 3 == 0, "red", "brown")
    table = pd.DataFrame(
        {
            "image_id": [f"{number}.jpg" for number in range(len(images))],
            "class": (hair == "red").astype(int),
            "hair": pd.Categorical(hair, categories=["brown", "red"]),
        }
    )
    path = tmp_path / "packs/train.npy"
    storage.write_pack(path, images, table, ["hair"], [["brown"], ["red"]], (0, 0, 8, 8))
    return path


def export(pack, path):
    done = CliRunner().invoke(main, ["export-zip", "--pack", str(pack), "--zip", str(path)])
    assert done.exit_code == 0, done.output
    return path


def test_an_exported_pack_is_what_other_tools_read(pack, tmp_path):
    path = export(pack, tmp_path / "out/faces.zip")
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        content = json.loads(archive.read("dataset.json"))
        last = archive.read("00001/img00001002.png")
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    names = [f"{number // 1000:05}/img{number:08}.png" for number in range(1003)]
    assert [info.filename for info in infos] == [*names, "dataset.json"]
    given = storage.read_pack(pack)
    assert content["labels"] == [list(it) for it in zip(names, given.labels.tolist(), strict=True)]
    assert content["classes"] == ["brown", "red"]
    with Image.open(io.BytesIO(last)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(image, given.images[1002])
    assert (tmp_path / "out/faces.run.json").is_file()


def test_a_pack_comes_back_from_its_archive(pack, tmp_path):
    path = export(pack, tmp_path / "faces.zip")
    index = read("stylegan_zip", tmp_path, file="faces.zip").index
    given = storage.read_pack(pack)
    assert index["label"].tolist() == given.table["hair"].tolist()
    assert index["label"].cat.categories.tolist() == ["brown", "red"]
    for number in (0, 1, 999, 1000, 1002):
        data = archives.read_bytes(tmp_path / index["path"][number])
        np.testing.assert_array_equal(Image.open(io.BytesIO(data)), given.images[number])
    assert path.read_bytes() == export(pack, tmp_path / "again.zip").read_bytes()


def test_a_pack_without_classes_has_no_labels(tmp_path):
    images = np.zeros((2, 16, 16, 3), np.uint8)
    table = pd.DataFrame({"image_id": ["a", "b"], "class": [0, 0]})
    storage.write_pack(tmp_path / "train.npy", images, table, [], [], (0, 0, 16, 16))
    export(tmp_path / "train.npy", tmp_path / "dataset.zip")
    with zipfile.ZipFile(tmp_path / "dataset.zip") as archive:
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    index = read("stylegan_zip", tmp_path).index
    assert len(index) == 2
    picture = decode.decode(decode.read(tmp_path / index["path"][0]), {})
    assert picture.shape == (16, 16, 4)


def test_the_example_of_the_help_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("red", "brown"):
        write(tmp_path / "photos" / name / "a.png", picture(0))
    text = CliRunner().invoke(main, ["ingest", "--help"]).output
    example = text[text.index("facedata ingest") : text.index("\nOptions:")]
    words = shlex.split(example.replace("\\\n", " "))
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, done.output
    assert tables.read(Path("index.parquet"))["hair_color"].tolist() == ["brown", "red"]
