"""Sets from elsewhere that are whole photographs, cut as the data set's own; and `fit: face`."""

import json

import pytest
from layouts import write
from projects import copy_project, snakemake

from evenface import settings
from evenface.places import DEMO_CONFIG
from facekit.errors import DataError

HAIR = {"name": "hair_color", "column": "hair", "kind": "categorical", "classes": ["red", "brown"]}
BOX = {"attributes": [HAIR], "box": ["x", "y", "w", "h"]}


def external(root, name, **more):
    return {"name": name, "adapter": "table", "root": str(root), "table": BOX, **more}


def test_a_set_of_whole_photographs_is_cut_by_the_rule_of_the_data_set(tmp_path):
    (tmp_path / "project").mkdir()
    project, root = copy_project(tmp_path / "project"), tmp_path / "web"
    write(root / "1.jpg")
    write(root / "labels.csv", "file,hair,x,y,w,h\n1.jpg,red,1,2,3,4\n")
    kept = {"attributes": [HAIR]}
    sets = [
        external(root, "web", faces="cut", several="largest"),
        external(root, "thumbs", table=kept),
    ]
    given = [f"external={json.dumps(sets)}", "ingest={margin: 0.5, side: 128}"]
    targets = [f"results/avatars/external/{name}/inspection.parquet" for name in ("web", "thumbs")]
    done = snakemake("-n", "-p", *targets, "--config", *given, cwd=project)
    said = (done.stdout + done.stderr).splitlines()
    lines = [line.strip().removeprefix("Shell command: ") for line in said]
    ingests = {
        name: line
        for line in lines
        for name in ("web", "thumbs")
        if line.startswith("facedata ingest") and f"external/{name}/" in line
    }
    assert "--faces cut --several largest --margin 0.5 --side 128" in ingests["web"]
    assert "--cut results/avatars/external/web/cut.zip" in ingests["web"]
    assert "--like results/avatars/faces.parquet --like-size '{" in ingests["web"]
    assert "--faces" not in ingests["thumbs"] and "--cut" not in ingests["thumbs"]
    inspects = [line for line in lines if line.startswith("facedata inspect")]
    assert any("--root results/avatars/external/web " in line for line in inspects)
    assert any(f"--root {root} " in line for line in inspects)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({}, "external[0].faces: keep, but columns of the table name faces; expected cut"),
        (
            {"adapter": "avatars", "root": None, "faces": "cut"},
            "external[0].faces: cut, but this adapter draws",
        ),
    ],
)
def test_faces_of_sets_from_elsewhere_are_named_and_cut_or_neither(tmp_path, update, message):
    with pytest.raises(DataError) as found:
        settings.read({"external": [external(tmp_path, "web") | update]})
    assert message in str(found.value)


def test_faces_are_framed_alike_for_generator_and_classifier():
    config = settings.read_config(DEMO_CONFIG)
    framed = {"fit": "face", "margin": 0.5}
    both = {name: {**config["geometries"][name], **framed} for name in ("gan", "classifier")}
    assert settings.read({"geometries": both}).geometries.gan.margin == 0.5
    for other in ({"fit": "pad", "margin": 0.25}, {"fit": "face", "margin": 0.25}):
        mixed = {**both, "classifier": {**both["classifier"], **other}}
        with pytest.raises(DataError, match=r"geometries\.classifier: faces lie otherwise than"):
            settings.read({"geometries": mixed})
