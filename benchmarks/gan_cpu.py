"""Images a second of StyleGAN2-ADA on this CPU, beside what its matrix products reach.

    python benchmarks/gan_cpu.py

Each configuration is that of `stylegan2 train --cfg auto --batch 16`, threads, allocator and
precision as that chooses them, with the augmentation bgc at p = 0.2. Training is a whole iteration:
G main and D main always, path length every 4th and R1 every 16th time. Medians of repeated runs;
other work on the machine shows in the peak of torch.mm, which is measured before and after.

`share` is the arithmetic of the convolutions, as they are defined, in parts of that peak; it can
exceed 1, since Winograd's need fewer multiplications. `original` compares with the original's
modules on a processor of ORIGINAL_PEAK: the ratio of images a second, each in parts of its peak.
"""

import functools
import logging
import statistics
import time
from collections.abc import Callable

import click
import numpy as np
import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from facedata.packs.storage import Pack
from facekit.compute import machine
from facekit.compute.workers import num_cores
from stylegan2.draw import sampling
from stylegan2.models import presets
from stylegan2.ops import native
from stylegan2.ops.convolve import quick_convolutions
from stylegan2.options import TrainOptions
from stylegan2.train import loop, reporting
from stylegan2.train.plan import Plan

CONFIGURATIONS = {32: (2048, 128), 64: (4096, 128), 128: (8192, 256)}  # channel base, channel max
BATCH = 16
P = 0.2
ORIGINAL = {32: (390, 36), 64: (102, 10.4), 128: (12, 1.21)}  # generation, training
ORIGINAL_PEAK = 180  # GFLOP/s of torch.mm, on two threads


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


def build(
    preset: presets.Preset, resolution: int, device: torch.device, precision: str = "auto"
) -> loop.Training:
    """Return a run on images of noise."""
    options = TrainOptions(aug="fixed", p=P, precision=precision)
    shape = [64, resolution, resolution, 3]
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    box = (0, 0, resolution, resolution)
    pack = Pack(images, pd.DataFrame({"class": np.zeros(64, int)}), [], [], box)
    return loop.Training(pack, Plan(options, preset, seed=0), device)


class Convolutions(TorchDispatchMode):
    """Adds up the arithmetic of the convolutions within."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count one operator's."""
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in (torch.ops.aten.convolution, torch.ops.aten.convolution_backward):
            self.flop += flop_registry[packet](*args, out_val=out)
        return out


def steps(run: loop.Training) -> dict[str, Callable[[], object]]:
    """Return what is measured: generating one batch, and the steps of an iteration."""
    seeds = np.arange(run.preset.batch)
    batch = loop.draw_batch(run)
    return {
        "generate": lambda: list(sampling.images(run.G_ema, seeds, None, batch=len(seeds))),
        **{each.name: functools.partial(step, run, each, batch) for each in run.phases},
        "rest": lambda: (loop.draw_batch(run), loop.average(run)),
    }


def step(run: loop.Training, phase: loop.Phase, batch: loop.Batch) -> None:
    """Take a step as the training loop does."""
    with quick_convolutions():
        loop.step(run, phase, batch)


def of_an_iteration(run: loop.Training, each: dict[str, float]) -> float:
    """Return what an iteration takes on average, of what its steps take."""
    return each["rest"] + sum(each[phase.name] / phase.interval for phase in run.phases)


def measure(run: loop.Training, repeats: int) -> dict[str, float]:
    """Return images a second of generation and training, and seconds of each step."""
    size = run.preset.batch
    taken = {name: seconds(each, repeats) for name, each in steps(run).items()}
    return {
        "generation": size / taken["generate"],
        "training": size / of_an_iteration(run, taken),
        **taken,
    }


def convolutions(run: loop.Training) -> tuple[float, float]:
    """Return GFLOP of the convolutions of an image, generated and trained with."""
    done = {}
    for name, each in steps(run).items():
        with Convolutions() as counter, native.composed():
            each()
        done[name] = counter.flop / 1e9
    size = run.preset.batch
    return done["generate"] / size, of_an_iteration(run, done) / size


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=num_cores, show_default="all cores")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--resolution",
    "resolutions",
    type=click.Choice([str(r) for r in CONFIGURATIONS]),
    multiple=True,
    help="Only this one; may be repeated.",
)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
def main(threads: int, repeats: int, resolutions: tuple[str, ...], precision: str) -> None:
    """Print two tables: images a second, and seconds a batch of 16 by step."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    machine.tune(threads)
    top = peak(repeats)
    print(f"torch.mm {top:.0f} GFLOP/s")
    print(f"{'':>4} {'generation':>28}   {'training':>28}")
    print(f"{'px':>4}", "  ".join([f"{'images/s':>10} {'share':>8} {'original':>8}"] * 2))
    tables = {}
    for resolution in [int(r) for r in resolutions] or CONFIGURATIONS:
        base, most = CONFIGURATIONS[resolution]
        preset, _ = presets.resolve(
            "auto", resolution, batch=BATCH, channel_base=base, channel_max=most
        )
        run = build(preset, resolution, torch.device("cpu"), precision)
        found = tables[resolution] = measure(run, repeats)
        cells = []
        for name, gflop, original in zip(
            ("generation", "training"), convolutions(run), ORIGINAL[resolution], strict=True
        ):
            ratio = found[name] / top / (original / ORIGINAL_PEAK)
            cells.append(f"{found[name]:>10.3g} {found[name] * gflop / top:>8.2f} {ratio:>7.2f}x")
        print(f"{resolution:>4}", "  ".join(cells), flush=True)
    print(f"torch.mm {peak(repeats):.0f} GFLOP/s at the end; {reporting.precision_name(run)}")
    columns = list(found)[2:]
    print("seconds a batch", *[f"{name:>8}" for name in columns])
    for resolution, found in tables.items():
        print(f"{resolution:>15}", *[f"{found[name]:>8.3g}" for name in columns])


if __name__ == "__main__":
    main()
