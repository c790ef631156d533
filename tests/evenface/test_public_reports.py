"""What public reports of such tools tell of, tried on this one; docs/reliability.md lists them.

Each test names the report that it stands for (repository and number on GitHub).
"""

import html
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from layouts import picture, write
from PIL import Image

from evenface.workflow import Run
from facedata.cli import main
from facedata.curation import labels
from facedata.explore import plots
from facedata.options import SplitOptions
from facedata.splits import split
from facekit.compute import state_dicts
from facekit.errors import DataError
from facekit.pictures.figures import save_svg
from facekit.storage import tables

SEX = {"name": "sex", "column": "sex", "kind": "categorical", "classes": ["female", "male"]}
FOLDERS = {"attribute": "sex", "classes": ["female", "male"]}
PACKED = {"small": {"height": 16, "width": 16, "fit": "pad"}}


def run(command, *options):
    done = CliRunner().invoke(main, [command, *map(str, options)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.strip().splitlines()[-1]


def ingest(tmp_path, adapter, settings):
    """Run `facedata ingest` on tmp_path/root; return exit code, last line and index."""
    index = tmp_path / "index.parquet"
    code, line = run(
        "ingest", "--adapter", adapter, "--root", tmp_path / "root", "--seed", 0,
        "--settings", json.dumps(settings), "--index", index,
        "--rejected", tmp_path / "rejected.csv", "--notes", tmp_path / "notes.csv",
    )  # fmt: skip
    return code, line, tables.read(index) if code == 0 else None


def by_table(tmp_path, text, **settings):
    write(tmp_path / "root/labels.csv", text)
    plain = {"file": "labels.csv", "file_column": "file", "attributes": [SEX]}
    return ingest(tmp_path, "table", plain | settings)


def pictures(tmp_path, *names):
    for number, name in enumerate(names):
        write(tmp_path / "root" / name, picture(number, kind="JPEG"))


def inspected(tmp_path):
    """Run `facedata inspect` on what was ingested; return its table and thumbnails."""
    code, line = run(
        "inspect", "--index", tmp_path / "index.parquet", "--root", tmp_path / "root",
        "--geometries", json.dumps(PACKED), "--workers", 1,
        "--inspection", tmp_path / "inspection.parquet", "--images", tmp_path / "images",
    )  # fmt: skip
    assert code == 0, line
    found = tables.read(tmp_path / "inspection.parquet").set_index("image_id")
    return found, np.load(tmp_path / "images/small.npy")


# --- lost in silence


def test_zeros_that_a_table_has_lost_are_no_missing_files_in_silence(tmp_path):
    """fastai/fastai#1008."""
    pictures(tmp_path, "000001.jpg", "000002.jpg")
    code, line, _ = by_table(tmp_path, "file,sex\n1,female\n2,male\n")
    assert code == 1 and "missing_file '1'; a picture there is '000001.jpg'" in line


def test_persons_keep_their_zeros_and_exponents(tmp_path):
    """biocore/American-Gut#130."""
    pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    text = "file,sex,id\na.jpg,male,007\nb.jpg,male,7\nc.jpg,male,1e5\nd.jpg,male,100000\n"
    _, _, index = by_table(tmp_path, text, group_column="id")
    assert index["group"].tolist() == ["007", "7", "1e5", "100000"]


def test_files_that_are_called_by_numbers_are_found(tmp_path):
    """fastai/fastai#253."""
    pictures(tmp_path, "1.jpg", "2.jpg")
    code, _, index = by_table(tmp_path, "file,sex\n1.jpg,female\n2.jpg,male\n")
    assert code == 0 and index["sex"].tolist() == ["female", "male"]


# --- walkers


def test_what_notebooks_leave_is_no_class(tmp_path):
    """pytorch/vision#2831, tensorflow/tensorflow#46595."""
    pictures(tmp_path, "female/a.jpg", "male/b.jpg", ".ipynb_checkpoints/c.jpg")
    code, line, index = ingest(tmp_path, "imagefolder", FOLDERS)
    assert code == 0 and index["sex"].tolist() == ["female", "male"]
    assert line.endswith("2 images in the index; left out: 1 hidden or system (.ipynb_checkpoints)")


def test_what_systems_leave_is_no_picture(tmp_path):
    """pytorch/vision#109."""
    pictures(tmp_path, "female/a.jpg", "male/b.jpg")
    for name in (".DS_Store", "male/Thumbs.db", "female/desktop.ini", "female/._a.jpg"):
        write(tmp_path / "root" / name, b"\0\5\x16\7")
    code, _, index = ingest(tmp_path, "imagefolder", FOLDERS)
    assert code == 0 and index["image_id"].tolist() == ["female/a.jpg", "male/b.jpg"]


def test_a_picture_without_a_suffix_is_told(tmp_path):
    """Downloads without an ending, as of huggingface/datasets and Google Drive."""
    pictures(tmp_path, "female/a.jpg", "male/b.jpg", "male/c")
    _, line, _ = ingest(tmp_path, "imagefolder", FOLDERS)
    assert line.endswith("left out: 1 pictures not called so (male/c)")


# --- what the files hold


def test_pictures_of_any_mode_become_rgb(tmp_path):
    """NVlabs/stylegan2-ada#111: gray ones among coloured ones."""
    gray = Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1)))
    for mode in ("L", "P", "RGBA", "CMYK", "1"):
        data = io.BytesIO()
        gray.convert(mode).save(data, "TIFF")
        write(tmp_path / f"root/female/{mode}.tif", data.getvalue())
    pictures(tmp_path, "male/b.jpg")
    ingest(tmp_path, "imagefolder", FOLDERS)
    found, images = inspected(tmp_path)
    assert found["problem"].isna().all() and images.shape == (6, 16, 16, 3)
    gray_ones = images[found.loc[["female/L.tif", "female/P.tif"], "row"].to_numpy()]
    assert np.abs(gray_ones[0].astype(int) - gray_ones[1]).max() <= 8


def test_a_file_that_goes_while_it_is_worked_on_is_counted(tmp_path):
    """elisemercury/Duplicate-Image-Finder#20."""
    pictures(tmp_path, "female/a.jpg", "male/b.jpg", "male/c.jpg")
    ingest(tmp_path, "imagefolder", FOLDERS)
    (tmp_path / "root/male/b.jpg").unlink()
    found, images = inspected(tmp_path)
    assert found["problem"].notna().tolist() == [False, True, False] and len(images) == 2


def test_a_cut_picture_is_counted_and_stops_nothing(tmp_path):
    """elcorto/imagecluster#3, and many others."""
    pictures(tmp_path, "female/a.jpg", "male/b.jpg", "male/c.jpg")
    path = tmp_path / "root/male/c.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    write(tmp_path / "root/male/d.jpg", b"")
    ingest(tmp_path, "imagefolder", FOLDERS)
    found, _ = inspected(tmp_path)
    assert found["problem"].notna().tolist() == [False, False, True, True]


# --- degenerate data


def judged(given, classes):
    """Return labels and the probabilities of three classes that contradict none of them."""
    index = pd.DataFrame({"image_id": [f"{i}.jpg" for i in range(len(given))]})
    index["hair"] = pd.Categorical(given, classes)
    sure = np.where(np.array(given)[:, None] == np.array(classes)[None], 0.8, 0.1)
    for k, name in enumerate(classes):
        index[f"hair:{name}"] = sure[:, k]
    return index


@pytest.mark.parametrize("given", [["red"] * 4 + ["gray"] * 4, ["gray"] * 8, ["red", "gray"]])
def test_a_class_without_an_image_is_no_error(given):
    """cleanlab/cleanlab#288, #41: three classes are known, labels have fewer."""
    table = judged(given, ["red", "gray", "blond"])
    given, predicted = table[["image_id", "hair"]], table.drop(columns="hair")
    found = labels.find_label_issues(given, predicted)
    assert not found["issue"].any()


def test_a_class_of_one_image_is_dealt():
    """embeddings-benchmark/mteb#519, v7labs/darwin-py#406."""
    table = pd.DataFrame({"image_id": [f"{i:02}" for i in range(21)]})
    table["hair"] = pd.Categorical(["red"] * 20 + ["gray"])
    for name in ("group", "pixel_hash", "official_split"):
        table[name] = pd.array([pd.NA] * 21, dtype="str")
    table["cluster"] = table["unit"] = range(21)
    options = SplitOptions(
        train=0.6, stratify=["hair"], balance="joint", official="keep", folds=2, reserve=0.0,
        scarce=None,
    )  # fmt: skip
    found = split.assign_splits(table, options, 0, 0).set_index("image_id")["split"]
    assert len(found) == 21 and found["20"] == "train"


# --- files of other programs


@pytest.mark.parametrize(
    ("prefix", "around"),
    [
        ("_orig_mod.", "state_dict"),  # huggingface/pytorch-image-models#2003
        ("_orig_mod.module.", "model"),
        ("module.", "state_dict_ema"),  # sming256/OpenTAD#44
        ("module._orig_mod.", "model_state_dict"),  # rasbt/LLMs-from-scratch#580
    ],
)
def test_weights_of_compiled_parallel_and_averaged_models_are_taken(tmp_path, prefix, around):
    state = {"conv.weight": torch.ones(2, 3, 1, 1), "norm.bias": torch.zeros(2)}
    torch.save({around: {f"{prefix}{key}": x for key, x in state.items()}}, tmp_path / "w.pth")
    read = state_dicts.read(tmp_path / "w.pth")
    found = state_dicts.of_network(read, state, "w.pth", "small")
    assert found.keys() == state.keys() and torch.equal(found["conv.weight"], state["conv.weight"])


# --- text is data


@pytest.mark.parametrize("name", ["Ba$$in", "$$", r"$\frac{", "{0}%s", "a_b^c"])
def test_a_class_is_drawn_as_it_is_called(name, tmp_path):
    """telperion/nine-or-null#14, matplotlib/matplotlib#20266, rueckstiess/mtools#639."""
    counts = {"train": [3, 2], "val": [1, 1], "test": [1, 1], "curated": [5, 4]}
    classes = pd.DataFrame(
        {"attribute": ["hair"] * 2, "class": [name, "red"], **counts, "share": [5 / 9, 4 / 9]}
    )
    figure = plots.plot_classes(classes, pd.DataFrame({"attribute": ["hair"], "curated": [0]}))
    save_svg(figure, tmp_path / "classes.svg", plots.STYLE)
    assert html.escape(name) in (tmp_path / "classes.svg").read_text()


# --- types at borders


def test_a_class_called_no_is_not_taken_for_a_truth_value():
    """canonical/cloud-init#6127, tomasz-c/nft-blackhole#4: the country of NO."""
    attribute = {"name": "country", "column": "c", "kind": "categorical", "classes": ["NO", "SE"]}
    table = {"file": "l.csv", "file_column": "file", "attributes": [attribute]}
    text = yaml.safe_load(json.dumps(table).replace('"NO"', "NO"))
    assert text["attributes"][0]["classes"][0] is False  # as YAML reads it
    with pytest.raises(DataError, match="without quotes are true and false"):
        Run({"dataset_root": "photos", "ingest": {"adapter": "table", "table": text}})


@pytest.mark.parametrize("text", ["True", "true", "1"])
def test_a_truth_value_on_the_command_line_is_one(text):
    """snakemake/snakemake#753."""
    assert Run({"gan": {"mirror": text}}).settings.gan.mirror is True


def test_an_exponent_without_a_point_is_a_number():
    """YAML 1.1 reads 1e-3 as text."""
    assert Run({"classify": {"lr": "1e-3"}}).settings.classify.lr == pytest.approx(0.001)
