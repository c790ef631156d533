"""Chains: people whom only a dropped picture links stay together, and the check would see it."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.cluster.hierarchy import DisjointSet

from facedata import cli
from facedata.curation import curate
from facedata.options import CurateCommandOptions, SplitOptions
from facedata.splits.split import assign_splits
from facedata.splits.units import units
from facekit.storage import files, tables

NUM_CHAINS = 60
PICTURES = ("a0", "a1", "link", "b0", "b1")  # of two people; the link is of the first
# Why the linking picture goes.
WHYS = ("duplicate", "truncated", "non_face", "several_faces", "reviewer", "no_label")


def chains() -> tuple[curate.Findings, curate.Review]:
    """Return two people a chain: a picture of the one has a twin among those of the other."""
    ids = [f"{chain:02}_{name}" for chain in range(NUM_CHAINS) for name in PICTURES]
    people = [f"{one[:2]}{one[3] if 'link' not in one else 'a'}" for one in ids]
    why = [WHYS[int(one[:2]) % len(WHYS)] if "link" in one else "" for one in ids]
    goes = {name: np.array([one == name for one in why]) for name in WHYS}
    num_images, missing = len(ids), goes["truncated"]
    label = np.where(goes["no_label"], -1, np.arange(num_images) // len(PICTURES) % 2)
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": pd.array(range(1, num_images + 1), dtype="Int64"),
            "path": ids,
            "group": pd.array(people, dtype="str"),
            "official_split": pd.array([pd.NA] * num_images, dtype="str"),
            "color": pd.Categorical.from_codes(label, ["black", "red"]),
        }
    )
    inspection = pd.DataFrame(
        {
            "image_id": ids,
            "row": pd.array(np.where(missing, pd.NA, np.arange(num_images)), dtype="Int64"),
            "problem": pd.array(np.where(missing, "truncated", None), dtype="str"),
            "pixel_hash": pd.array(ids, dtype="str"),
            "width": pd.array([5 if "link" in one else 10 for one in ids], dtype="Int64"),
            "height": pd.array([10] * num_images, dtype="Int64"),
            "sharpness": np.ones(num_images),
        }
    )
    faces = pd.DataFrame(
        {
            "image_id": ids,
            "probability": 1.0,
            "non_face": goes["non_face"],
            "several_faces": goes["several_faces"],
        }
    )[~missing]
    duplicates = pd.DataFrame(
        {
            "image_id_a": [f"{chain:02}_link" for chain in range(NUM_CHAINS)],
            "image_id_b": [f"{chain:02}_b0" for chain in range(NUM_CHAINS)],
            "distance": 0,
            "kind": "near",
            "cluster": range(NUM_CHAINS),
            "conflict": "",
            "difference": 0.0,
        }
    )
    rejected = pd.DataFrame(
        {
            name: pd.array([], dtype="Int64" if name == "table_row" else "str")
            for name in ("image_id", "table_row", "reason", "detail")
        }
    )
    dropped = dict.fromkeys(index.loc[goes["reviewer"], "image_id"], "blurred")
    findings = curate.Findings(index, rejected, inspection, faces, duplicates)
    return findings, curate.Review(dropped=dropped)


OPTIONS = {"non_faces": "drop", "several_faces": "drop", "conflicts": "majority"}


def curated_chains() -> tuple[curate.Findings, pd.DataFrame]:
    findings, review = chains()
    kept, decisions = curate.curate(findings, review, CurateCommandOptions(**OPTIONS))
    gone = decisions[~decisions["kept"]]
    assert gone["image_id"].str.endswith("link").all()
    assert {*WHYS} == set(gone["reason"])
    assert len(gone) == NUM_CHAINS
    return findings, kept


def num_straddling(findings: curate.Findings, splits: pd.DataFrame) -> int:
    """Return how many chains of all images are in several places, counted apart from our code."""
    chain = DisjointSet(findings.index["image_id"])
    for _, members in findings.index.groupby("group")["image_id"]:
        for other in members:
            chain.merge(members.iloc[0], other)
    for one, other in findings.duplicates[["image_id_a", "image_id_b"]].itertuples(index=False):
        chain.merge(one, other)
    place = splits["split"].astype(str) + splits["fold"].astype("string").fillna("")
    return place.groupby([chain[one] for one in splits["image_id"]]).nunique().gt(1).sum()


@pytest.mark.parametrize("seed", range(3))
def test_people_linked_by_a_dropped_picture_never_straddle(seed):
    findings, kept = curated_chains()
    splits = assign_splits(kept, SplitOptions(stratify=["color"]), seed)
    assert num_straddling(findings, splits) == 0
    without = assign_splits(kept.drop(columns="unit"), SplitOptions(stratify=["color"]), seed)
    assert num_straddling(findings, without) > 10  # the links do matter


def test_a_unit_is_counted_over_all_images():
    _, kept = curated_chains()
    assert kept["unit"].nunique() == NUM_CHAINS
    assert kept["unit"].dtype == "int64"
    # Two images of which each is alone in its table: still one draw of a bootstrap.
    pair = kept[kept["image_id"].isin(["00_a0", "00_b0"])]
    assert units(pair).tolist() == [0, 0]


def test_the_check_sees_what_a_wrong_table_hides(tmp_path):
    findings, kept = curated_chains()
    names = ("curated", "index", "duplicates", "inspection", "splits")
    path = {name: tmp_path / f"{name}.parquet" for name in names}
    path |= {"dropped": tmp_path / "dropped.csv", "check": tmp_path / "check.json"}
    for name in ("index", "duplicates", "inspection"):
        tables.write(getattr(findings, name), path[name])
    decisions = curate.curate(*chains(), CurateCommandOptions(**OPTIONS))[1]
    tables.write(curate.dropped(decisions), path["dropped"])

    def checked(table: pd.DataFrame):
        tables.write(table, path["curated"])
        tables.write(assign_splits(table, SplitOptions(), 0), path["splits"])
        options = path | {"summary": tmp_path / "summary.csv"}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return CliRunner().invoke(cli.main, ["split-check", *arguments])

    result = checked(kept)
    assert result.exit_code == 0, result.output
    assert files.read_json(path["check"])["straddling"] == {
        "group": 0, "cluster": 0, "pixel_hash": 0, "unit": 0,
    }  # fmt: skip

    # As if curate had not seen the links: the splits follow the table, the check does not.
    result = checked(kept.assign(unit=range(len(kept))))
    assert result.exit_code == 1
    straddling = num_straddling(findings, tables.read(path["splits"]))
    assert straddling > 10
    expected = f"group 0, cluster 0, pixel_hash 0, unit {straddling}; expected none"
    assert expected in result.output
