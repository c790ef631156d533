"""Maps that would fit, and labels that are read by a map."""

import json

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from layouts import write

from facedata.cli import main
from facedata.ingest import adapters, maps
from facedata.ingest.dataset import ingest
from facekit.errors import DataError

SEX = {"name": "sex", "column": "sex", "kind": "categorical", "classes": ["female", "male"]}
SIGN = SEX | {"classes": ["no", "yes"]}


@pytest.mark.parametrize(
    ("labels", "classes", "column", "expected"),
    [
        ("F M", "female male", "sex", {"F": "female", "M": "male"}),
        ("w man", "female male", "sex", {"w": "female", "man": "male"}),
        ("y Bl", "young old", "age", {"y": "young"}),
        ("bla blo b", "black blond", "hair", {"bla": "black", "blo": "blond"}),
        ("Blonde grey", "blond gray", "hair", {"Blonde": "blond", "grey": "gray"}),
        ("eyeglases", "eyeglasses none", "what", {"eyeglases": "eyeglasses"}),
        ("True False", "no yes", "glasses", {"True": "yes", "False": "no"}),
        ("1.0 0.0", "no yes", "glasses", {"1.0": "yes", "0.0": "no"}),
        ("-1 1", "no yes", "glasses", {"-1": "no", "1": "yes"}),
        ("1 0", "female male", "is_male", {"1": "male", "0": "female"}),
        ("TRUE FALSE", "female male", "Woman", {"TRUE": "female", "FALSE": "male"}),
        ("F f M", "female male", "sex", {"F": "female", "f": "female", "M": "male"}),
        ("F FEMALE", "female male", "sex", {"F": "female"}),
        ("x 17", "female male", "sex", {}),
        ("male woman", "female other", "sex", {"woman": "female"}),
        ("unmasked Maskd", "masked bare", "mask", {"Maskd": "masked"}),
        ("", "female male", "sex", {}),
    ],
)
def test_labels_mean_a_class_by_word_first_letters_spelling_or_column(
    labels, classes, column, expected
):
    fit = maps.fitting(labels.split(), classes.split(), column)
    assert fit.classes == expected
    assert not (fit.is_by_order and expected)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("0 2", {"0": "a", "2": "c"}),
        ("2 1 3", {"2": "b", "1": "a", "3": "c"}),
        ("0 3", {}),
        ("0 x", {}),
        ("-1 1", {}),
    ],
)
def test_numbers_without_a_word_are_classes_in_their_order_and_it_is_said(labels, expected):
    fit = maps.fitting(labels.split(), ["a", "b", "c"])
    assert fit == (expected, True)


def table(root, cells, column, **changes):
    for place in range(len(cells)):
        write(root / f"{place}.jpg")
    frame = pd.DataFrame({"file": [f"{place}.jpg" for place in range(len(cells))], "sex": cells})
    frame.to_csv(root / "labels.csv", index=False)
    return ingest("table", root, {"attributes": [column], **changes}, seed=0)


@pytest.mark.parametrize("cells", [["F", "M", "M"], ["True", "False"], ["1", "0"], ["no", "0"]])
def test_a_column_of_other_words_stops_and_the_map_shown_reads_it(tmp_path, cells):
    column = SIGN if cells[0] in ("True", "1") else SEX
    if cells == ["no", "0"]:  # words that YAML takes for something else
        column = SEX | {"column": "sex", "classes": ["man", "off"]}
    with pytest.raises(DataError, match="labels cannot be used: found") as error:
        table(tmp_path, cells, column)
    line = str(error.value).partition("(attributes[0].map): ")[2].partition("; `ingest.")[0]
    pasted = yaml.safe_load(line)
    index = table(tmp_path, cells, column | pasted).index
    assert index["sex"].notna().all()
    if column is SEX:
        assert index["sex"].tolist() == ["female", "male", "male"]


def test_a_map_reads_labels_whatever_their_case_and_notes_none(tmp_path):
    column = SEX | {"map": {"F": "female", "m": "male", 1: "male"}}
    found = table(tmp_path, ["f ", "M", "female", "1.0", "x"], column)
    assert found.index["sex"].tolist()[:4] == ["female", "male", "female", "male"]
    assert found.notes["given"].tolist() == ["1.0", "x"]


def test_a_map_wins_over_a_class_of_the_same_name(tmp_path):
    column = SEX | {"classes": ["0", "1"], "map": {"0": "1", "1": "0"}}
    assert table(tmp_path, ["0", "1", "1.0"], column).index["sex"].tolist() == ["1", "0", "0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": {"F": "woman"}}, "attributes.0..map.F: 'woman' is no class, found female, male"),
        ({"map": {"F": "female", " f": "female"}}, "do not differ but for case or spaces"),
        ({"map": {False: "female"}}, "a key is a text; put it in quotes"),
        ({"map": {"F": True}}, "yes and no without quotes are true and false in YAML"),
        ({"kind": "numeric", "classes": None, "map": {"F": "1"}}, "map: given, but the attribute"),
    ],
)
def test_maps_that_make_no_sense_say_why(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, ["F"], SEX | changes)


def test_a_map_goes_to_the_command_as_json_and_back():
    plain = adapters.read("table", {"attributes": [SEX | {"map": {0: "female"}}]}).plain()
    again = adapters.read("table", json.loads(json.dumps(plain)))
    assert again.attributes[0].map == {"0": "female"}


def test_folders_may_be_called_otherwise_than_their_class(tmp_path):
    for path in ("f/1.png", "Female/2.png", "m/3.png", "other/4.png"):
        write(tmp_path / path)
    plain = {"map": {"F": "female", "m": "male"}}
    found = ingest("imagefolder", tmp_path, plain, seed=0).index["label"]
    assert found.tolist() == ["Female", "Female", "male", "other"]
    found = ingest("imagefolder", tmp_path, plain | {"classes": ["female", "male"]}, seed=0)
    assert found.index["label"].tolist() == ["female", "female", "male"]
    assert found.rejected["image_id"].tolist() == ["other/4.png"]


def test_folders_of_other_names_stop_and_show_a_map(tmp_path):
    for path in ("F/1.png", "M/2.png"):
        write(tmp_path / path)
    command = ["ingest", "--adapter", "imagefolder", "--root", str(tmp_path), "--seed", "0"]
    for name in ("index", "rejected", "notes"):
        command += [f"--{name}", str(tmp_path / f"out/{name}.csv")]
    command += ["--settings", '{"classes": ["female", "male"]}']
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 1
    assert "found F, M; a map that would fit (map): map: {F: female, M: male}" in found.output
