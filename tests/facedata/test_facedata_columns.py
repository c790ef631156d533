"""Every table of the data set's commands is as its columns are declared."""

import json

import pytest
from click.testing import CliRunner
from held_tables import hold

from facedata import columns
from facedata.cli import main
from facedata.columns import FIXED, INDEX, RESERVED, attributes_of
from facedata.explore import columns as explored
from facekit.storage import tables

GEOMETRY = {"height": 32, "width": 32, "fit": "pad"}
GEOMETRIES = {"gan": GEOMETRY, "classifier": GEOMETRY}
STRATA = json.dumps(["glasses"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run the commands one after another on painted portraits, with what is planted in them."""
    root = tmp_path_factory.mktemp("data")

    def run(command, *flags, **values):
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        done = CliRunner().invoke(main, [command, *arguments, *flags])
        assert done.exit_code == 0, done.output

    def at(*names):
        known = {
            "index": "index.parquet",
            "rejected": "rejected.csv",
            "notes": "notes.csv",
            "inspection": "inspection.parquet",
            "faces": "faces.parquet",
            "duplicates": "duplicates.parquet",
            "screened": "screened.parquet",
            "curated": "curated.parquet",
            "dropped": "dropped.csv",
            "decisions": "decisions.parquet",
            "relabelled": "relabelled.parquet",
            "splits": "round0/splits.parquet",
            "deficits": "round0/deficits.csv",
        }
        return {name: root / known[name] for name in names}

    settings = json.dumps({"num_images": 80, "height": 40, "width": 32})
    run(
        "ingest",
        adapter="avatars",
        root=root / "source",
        settings=settings,
        seed=0,
        **at("index", "rejected", "notes"),
    )
    run(
        "inspect",
        root=root / "source",
        geometries=json.dumps(GEOMETRIES),
        workers=1,
        images=root / "images",
        **at("index", "inspection"),
    )
    images = root / "images/classifier.npy"
    run("faces", images=images, threads=1, device="cpu", **at("inspection", "faces"))
    run(
        "dedup",
        thumbs=root / "images/thumbs.npy",
        workers=1,
        **at("index", "inspection", "duplicates"),
    )
    found = at("index", "rejected", "inspection", "faces", "duplicates")
    keep = {"non_faces": "keep", "several_faces": "keep"}
    run("screen", stratify=STRATA, seed=0, **keep, **found, **at("screened"))
    run("curate", **keep, **found, **at("curated", "dropped", "decisions", "relabelled"))
    run(
        "split",
        stratify=STRATA,
        seed=0,
        **at("curated", "inspection", "splits"),
    )
    run(
        "split-check",
        stratify=STRATA,
        check=root / "split_check.json",
        summary=root / "round0/splits_summary.csv",
        **at("curated", "inspection", "splits", "index", "duplicates", "dropped"),
    )
    found = at("index", "inspection", "faces", "duplicates", "curated", "splits", "dropped")
    run("eda", images=images, outdir=root / "eda", **found)
    run(
        "pack",
        images=root / "images/gan.npy",
        split="train",
        condition=STRATA,
        pack=root / "round0/packs/train.npy",
        **at("curated", "splits", "inspection"),
    )
    run("deficits", pack=root / "round0/packs/train.npy", **at("deficits"))
    return root


EMPTY = ("rejected.csv", "notes.csv", "relabelled.parquet", "eda/numbers.csv")
MADE = [one for one in (*columns.TABLES, *explored.TABLES) if one.made_by.startswith("facedata ")]


@pytest.mark.parametrize(
    "declared",
    [one for one in MADE if one is not columns.LABEL_ISSUES],  # judged in the tests of labels
    ids=lambda one: one.name,
)
def test_a_command_writes_what_is_declared(made, declared):
    table = hold(made / declared.name.replace("<n>", "0"), declared)
    assert len(table) or declared.name in EMPTY


def test_attributes_are_what_is_not_declared(made):
    index = tables.read(made / "index.parquet", INDEX)
    assert attributes_of(index) == list(index.columns[len(INDEX.needed) :])
    for name in ("screened.parquet", "curated.parquet"):
        assert attributes_of(tables.read(made / name)) == attributes_of(index)


def test_no_attribute_has_the_name_of_a_column():
    assert {"image_id", "row", "fold", "split", "pixel_hash"} <= FIXED
    assert FIXED | {"class", "seed", "psi", "arm", "accepted", "deficit"} <= RESERVED
    assert not RESERVED & {"brightness", "width", "kind", "distance"}  # closed tables


def test_every_table_is_declared_once():
    names = [one.name for one in (*columns.TABLES, *explored.TABLES)]
    assert len(names) == len(set(names))
    for one in (*columns.TABLES, *explored.TABLES):
        assert len(one.names) == len(set(one.names))
