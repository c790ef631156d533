"""Trainings of candidates: minutes of a quiet machine, turned into thousands of images."""

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facekit.errors import DataError
from facekit.storage import files

PROGRAM = "stylegan2"
FINAL = "network-final.safetensors"  # of a run that is finished
THREADS, PROCESSES = "threads", "processes"
SNAPSHOTS = 2  # within the shortest budget


@dataclass(frozen=True)
class Candidate:
    """A way to train.

    Attributes:
        size: pixels a side.
        options: of `stylegan2 train`, as text.
        launcher: `threads` (one process of all cores) or `processes` (torchrun, one thread each).
        apart: a setting depends on the length of the run, so each budget is a training of its own.
    """

    size: int
    options: str
    launcher: str = THREADS
    apart: bool = False


def command(
    candidate: Candidate, data: Path, outdir: Path, kimg: float, seed: int, cores: int
) -> list[str]:
    """Return the command line of a training."""
    if candidate.launcher == PROCESSES:
        start = ["torchrun", "--nproc-per-node", str(cores), "--no-python", PROGRAM]
    elif candidate.launcher == THREADS:
        start = [PROGRAM]
    else:
        raise DataError(f"launcher {candidate.launcher}: expected {THREADS} or {PROCESSES}")
    threads = cores if candidate.launcher == THREADS else 1
    line = [*start, "train", "--data", str(data), "--outdir", str(outdir), "--kimg", f"{kimg:g}"]
    line += ["--threads", str(threads), "--seed", str(seed), "--device", "cpu"]
    return line + candidate.options.split()


def seconds_a_kimg(stats: Path) -> list[float]:
    """Return sec/kimg of each tick of a run but the first."""
    lines = [json.loads(line) for line in stats.read_text(encoding="utf-8").splitlines()]
    return [line["Timing/sec_per_kimg"]["mean"] for line in lines[1:]]


def measure_speeds(
    candidates: Mapping[str, Candidate],
    data: Mapping[int, Path],
    path: Path,
    kimg: float,
    rounds: int,
    cores: int,
) -> dict[str, float]:
    """Measure sec/kimg of candidates in turn, short runs, and keep what was found beside others.

    Args:
        candidates: by name.
        data: pack of the train faces, by size.
        path: JSON of lists by name; what is there is added to.
        kimg: of each run.
        rounds: runs of each candidate, alternating.
        cores: to work on.

    Returns:
        The medians.
    """
    found: dict[str, list[float]] = files.read_json(path) if path.exists() else {}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            with tempfile.TemporaryDirectory() as folder:
                line = command(candidate, data[candidate.size], Path(folder), kimg, 0, cores)
                line += ["--tick-kimg", f"{kimg / 4:g}", "--snap", "1000"]
                subprocess.run(line, check=True)
                found.setdefault(name, []).extend(seconds_a_kimg(Path(folder, "stats.jsonl")))
            files.write_json(found, path)
    return {name: statistics.median(values) for name, values in found.items()}


def kimg_of(minutes: float, speed: float) -> float:
    """Return the thousands of images that fit into so many minutes, to a hundred images."""
    return round(minutes * 60 / speed, 1)


def train(
    name: str,
    candidate: Candidate,
    data: Path,
    runs: Path,
    speed: float,
    minutes: Sequence[float],
    seed: int,
    cores: int,
) -> None:
    """Train a candidate for its longest budget and keep the network at each budget.

    What was stopped goes on from its last state; all budgets are to be named at once. Networks are
    `{name}-seed{seed}/{minutes}min.safetensors` with a JSON of minutes and speed beside each.
    """
    for budgets in [[each] for each in minutes] if candidate.apart else [sorted(minutes)]:
        ends = [kimg_of(each, speed) for each in budgets]
        mark = f"-{budgets[0]:g}min" if candidate.apart else ""
        outdir = runs / f"{name}-seed{seed}{mark}"
        line = command(candidate, data, outdir / "run", ends[-1], seed, cores)
        tick = ends[0] / SNAPSHOTS
        line += ["--tick-kimg", f"{tick:g}", "--snap", "1", "--keep", "0"]
        subprocess.run(line, check=True)
        for budget, end in zip(budgets, ends, strict=True):
            is_last = end == ends[-1]
            network = outdir / "run" / FINAL if is_last else nearest_network(outdir / "run", end)
            copy = outdir / f"{budget:g}min.safetensors"
            with files.replacing(copy) as part:
                shutil.copyfile(network, part)
            facts = {"name": name, "minutes": budget, "seed": seed, "sec_per_kimg": speed}
            files.write_json(facts, copy.with_suffix(".json"))


def nearest_network(folder: Path, kimg: float) -> Path:
    """Return the snapshot of a run that is nearest to so many thousands of images."""
    found = sorted(folder.glob("network-snapshot-*.safetensors"))
    if not found:
        raise DataError(f"{folder}: no network-snapshot-*.safetensors")
    return min(found, key=lambda path: abs(float(path.stem.rpartition("-")[2]) - kimg))


@dataclass(frozen=True)
class Given:
    """A network file that is to be judged: `NAME=PATH@MINUTES` or `NAME#SEED=PATH@MINUTES`."""

    name: str
    path: Path
    minutes: float
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> "Given":
        """Return what a text says.

        Raises:
            DataError: not of this form, or no such file.
        """
        name, equals, rest = text.partition("=")
        path, at, minutes = rest.rpartition("@")
        name, _, seed = name.partition("#")
        try:
            given = cls(name, Path(path), float(minutes), int(seed or 0))
        except ValueError:
            raise DataError(
                f"{text}: expected NAME=PATH@MINUTES or NAME#SEED=PATH@MINUTES"
            ) from None
        if not (equals and at and name):
            raise DataError(f"{text}: expected NAME=PATH@MINUTES or NAME#SEED=PATH@MINUTES")
        if not given.path.is_file():
            raise DataError(f"{path}: no such file")
        return given


def trained(runs: Path, size: int, known: Mapping[str, Candidate]) -> list[Given]:
    """Return the networks of `train` of this size."""
    found = []
    for path in sorted(runs.glob("*/*min.json")):
        facts = files.read_json(path)
        if facts["name"] in known and known[facts["name"]].size == size:
            network = path.with_suffix(".safetensors")
            found.append(Given(facts["name"], network, facts["minutes"], facts["seed"]))
    return found
