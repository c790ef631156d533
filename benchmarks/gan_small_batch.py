"""Seconds for a thousand images, and operator calls, where a GAN's networks are small.

    python benchmarks/gan_small_batch.py --before PATH

Trains the demo's GAN (cfg cifar, 32 px, batch 16, 512/64 channels, 6 classes) on noise, by this
checkout and by another one, in turn, each time in a process of its own; medians over all rounds.
The losses of the first iterations are compared, too: the same seed draws the same numbers. Before
the first update they differ by rounding; afterwards Adam, whose first steps are of equal size
whatever the gradient's, makes much of little.
`operators` are the calls that torch.profiler sees, within other operators as well. Other work on
the machine spoils the figures.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

SIZE, NUM_CLASSES, NUM_IMAGES = 32, 6, 512
COMPARED = 4  # iterations whose losses are compared
COUNTED = 16  # iterations whose operators are counted: R1 once
OPTIONS = {
    "cfg": "cifar",
    "batch": 16,
    "batch_gpu": 16,
    "gamma": 0.2,
    "channel_base": 512,
    "channel_max": 64,
    "z_dim": 64,
    "w_dim": 64,
}


def measure(threads: int, iterations: int) -> dict:
    """Return what this process's checkout needs: s_kimg, operators of an iteration, losses."""
    import numpy as np
    import pandas as pd
    import torch

    from facedata.packs.storage import Pack
    from facekit.compute import machine
    from stylegan2.ops.convolve import quick_convolutions
    from stylegan2.options import TrainOptions
    from stylegan2.train import loop, plan

    device = machine.ready(threads, "cpu")
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=[NUM_IMAGES, SIZE, SIZE, 3], dtype=np.uint8)
    table = pd.DataFrame({"class": np.arange(NUM_IMAGES) % NUM_CLASSES})
    classes = [[str(i)] for i in range(NUM_CLASSES)]
    pack = Pack(images, table, ["kind"], classes, (0, 0, SIZE, SIZE))
    planned, _ = plan.make(TrainOptions(**OPTIONS), SIZE, seed=0)
    run = loop.Training(pack, planned, device)
    with quick_convolutions():
        losses = []
        for _ in range(COMPARED):
            loop.iterate(run)
            losses.append({name: one["mean"] for name, one in run.statistics.take().items()})
        times = []
        for _ in range(iterations):
            start = time.perf_counter()
            loop.iterate(run)
            times.append(time.perf_counter() - start)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(COUNTED):
                loop.iterate(run)
    calls = sum(event.count for event in profile.key_averages()) / COUNTED
    seconds = statistics.mean(sorted(times)[: max(len(times) * 3 // 4, 1)])
    return {"s_kimg": seconds / OPTIONS["batch"] * 1000, "operators": calls, "losses": losses}


def measure_in(checkout: Path, threads: int, iterations: int) -> dict:
    """Return what `measure` says in a process that imports from a checkout."""
    command = [sys.executable, str(Path(__file__).resolve()), "--here", "--threads", str(threads)]
    done = subprocess.run(
        [*command, "--iterations", str(iterations)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def largest_difference(losses: dict[str, float], others: dict[str, float]) -> tuple[float, str]:
    """Return the largest relative difference of losses and logits, and whose it is."""
    names = [name for name in sorted(losses.keys() & others.keys()) if name.startswith("Loss/")]
    return max(
        (abs(losses[name] - others[name]) / max(abs(others[name]), 1e-3), name)
        for name in names
        if "/signs/" not in name
    )


@click.command(help=__doc__.split("\n")[0])
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--threads", default=(1, 2), multiple=True, type=click.IntRange(1))
@click.option("--rounds", default=3, type=click.IntRange(1), help="Times that each is measured.")
@click.option("--iterations", default=32, type=click.IntRange(1), help="Of each round.")
@click.option("--here", is_flag=True, help="Measure this process's checkout and print JSON.")
def main(
    before: Path | None, threads: tuple[int, ...], rounds: int, iterations: int, here: bool
) -> None:
    """Print a line for each number of threads and checkout."""
    if here:
        print(json.dumps(measure(threads[0], iterations)))
        return
    checkouts = {"now": Path(__file__).resolve().parents[1]}
    if before is not None:
        checkouts = {"before": before.resolve(), **checkouts}
    for num in threads:
        found: dict[str, list[dict]] = {name: [] for name in checkouts}
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                found[name].append(measure_in(checkout, num, iterations))
        for name, results in found.items():
            s_kimg = statistics.median(one["s_kimg"] for one in results)
            calls = results[0]["operators"]
            print(f"{num} threads {name:6} {s_kimg:6.2f} s/kimg {calls:6.0f} operators", flush=True)
        if before is not None:
            pairs = zip(*(each[0]["losses"] for each in found.values()), strict=True)
            told = ", ".join("{:.1e} ({})".format(*largest_difference(*pair)) for pair in pairs)
            print(f"largest differences of losses, by iteration: {told}", flush=True)


if __name__ == "__main__":
    main()
