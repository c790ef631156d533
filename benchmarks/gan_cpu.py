"""Images a second of StyleGAN2-ADA on this CPU, beside what its matrix products reach.

    python benchmarks/gan_cpu.py --threads 2

Each configuration is that of `stylegan2 train --cfg auto --batch 16` in float32 with the
augmentation bgc at p = 0.2. Training is a whole iteration: G main and D main always, path length
every 4th and R1 every 16th time. Medians of repeated runs; other work on the machine shows in
the peak of torch.mm, which is measured before and after.
"""

import statistics
import time
from collections.abc import Callable

import click
import numpy as np
import pandas as pd
import torch

from facedata import machine
from facedata.packed import Pack
from stylegan2 import presets, sampling, training

CONFIGURATIONS = {32: (2048, 128), 64: (4096, 128), 128: (8192, 256)}  # channel base, channel max
BATCH = 16
P = 0.2


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call and what it leaves a GPU to do; the first is not counted."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        function()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def peak(repeats: int) -> float:
    """Return the rate of torch.mm on large float32 matrices, GFLOP/s."""
    a, b = torch.randn(2, 2048, 2048)
    return 2 * 2048**3 / seconds(lambda: a @ b, repeats) / 1e9


def build(preset: presets.Preset, resolution: int, device: torch.device) -> training.Training:
    """Return a run on images of noise."""
    options = training.Options(
        preset=preset,
        aug="fixed",
        p=P,
        target=0.6,
        augpipe="bgc",
        ada_kimg=500,
        mirror=False,
        tick_kimg=4,
        snap=50,
        seed=0,
    )
    shape = [64, resolution, resolution, 3]
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    box = (0, 0, resolution, resolution)
    pack = Pack(images, pd.DataFrame({"class": np.zeros(64, int)}), [], [], box)
    return training.Training(pack, options, device)


def measure(run: training.Training, repeats: int) -> dict[str, float]:
    """Return images a second of generation and training, and seconds of each phase."""
    size = run.options.preset.batch
    seeds = np.arange(2 * size)
    generate = seconds(
        lambda: list(sampling.images(run.G_ema, seeds, None, batch=len(seeds))), repeats
    )
    batch = training.draw_batch(run)
    phase = {
        each.name: seconds(lambda p=each: training.step(run, p, batch), repeats)
        for each in run.phases
    }
    rest = seconds(lambda: (training.draw_batch(run), training.average(run)), repeats)
    iteration = rest + sum(phase[each.name] / each.interval for each in run.phases)
    return {
        "generation": len(seeds) / generate,
        "training": size / iteration,
        **phase,
        "rest": rest,
    }


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--resolution",
    "resolutions",
    type=click.Choice([str(r) for r in CONFIGURATIONS]),
    multiple=True,
    help="Only this one; may be repeated.",
)
def main(threads: int, repeats: int, resolutions: tuple[str, ...]) -> None:
    """Print a table: images a second, and seconds a batch of 16 by phase."""
    machine.tune(threads)
    columns = ["generation", "training", "Gmain", "Greg", "Dmain", "Dreg", "rest"]
    print(f"{threads} threads, torch.mm {peak(repeats):.0f} GFLOP/s")
    print("resolution", *[f"{name:>10}" for name in columns])
    for resolution in [int(r) for r in resolutions] or CONFIGURATIONS:
        base, most = CONFIGURATIONS[resolution]
        preset, _ = presets.resolve(
            "auto", resolution, batch=BATCH, channel_base=base, channel_max=most
        )
        found = measure(build(preset, resolution, torch.device("cpu")), repeats)
        print(f"{resolution:>10}", *[f"{found[name]:>10.3g}" for name in columns], flush=True)
    print(f"torch.mm {peak(repeats):.0f} GFLOP/s at the end")


if __name__ == "__main__":
    main()
