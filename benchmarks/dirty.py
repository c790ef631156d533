"""Cleaning measured against planted truth: duplicates, non-faces, broken files, wrong labels.

    python benchmarks/dirty.py FOLDER

runs the pipeline of config/aaf.yaml on the set up to curate (below results/aaf_dirty; what is there
already is not made again) and compares what it found with the set's truth.csv.
"""

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from facekit import commands
from facekit.storage import tables

ROOT = Path(__file__).parents[1]
RESULTS = Path("results/aaf_dirty")
TARGETS = ("curated.parquet", "label_issues.csv")
LABELS = "labels={kimg: 18, passes: 2}"  # longer than a run for the review alone needs


def run_pipeline(data: Path, cores: int) -> None:
    """Make the tables that are measured."""
    targets = [str(RESULTS / name) for name in TARGETS]
    command = ["snakemake", *targets, "--cores", str(cores), "--resources", "gpu=1"]
    command += ["--configfile", "config/aaf.yaml"]
    command += ["--config", f"dataset_root={data.resolve()}", f"dataset={RESULTS.name}", LABELS]
    subprocess.run(command, cwd=ROOT, check=True)


def seconds(name: str) -> str:
    """Return how long a stage took, from its run record."""
    record = pd.read_json(ROOT / RESULTS / f"{name}.run.json", typ="series")
    return f"{record['seconds']:.0f} s"


def duplicate_rows(truth: pd.DataFrame, pairs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return recall by kind and precision; pairs that were not planted are listed on stderr."""
    planted = truth[truth["fault"] == "duplicate"]
    cluster = pd.concat(
        [pairs.set_index(f"image_id_{side}")["cluster"] for side in "ab"]
    ).groupby(level=0).first()  # fmt: skip
    together = planted["file"].map(cluster)
    found = together.notna() & (together == planted["pair_file"].map(cluster))
    rows = []
    for kind, hits in found.groupby(planted["kind"]):
        rows.append((f"duplicates, {kind}: recall", f"{hits.sum()} of {len(hits)}"))
    rows.append(("duplicates: recall", f"{found.mean():.4f}"))

    group = pd.concat([planted.set_index(name)["group"] for name in ("file", "pair_file")])
    group = group[~group.index.duplicated()]
    a, b = (pairs[f"image_id_{side}"].map(group) for side in "ab")
    others = pairs[a.isna() | (a != b)]
    rows.append(("duplicates: pairs found, of them not planted", f"{len(pairs)}, {len(others)}"))
    for pair in others.to_dict("records"):
        print("not planted:", *(pair[name] for name in ("image_id_a", "image_id_b", "kind")),
              f"{pair['difference']:.3f}", file=sys.stderr)  # fmt: skip
    return rows


def non_face_rows(truth: pd.DataFrame, faces: pd.DataFrame) -> list[tuple[str, str]]:
    """Return recall of the planted non-faces and false alarms among all other images."""
    planted = faces["image_id"].isin(truth.loc[truth["fault"] == "non_face", "file"])
    flagged = faces["non_face"]
    alarms = flagged & ~planted
    return [
        ("non-faces: recall", f"{(flagged & planted).sum()} of {planted.sum()}"),
        ("non-faces: false alarms", f"{alarms.sum()} of {(~planted).sum()} "
         f"({alarms.sum() / (~planted).sum():.2%})"),
    ]  # fmt: skip


def broken_rows(
    truth: pd.DataFrame, curated: pd.DataFrame, dropped: pd.DataFrame
) -> list[tuple[str, str]]:
    """Return how many broken cases are where they belong: listed with a reason, or kept."""
    broken = truth[truth["fault"] == "broken"]
    is_kept = broken["file"].isin(curated["image_id"])
    is_listed = broken["file"].isin(dropped["image_id"])
    belongs_out = (broken["usable"] == "no") | (broken["kind"] == "file_without_row")
    handled = np.where(belongs_out, is_listed & ~is_kept, is_kept | is_listed)
    return [("broken files and rows handled", f"{handled.sum()} of {len(broken)}")]


def label_rows(
    truth: pd.DataFrame, screened: pd.DataFrame, issues: pd.DataFrame
) -> list[tuple[str, str]]:
    """Return the average precision of the ranked lists; a planted error not listed counts last."""
    rows = []
    for kind, attribute in (("gender", "gender"), ("age", "age"), ("age", "age_group")):
        planted = truth[(truth["fault"] == "label") & (truth["kind"] == kind)]["file"]
        listed = issues[issues["attribute"] == attribute].set_index("image_id")
        score = screened["image_id"].map(listed["score"].astype(float)).fillna(2.0)
        precision = average_precision_score(screened["image_id"].isin(planted), -score)
        precision *= screened["image_id"].isin(planted).sum() / len(planted)
        of_issues = listed.index[listed["issue"] == "True"].isin(planted)
        rows.append((f"wrong labels, {attribute}: average precision", f"{precision:.3f}"))
        rows.append((f"wrong labels, {attribute}: called issues, of them planted",
                     f"{len(of_issues)}, {of_issues.sum()} of {len(planted)}"))  # fmt: skip
    return rows


@click.command()
@click.argument("data", type=commands.IN_DIR)
@click.option("--cores", type=commands.NUM_WORKERS, default=2, show_default=True)
def main(data: Path, cores: int) -> None:
    """Run the pipeline on DATA (a folder with labels.csv and truth.csv) and print the table."""
    run_pipeline(data, cores)
    folder = ROOT / RESULTS
    truth = pd.read_csv(data / "truth.csv", dtype=str, keep_default_na=False)
    screened = tables.read(folder / "screened.parquet")
    issues = tables.read(folder / "label_issues.csv")
    curated, dropped = (tables.read(folder / name) for name in ("curated.parquet", "dropped.csv"))
    rows = [
        *duplicate_rows(truth, tables.read(folder / "duplicates.parquet")),
        *non_face_rows(truth, tables.read(folder / "faces.parquet")),
        *broken_rows(truth, curated, dropped),
        *label_rows(truth, screened, issues),
        ("out-of-fold predictions took", seconds("oof")),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    main()
