"""The parts of gpu_check.sh that need more than a command: each prints one line `result: ...`.

python benchmarks/gpu_parts.py compile --device cuda
"""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np
import pandas as pd
import pytest
import torch
from gan_cpu import P, build, measure
from gan_gpu import PUBLISHED_SECONDS
from safetensors.torch import load_file

from facedata.packs import storage
from facekit.compute import build as compiling
from facekit.compute import machine
from facekit.compute.distributed import ALONE
from facekit.compute.workers import num_cores
from facekit.errors import DataError
from stylegan2.models import presets
from stylegan2.ops import native
from stylegan2.options import TrainOptions
from stylegan2.train import session

RESOLUTION = {"cuda": 128, "cpu": 16}  # of the networks that are timed
BATCH = {"cuda": "auto", "cpu": 8}
SMALL = {"channel_base": 256, "channel_max": 16, "z_dim": 16, "w_dim": 16}  # for the CPU
REPEATS = {"cuda": 10, "cpu": 1}
RESUME_SIDE = {"cuda": 64, "cpu": 16}
RESUME_KIMG = {"cuda": 1.28, "cpu": 0.064}
RESUME_TICKS = {"cuda": 8, "cpu": 4}  # each leaves a state
NOISE = 10  # times what two runs that nobody stopped differ by; more is no rounding
DEVICE = click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda")


class Failed(click.ClickException):
    """A part that has run and not shown what it must."""


@click.group()
def main() -> None:
    """Run one part."""


def result(line: str) -> None:
    """Print what the table says of the part."""
    print(f"result: {line}", flush=True)


def ready(device: str) -> torch.device:
    """Return the device, with threads and allocator set as commands set them."""
    try:
        return machine.ready(1 if device == "cpu" else num_cores(), device)
    except DataError as error:
        raise Failed(str(error)) from None


@main.command("compile")
@DEVICE
@click.option("--anew", is_flag=True, help="Also what was compiled before.")
def compile_operators(device: str, anew: bool) -> None:
    """Compile the operators and load them."""
    operators = native.OPERATORS[ready(device).type]
    start = time.perf_counter()
    try:
        is_there = compiling.library(operators, anew)
        taken = time.perf_counter() - start
        compiling.load(operators)
    except compiling.BuildError as error:
        raise Failed(str(error)) from None
    recipe = compiling.recipe(operators)
    what = "compiled" if anew else "compiled, or found,"
    result(f"{what} in {taken:.1f} s for {recipe.target if device == 'cuda' else 'this CPU'}")
    print(is_there)


@main.command()
@DEVICE
def tests(device: str) -> None:
    """Run the tests that are marked `gpu`; on a CPU a few others, to see that this works."""
    chosen = ["-m", "gpu", "tests/stylegan2"]
    if device == "cpu":
        chosen = ["tests/stylegan2/ops/test_ops.py", "-k", "upfirdn2d_is_its_four_steps"]
    report = Path(tempfile.mkdtemp()) / "report.xml"
    common = ["-q", "-n", "0", "-p", "no:cacheprovider", f"--junit-xml={report}"]
    code = pytest.main([*common, *chosen])
    found = ElementTree.parse(report).getroot()[0].attrib if report.exists() else {}
    shutil.rmtree(report.parent)
    total, skipped = int(found.get("tests", 0)), int(found.get("skipped", 0))
    wrong = int(found.get("failures", 0)) + int(found.get("errors", 0))
    told = f"{total - skipped - wrong} passed, {wrong} failed, {skipped} skipped"
    if code != 0 or skipped or not total:
        raise Failed(told)
    result(told)


@main.command()
@DEVICE
@click.option("--precision", type=click.Choice(["fp32", "fp16", "bf16"]), default="fp16")
def speed(device: str, precision: str) -> None:
    """Time training, and generating, in one precision."""
    where = ready(device)
    side, extra = RESOLUTION[device], {} if device == "cuda" else SMALL
    preset, _ = presets.resolve("auto", side, batch=BATCH[device], **extra)
    if not native.is_ready(device):
        raise Failed("the operators are not compiled")
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    run = build(preset, side, where, precision)
    found = measure(run, REPEATS[device])
    seconds = 1000 / found["training"]
    if not np.isfinite(seconds) or not all_finite(run.G) or not all_finite(run.D):
        raise Failed(f"weights are not finite after training in {precision}")
    line = f"{seconds:.3g} s/kimg, batch {preset.batch}, {side} px, augmentation at p = {P}"
    line += f"; generates {found['generation']:.0f} images/s"
    if device == "cuda":
        low, high = PUBLISHED_SECONDS
        line += f"; {low / seconds:.2f} to {high / seconds:.2f} times the original on a V100"
        line += f"; tensors took {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most"
    result(line)


def all_finite(network: torch.nn.Module) -> bool:
    """Tell whether all weights are numbers."""
    return all(bool(x.isfinite().all()) for x in network.state_dict().values())


@main.command()
@DEVICE
def resume(device: str) -> None:
    """Train, stop, go on: the network is that of a run that nobody stopped."""
    where = ready(device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, again = (train(where, folder / each) for each in ("whole", "again"))
        with interrupted_after_a_state(folder / "stopped"), contextlib.suppress(KeyboardInterrupt):
            train(where, folder / "stopped")
            raise Failed("the run came to its end before it could be stopped")
        if not list((folder / "stopped").glob("state-*.safetensors")):
            raise Failed("the stopped run left no state")
        resumed = train(where, folder / "stopped")
    noise, gap = distance(whole, again), distance(whole, resumed)
    if gap > NOISE * noise:
        raise Failed(f"the resumed run differs by {gap:.2g}, two whole ones by {noise:.2g}")
    told = "the same bit for bit" if gap == 0 else f"differs by {gap:.2g} of the largest weight"
    result(f"stopped and gone on: {told}; two runs that nobody stopped differ by {noise:.2g}")


def train(device: torch.device, folder: Path) -> dict[str, torch.Tensor]:
    """Make a small run, or go on with it; return the weights of its network."""
    kind, side = device.type, RESUME_SIDE[device.type]
    shape = [64, side, side, 3]
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    path = folder.with_suffix(".npy")
    storage.write_pack(path, images, plain_table(len(images)), [], [], (0, 0, side, side))
    kimg = RESUME_KIMG[kind]
    options = TrainOptions(
        kimg=kimg, tick_kimg=kimg / RESUME_TICKS[kind], batch=8, mirror=True, **SMALL
    )
    how = session.How(device, ALONE, allow_changes=False, cache=folder)
    session.run(storage.read_pack(path), options, 0, folder, how, contextlib.nullcontext())
    return load_file(folder / session.FINAL)


def plain_table(num: int) -> pd.DataFrame:
    """Return the table of a pack without classes."""
    ids = [f"{i:03d}" for i in range(num)]
    return pd.DataFrame({"row": range(num), "image_id": ids, "class": 0})


@contextlib.contextmanager
def interrupted_after_a_state(folder: Path) -> Iterator[None]:
    """Within, press Ctrl-C as soon as a run in the folder has left a state."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            if any(folder.glob("state-*.safetensors")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of two sets of weights, in parts of the largest weight."""
    largest = max(float(x.abs().max()) for x in one.values() if x.numel())
    gaps = [float((x - other[name]).abs().max()) for name, x in one.items() if x.numel()]
    return max(gaps) / largest


if __name__ == "__main__":
    main()
