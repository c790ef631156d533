"""Splitting a table of CelebA's size and shape: seconds, and by how much shares of classes differ.

    python benchmarks/split.py

writes tables of 200,000 images with CelebA's 40 attributes (made up: its published shares, people
and correlations) and runs `facedata split` on them, five folds of train included. A deviation is
the largest difference of a class's share between two splits, or folds, over all attributes, in
percentage points. Where the package iterative-stratification is installed, its k-fold of single
images (it knows no groups) stands beside ours.
"""

import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pandas as pd

from facedata.options import SplitCheckOptions, Stratify
from facedata.splits import check as checks
from facedata.splits import split
from facekit.splits import SPLITS
from facekit.storage import files, tables

FOLDS = 5
NUM_PEOPLE = 10_177
# Images that have each attribute, percent.
SHARES = {
    "5_o_Clock_Shadow": 11.1,
    "Arched_Eyebrows": 26.7,
    "Attractive": 51.3,
    "Bags_Under_Eyes": 20.5,
    "Bald": 2.2,
    "Bangs": 15.2,
    "Big_Lips": 24.1,
    "Big_Nose": 23.5,
    "Black_Hair": 23.9,
    "Blond_Hair": 14.8,
    "Blurry": 5.1,
    "Brown_Hair": 20.5,
    "Bushy_Eyebrows": 14.2,
    "Chubby": 5.8,
    "Double_Chin": 4.7,
    "Eyeglasses": 6.5,
    "Goatee": 6.3,
    "Gray_Hair": 4.2,
    "Heavy_Makeup": 38.7,
    "High_Cheekbones": 45.5,
    "Male": 41.7,
    "Mouth_Slightly_Open": 48.3,
    "Mustache": 4.2,
    "Narrow_Eyes": 11.5,
    "No_Beard": 83.5,
    "Oval_Face": 28.4,
    "Pale_Skin": 4.3,
    "Pointy_Nose": 27.7,
    "Receding_Hairline": 8.0,
    "Rosy_Cheeks": 6.6,
    "Sideburns": 5.7,
    "Smiling": 48.2,
    "Straight_Hair": 20.8,
    "Wavy_Hair": 32.0,
    "Wearing_Earrings": 18.9,
    "Wearing_Hat": 4.8,
    "Wearing_Lipstick": 47.2,
    "Wearing_Necklace": 12.3,
    "Wearing_Necktie": 7.3,
    "Young": 77.4,
}


def make_table(num_images: int, people: bool, official: bool, seed: int = 0) -> pd.DataFrame:
    """Return a curated table: people with alike pictures, attributes that hang together.

    Args:
        num_images: rows.
        people: give the person as group.
        official: give an official split, 80 : 10 : 10 by person, as CelebA's is.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    num_people = max(3, NUM_PEOPLE * num_images // 202_599)
    size = rng.gamma(2.0, size=num_people)
    person = rng.choice(num_people, num_images, p=size / size.sum())
    traits = rng.normal(size=(num_people, 6))[person] + 0.7 * rng.normal(size=(num_images, 6))
    scores = traits @ rng.normal(size=(6, len(SHARES)))  # [N, attributes]
    scores += rng.normal(size=(num_people, len(SHARES)))[person]
    scores += rng.normal(size=scores.shape)
    place = np.searchsorted([0.8 * num_people, 0.9 * num_people], person, side="right")
    none = pd.array([None] * num_images, dtype="str")
    table = pd.DataFrame(
        {
            "image_id": [f"{number:06}.jpg" for number in range(1, num_images + 1)],
            "table_row": range(1, num_images + 1),
            "group": pd.array(person.astype(str), dtype="str") if people else none,
            "official_split": pd.array(np.array(SPLITS)[place]) if official else none,
        }
    )
    rank = scores.argsort(axis=0).argsort(axis=0)
    yes = rank >= num_images * (1 - np.array(list(SHARES.values())) / 100)
    attributes = pd.DataFrame(np.where(yes, "yes", "no"), columns=list(SHARES)).astype("category")
    return pd.concat([table, attributes], axis=1).assign(cluster=range(num_images))


def measure(table: pd.DataFrame, folder: Path) -> dict:
    """Run the command on a table; return its seconds and what its check says."""
    tables.write(table, folder / "curated.parquet")
    facts = table[["image_id"]].assign(pixel_hash=table["image_id"])
    tables.write(facts, folder / "inspection.parquet")
    options = {
        "curated": folder / "curated.parquet",
        "inspection": folder / "inspection.parquet",
        "train": 0.7,
        "stratify": "all",
        "balance": "each",
        "official": "keep",
        "folds": FOLDS,
        "seed": 0,
        "splits": folder / "splits.parquet",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "from facedata.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, "split", *arguments], check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assigned = tables.read(options["splits"])
    check = checks.check(table, assigned, SplitCheckOptions(balance="each"))
    return {
        "units": check["units"],
        "seconds": wall,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "MiB": files.read_json(folder / "splits.run.json")["peak_memory_mib"],
        "splits": check["largest_deviation"]["split"]["points"],
        "folds": check["largest_deviation"]["fold"]["points"],
        "straddling": sum(check["straddling"].values()),
    }


def measure_other(table: pd.DataFrame) -> dict:
    """Return the same of the k-fold of iterative-stratification, over all images."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    labels = (table[list(SHARES)] == "yes").to_numpy(dtype=int)
    start, cpu = time.perf_counter(), time.process_time()
    fold = np.empty(len(labels), dtype=int)
    parts = MultilabelStratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (_, held_out) in enumerate(parts.split(labels, labels)):
        fold[held_out] = number
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"units": len(table), "seconds": seconds, "cpu": cpu, "folds": deviation(labels, fold)}


def measure_folds(table: pd.DataFrame) -> dict:
    """Return what that compares with: our folds of all images, without the command around them."""
    start, cpu = time.perf_counter(), time.process_time()
    fold = split.assign_folds(table, Stratify(stratify=list(SHARES), balance="each"), FOLDS, seed=0)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    labels = (table[list(SHARES)] == "yes").to_numpy(dtype=int)
    folds = deviation(labels, fold.to_numpy(dtype=int))
    return {"units": len(table), "seconds": seconds, "cpu": cpu, "folds": folds}


def deviation(labels: np.ndarray, fold: np.ndarray) -> float:
    shares = np.stack([labels[fold == number].mean(axis=0) for number in range(FOLDS)])
    return 100 * float((shares.max(axis=0) - shares.min(axis=0)).max())


@click.command()
@click.option("--images", type=click.IntRange(min=1000), default=200_000, show_default=True)
def main(images: int) -> None:
    """Print a table of runs."""
    runs = {
        "own split, people": (True, False),
        "own split, single images": (False, False),
        "official split, people": (True, True),
    }
    columns = ["units", "seconds", "cpu", "MiB", "splits", "folds", "straddling"]
    print(f"{images} images, {len(SHARES)} attributes, {FOLDS} folds; deviations in points")
    print(f"{'run':28}", *[f"{name:>10}" for name in columns])

    def show(name: str, found: dict) -> None:
        cells = [
            f"{found.get(key, '–'):>10{'.3f' if isinstance(found.get(key), float) else ''}}"
            for key in columns
        ]
        print(f"{name:28}", *cells, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for name, (people, official) in runs.items():
            table = make_table(images, people, official)
            show(name, measure(table, Path(folder)))
    single = make_table(images, people=False, official=False)
    show("folds alone, single images", measure_folds(single))
    if find_spec("iterstrat"):
        show("iterative-stratification", measure_other(single))


if __name__ == "__main__":
    main()
