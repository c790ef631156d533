"""Sets from elsewhere: labels in the data set's classes, pictures of both left out or refused."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from held_tables import hold
from scipy import ndimage

from facedata import cli
from facedata.columns import CURATED
from facekit.storage import tables


def looks(number, seed):
    """Return thumbnails that are unlike each other, uint8 [number, 32, 32]."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(number, 32, 32)), (0, 1.5, 1.5))
    return (128 + 90 * smooth / np.abs(smooth).max((1, 2), keepdims=True)).astype(np.uint8)


def write_set(folder, thumbs, colors, classes):
    """Write index, inspection and thumbs of a set; return the index."""
    number = len(thumbs)
    (folder / "images").mkdir(parents=True)
    empty = pd.array([pd.NA] * number, dtype="str")
    index = pd.DataFrame(
        {
            "image_id": [f"{folder.name}{k:03}" for k in range(number)],
            "table_row": pd.array(range(1, number + 1), dtype="Int64"),
            "path": [f"{k}.png" for k in range(number)],
            "group": empty,
            "official_split": empty,
            "color": pd.Categorical(colors, classes),
        }
    )
    hashes = [hashlib.sha256(one.tobytes()).hexdigest() for one in thumbs]
    facts = pd.DataFrame(
        {
            "image_id": index["image_id"],
            "row": pd.array(range(number), dtype="Int64"),
            "problem": empty,
            "pixel_hash": hashes,
        }
    )
    tables.write(index, folder / "index.parquet")
    tables.write(facts, folder / "inspection.parquet")
    np.save(folder / "images/thumbs.npy", thumbs)
    return index


@pytest.fixture
def both(tmp_path):
    """Two sets without a common picture, and the command's options."""
    own = write_set(tmp_path / "own", looks(60, 0), ["red", "black"] * 30, ["black", "red"])
    places = range(len(own))
    curated = own.assign(row=places, cluster=places, unit=places, weight=1.0, flags="")
    tables.write(curated, tmp_path / "own/curated.parquet")
    write_set(tmp_path / "web", looks(20, 1), ["Rot", "Schwarz"] * 10, ["Rot", "Schwarz"])
    own, web = tmp_path / "own", tmp_path / "web"
    return {
        "index": web / "index.parquet",
        "inspection": web / "inspection.parquet",
        "thumbs": web / "images/thumbs.npy",
        "own-curated": own / "curated.parquet",
        "own-inspection": own / "inspection.parquet",
        "own-thumbs": own / "images/thumbs.npy",
        "name": "web",
        "map": '{"color": {"Rot": "red", "Schwarz": "black"}}',
        "workers": 1,
        "matched": web / "matched.parquet",
    }


def run(options):
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return CliRunner().invoke(cli.main, ["match", *words])


def test_labels_are_in_the_classes_of_the_data_set(both):
    done = run(both)
    assert done.exit_code == 0, done.output
    matched = hold(both["matched"], CURATED)
    assert matched["color"].cat.categories.tolist() == ["black", "red"]
    assert matched["color"].tolist() == ["red", "black"] * 10
    assert matched["unit"].is_unique


def test_labels_that_nothing_says_the_class_of_are_refused_with_their_values(both):
    done = run(both | {"map": '{"color": {"Rot": "red"}}', "max-copies": 0.5})
    assert done.exit_code == 0  # half of them
    assert len(tables.read(both["matched"])) == 10
    done = run(both | {"map": "{}"})
    assert done.exit_code == 1
    assert (
        "error: external web: color: 20 of 20 labels are none of black, red: Rot (10), Schwarz (10)"
        in done.output
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"color": {"Rot": "rouge"}}', "no class rouge in the data set, found black, red"),
        (
            '{"color": {"Rot": "red", "Swarz": "black"}}',
            "no class Swarz in this set, found Rot, Sc",
        ),
        ('{"hair": {"Rot": "red"}}', "map: hair is no attribute of both sets"),
    ],
)
def test_a_map_of_what_is_not_there_is_refused(both, given, message):
    done = run(both | {"map": given})
    assert done.exit_code == 1 and message in done.output


def test_pictures_that_the_data_set_has_are_left_out_or_refuse_the_set(both):
    thumbs = looks(20, 1)
    own = looks(60, 0)
    thumbs[3] = own[7]
    thumbs[4] = own[9][:, ::-1]  # mirrored
    np.save(both["thumbs"], thumbs)
    done = run(both | {"max-copies": 0.2})
    assert done.exit_code == 0, done.output
    matched = tables.read(both["matched"])["image_id"].tolist()
    assert len(matched) == 18 and not {"web003", "web004"} & set(matched)
    done = run(both)
    assert done.exit_code == 1
    assert "external web: 2 of 20 pictures are copies of the data set's (web003 of own007" in (
        done.output
    )


def test_a_set_of_which_nothing_is_left_is_refused_with_the_reasons(both):
    np.save(both["thumbs"], looks(60, 0)[:20])
    facts = tables.read(both["inspection"])
    facts["row"] = facts["row"].mask(facts["row"].isin([3, 4]))
    tables.write(facts, both["inspection"])
    index = tables.read(both["index"])
    index["color"] = index["color"].mask(index.index == 5)
    tables.write(index, both["index"])
    done = run(both | {"max-copies": 1})
    assert done.exit_code == 1
    assert (
        "no image is left to measure on, of 20: 1 have no label that the data set has, too, 2 were"
        " not decoded, 17 are copies of images of the data set" in done.output
    )
    assert not both["matched"].exists()


def test_of_equal_pictures_one_with_a_label_is_measured(both):
    facts = tables.read(both["inspection"])
    facts["pixel_hash"] = facts["pixel_hash"].mask(facts.index == 1, facts["pixel_hash"].iloc[0])
    tables.write(facts, both["inspection"])
    index = tables.read(both["index"])
    index["color"] = index["color"].mask(index.index == 0)
    tables.write(index, both["index"])
    done = run(both)
    assert done.exit_code == 0, done.output
    assert "web001" in tables.read(both["matched"])["image_id"].tolist()
