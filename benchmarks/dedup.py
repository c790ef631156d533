"""Duplicates: how the search for near hashes grows, and a comparison with imagededup.

    python benchmarks/dedup.py
    python benchmarks/dedup.py --size 10000000
    python benchmarks/dedup.py --faces FOLDER --truth FOLDER

The first two find pairs planted among random hashes. The last also takes the time from files to
pairs (process start included) on folders with labels.csv and images/, and holds what was found
against truth.csv. imagededup is compared where it is installed (pip install imagededup).
"""

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pandas as pd
import yaml
from dirty import duplicate_rows
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from facedata.duplicates import hamming
from facekit import commands
from facekit.storage import tables

CONFIG = Path(__file__).parents[1] / "config/aaf.yaml"
SIZES = (20_000, 200_000, 1_000_000)
MAX_DISTANCE = 8  # of the planted pairs among random hashes: dedup's default
RUNS, LARGE = 3, 1_000_000  # the fastest run counts; one alone of more hashes than this
THEIR_DISTANCES = {10: "its default", 8: "our distance"}

FACEDATA = "from facedata.cli import main; main()"
IMAGEDEDUP = """
import json, sys
from imagededup.methods import PHash
folder, distance, cores, found = sys.argv[1:]
if __name__ == "__main__":
    method = PHash(verbose=False)
    hashes = method.encode_images(folder, num_enc_workers=int(cores))
    pairs = method.find_duplicates(encoding_map=hashes, max_distance_threshold=int(distance),
                                   num_dist_workers=int(cores))
    json.dump(pairs, open(found, "w"))
"""


def plant(num_hashes: int, num_pairs: int) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Return random hashes, and which pairs of them were made near: at most MAX_DISTANCE bits."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 64, num_hashes, dtype=np.uint64)
    a, b = np.split(rng.permutation(num_hashes)[: 2 * num_pairs], 2)
    bits = rng.permuted(np.tile(np.arange(64, dtype=np.uint64), (num_pairs, 1)), axis=1)
    is_flipped = np.arange(64) < rng.integers(0, MAX_DISTANCE + 1, num_pairs)[:, None]
    flips = np.where(is_flipped, np.uint64(1) << bits, np.uint64(0))
    hashes[b] = hashes[a] ^ np.bitwise_or.reduce(flips, axis=1)
    return hashes, set(zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), strict=True))


def measure_hashes(sizes: Sequence[int], cores: int) -> None:
    """Print how many planted pairs are found, and how time and memory grow."""
    names = ("planted", "found", "pairs", "seconds", "CPU s")
    head = " ".join(f"{name:>8}" for name in names)
    click.echo(f"{'random hashes':>13} {head} {'times':>6} {'peak MiB':>8}")
    before = None
    for size in sizes:
        hashes, planted = plant(size, size // 100)
        times = []
        for _ in range(RUNS if size <= LARGE else 1):
            start, used = time.perf_counter(), sum(os.times()[:2])
            chunks = list(hamming.near_pairs(hashes, None, MAX_DISTANCE, cores))
            times.append((time.perf_counter() - start, sum(os.times()[:2]) - used))
        pairs = {pair for i, j, _ in chunks for pair in zip(i.tolist(), j.tolist(), strict=True)}
        seconds, used = min(times)
        grown = f"{used / before:.1f}" if before else ""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        click.echo(
            f"{size:13,} {len(planted):8,} {len(planted & pairs):8,} {len(pairs):8,} {seconds:8.2f}"
            f" {used:8.2f} {grown:>6} {peak:8.0f}"
        )
        before = used


def run(code: str, *arguments: object) -> float:
    """Run Python code with arguments in a process of its own; return seconds of wall time."""
    start = time.perf_counter()
    line = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments[0]}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def find_ours(data: Path, cores: int, folder: Path) -> tuple[dict[str, float], pd.DataFrame]:
    """Return seconds by stage and the pairs found by ingest, inspect and dedup."""
    config = yaml.safe_load(CONFIG.read_text())
    dedup = config["dedup"]
    table = {"group_column": None, "split_column": None} | config["ingest"]["table"]
    options = {name: f"--{name}={folder / name}.parquet" for name in ("index", "inspection")}
    stages = {
        "ingest": [
            "--adapter=table", f"--root={data}", f"--settings={json.dumps(table)}", "--seed=0",
            options["index"], f"--rejected={folder}/rejected.csv", f"--notes={folder}/notes.csv",
        ],
        "inspect": [
            *options.values(), f"--root={data}", f"--workers={cores}",
            f"--geometries={json.dumps(config['geometries'])}", f"--images={folder}",
        ],
        "dedup": [
            *options.values(), f"--thumbs={folder}/thumbs.npy", f"--workers={cores}",
            f"--max-distance={dedup['max_distance']}",
            f"--max-difference={dedup['max_difference']}",
            f"--tolerance={json.dumps(dedup['tolerance'])}",
            f"--derived={json.dumps(table['derived'])}", f"--duplicates={folder}/pairs.parquet",
        ],
    }  # fmt: skip
    seconds = {name: run(FACEDATA, name, *line) for name, line in stages.items()}
    return seconds, tables.read(folder / "pairs.parquet")


def find_theirs(data: Path, cores: int, folder: Path, distance: int) -> tuple[float, pd.DataFrame]:
    """Return seconds and the pairs found by imagededup's PHash, as `find_ours`."""
    seconds = run(IMAGEDEDUP, data / "images", distance, cores, folder / "found.json")
    found = json.loads((folder / "found.json").read_text())
    named = {frozenset((name, other)) for name, others in found.items() for other in others}
    pairs = pd.DataFrame(sorted(map(sorted, named)), columns=["image_id_a", "image_id_b"])
    pairs = ("images/" + pairs).assign(kind="near", difference=np.nan)
    codes, names = pd.factorize(pd.concat([pairs["image_id_a"], pairs["image_id_b"]]))
    edges = sparse.coo_array((np.ones(len(pairs)), np.split(codes, 2)), shape=[len(names)] * 2)
    _, component = connected_components(edges, directed=False)
    return seconds, pairs.assign(cluster=component[codes[: len(pairs)]])


def print_truth(name: str, data: Path, pairs: pd.DataFrame) -> None:
    """Print what of the planted copies is in one cluster with its original, by kind."""
    truth = pd.read_csv(data / "truth.csv", dtype=str, keep_default_na=False)
    click.echo(f"\n{name} on {data.name}")
    with contextlib.redirect_stderr(io.StringIO()):  # the pairs that were not planted
        rows = duplicate_rows(truth, pairs)
    for what, value in rows:
        click.echo(f"  {what:<50} {value}")


def compare(faces: Path, truth: Path | None, cores: int) -> None:
    """Print time, pairs and recall, ours and imagededup's."""
    has_imagededup = find_spec("imagededup") is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, pairs = find_ours(faces, cores, folder)
        click.echo(f"\n{faces.name}: from files to pairs on {cores} cores, seconds")
        parts = " + ".join(f"{stage} {value:.1f}" for stage, value in seconds.items())
        ours = sum(seconds.values())
        click.echo(f"  facedata    {ours:7.1f} ({parts}), {len(pairs)} pairs")
        if not has_imagededup:
            click.echo("  imagededup is not installed here (pip install imagededup)")
        for distance, what in THEIR_DISTANCES.items() if has_imagededup else ():
            theirs, pairs = find_theirs(faces, cores, folder, distance)
            click.echo(
                f"  imagededup  {theirs:7.1f} at distance {distance} ({what}), {len(pairs)} pairs:"
                f" {theirs / ours:.1f} x as long"
            )
        if truth is None:
            return
        print_truth("facedata", truth, find_ours(truth, cores, folder)[1])
        for distance, what in THEIR_DISTANCES.items() if has_imagededup else ():
            _, pairs = find_theirs(truth, cores, folder, distance)
            print_truth(f"imagededup at distance {distance} ({what})", truth, pairs)


@click.command()
@click.option("--faces", type=commands.IN_DIR, help="Folder with labels.csv and images/.")
@click.option("--truth", type=commands.IN_DIR, help="The same with truth.csv of planted copies.")
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(min=2),
    multiple=True,
    default=SIZES,
    show_default=True,
    help="Random hashes.",
)
@click.option("--cores", type=commands.NUM_WORKERS, default=2, show_default=True)
def main(faces: Path | None, truth: Path | None, sizes: tuple[int, ...], cores: int) -> None:
    """Measure the search for near hashes; with --faces also whole runs, beside imagededup."""
    measure_hashes(sizes, cores)
    if faces is not None:
        compare(faces, truth, cores)


if __name__ == "__main__":
    main()
