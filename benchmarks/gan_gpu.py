"""Seconds per 1000 images of StyleGAN2-ADA's training on a GPU, by compiled and composed operators.

    python benchmarks/gan_gpu.py

Networks and batch are those of `stylegan2 train --cfg auto --precision auto` on one GPU, with the
augmentation bgc at p = 0.2; an iteration is counted as in gan_cpu.py. The original's published
figure for 128 px is 12.8 to 13.7 s on one V100.
"""

import click
import torch
from gan_cpu import build, measure

from facekit.compute import machine
from facekit.compute.build import BuildError, load
from facekit.errors import DataError
from stylegan2.models import presets
from stylegan2.ops import native

PUBLISHED_SECONDS = (12.8, 13.7)  # per kimg at 128 px on one V100, says the original


@click.command()
@click.option("--resolution", type=click.IntRange(min=16), default=128, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=10, show_default=True)
def main(resolution: int, repeats: int) -> None:
    """Print a table: rates and memory, and seconds a batch by phase, one line for each way."""
    try:
        device = machine.find_device("cuda")
        load(native.OPERATORS[device.type])
    except (DataError, BuildError) as error:
        raise click.ClickException(str(error)) from None
    preset, _ = presets.resolve("auto", resolution)
    columns = ["sec/kimg", "generated/s", "peak GiB", "Gmain", "Greg", "Dmain", "Dreg", "rest"]
    low, high = PUBLISHED_SECONDS
    print(f"{torch.cuda.get_device_name()}, {resolution} px, batch {preset.batch}")
    print(f"the original says {low} to {high} sec/kimg at 128 px on one V100")
    print(f"{'operators':>10}", *[f"{name:>11}" for name in columns])
    print_line("compiled", measure_here(preset, resolution, repeats), columns)
    with native.composed():
        print_line("composed", measure_here(preset, resolution, repeats), columns)


def measure_here(preset: presets.Preset, resolution: int, repeats: int) -> dict[str, float]:
    """Return what gan_cpu.measure does, sec/kimg and the largest memory that tensors took."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    found = measure(build(preset, resolution, torch.device("cuda")), repeats)
    return {
        "sec/kimg": 1000 / found["training"],
        "generated/s": found["generation"],
        "peak GiB": torch.cuda.max_memory_allocated() / 2**30,
        **found,
    }


def print_line(name: str, found: dict[str, float], columns: list[str]) -> None:
    """Print one line of the table."""
    print(f"{name:>10}", *[f"{found[column]:>11.3g}" for column in columns], flush=True)


if __name__ == "__main__":
    main()
