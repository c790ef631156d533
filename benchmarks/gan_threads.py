"""Seconds for a thousand images of `stylegan2 train` by threads and processes, quiet and busy.

    python benchmarks/gan_threads.py

Trains the demo's GAN (cfg cifar, 32 px, batch 16, 512/64 channels) on noise as a user starts it,
each way for some seconds: alone on the machine, and beside one process that computes without end
at the same priority, started here. `spinning` threads wait as OpenMP does where nothing is said,
the others as the program has them wait (facekit/compute/waiting.py). Other work on the machine
spoils all figures.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import pandas as pd

from facedata.packs import storage
from facekit.compute import waiting

TRAIN = (
    *("--cfg", "cifar", "--batch", "16", "--gamma", "0.2", "--channel-base", "512"),
    *("--channel-max", "64", "--z-dim", "64", "--w-dim", "64", "--lr", "0.005", "--ema-kimg", "2"),
    *("--ada-kimg", "100", "--kimg", "1000", "--device", "cpu"),
    *("--tick-kimg", "0.256"),  # 16 iterations: R1 once
)


@dataclass(frozen=True)
class Way:
    """A way to spread a training over cores: options, and what the environment says."""

    name: str
    options: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


SPINNING = {"OMP_WAIT_POLICY": "active"}
WAYS = (
    Way("2 threads, spinning", ("--threads", "2", "--processes", "1"), SPINNING),
    Way("2 threads", ("--threads", "2", "--processes", "1")),
    Way("1 thread", ("--threads", "1", "--processes", "1")),
    Way("1 thread, rounds of 8", ("--threads", "1", "--processes", "1", "--batch-gpu", "8")),
    Way("2 processes", ("--threads", "2", "--processes", "2", "--batch-gpu", "8")),
)


def write_pack(path: Path) -> None:
    """Write 256 images of noise in 3 classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=[256, 32, 32, 3], dtype=np.uint8)
    classes = [["black"], ["brown"], ["red"]]
    ids = rng.integers(len(classes), size=len(images))
    table = pd.DataFrame(
        {
            "image_id": [f"{i}" for i in range(len(images))],
            "class": ids,
            "hair": [classes[i][0] for i in ids],
        }
    )
    storage.write_pack(path, images, table, ["hair"], classes, (0, 0, 32, 32))


@contextlib.contextmanager
def neighbour(is_there: bool) -> Iterator[None]:
    """Have a process compute meanwhile, or none."""
    if not is_there:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds_per_kimg(way: Way, data: Path, seconds: float) -> float:
    """Train for some seconds after the first tick; return what a thousand images took."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **way.environment}
        if not way.environment:
            for name in waiting.VARIABLES:
                environment.pop(name, None)
        words = ["stylegan2", "train", "--data", str(data), "--outdir", folder, *TRAIN]
        process = subprocess.Popen(
            [*words, *way.options], env=environment, stderr=subprocess.DEVNULL
        )
        lines = read(process, Path(folder) / "stats.jsonl", seconds)
        process.send_signal(signal.SIGTERM)
        if process.wait(60) != 130:
            raise click.ClickException(f"{way.name}: training ended with {process.returncode}")
    if len(lines) < 2:
        return float("nan")
    return sum(line["Timing/sec_per_kimg"]["mean"] for line in lines[1:]) / (len(lines) - 1)


def read(process: subprocess.Popen, path: Path, seconds: float) -> list[dict]:
    """Return the lines of a run some seconds after the first; after ten times as long, any."""
    start, first = time.monotonic(), None
    lines: list[dict] = []
    while process.poll() is None:
        time.sleep(0.2)
        if path.exists():
            lines = [json.loads(text) for text in path.read_text().splitlines()]
        now = time.monotonic()
        first = now if first is None and lines else first
        if now - start > 10 * seconds or (
            first is not None and now - first > seconds and len(lines) > 1
        ):
            break
    return lines


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Of each training.")
@click.option("--only", default="", help="Ways whose names contain this.")
def main(seconds: float, only: str) -> None:
    """Print a table."""
    print(f"{os.cpu_count()} cores; s/kimg")
    print(f"{'':24}{'quiet':>10}{'busy':>10}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "noise.npy"
        write_pack(data)
        for way in WAYS:
            if only not in way.name:
                continue
            found = []
            for is_busy in (False, True):
                with neighbour(is_busy):
                    found.append(seconds_per_kimg(way, data, seconds))
            print(f"{way.name:24}" + "".join(f"{x:10.1f}" for x in found), flush=True)


if __name__ == "__main__":
    main()
