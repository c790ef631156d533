"""Public reports of outputs that destroy something, are something else, or cannot be written.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gan_runs import TRAIN, write_pack
from generators import make_generator
from layouts import picture, write
from reported import pictures, run

from evenface import cli as evenface
from facedata.cli import main as facedata
from facekit.errors import DataError
from facekit.storage import tables
from stylegan2.cli import main as stylegan2
from stylegan2.models import checkpoint


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(*make_generator(), path)
    return path


@pytest.mark.parametrize("name", ["target.png", "proj.png"])
def test_no_file_in_an_output_folder_replaces_an_input(tmp_path, network, name):
    """facebook/zstd#1422: the input is destroyed where it is the output."""
    photo = write(tmp_path / "photos" / name, picture(0))
    before = photo.read_bytes()
    command = ["--network", network, "--target", photo, "--outdir", photo.parent]
    code, line = run(stylegan2, "project", *command, "--num-steps", 1, "--threads", 1)
    assert code == 1 and f"{photo}: that is --target, too, and is left as it is" in line
    assert photo.read_bytes() == before


@pytest.mark.parametrize("name", ["pairs.xlsx", "pairs.txt", "pairs"])
def test_a_table_is_what_its_name_says(tmp_path, name):
    """lakehq/sail#1823 and the like: what a name says is not what is in the file."""
    pictures(tmp_path / "photos", "a.jpg", "b.jpg")
    command = ["duplicates", tmp_path / "photos", "--workers", 1, "--csv", tmp_path / name]
    code, line = run(facedata, *command)
    assert code == 2 and "'--csv'" in line and "ends in .csv or .parquet" in line
    assert not (tmp_path / name).exists()


def test_an_ending_in_capitals_is_the_same_ending(tmp_path):
    """lakehq/sail#1823."""
    table = pd.DataFrame({"file": ["a.jpg"], "hair": ["red"]})
    tables.write(table, tmp_path / "A.CSV")
    assert (tmp_path / "A.CSV").read_text() == "file,hair\na.jpg,red\n"
    assert tables.read(tmp_path / "A.CSV")["hair"].tolist() == ["red"]
    with pytest.raises(DataError, match=r"a\.tsv: expected a name that ends in \.csv or \.parquet"):
        tables.write(table, tmp_path / "a.tsv")


@pytest.mark.parametrize("name", ["train.parquet", "train.json", "train"])
def test_a_pack_is_not_replaced_by_what_lies_beside_it(tmp_path, name):
    """tsduck/tsduck#1740: outputs of one name overwrite each other."""
    words = [w for one in ("curated", "splits", "inspection", "images")
             for w in (f"--{one}", write(tmp_path / one))]  # fmt: skip
    words += ["--split", "train", "--pack", tmp_path / name]
    code, line = run(facedata, "pack", *words)
    assert code == 2 and "'--pack'" in line and "expected a name that ends in .npy" in line


def test_a_pipe_is_no_file_to_read(tmp_path):
    """vanhauser-thc/thc-hydra#35: what is read twice is empty the second time."""
    os.mkfifo(tmp_path / "labels")
    np.save(tmp_path / "p.npy", np.ones((1, 1)))
    command = ["--labels", tmp_path / "labels", "--probabilities", tmp_path / "p.npy"]
    code, line = run(facedata, "doubts", *command)
    assert code == 1 and "--labels" in line and "a device or a pipe; name a file" in line


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_names_are_printed_whatever_the_terminal_knows(tmp_path, encoding):
    """yadayada/acd_cli#168, mekberg/boar#129."""
    write(tmp_path / "labels.csv", "file,label\n日本.jpg,é\nb.jpg,a\n")
    np.save(tmp_path / "p.npy", np.array([[0.9, 0.1], [0.9, 0.1]]))
    words = ["doubts", "--labels", "labels.csv", "--probabilities", "p.npy"]
    program = f"from facedata.cli import main; main({words})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u65e5\\u672c.jpg,label," in done.stdout


def test_geometries_are_no_paths(tmp_path):
    """Zip Slip: a name that leads out of its folder."""
    index = pd.DataFrame({"image_id": ["a.jpg"], "path": ["a.jpg"]})
    tables.write(index, tmp_path / "index.parquet")
    pictures(tmp_path, "a.jpg")
    for name in ("../own", "a/b", "", "/own"):
        text = json.dumps({name: {"height": 16, "width": 16}})
        code, line = run(
            facedata, "inspect", "--index", tmp_path / "index.parquet", "--root", tmp_path,
            "--workers", 1, "--inspection", tmp_path / "made/inspection.parquet",
            "--images", tmp_path / "made/images", "--geometries", text,
        )  # fmt: skip
        assert code == 2 and "'--geometries'" in line and "is no name" in line
        assert not Path("own.npy").exists() and not (tmp_path / "made").exists()


def test_a_folder_of_the_user_that_is_called_like_a_part_stays(tmp_path):
    pictures(tmp_path / "photos", "a/1.jpg", "a/2.jpg")
    write(tmp_path / "clean.part/mine.txt", "mine")
    code, _ = run(
        evenface.main, "check", tmp_path / "photos", "--out", tmp_path / "check", "--no-faces",
        "--workers", 1, "--export", f"csv:{tmp_path / 'clean'}",
    )  # fmt: skip
    assert code == 0 and (tmp_path / "clean.part/mine.txt").read_text() == "mine"
    assert (tmp_path / "clean/labels.csv").exists()


def train(data, outdir, **changes):
    """Run `stylegan2 train`; return exit code and last line."""
    values = {**TRAIN, "data": data, "outdir": outdir, "processes": 1, **changes}
    return run(
        stylegan2, "train", *(word for key, value in values.items() for word in (f"--{key}", value))
    )


def test_a_training_removes_nothing_that_is_none_of_its_own(tmp_path):
    """Lightning-AI/pytorch-lightning#17189: a pretrained network in the run's folder is deleted."""
    outdir = tmp_path / "gan"
    outdir.mkdir()
    mine = ["network-ffhq.safetensors", "fakes-mine.png", "metric-of mine.json", "reals.png.jpg"]
    mine += ["state-mine.safetensors"]
    earlier = ["network-snapshot-000099.safetensors", "network-best.safetensors", "fakes000099.png"]
    for name in (*mine, *earlier):
        (outdir / name).write_text(name)
    code, line = train(write_pack(tmp_path), outdir)
    assert code == 0, line
    assert all((outdir / name).read_text() == name for name in mine)
    assert not any((outdir / name).exists() for name in earlier)


def test_a_training_begins_with_no_network_that_it_replaces(tmp_path, network):
    """Likewise: the network that a run begins with."""
    data, outdir = write_pack(tmp_path), tmp_path / "gan"
    outdir.mkdir()
    link = tmp_path / "link"
    link.symlink_to(outdir)
    begun = network.rename(outdir / "network-final.safetensors")
    before = begun.read_bytes()
    code, line = train(data, link, resume=begun)
    assert code == 1 and f"--resume {begun}: lies in --outdir" in line
    assert begun.read_bytes() == before
    mine = begun.rename(outdir / "network-ffhq.safetensors")
    code, line = train(data, outdir, resume=mine)
    assert code == 0, line
    assert mine.read_bytes() == before
