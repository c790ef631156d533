"""What curation changed: labels told one by one, official parts counted by reason."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli
from facedata.columns import RELABELLED
from facedata.curation import changes, curate
from facedata.curation.trusted import is_trusted
from facedata.options import CurateCommandOptions
from facekit.storage import tables

BANDS = {"bins": [30, 60], "classes": ["young", "middle", "old"]}
DERIVED = [{"name": "age_group", "source": "age", **BANDS}]


def findings(official: list[str | None], pairs: list[tuple[int, int]]) -> curate.Findings:
    """Return images 0, 1, 2 ... of one size, alike in pairs; those of train are the sharpest."""
    num_images = len(official)
    ids = [str(place) for place in range(num_images)]
    table_row = pd.array(range(1, num_images + 1), dtype="Int64")
    age = np.full(num_images, 20.0)
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": table_row,
            "path": ids,
            "group": pd.array([pd.NA] * num_images, dtype="str"),
            "official_split": pd.array(official, dtype="str"),
            "color": pd.Categorical(["red"] * num_images, ["red", "black"]),
            "age": age,
            "age_group": pd.Categorical(["young"] * num_images, BANDS["classes"], ordered=True),
        }
    )
    inspection = pd.DataFrame(
        {
            "image_id": ids,
            "row": pd.array(range(num_images), dtype="Int64"),
            "problem": pd.array([None] * num_images, dtype="str"),
            "width": pd.array([10] * num_images, dtype="Int64"),
            "height": pd.array([10] * num_images, dtype="Int64"),
            "sharpness": [9.0 if part == "train" else 1.0 for part in official],
            "pixel_hash": ids,
        }
    )
    faces = pd.DataFrame(
        {"image_id": ids, "probability": 1.0, "non_face": False, "several_faces": False}
    )
    duplicates = pd.DataFrame(
        {
            "image_id_a": [ids[one] for one, _ in pairs],
            "image_id_b": [ids[other] for _, other in pairs],
            "distance": 0,
            "kind": "near",
            "cluster": pd.Series([min(pair) for pair in pairs], dtype="int64"),
            "conflict": "",
            "difference": 0.0,
        }
    )
    rejected = pd.DataFrame(
        {
            "image_id": ["0"],
            "table_row": pd.array([num_images + 1], dtype="Int64"),
            "reason": ["repeated_row"],
            "detail": ["the file of row 1"],
        }
    )
    return curate.Findings(index, rejected, inspection, faces, duplicates)


def curated(found, review=None, **policy):
    return curate.curate(found, review or curate.Review(), CurateCommandOptions(**policy), DERIVED)


def test_a_copy_in_train_goes_before_an_official_test_image():
    official = ["train", "test", "train", "val", "test", "val", None, "train"]
    found = findings(official, [(0, 1), (2, 3), (4, 5), (6, 7)])
    kept, _ = curated(found)
    assert kept["image_id"].tolist() == ["1", "3", "4", "7"]  # of 6 and 7 the sharper


def test_what_an_official_part_loses_is_counted_by_reason(caplog):
    official = ["test"] * 200 + ["val"] * 10 + ["train"] * 10
    found = findings(official, [(0, 1), (2, 3), (200, 201), (4, 210), (5, 202)])
    found.faces.loc[[6, 203], "non_face"] = True
    kept, decisions = curated(found, non_faces="drop")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        lost = changes.official_losses(found.index, kept, curate.dropped(decisions))
    assert lost == caplog.messages == [
        "official val: 3 of 10 images lost (duplicate 2, non_face 1)",
        "official test: 3 of 200 images lost (duplicate 2, non_face 1); figures on the rest do not"
        " compare with published ones",
    ]  # fmt: skip
    # Exactly 1 % is told, too, but is still that test part.
    found = replace(found, duplicates=found.duplicates.iloc[1:])
    kept, decisions = curated(found, non_faces="drop")
    lost = changes.official_losses(found.index, kept, curate.dropped(decisions))
    assert lost[-1] == "official test: 2 of 200 images lost (duplicate 1, non_face 1)"


def test_nothing_is_said_where_nothing_is_lost():
    found = findings(["train", "test"], [(0, 1)])
    kept, decisions = curated(found)
    assert changes.official_losses(found.index, kept, curate.dropped(decisions)) == []


def test_changed_labels_are_told_one_by_one():
    found = findings(["train"] * 6, [(2, 3), (3, 4)])
    found.index.loc[3, ["color", "age", "age_group"]] = ["black", 31.5, "middle"]
    found.index.loc[5, "color"] = None
    labels = {
        ("0", "age"): 65.5, ("1", "color"): None, ("5", "color"): "black",
        ("2", "color"): "red", ("2", "age"): 20.0,  # confirmed, not changed
    }  # fmt: skip
    policy = {"conflicts": "majority", "duplicate_policy": "keep_all"}
    kept, decisions = curated(found, curate.Review(labels=labels), **policy)
    told = changes.relabelled(found.index, kept, decisions)
    assert told.dtypes.astype(str).unique().tolist() == ["str"]
    assert told.columns.tolist() == RELABELLED.names
    assert told.fillna("NA").to_numpy().tolist() == [
        ["0", "age", "20", "65.5", "reviewer"],
        ["0", "age_group", "young", "old", "reviewer"],
        ["1", "color", "red", "NA", "reviewer"],
        ["3", "color", "black", "red", "copies"],
        ["3", "age", "31.5", "20", "copies"],
        ["3", "age_group", "middle", "young", "copies"],
        ["5", "color", "NA", "black", "reviewer"],
    ]


def test_no_change_is_a_table_without_rows(tmp_path):
    found = findings(["train"] * 3, [])
    kept, decisions = curated(found)
    path = tmp_path / "relabelled.parquet"
    tables.write(changes.relabelled(found.index, kept, decisions), path)
    assert tables.read(path, RELABELLED).empty


def test_only_images_that_are_learned_from_can_be_left_out():
    split = pd.Series(["train", "train", "val", "test", "reserve", "reserve"], dtype="category")
    table = pd.DataFrame({"weight": [0.0, 0.05, 0.0, 0.0, 0.0, 1.0]})
    assert is_trusted(table, split).tolist() == [False, True, True, True, False, True]
    assert is_trusted(table[[]], split).all()


@pytest.mark.parametrize("policy", ["report", "weight", "drop"])
def test_no_policy_for_doubtful_labels_changes_which_images_stay(policy):
    found = findings(["train", "test", "val", "train"], [(0, 3)])
    doubts = {"image_id": list("0123"), "attribute": "color", "suggested": "black", "score": 0.01}
    found = replace(found, label_issues=pd.DataFrame(doubts))
    kept, decisions = curated(found, label_issues=policy)
    assert kept["image_id"].tolist() == ["0", "1", "2"]
    assert kept["weight"].tolist() == [{"report": 1.0, "weight": 0.01, "drop": 0.0}[policy]] * 3
    assert (kept["flags"] == "label_issue").all()
    detail = "" if policy == "report" else "color 0.010, black?"
    assert decisions["detail"].tolist()[1:] == [detail, detail, detail, "of 0"]


def test_the_last_line_of_the_command_tells_what_the_test_part_lost(tmp_path):
    found = findings(["test"] * 8 + ["train"] * 2, [(0, 1)])
    path = {name: tmp_path / f"{name}.parquet" for name in vars(found) if name != "label_issues"}
    path["rejected"] = tmp_path / "rejected.csv"
    for name, one in path.items():
        tables.write(getattr(found, name), one)
    path |= {name: tmp_path / f"{name}.parquet" for name in ("curated", "decisions", "relabelled")}
    path["dropped"] = tmp_path / "dropped.csv"
    result = CliRunner().invoke(cli.main, ["curate", *(f"--{k}={v}" for k, v in path.items())])
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-1]
    assert "official test: 1 of 8 images lost (duplicate 1); figures on the rest" in last
