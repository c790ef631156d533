"""`facedata doubts`: labels of a table against probabilities of any program."""

import csv
import io

import numpy as np
import pytest
from click.testing import CliRunner

from facedata import cli

NUM = 40


@pytest.fixture
def files(tmp_path):
    """A table of 40 labels of which one is wrong, and probabilities that say so."""
    truth = np.arange(NUM) % 2
    prob = np.where(truth[:, None] == [0, 1], 0.95, 0.05)
    given = ["red" if one else "black" for one in truth]
    given[5] = "black"
    labels = tmp_path / "labels.csv"
    rows = [f"{i}.jpg,{label},{i}" for i, label in enumerate(given)]
    labels.write_text("\n".join(["file,label,age", *rows]) + "\n")
    np.save(tmp_path / "prob.npy", prob)
    return labels, tmp_path / "prob.npy"


def run(labels, probabilities, *more):
    arguments = ["doubts", "--labels", labels, "--probabilities", probabilities, *more]
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def test_wrong_label_is_printed(files):
    done = run(*files)
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["image_id"], row["given"], row["suggested"]) == ("5.jpg", "black", "red")
    assert (row["score"], row["issue"]) == ("0.05", "True")


def test_printed_cells_are_no_formulas(files):
    labels, probabilities = files
    labels.write_text(labels.read_text().replace("5.jpg,black", "=1+1.jpg,black"))
    done = run(labels, probabilities)
    assert done.exit_code == 0, done.output
    assert "\n'=1+1.jpg,label,black,red" in done.stdout


def test_order_of_classes_is_followed(files, tmp_path):
    labels, path = files
    np.save(path, np.load(path)[:, ::-1])
    done = run(labels, path, "--classes", '["red", "black"]', "--csv", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "5.jpg,label,black,red" in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize(("word", "more"), [("n/a", ()), ("?", ("--classes", '["black", "red"]'))])
def test_words_for_no_label_are_none_where_the_array_has_no_such_class(files, word, more):
    labels, probabilities = files
    labels.write_text(labels.read_text().replace("7.jpg,red", f"7.jpg,{word}"))
    done = run(labels, probabilities, *more)
    assert done.exit_code == 0, done.output
    assert f"label: read as missing: '{word}' 4" in done.stderr  # 7, 17, 27 and 37
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["image_id"] == "5.jpg"


@pytest.mark.parametrize("more", [(), ("--classes", '["NA", "red"]')])
def test_such_a_word_is_a_class_where_the_array_has_one(files, more):
    """Namibia is NA, not missing."""
    labels, probabilities = files
    labels.write_text(labels.read_text().replace("black", "NA"))
    done = run(labels, probabilities, *more)
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["given"], row["suggested"]) == ("NA", "red")
    assert "missing" not in done.stderr


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda prob: prob[:-1], (), "found [39, 2]"),
        (lambda prob: prob * 2, (), "sum to 1"),
        (lambda prob: prob.astype(str), (), "no array of numbers"),
        (lambda prob: prob, ("--classes", '["red", "blond"]'), "lack 'black'"),
        (lambda prob: prob, ("--column", "hair"), "no column 'hair'"),
    ],
)
def test_what_does_not_fit_is_told(files, change, more, message):
    labels, path = files
    np.save(path, change(np.load(path)))
    done = run(labels, path, *more)
    assert done.exit_code == 1
    assert message in done.output


def test_column_has_to_be_named_where_several_may_be_meant(files):
    labels, path = files
    labels.write_text(labels.read_text().replace("file,label,age", "file,hair,age"))
    done = run(labels, path)
    assert done.exit_code == 1
    assert "--column NAME, one of ['hair', 'age']" in done.output


def test_file_that_is_no_array_is_told(files):
    labels, path = files
    path.write_text("0.5,0.5\n")
    done = run(labels, path)
    assert done.exit_code == 1
    assert "expected an array" in done.output
