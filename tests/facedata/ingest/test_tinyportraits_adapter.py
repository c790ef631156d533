"""Tiny Portraits as handed out: a table by index, images in a folder or in several archives."""

import pytest
from layouts import PORTRAITS, picture, write, write_tinyportraits, write_zip

from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facekit.errors import DataError
from facekit.storage import archives

SETTINGS = {"file": "Tiny_Portraits_Attributes.csv", "bad_images": "bad_images.txt"}
NAMES = [f"Tiny_Portrait_{number:06}.png" for number in (0, 2, 3, 10, 2048, 2050)]


def read(root):
    return ingest("tinyportraits", root, SETTINGS, seed=0)


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_found_packed_and_unpacked(tmp_path, packed):
    root = write_tinyportraits(tmp_path, packed)
    found = read(root)
    index = found.index
    assert index["image_id"].tolist() == NAMES
    assert index["table_row"].tolist() == [1, 2, 3, 4, 5, 6]
    assert index["gender"].tolist() == ["female", "male", "male", "female", "male", "female"]
    assert index["hair_color"].tolist()[:2] == ["brown", "black"]
    assert index["hair_color"].isna().tolist() == [False, False, True, False, False, True]
    assert index["hair_type"].isna().tolist() == [False, False, False, True, False, True]
    assert index["hair_type"].cat.categories.tolist() == ["straight", "wavy", "bald"]
    for name, path in zip(NAMES, index["path"], strict=True):
        assert archives.read_bytes(root / path) == picture(int(name[-10:-4]), 84, 108)
    assert found.rejected.empty
    assert found.notes["note"].unique().tolist() == ["missing"]
    assert len(found.notes) == 4


def test_archives_may_lie_beside_the_table(tmp_path):
    root = write_tinyportraits(tmp_path, packed=True)
    for path in (root / "Tiny_Portraits_Zipfiles").iterdir():
        path.rename(root / path.name)
    paths = read(root).index["path"]
    assert paths[0] == "Tiny_Portraits_Archive_000.zip/Tiny_Portrait_000000.png"
    assert paths[1] == "Tiny_Portraits_Archive_001.zip/Tiny_Portrait_000002.png"


def test_unpacked_images_come_before_packed_ones(tmp_path):
    root = write_tinyportraits(write_tinyportraits(tmp_path), packed=True)
    found = read(root)
    assert found.index["path"].str.startswith("Tiny_Portraits_Images/").all()
    assert found.rejected.empty


@pytest.mark.parametrize("text", ["000002\n002048\n", "2 2048", "Tiny_Portrait_000002.png\n2048"])
def test_bad_images_are_rejected_with_their_reason(tmp_path, text):
    root = write_tinyportraits(tmp_path)
    write(root / "bad_images.txt", text)
    found = read(root)
    assert found.index["table_row"].tolist() == [1, 3, 4, 6]
    assert found.rejected["image_id"].tolist() == [NAMES[1], NAMES[4]]
    assert found.rejected["table_row"].tolist() == [2, 5]
    assert set(found.rejected["reason"]) == {"bad_image"}
    assert set(found.rejected["detail"]) == {"listed in bad_images.txt"}


def test_rows_and_images_that_lack_each_other_are_rejected(tmp_path):
    root = write_tinyportraits(tmp_path)
    (root / "Tiny_Portraits_Images" / NAMES[2]).unlink()
    write(root / "Tiny_Portraits_Images/Tiny_Portrait_000077.png")
    write(root / "Tiny_Portraits_Images/Tiny_Portrait_77.png")
    write(root / "Tiny_Portraits_Mosaic.jpg")
    rejected = read(root).rejected
    assert rejected["image_id"].tolist() == [
        NAMES[2],
        "Tiny_Portraits_Images/Tiny_Portrait_000077.png",
        "Tiny_Portraits_Images/Tiny_Portrait_77.png",
        "Tiny_Portraits_Mosaic.jpg",
    ]
    assert rejected["reason"].tolist() == ["missing_file", *["file_without_row"] * 3]


def test_labels_that_are_none_are_set_missing_and_noted(tmp_path):
    rows = [*PORTRAITS, "7,Female,green,wavy"]
    found = read(write_tinyportraits(tmp_path, rows=rows))
    last = found.index.iloc[-1]
    assert last["gender"] == "female"
    assert last.isna()["hair_color"]
    assert found.notes.iloc[-2:].to_numpy().tolist() == [
        ["Tiny_Portrait_000007.png", "gender", "Female", "repaired: case or spaces"],
        ["Tiny_Portrait_000007.png", "hair_color", "green", "set missing: not a class"],
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,male,black"], "line 2: 3 cells, expected Image_Index,Gender,Hair_Color,Hair_Type"),
        (["1,male,black,wavy", "x,male,black,wavy"], "line 3: found 'x', expected the image's in"),
        (["1,male,black,wavy", "", "1,male,gray,n/a"], "line 4: found 1, expected another image"),
        (["-1,male,black,wavy"], "line 2: found '-1'"),
        (['1,"male,black,wavy'], "line 2: a quote that is not closed"),
    ],
)
def test_damaged_tables_are_named_with_their_line(tmp_path, rows, message):
    root = write_tinyportraits(tmp_path)
    heading = "Image_Index,Gender,Hair_Color,Hair_Type"
    write(root / SETTINGS["file"], "\n".join([heading, *rows]) + "\n")
    with pytest.raises(DataError, match=rf"Tiny_Portraits_Attributes\.csv, {message}"):
        read(root)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no images Tiny_Portrait_000000\.png"):
        read(tmp_path)
    write_zip(tmp_path / "zips/Tiny_Portraits_Archive_000.zip", {NAMES[0]: b"", NAMES[1]: b""})
    with pytest.raises(DataError, match=r"Attributes\.csv: cannot be read \(No such file"):
        read(tmp_path)
    write(tmp_path / SETTINGS["file"], "Image_Index,Gender\n1,male\n")
    with pytest.raises(DataError, match="line 1: found 'Image_Index,Gender', expected Image_Ind"):
        read(tmp_path)
    write(tmp_path / SETTINGS["file"], "Image_Index,Gender,Hair_Color,Hair_Type\n9,male,gray,n/a\n")
    with pytest.raises(DataError, match="none of 1 rows has a usable image"):
        read(tmp_path)
    write(tmp_path / "bad_images.txt", "000009\nnine\n")
    with pytest.raises(DataError, match=r"bad_images\.txt, line 2: found 'nine', expected an im"):
        read(tmp_path)


def test_a_broken_archive_is_named(tmp_path):
    root = write_tinyportraits(tmp_path, packed=True)
    write(root / "Tiny_Portraits_Zipfiles/Tiny_Portraits_Archive_002.zip", b"PK")
    with pytest.raises(DataError, match=r"Archive_002\.zip: not a readable ZIP archive"):
        read(root)


def test_the_list_of_bad_images_is_watched_where_it_is(tmp_path):
    root = write_tinyportraits(tmp_path)
    assert adapters.read("tinyportraits", SETTINGS).tables(root) == [root / SETTINGS["file"]]
    write(root / "bad_images.txt", "2")
    watched = adapters.read("tinyportraits", SETTINGS).tables(root)
    assert watched == [root / SETTINGS["file"], root / "bad_images.txt"]
    (root / SETTINGS["file"]).unlink()
    with pytest.raises(DataError, match=r"Attributes\.csv: no such file; check dataset_root"):
        adapters.read("tinyportraits", SETTINGS).tables(root)
