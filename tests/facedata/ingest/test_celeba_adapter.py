"""CelebA as it is handed out: text and CSV, packed and unpacked, whole and damaged."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from layouts import celeba_values, write, write_celeba, write_zip

from facedata.cli import main
from facedata.ingest import adapters
from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES
from facedata.ingest.dataset import ingest
from facekit.errors import DataError
from facekit.storage import archives


def read(root):
    return ingest("celeba", root, {}, seed=0)


@pytest.mark.parametrize(
    ("form", "folder"),
    [
        ({}, "img_align_celeba"),
        ({"packed": True}, "img_align_celeba.zip/img_align_celeba"),
        ({"csv": True}, "img_align_celeba/img_align_celeba"),
        ({"drive": True}, "Img/img_align_celeba"),
        ({"drive": True, "packed": True}, "Img/img_align_celeba.zip/img_align_celeba"),
    ],
)
def test_every_published_form_gives_the_same_index(tmp_path, form, folder):
    found = read(write_celeba(tmp_path, 6, **form))
    index = found.index
    names = [f"{number:06}.jpg" for number in range(1, 7)]
    assert index["image_id"].tolist() == names
    assert index["path"].tolist() == [f"{folder}/{name}" for name in names]
    assert all(archives.read_bytes(tmp_path / path) for path in index["path"])
    assert index["table_row"].tolist() == [1, 2, 3, 4, 5, 6]
    assert index["official_split"].tolist() == ["train", "val", "test"] * 2
    if form.get("csv"):
        assert index["group"].isna().all()
    else:
        assert index["group"].tolist() == ["100", "101", "102"] * 2
    attributes = index[list(CELEBA_ATTRIBUTES)]
    assert index.columns[5:].tolist() == list(attributes)
    assert attributes["Male"].cat.categories.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(attributes == "yes", celeba_values(6) == 1)
    assert found.rejected.empty
    assert found.notes.empty


def test_there_are_forty_attributes_under_their_published_names(tmp_path):
    classes = adapters.read("celeba", {}).class_lists()
    assert len(classes) == 40
    assert [*classes][::39] == ["5_o_Clock_Shadow", "Young"]
    index = read(write_celeba(tmp_path)).index
    assert {name: index[name].cat.categories.tolist() for name in classes} == classes


def test_commands_read_packed_images_where_they_lie(tmp_path):
    root = write_celeba(tmp_path / "data", 6, packed=True)
    before = sorted(root.rglob("*"))
    index, inspection = tmp_path / "index.parquet", tmp_path / "inspection.parquet"
    command = ["ingest", "--adapter", "celeba", "--settings", "{}", "--seed", "0", "--root", root]
    for name in ("index.parquet", "rejected.csv", "notes.csv"):
        command += [f"--{name.split('.')[0]}", tmp_path / name]
    run(*command)
    sizes = json.dumps({"gan": {"height": 16, "width": 16, "fit": "pad"}})
    command = ["inspect", "--index", index, "--root", root, "--geometries", sizes, "--workers", "2"]
    run(*command, "--inspection", inspection, "--images", tmp_path / "images")
    facts = pd.read_parquet(inspection)
    assert facts["problem"].isna().all()
    assert facts["format"].tolist() == ["JPEG"] * 6
    assert facts["pixel_hash"].is_unique
    assert sorted(root.rglob("*")) == before  # nothing is written into the data set


def run(*command):
    done = CliRunner().invoke(main, [str(part) for part in command])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("name", "column"),
    [("list_eval_partition.txt", "official_split"), ("identity_CelebA.txt", "group")],
)
def test_split_and_persons_are_optional(tmp_path, name, column, caplog):
    root = write_celeba(tmp_path)
    (root / name).unlink()
    index = read(root).index
    assert index[column].isna().all()
    assert index[["official_split", "group"]].notna().any().sum() == 1
    assert f"no {name[:-4]}" in caplog.text


def test_rows_and_images_that_lack_each_other_are_rejected(tmp_path):
    root = write_celeba(tmp_path)
    (root / "img_align_celeba/000002.jpg").unlink()
    write(root / "img_align_celeba/000099.jpg")
    write(root / "img_align_celeba/notes.txt")
    found = read(root)
    assert found.index["table_row"].tolist() == [1, 3, 4, 5, 6]
    assert found.index["official_split"].tolist() == ["train", "test", "train", "val", "test"]
    assert found.index["Young"].tolist() == [
        "yes" if value == 1 else "no" for value in np.delete(celeba_values(6), 1, axis=0)[:, -1]
    ]
    assert found.rejected["image_id"].tolist() == ["000002.jpg", "000099.jpg"]
    assert found.rejected["table_row"].tolist() == [2, pd.NA]
    assert found.rejected["reason"].tolist() == ["missing_file", "file_without_row"]


def test_more_rows_of_split_and_person_do_not_matter(tmp_path):
    root = write_celeba(tmp_path)
    for name in ("list_eval_partition.txt", "identity_CelebA.txt"):
        with (root / name).open("a") as file:
            file.write("000099.jpg 1\n")
    assert len(read(root).index) == 6


ATTRIBUTES = "list_attr_celeba.txt"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (ATTRIBUTES, "6\r\n", "7\r\n", "line 1: found '7 images stated', expected 6, as many as"),
        (ATTRIBUTES, "6\r\n", "many\r\n", "line 1: found 'many', expected the number of images"),
        (ATTRIBUTES, "6\r\n", "", "line 1: found '5_o_Clock_Shadow .*, expected the number of"),
        (ATTRIBUTES, " Bald ", " Hairy ", "line 2: found 'Hairy', expected Bald as name 5 of 40"),
        (ATTRIBUTES, " Young ", " ", "line 2: found 'the end of the line', expected Young as"),
        (ATTRIBUTES, " Young ", " Young Old ", "found 'Old', expected the end of the line as"),
        (ATTRIBUTES, "000002.jpg", "000002.jpg 1", "line 4: found '42 cells', expected 41"),
        (ATTRIBUTES, "000002.jpg ", "000001.jpg ", "line 4: found '000001.jpg', expected another"),
        (ATTRIBUTES, "000002.jpg", "000002.jpg  0\n000007.jpg", "line 4: found '2 cells', expect"),
        ("list_eval_partition.txt", "000004.jpg 0", "000004.jpg 3", "line 4: found '3', expected"),
        ("list_eval_partition.txt", "000004.jpg 0\n", "", "no row for 000004.jpg, which has attr"),
        ("list_eval_partition.txt", "000004", "000003", "line 4: found '000003.jpg', expected an"),
        ("list_eval_partition.txt", "jpg 0", "jpg", "line 1: found '1 cells', expected 2, the"),
        ("identity_CelebA.txt", "jpg 101", "jpg Bob", "line 2: found 'Bob', expected a number"),
    ],
)
def test_damaged_tables_are_named_with_their_line(tmp_path, file, old, new, message):
    root = write_celeba(tmp_path)
    text = (root / file).read_bytes().decode()
    assert old in text
    (root / file).write_bytes(text.replace(old, new, 1).encode())
    with pytest.raises(DataError, match=rf"{file}(, |: ).*{message}") as raised:
        read(root)
    assert "\n" not in str(raised.value)


def test_a_label_that_is_none_is_named(tmp_path):
    root = write_celeba(tmp_path, csv=True)
    lines = (root / "list_attr_celeba.csv").read_text().splitlines()
    cells = lines[3].split(",")
    cells[5] = "0"
    write(root / "list_attr_celeba.csv", "\n".join([*lines[:3], ",".join(cells), *lines[4:]]))
    with pytest.raises(DataError, match=r"csv, line 4: found '0', expected -1 or 1 for Bald"):
        read(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "line 1: found '', expected image_id,partition"), ("image_id;partition\n", "line 1")],
)
def test_a_wrong_heading_of_a_csv_is_named(tmp_path, text, message):
    root = write_celeba(tmp_path, csv=True)
    write(root / "list_eval_partition.csv", text)
    with pytest.raises(DataError, match=message):
        read(root)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no list_attr_celeba\.txt or list_attr_celeba\.csv"):
        read(tmp_path)
    root = write_celeba(tmp_path, packed=True)
    (root / "img_align_celeba.zip").unlink()
    with pytest.raises(
        DataError, match=r"no images in img_align_celeba/ or img_align_celeba\.zip$"
    ):
        read(root)
    write(root / "img_align_celeba.7z.001")
    with pytest.raises(DataError, match=r"unpack img_align_celeba\.7z\.001 into img_align_celeba/"):
        read(root)
    write_zip(root / "img_align_celeba.zip", {"img_align_celeba/999999.jpg": b""})
    with pytest.raises(DataError, match="holds none of the 6 images"):
        read(root)


def test_tables_are_watched_where_they_are(tmp_path):
    root = write_celeba(tmp_path, drive=True)
    names = [
        "Anno/list_attr_celeba.txt",
        "Eval/list_eval_partition.txt",
        "Anno/identity_CelebA.txt",
    ]
    assert adapters.read("celeba", {}).tables(root) == [root / name for name in names]
    (root / names[1]).unlink()
    assert adapters.read("celeba", {}).tables(root) == [root / name for name in names[::2]]
