"""`facedata duplicates`: copies in a folder without the pipeline."""

import csv
import io
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from facedata import cli


@pytest.fixture
def folder(tmp_path):
    """Four pictures, one of them there again, one mirrored in a folder of its own."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    for number in range(4):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(root / f"{number}.png")
    shutil.copy(root / "1.png", root / "=1+1, copy.png")
    ImageOps.mirror(Image.open(root / "2.png")).save(root / "more/mirrored.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def run(*arguments):
    return CliRunner().invoke(cli.main, ["duplicates", *map(str, arguments), "--workers", "1"])


def test_pairs_are_printed_as_csv_with_their_kinds(folder):
    done = run(folder)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    found = {(row["file_a"], row["file_b"]): row["kind"] for row in rows}
    assert found == {
        ("1.png", "'=1+1, copy.png"): "exact",  # a quote: no formula for a spreadsheet
        ("2.png", "more/mirrored.png"): "mirror",
    }


def test_file_is_written_where_it_is_named_and_nothing_else(folder, tmp_path):
    before = sorted(path.name for path in folder.rglob("*"))
    done = run(folder, "--csv", tmp_path / "pairs.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert (tmp_path / "pairs.csv").read_text().count("\n") == 3
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_folder_without_pictures_is_told(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "no pictures" in done.output
