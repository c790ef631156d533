"""Labels in the names of files and folders, by a pattern."""

import pytest
from layouts import picture, write, write_zip

from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facekit.errors import DataError

AGE = {"name": "age", "column": "age", "kind": "numeric", "min": 0, "max": 120}
GENDER = {"name": "gender", "column": "sex", "kind": "categorical", "classes": ["f", "m"]}


def make(root, names):
    for number, name in enumerate(names):
        write(root / name, picture(number, kind="JPEG"))


def read(root, pattern, attributes, **more):
    settings = {"pattern": pattern, "attributes": attributes, **more}
    return ingest("file_names", root, settings, seed=0)


def test_names_are_labels_and_others_are_rejected(tmp_path):
    make(tmp_path, ["41_f_1.jpg", "sub/7_M_2.JPG", "x_m_3.jpg", "41_f.jpg", "notes_f_2.png"])
    found = read(tmp_path, "{age}_{sex}_{}.jpg", [AGE, GENDER])
    index = found.index.set_index("path")
    assert index.loc["41_f_1.jpg", ["age", "gender"]].tolist() == [41, "f"]
    assert index.loc["sub/7_M_2.JPG", ["age", "gender"]].tolist() == [7, "m"]
    assert index["age"].isna().sum() == 1  # x is no number
    rejected = dict(zip(found.rejected["image_id"], found.rejected["reason"], strict=True))
    assert rejected == {"41_f.jpg": "malformed_name", "notes_f_2.png": "malformed_name"}


def test_folders_and_archives_are_part_of_the_name(tmp_path):
    make(tmp_path, ["train/anna/old_1.jpg", "test/bert/young_2.jpg", "stray.jpg"])
    write_zip(tmp_path / "more.zip", {"test/cleo/old_3.jpg": picture(9, kind="JPEG")})
    group = {"name": "age", "column": "age", "kind": "categorical", "classes": ["old", "young"]}
    found = read(
        tmp_path, "{part}/{who}/{age}_{}.jpg", [group], group_column="who", split_column="part"
    )
    rows = found.index[["path", "group", "official_split", "age"]].to_numpy().tolist()
    assert rows == [
        ["test/bert/young_2.jpg", "bert", "test", "young"],
        ["train/anna/old_1.jpg", "anna", "train", "old"],
        ["more.zip/test/cleo/old_3.jpg", "cleo", "test", "old"],
    ]


def test_text_of_a_pattern_is_text(tmp_path):
    make(tmp_path, ["a+(b).f.jpg", "aab.f.jpg"])
    found = read(tmp_path, "a+(b).{sex}.jpg", [GENDER])
    assert found.index["path"].tolist() == ["a+(b).f.jpg"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{}_{}.jpg", "pattern: .* has no field such as {age}"),
        ("{sex}_{sex}.jpg", "has {sex} twice"),
        ("{age}_{}.jpg", r"attributes\[0\].column: 'sex' is no field"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern, message):
    with pytest.raises(DataError, match=message):
        adapters.read("file_names", {"pattern": pattern, "attributes": [GENDER]})


def test_no_picture_of_the_pattern_is_told_with_one_that_is_there(tmp_path):
    make(tmp_path, ["IMG_1.jpg", "IMG_2.jpg"])
    with pytest.raises(DataError, match=r"no pictures called .*; found IMG_1.jpg and 1 others"):
        read(tmp_path, "{age}-{sex}.jpg", [AGE, GENDER])
