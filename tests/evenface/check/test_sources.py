"""What is understood of a folder of photographs, and what of it is said."""

import pandas as pd
import pytest
from layouts import picture, write

from evenface.check import sources
from facekit.errors import DataError


def fill(root, *paths):
    for number, path in enumerate(paths):
        write(root / path, picture(number))
    return root


def numbered(*folders, each=4):
    return [f"{folder}/{number}.png" for folder in folders for number in range(each)]


def test_bare_folder_has_no_labels_and_that_is_said(tmp_path):
    found = sources.read(fill(tmp_path, "b.png", "a.png", ".hidden.png"), [], True)
    assert found.index["path"].tolist() == ["a.png", "b.png"]
    assert found.attributes == []
    assert any("No labels were found: 2 photographs without labels" in line for line in found.said)
    assert any("Not looked at: 1 hidden" in line for line in found.said)


def test_class_folders_label_all_but_strays_which_are_looked_at_too(tmp_path):
    fill(tmp_path, *numbered("red", "black"), "stray.png")
    found = sources.read(tmp_path, [], True)
    label = found.index.set_index("path")["label"]
    assert label.value_counts().to_dict() == {"red": 4, "black": 4}
    assert pd.isna(label["stray.png"])
    assert "label: black 4, red 4; 1 without." in found.said


def test_folders_can_be_kept_from_being_classes(tmp_path):
    found = sources.read(fill(tmp_path, *numbered("2023", "2024")), [], found_labels=False)
    assert found.attributes == []


def test_a_folder_for_each_person_is_no_class(tmp_path):
    fill(tmp_path, *numbered(*(f"person {i}" for i in range(8)), each=2))
    found = sources.read(tmp_path, [], True)
    assert found.attributes == []
    assert any("8 folders are too many, or hold too little" in line for line in found.said)


def test_folders_of_splits_without_classes_are_splits(tmp_path):
    found = sources.read(fill(tmp_path, *numbered("train", "Valid", "test")), [], True)
    counts = found.index["official_split"].value_counts().to_dict()
    assert counts == {"train": 4, "val": 4, "test": 4}


def test_names_of_files_tell_labels(tmp_path):
    names = [f"{20 + i}_{('female', 'male')[i % 2]}_{i:04}.png" for i in range(12)]
    found = sources.read(fill(tmp_path, *names), [], True)
    assert found.attributes == ["age", "gender"]
    assert found.index["gender"].value_counts().to_dict() == {"female": 6, "male": 6}


def test_tables_of_splits_complete_each_other(tmp_path):
    photos = fill(tmp_path / "photos", *(f"{i}.png" for i in range(12)))
    halves = []
    for part, numbers in (("train", range(8)), ("test", range(8, 12))):
        rows = [f"{i}.png,{('red', 'black')[i % 2]},{part}" for i in numbers]
        path = write(tmp_path / f"{part}.csv", "\n".join(["file,hair,split", *rows]))
        halves.append(path)
    found = sources.read(photos, halves, True)
    assert found.index["hair"].notna().all()
    assert found.index["official_split"].value_counts().to_dict() == {"train": 8, "test": 4}


def test_table_of_other_photographs_is_refused(tmp_path):
    photos = fill(tmp_path / "photos", "a.png", "b.png")
    table = write(tmp_path / "labels.csv", "file,hair\nx.png,red\ny.png,black\n")
    with pytest.raises(DataError, match="no column names photographs"):
        sources.read(photos, [table], True)
