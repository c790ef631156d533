"""The mask set as handed out: seven pictures a person, eighteen classes numbered as published."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
from layouts import MASK_PICTURES, PERSONS, write, write_maskbase

from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facekit.errors import DataError

SHARED = Path(__file__).parents[4] / "shared/data/maskbase"
SETTINGS = {"file": "train.csv"}
# As the task publishes them: class, mask, gender, age.
PUBLISHED = [
    (0, "Wear", "Male", "<30"),
    (1, "Wear", "Male", ">=30 and <60"),
    (2, "Wear", "Male", ">=60"),
    (3, "Wear", "Female", "<30"),
    (4, "Wear", "Female", ">=30 and <60"),
    (5, "Wear", "Female", ">=60"),
    (6, "Incorrect", "Male", "<30"),
    (7, "Incorrect", "Male", ">=30 and <60"),
    (8, "Incorrect", "Male", ">=60"),
    (9, "Incorrect", "Female", "<30"),
    (10, "Incorrect", "Female", ">=30 and <60"),
    (11, "Incorrect", "Female", ">=60"),
    (12, "Not Wear", "Male", "<30"),
    (13, "Not Wear", "Male", ">=30 and <60"),
    (14, "Not Wear", "Male", ">=60"),
    (15, "Not Wear", "Female", "<30"),
    (16, "Not Wear", "Female", ">=30 and <60"),
    (17, "Not Wear", "Female", ">=60"),
]
AGES = {"<30": ("29", "young"), ">=30 and <60": ("30", "middle"), ">=60": ("60", "old")}


def read(root):
    return ingest("maskbase", root, SETTINGS, seed=0)


def folder(person):
    return "_".join(person)


def test_each_person_has_seven_pictures_and_is_a_group(tmp_path):
    found = read(write_maskbase(tmp_path))
    index = found.index
    assert len(index) == 28
    assert index["group"].tolist() == [person[0] for person in PERSONS for _ in range(7)]
    assert index["group"][0] == "000001"  # text, not a number
    assert index["table_row"].tolist() == [row for row in (1, 2, 3, 4) for _ in range(7)]
    assert index["image_id"][0] == "000001_female_Asian_45/mask1.jpg"
    assert index["path"][27] == "images/001498-1_female_Asian_18/normal.JPG"
    assert all((tmp_path / path).is_file() for path in index["path"])
    assert index["mask"].tolist() == [*["wear"] * 5, "incorrect", "not_wear"] * 4
    assert index["gender"].tolist() == [person[1] for person in PERSONS for _ in range(7)]
    assert index["age"].tolist() == [float(person[3]) for person in PERSONS for _ in range(7)]
    assert index["official_split"].isna().all()
    assert found.rejected.empty
    assert found.notes.empty


def test_eighteen_classes_are_numbered_as_published(tmp_path):
    persons = [
        (f"{number:06}", gender, "Asian", age)
        for number, (gender, (age, _)) in enumerate(
            itertools.product(("male", "female"), AGES.values())
        )
    ]
    index = read(write_maskbase(tmp_path, persons)).index
    numbers = index["mask_gender_age"].cat.codes
    seen = set(zip(numbers, index["mask"], index["gender"], index["age_group"], strict=True))
    assert seen == {
        (number, mask.lower().replace(" ", "_"), gender.lower(), AGES[age][1])
        for number, mask, gender, age in PUBLISHED
    }
    classes = adapters.read("maskbase", SETTINGS).class_lists()
    assert classes["mask_gender_age"] == index["mask_gender_age"].cat.categories.tolist()
    assert classes["mask_gender_age"][17] == "not_wear/female/old"
    assert list(classes) == index.columns[5:].tolist()


def test_rows_and_folders_that_lack_each_other_are_rejected(tmp_path):
    root = write_maskbase(tmp_path)
    (root / "images" / folder(PERSONS[1])).rename(root / "images/000009_male_Asian_29")
    found = read(root)
    assert found.index["table_row"].unique().tolist() == [1, 3, 4]
    rejected = found.rejected
    assert rejected.iloc[0].tolist()[:3] == [folder(PERSONS[1]), 2, "missing_folder"]
    strays = rejected[rejected["table_row"].isna()]
    assert set(strays["reason"]) == {"file_without_row"}
    expected = sorted(f"000009_male_Asian_29/{stem}.jpeg" for stem in MASK_PICTURES)
    assert strays["image_id"].tolist() == expected


def test_files_that_are_not_of_the_layout_are_rejected(tmp_path):
    root = write_maskbase(tmp_path)
    home = root / "images" / folder(PERSONS[0])
    (home / "mask3.jpg").unlink()
    for name in ("mask6.jpg", "normal.png", "mask1.txt", "._mask2.jpg", "normal"):
        write(home / name)
    write(home / "more/mask1.jpg")
    write(root / "images/readme.txt")
    found = read(root)
    place = folder(PERSONS[0])
    listed = found.rejected.set_index("image_id")["reason"].to_dict()
    assert listed == {
        f"{place}/mask3": "missing_file",
        f"{place}/mask6.jpg": "unknown_file",
        f"{place}/mask1.txt": "unknown_file",
        f"{place}/normal": "unknown_file",
        f"{place}/more": "unknown_file",
        f"{place}/normal.png": "repeated_picture",
        "readme.txt": "unknown_file",
    }
    assert found.passed_over == {"hidden or system": [f"images/{place}/._mask2.jpg"]}
    assert len(found.index) == 27
    missing = found.rejected.set_index("image_id").loc[f"{place}/mask3"]
    assert missing["table_row"] == 1


def change(root, old, new):
    text = (root / "train.csv").read_text()
    assert old in text
    (root / "train.csv").write_text(text.replace(old, new, 1))
    return root


def test_the_row_holds_where_the_name_of_the_folder_disagrees(tmp_path):
    root = change(write_maskbase(tmp_path), "000002,male,Asian,29,", "000003,female,Asian,31,")
    found = read(root)
    person = found.index[found.index["table_row"] == 2]
    assert set(person["gender"]) == {"female"}
    assert set(person["age_group"]) == {"middle"}
    assert set(person["group"]) == {"000003"}
    assert len(found.notes) == 3 * 7
    first = found.notes.iloc[:3]
    assert first["attribute"].tolist() == ["group", "gender", "age"]
    assert first["given"].tolist() == ["000003", "female", "31"]
    assert first["note"].tolist() == [
        f"kept: the folder's name says {name}" for name in ("000002", "male", "29")
    ]


def test_an_odd_name_of_a_folder_is_noted(tmp_path):
    root = change(write_maskbase(tmp_path), folder(PERSONS[0]), "someone")
    (root / "images" / folder(PERSONS[0])).rename(root / "images/someone")
    found = read(root)
    assert len(found.index) == 28
    assert set(found.notes["note"]) == {"folder is not called <id>_<gender>_<race>_<age>"}


def test_labels_that_are_none_are_set_missing_and_noted(tmp_path):
    root = change(write_maskbase(tmp_path), "000002,male,Asian,29,", "000002,man,Asian,x,")
    root = change(root, "000004,male,", "000004,Male,")
    found = read(root)
    person = found.index[found.index["table_row"] == 2]
    names = ["gender", "age", "age_group", "mask_gender_age"]
    assert person[names].isna().all(axis=None)
    assert set(found.index.loc[found.index["table_row"] == 3, "gender"]) == {"male"}
    notes = set(found.notes["note"])
    assert "set missing: not male or female" in notes
    assert "set missing: no whole number up to 120" in notes
    assert "repaired: case or spaces" in notes


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret", "path_outside_root"),
        ("..", "path_outside_root"),
        ("", "path_outside_root"),
        ("000001_female_Asian_45", "repeated_row"),
    ],
)
def test_a_row_that_leads_elsewhere_is_rejected(tmp_path, path, reason):
    root = write_maskbase(tmp_path / "data")
    write(tmp_path / "data/secret/mask1.jpg")
    with (root / "train.csv").open("a") as file:
        file.write(f"000005,male,Asian,30,{path}\n")
    found = read(root)
    assert len(found.index) == 28
    assert found.rejected["reason"].tolist() == [reason]
    assert found.rejected["table_row"].tolist() == [5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,gender,age,path\n1,male,3,a\n", "line 1: found 'id,gender,age,path', expected id,gen"),
        ("id,gender,race,age,path\n1,male,Asian,a\n", "line 2: 4 cells, expected id,gender,race"),
        ("id,gender,race,age,path\n", "none of 0 rows has a picture"),
        ("", "empty, expected a heading"),
        (b"id,gender,race,age,path\n\xff\n", "line 2: not UTF-8"),
    ],
)
def test_damaged_tables_say_why(tmp_path, text, message):
    write(write_maskbase(tmp_path) / "train.csv", text)
    with pytest.raises(DataError, match=rf"train\.csv(, |: ){message}"):
        read(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="data set is not here")
def test_the_whole_set_of_800_persons_is_read():
    found = read(SHARED)
    index = found.index
    assert len(index) == 5600
    assert found.rejected.empty
    assert found.notes.empty
    persons = index.drop_duplicates("group")
    counts = pd.crosstab(persons["gender"], persons["age_group"])
    assert counts.loc["female"].tolist() == [227, 191, 30]
    assert counts.loc["male"].tolist() == [123, 199, 30]
    assert index["mask_gender_age"].nunique() == 18
    assert index["mask"].value_counts()[["wear", "incorrect", "not_wear"]].tolist() == [
        4000,
        800,
        800,
    ]
