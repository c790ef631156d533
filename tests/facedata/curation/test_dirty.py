"""From a table full of planted faults to the curated one: each handled or listed, no row lost."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from facedata.cli import main
from facekit.storage import tables

ROOT = Path(__file__).parents[3]
DIRTY = ROOT.parent / "shared/data/aaf_dirty"


def facedata(command, **options):
    arguments = [command]
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    """The folder of a run on the dirty set up to curate, every detector's opinion ignored."""
    out = tmp_path_factory.mktemp("dirty")
    table = yaml.safe_load((ROOT / "config/aaf.yaml").read_text())["ingest"]["table"]
    settings = json.dumps({"group_column": None, "split_column": None} | table)
    sizes = {"gan": {"height": 32, "width": 32, "fit": "pad"}}
    sizes["classifier"] = {"height": 64, "width": 48, "fit": "crop"}
    index, rejected = out / "index.parquet", out / "rejected.csv"
    inspection, duplicates = out / "inspection.parquet", out / "duplicates.parquet"
    facedata("ingest", adapter="table", root=DIRTY, settings=settings, seed=0, index=index,
             rejected=rejected, notes=out / "notes.csv")  # fmt: skip
    facedata("inspect", index=index, root=DIRTY, geometries=json.dumps(sizes), workers=2,
             inspection=inspection, images=out)  # fmt: skip
    facedata("dedup", index=index, inspection=inspection, thumbs=out / "thumbs.npy",
             max_distance=8, max_difference=0.2, tolerance="{}", workers=1,
             duplicates=duplicates)  # fmt: skip
    decoded = tables.read(inspection).query("row.notna()")
    faces = decoded[["image_id"]].assign(probability=1.0, non_face=False, several_faces=False)
    tables.write(faces, out / "faces.parquet")
    facedata("curate", index=index, rejected=rejected, inspection=inspection,
             faces=out / "faces.parquet", duplicates=duplicates, non_faces="keep",
             several_faces="keep", duplicate_policy="keep_all", conflicts="keep", tolerance="{}",
             label_policy="report", max_score=0.2, derived=json.dumps(table["derived"]),
             curated=out / "curated.parquet", dropped=out / "dropped.csv",
             decisions=out / "decisions.parquet",
             relabelled=out / "relabelled.parquet")  # fmt: skip
    return out


@pytest.mark.skipif(not DIRTY.is_dir(), reason="data set is not here")
def test_every_planted_fault_is_handled_or_listed(curated):
    kept = tables.read(curated / "curated.parquet").set_index("image_id")
    dropped = tables.read(curated / "dropped.csv").set_index("image_id")
    truth = pd.read_csv(DIRTY / "truth.csv", dtype=str, keep_default_na=False)
    broken = truth[truth["fault"] == "broken"]
    assert len(broken) == 40
    for row in broken.itertuples():
        if row.usable == "no" or row.kind == "file_without_row":
            assert row.file not in kept.index, row
            assert dropped.loc[row.file, "reason"], row
        else:
            assert row.file in kept.index, row
        if row.kind == "label_spelling":
            assert kept.loc[row.file, "gender"] == row.true_gender
        if row.kind == "label_missing":
            assert kept.loc[row.file, ["gender", "age"]].isna().sum() == 1
        if row.kind == "repeated_row":
            assert dropped.loc[row.file, "reason"] == "repeated_row"
            agrees = row.parameter == "second row agrees"
            assert pd.isna(kept.loc[row.file, "gender"]) != agrees


@pytest.mark.skipif(not DIRTY.is_dir(), reason="data set is not here")
def test_rows_balance(curated):
    table = pd.read_csv(DIRTY / "labels.csv", dtype=str)
    kept = tables.read(curated / "curated.parquet")["table_row"]
    dropped = tables.read(curated / "dropped.csv")["table_row"].dropna().astype(int)
    assert sorted([*kept, *dropped]) == list(range(1, len(table) + 1))
