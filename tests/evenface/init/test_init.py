"""`evenface init`: from photographs in each layout to a config that reads all their labels."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from layouts import (
    picture,
    write,
    write_celeba,
    write_maskbase,
    write_stylegan,
    write_tinyportraits,
    write_zip,
)

from evenface import planning
from evenface.cli import main
from evenface.init import config, start
from evenface.init.budgets import BUDGETS, LEAST, SHARES, judged, share_of_train, too_few
from evenface.settings import read_config
from evenface.workflow import Run
from facedata.ingest.dataset import ingest
from facedata.recognition import layouts

NUM = 40


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, beside the photographs."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def photographs(root, names):
    for number, name in enumerate(names):
        write(root / name, picture(number, 48, 60, "JPEG"))
    return root


def table(path, heading, rows, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows([heading, *rows])
    return path


def invoke(*words):
    return CliRunner().invoke(main, ["init", "--no-faces", *map(str, words)])


def made(*words):
    """Return what init says, the run of its config, and the index that the run's ingest makes."""
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    run = Run(read_config(Path("evenface.yaml")))
    settings = run.settings.adapter.plain()
    found = ingest(run.settings.ingest.adapter, Path(run.root()), settings, seed=0)
    assert planning.make_plan(run, cores=2).minutes > 0
    return done.output, run.settings, found


def heads(settings):
    return [head.name for head in settings.tasks[0].heads]


# --- Tables


def labels(number):
    return "F" if number % 4 else "M", f"{20 + number},5"


def test_a_table_as_excel_leaves_it(place):
    names = [f"{number:03}.jpg" for number in range(NUM)]
    root = photographs(place / "my photos", [f"pics/{name}" for name in names])
    rows = [(name, *labels(i), f"p{i // 2}") for i, name in enumerate(names)]
    table(root / "Liste.csv", ["Bild", "Geschlecht", "Alter", "Person"], rows, ";")
    said, settings, found = made(root, "--quick")
    assert settings.dataset == "my_photos"
    assert found.index["Geschlecht"].value_counts().to_dict() == {"F": 30, "M": 10}
    assert found.index["Alter"].tolist() == [20.5 + i for i in range(NUM)]
    assert found.index["group"].nunique() == NUM // 2
    assert found.rejected.empty and set(found.notes["note"]) == {"repaired: decimal comma"}
    assert heads(settings)[-1] == "Alter" and settings.dedup.tolerance == {"Alter": 5}
    assert "Geschlecht: F 30, M 10" in said and "column Bild names photographs as pics/{}" in said
    assert "persons (20, 2.0 photographs each)" in said
    assert "Next:\n  evenface check" in said and "evenface run evenface.yaml" in said


def test_an_excel_workbook_with_names_without_suffix(place):
    root = photographs(place / "photos", [f"{i:03}.png" for i in range(NUM)])
    book = openpyxl.Workbook()
    book.active.append(["id", "smile"])
    for i in range(NUM):
        book.active.append([f"{i:03}", bool(i % 3)])
    book.save(root / "labels.xlsx")
    _, settings, found = made(root)
    assert settings.ingest.table.file_pattern == "{}.png"
    assert found.index["smile"].value_counts().to_dict() == {"True": 26, "False": 14}


def test_a_parquet_table_elsewhere_and_photographs_in_several_folders(place):
    names = [f"{'ab'[i % 2]}/{i:03}.jpg" for i in range(NUM)]
    root = photographs(place / "photos", names)
    values = {"path": [f"/home/me/{name}" for name in names], "hat": ["yes", "no"] * (NUM // 2)}
    pd.DataFrame(values).to_parquet(place / "l.parquet")
    _, settings, found = made(root, "--labels", place / "l.parquet")
    assert settings.ingest.table.file_pattern == "**/{}"
    assert found.index["hat"].cat.categories.tolist() == ["no", "yes"]
    assert found.index["hat"].notna().all() and len(found.index) == NUM


def test_an_official_split_and_mixed_spellings(place):
    names = [f"{i:03}.jpg" for i in range(60)]
    root = photographs(place / "photos", names)
    parts = ["train", "train", "val", "test"]
    words = ["F", "female", "male", "Male", "male"]
    rows = [(name, words[i % 5], parts[i % 4]) for i, name in enumerate(names)]
    table(root / "labels.tsv", ["file", "gender", "split"], rows, "\t")
    said, settings, found = made(root)
    assert settings.ingest.table.attributes[0].map == {"F": "female"}
    assert found.index["gender"].value_counts().to_dict() == {"female": 24, "male": 36}
    assert found.index["official_split"].value_counts()["test"] == 15
    assert "read as one class: f 12, female 12" in said


def test_what_is_odd_is_said(place):
    root = photographs(place / "photos", [f"{i:03}.jpg" for i in range(NUM)])
    rows = [(f"{i:03}.jpg", "ab"[i % 2], f"text {i}") for i in range(2, NUM + 1)]
    table(root / "labels.csv", ["file", "kind", "note"], rows)
    said, _, _ = made(root)
    assert "note: left out, 39 values, like identifiers or free text" in said
    assert "2 left out, file without row: 000.jpg" in said
    assert "1 left out, missing file: 040.jpg" in said


def test_what_to_do_about_labels_is_said_as_a_config_has_it(place):
    root = photographs(place / "photos", [f"{i:03}.jpg" for i in range(60)])
    words = [("cap", "bare")[i % 2] for i in range(60)]
    rows = [(f"{i:03}.jpg", words[i], f"c{i // 2}") for i in range(60)]
    rows[3] = ("003.jpg", "carp", "c1")
    table(root / "labels.csv", ["file", "hat", "code"], rows)
    said, settings, _ = made(root)
    assert "carp 1; looks like cap; add it to `map` if it is" in said
    assert "code: taken for persons by its values; where it is none, take group_column" in said
    assert "max_left_out" not in settings.ingest.table.model_fields_set

    Path("evenface.yaml").unlink()
    rows.append(("gone.jpg", "cap", "c0"))
    table(root / "labels.csv", ["file", "hat", "code"], rows)
    done = invoke(root, "--max-left-out", 0)
    assert done.exit_code == 1 and done.output.strip().endswith("; --max-left-out lets more pass")
    _, settings, _ = made(root, "--max-left-out", 0.9)
    assert settings.ingest.table.max_left_out == 0.9


def test_text_of_users_means_nothing(place):
    name = "x{y}: 'q' #1\n$(z).jpg"
    values = ['no", [a]', "{b}: #c\u2028d", "%(d)s"]
    root = photographs(place / "my: {photos} #1", [f"{i}{name}" for i in range(NUM)])
    rows = [(f"{i}{name}", values[i % 3]) for i in range(NUM)]
    column = "class: {weight} #\u202e"
    table(place / "labels.csv", ["fi'le", column], rows)
    _, settings, found = made(root, "--labels", place / "labels.csv")
    attribute = settings.ingest.table.attributes[0]
    assert set(attribute.classes) == set(values)
    assert attribute.column == "class: {weight} #" and attribute.name == "class_weight"
    assert found.index["class_weight"].notna().all() and len(found.index) == NUM
    program = "from evenface.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "evenface.yaml", "ingest", "-n"],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ingest" in done.stdout + done.stderr


# --- Folders and names


def test_class_folders(place):
    root = photographs(
        place / "photos", [f"{['no', 'yes', 'yes', 'yes'][i % 4]}/{i}.jpg" for i in range(NUM)]
    )
    said, settings, found = made(root)
    assert settings.ingest.imagefolder.classes == ("no", "yes")
    assert found.index["label"].value_counts().to_dict() == {"yes": 30, "no": 10}
    assert "label: yes 30, no 10" in said


def test_class_folders_below_train_val_and_test_in_one_folder(place):
    names = [
        f"set/{part}/{kind}/{i}.jpg"
        for part in ("train", "val", "test")
        for kind in ("a", "b")
        for i in range(6)
    ]
    root = photographs(place / "photos", names)
    _, settings, found = made(root)
    assert settings.dataset_root == str(root / "set")
    assert settings.ingest.imagefolder.official_split
    assert found.index["official_split"].value_counts().to_dict() == {
        "train": 12, "val": 12, "test": 12
    }  # fmt: skip


def test_labels_in_names_that_are_guessed_and_given(place):
    names = [f"{20 + i}_{'male' if i % 4 else 'Female'}_{i:04}.jpg" for i in range(NUM)]
    root = photographs(place / "photos", names)
    said, settings, found = made(root)
    assert settings.ingest.file_names.pattern == "{age}_{gender}_{}.jpg"
    assert found.index["gender"].value_counts().to_dict() == {"Female": 10, "male": 30}
    assert found.index["age"].tolist() == [20 + i for i in range(NUM)]
    assert "Read as names like {age}_{gender}_{}.jpg, 40 of 40 photographs." in said
    Path("evenface.yaml").unlink()
    _, settings, found = made(root, "--pattern", "{}_{sex}_{}.jpg")
    assert [one.name for one in settings.ingest.file_names.attributes] == ["sex"]


@pytest.mark.parametrize(
    "name", ["IMG_{i:04}.jpg", "2017_{m:02}_{i:04}.jpg", "{i:06}.jpg", "scan {m} {i}.jpg"]
)
def test_counters_and_dates_are_no_labels(place, name):
    root = photographs(place / "photos", [name.format(i=i, m=i % 3) for i in range(NUM)])
    done = invoke(root)
    assert done.exit_code == 1 and not Path("evenface.yaml").exists()
    assert "error: " in done.output and "40 photographs without labels" in done.output
    assert f"evenface check {root}" in done.output and "--pattern" in done.output


def test_one_photograph_is_no_photographs(place):
    done = invoke(photographs(place / "photos", ["a.jpg"]))
    assert "1 photograph without labels" in done.output


# --- Published layouts


@pytest.mark.parametrize(
    ("make", "adapter"),
    [
        (lambda root: write_celeba(root, 60), "celeba"),
        (lambda root: write_celeba(root, 60, packed=True, drive=True), "celeba"),
        (write_tinyportraits, "tinyportraits"),
        (lambda root: write_tinyportraits(root, packed=True), "tinyportraits"),
        (write_maskbase, "maskbase"),
    ],
)
def test_published_layouts_are_known(place, make, adapter):
    root = make(place / "photos")
    done = invoke(root)
    assert done.exit_code == 0, done.output
    settings = Run(read_config(Path("evenface.yaml"))).settings
    assert settings.ingest.adapter == adapter
    assert f"config/{adapter}.yaml has the recipe" in done.output
    if adapter == "maskbase":  # a person's pictures differ in the mask
        assert (settings.curate.duplicate_policy, settings.curate.conflicts) == ("keep_all", "keep")
    assert settings.adapter.ingest(root, 0).index.shape[0] > 0


def test_utkface_gets_age_groups(place):
    names = [f"{1 + i * 2}_{i % 2}_{i % 3}_2017010420{i:04}.jpg.chip.jpg" for i in range(NUM)]
    root = photographs(
        place / "photos", [f"part{1 + i % 2}/{name}" for i, name in enumerate(names)]
    )
    _, settings, found = made(root)
    assert settings.ingest.adapter == "utkface"
    assert found.index["age_group"].value_counts().to_dict() == {
        "young": 15, "middle": 15, "old": 10
    }  # fmt: skip


def test_archives_of_stylegan_tools(place):
    write_stylegan(place / "photos", [[f"{i}.png", i % 2] for i in range(NUM)])
    for photos in (place / "photos/dataset.zip", place / "photos"):
        _, settings, found = made(photos)
        assert settings.ingest.stylegan_zip.classes == ("class0", "class1")
        assert len(found.index) == NUM
        Path("evenface.yaml").unlink()
    files = {f"{i}.png": picture(i) for i in range(3)}
    done = invoke(write_zip(place / "plain.zip", files))
    assert done.exit_code == 1 and "archive without dataset.json" in done.output


# --- What stops


def test_two_ways_are_both_said_and_one_can_be_named(place):
    names = [f"{'ab'[i % 2]}/{i}.jpg" for i in range(NUM)]
    root = photographs(place / "photos", names)
    table(
        root / "labels.csv", ["file", "hat"], [(name, "xyz"[i % 3]) for i, name in enumerate(names)]
    )
    done = invoke(root)
    assert done.exit_code == 1
    assert "--layout table (a table, labels.csv" in done.output
    assert "--layout imagefolder (a folder for each class (a 20, b 20))" in done.output
    assert made(root, "--layout", "table")[1].ingest.adapter == "table"
    Path("evenface.yaml").unlink()
    assert made(root, "--layout", "imagefolder")[1].ingest.adapter == "imagefolder"


def test_several_tables_are_named(place):
    root = photographs(place / "photos", [f"{i}.jpg" for i in range(NUM)])
    for name in ("a.csv", "b.csv"):
        table(root / name, ["file", "hat"], [(f"{i}.jpg", "xy"[i % 2]) for i in range(NUM)])
    done = invoke(root)
    assert done.exit_code == 1 and "2 tables name photographs (a.csv, b.csv)" in done.output
    assert made(root, "--labels", root / "b.csv")[1].ingest.table.file == "b.csv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "celeba"], "is none: it does not look as published"),
        (["--layout", "celeba", "--pattern", "{age}.jpg"], "they mean celeba and file_names"),
        (["--layout", "nosuch"], "--layout: nosuch is none of celeba, "),
        (["--pattern", "{age}-{}.jpg"], "--pattern: no photograph is called '{age}-{}.jpg'"),
        (["--pattern", "{}.jpg"], "--pattern: '{}.jpg' has no field such as {age}"),
    ],
)
def test_what_does_not_fit_is_one_line(place, words, message):
    root = photographs(place / "photos", [f"{i}.jpg" for i in range(4)])
    done = invoke(root, *words)
    assert done.exit_code == 1
    assert done.output.startswith("error: ") and done.output.count("\n") == 1
    assert message in done.output


def test_nothing_is_written_over_or_among_the_photographs(place, monkeypatch):
    root = photographs(place / "photos", [f"{'ab'[i % 2]}/{i}.jpg" for i in range(NUM)])
    Path("evenface.yaml").write_text("seed: 1\n")
    done = invoke(root)
    assert done.exit_code == 1 and "is there already and stays as it is" in done.output
    assert Path("evenface.yaml").read_text() == "seed: 1\n"
    done = invoke(root, "--out", root / "mine.yaml")
    assert done.exit_code == 1 and "where nothing is written" in done.output
    monkeypatch.chdir(root)
    done = invoke(".", "--out", place / "mine.yaml")
    assert done.exit_code == 1 and "start in another folder" in done.output
    assert sorted(path.name for path in root.iterdir()) == ["a", "b"]


def test_a_folder_without_photographs_is_told(place):
    write(place / "photos/notes.txt", "x")
    done = invoke(place / "photos")
    assert done.exit_code == 1 and "no photographs" in done.output


# --- The config


def test_budgets_differ_and_say_the_same_question(place):
    root = photographs(place / "photos", [f"{'abbb'[i % 4]}/{i}.jpg" for i in range(NUM)])
    found, _ = start.look(root, layouts.Given(faces=False))
    read = {
        name: yaml.safe_load(config.text(found, "label", budget))
        for name, budget in BUDGETS.items()
    }
    kimg = [one["gan"]["kimg"] for one in read.values()]
    assert kimg == sorted(kimg) and len(set(kimg)) == 3
    assert (
        len({json.dumps([one["tasks"], one["arms"], one["ingest"]]) for one in read.values()}) == 1
    )
    assert config.text(found, "label", BUDGETS["quick"]).count("\n") < 35


def test_a_rare_class_gets_test_images_enough_where_it_can():
    assert share_of_train(100) == 0.7
    assert share_of_train(40) == 0.5
    assert share_of_train(34) == 0.4
    assert share_of_train(5) == 0.7  # no share helps


def test_arms_are_judged_by_the_rarest_class_that_can_be():
    counts = {
        "hat": {"no": 900, "yes": 60},
        "hair": {"a": 500, "b": 460},
        "beard": {"x": 950, "y": 10},
    }
    assert judged(counts) == "hat"
    assert judged({"hair": {"a": 5, "b": 6}, "hat": {"no": 9, "yes": 2}}) == "hair"


def test_why_a_rarer_class_does_not_judge_is_said(place):
    """A class of 8 gets no ten test images a round, however the split is."""
    root = photographs(place / "photos", [f"{i:03}.jpg" for i in range(80)])
    rows = [(f"{i:03}.jpg", "MF"[i % 2], "yes" if i < 8 else "no") for i in range(80)]
    table(root / "labels.csv", ["file", "sex", "hat"], rows)
    said, settings, _ = made(root)
    assert settings.tasks[0].verdict.head == "sex"
    assert "Arms are judged by sex, which has the rarest class that can be judged.\n" in said
    assert "  too few photographs to judge by hat: yes 8; a class needs 34\n" in said


def test_an_only_attribute_with_too_rare_a_class_is_not_said_to_be_one_that_can_be_judged(place):
    names = [f"{'old' if i < 8 else 'young'}/{i}.jpg" for i in range(80)]
    said, _, _ = made(photographs(place / "photos", names))
    assert "Arms are judged by label.\n" in said
    assert "  too few photographs for that: old 8; a class needs 34\n" in said
    assert "the verdict would be withheld" in said


def test_classes_that_need_more_photographs_are_those_that_no_share_of_train_helps():
    assert share_of_train(LEAST) == SHARES[-1] != share_of_train(LEAST - 1)
    assert too_few({"a": LEAST, "b": LEAST - 1}) == {"b": LEAST - 1}
    assert too_few({"a": 2 * LEAST, "b": LEAST}, kept=0.9) == {"b": LEAST}


def test_photographs_with_several_faces_leave_test_images_enough(place):
    """Of 70 men 15 % are ten, of those whose photographs show one face alone fewer."""
    counts = {"sex": {"F": 113, "M": 70}, "age": {"young": 97, "old": LEAST}}
    assert judged(counts) == "age" and judged(counts, kept=0.8) == "sex"
    root = photographs(place / "photos", [f"{'ab'[i % 2]}/{i}.jpg" for i in range(NUM)])
    found, _ = start.look(root, layouts.Given(faces=False))
    found = replace(found, counts={"label": counts["sex"]}, to_cut=["faces are small"])
    shares = []
    for kept in (1.0, 0.8):
        text = config.text(replace(found, kept=kept), "label", BUDGETS["quick"])
        shares.append(yaml.safe_load(text)["split"]["train"])
    assert shares == [0.7, 0.6]


def test_folders_of_one_meaning_are_one_class_and_those_in_them_are_said(place):
    tops = ["f", "female", "male", "male"]
    names = [f"{tops[i % 4]}/{'young' if i % 8 < 4 else 'old'}/{i}.jpg" for i in range(80)]
    said, settings, found = made(photographs(place / "photos", names))
    assert settings.ingest.imagefolder.map == {"f": "female"}
    assert found.index["label"].value_counts().to_dict() == {"female": 40, "male": 40}
    assert "read as one class: f 20, female 20" in said
    assert "in each of these folders are others (old, young), which are not read" in said
    assert "None of its classes is rare" in said


def test_folders_of_persons_are_no_classes(place):
    root = photographs(place / "photos", [f"{i}/1.jpg" for i in range(60)])
    done = invoke(root)
    assert done.exit_code == 1 and "60 folders, too many for classes: persons?" in done.output


def test_a_table_without_labels_hides_no_class_folders(place):
    names = [f"{'ab'[i % 2]}/{i}.jpg" for i in range(NUM)]
    root = photographs(place / "photos", names)
    table(root / "notes.csv", ["file", "note"], [(name, f"{name} so") for name in names])
    assert made(root)[1].ingest.adapter == "imagefolder"
    done = invoke(root, "--labels", root / "notes.csv", "--out", "other.yaml")
    assert done.exit_code == 1
    assert "but no labels: note: 40 values, like identifiers or free text" in done.output


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("labels.csv", "id,hat\nx,a\ny,b\n", "labels.csv: no column names photographs"),
        ("labels.csv", "file,hat\n0.jpg,\xe9".encode("latin-1"), "labels.csv, line 2: not UTF-8"),
        ("labels.xls", bytes.fromhex("d0cf11e0a1b11ae1"), "an Excel workbook (.xls); save it as"),
        ("labels.json", "{}", "no table (labels.json is none that is read)"),
    ],
)
def test_why_a_table_is_not_taken_is_said(place, name, data, message):
    root = photographs(place / "photos", [f"{i}.jpg" for i in range(4)])
    write(root / name, data)
    done = invoke(root)
    assert done.exit_code == 1 and message in done.output


def test_rounds_are_no_more_than_test_parts(place):
    root = photographs(place / "photos", [f"{'abbb'[i % 4]}/{i}.jpg" for i in range(140)])
    _, settings, _ = made(root, "--thorough")
    assert (settings.split.train, settings.rounds) == (0.4, 3)


# --- Boxes around faces


def boxed(root, boxes, *, heading=("file", "hat", "x", "y", "w", "h")):
    """Write two rows a photograph of 48 x 60 px, which differ in their box."""
    names = [f"{number:02}.jpg" for number in range(NUM)]
    photographs(root, names)
    rows = [(name, "xy"[i % 2], *box) for i, name in enumerate(names) for box in boxes]
    table(root / "labels.csv", heading, rows)
    return root


def test_boxes_in_a_table_are_said_and_written(place):
    done = invoke(boxed(place / "photos", [(0.1, 0.2, 0.3, 0.3), (0.6, 0.2, 0.3, 0.3)]))
    assert done.exit_code == 0, done.output
    said = "x, y, w, h: a box around the face, left, top, width, height in shares of the photograph"
    assert said in done.output and "64 of 64 looked at lie within" in done.output
    assert f"hat: x {NUM}, y {NUM}" in done.output  # of faces, two a photograph
    settings = Run(read_config(Path("evenface.yaml"))).settings
    assert settings.ingest.faces == "cut"
    own = settings.ingest.table
    assert (own.box, own.box_form, own.box_unit) == (("x", "y", "w", "h"), "size", "share")
    assert [one.name for one in own.attributes] == ["hat"]


def test_boxes_of_other_pictures_are_said_and_left_out(place):
    corners = ["file", "hat", "x1", "y1", "x2", "y2"]
    root = boxed(place / "photos", [(95, 10, 130, 55)], heading=corners)
    done = invoke(root)
    assert done.exit_code == 0, done.output
    assert "0 of 40 looked at lie within their photographs; not 00.jpg: 95, 10, 130, 55" in (
        done.output
    )
    settings = Run(read_config(Path("evenface.yaml"))).settings
    assert settings.ingest.faces == "keep" and settings.ingest.table.box is None
    assert [one.name for one in settings.ingest.table.attributes] == ["hat"]


def test_one_large_box_in_each_photograph_is_not_needed(place):
    done = invoke(boxed(place / "photos", [(4, 5, 40, 50)]))
    assert done.exit_code == 0, done.output
    assert "not needed, since photographs are of one face each" in done.output
    assert Run(read_config(Path("evenface.yaml"))).settings.ingest.faces == "keep"


def test_thumbnails_with_small_faces_are_framed_and_whole_photographs_cut(place):
    root = photographs(place / "photos", [f"{'abbb'[i % 4]}/{i}.jpg" for i in range(NUM)])
    found, _ = start.look(root, layouts.Given(faces=False))
    framed = replace(found, to_frame=["faces are small"])
    read = yaml.safe_load(config.text(framed, "label", BUDGETS["quick"]))
    assert read["geometries"]["gan"]["fit"] == read["geometries"]["classifier"]["fit"] == "face"
    assert read["geometries"]["classifier"]["height"] == read["geometries"]["classifier"]["width"]
    assert "faces" not in read["ingest"] and "curate" not in read
    cut = replace(found, to_cut=["faces are small"])
    read = yaml.safe_load(config.text(cut, "label", BUDGETS["quick"]))
    assert read["geometries"]["gan"]["fit"] == "pad" and read["ingest"]["faces"] == "cut"
