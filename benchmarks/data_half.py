"""Time and memory of ingest, inspect and dedup beside those of decoding the same files alone.

    python benchmarks/data_half.py
    python benchmarks/data_half.py --num-images 200000 --num-added 1000 --turns 1 --folder FOLDER

Makes that many JPEGs of 178x218 px (CelebA's size and layout) in a temporary folder, decodes them
with each decoder that is installed, runs the three commands with the settings of config/celeba.yaml
on as many processes, and compares with the fastest decoder. Then adds further pictures and runs the
three again. Start of the interpreter and imports count on both sides. The files are read before
each, so that the disk's reading counts on neither. Seconds of processors are hardly changed by
other work on the machine; by the clock they are.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFilter

from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES
from facekit import commands as options
from facekit.compute.workers import num_cores, ordered_map

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 178, 218
CHUNK = 256  # files a task
DRAWN = 500  # pictures that are drawn; further ones are mixed from two of these
SAMPLE_SECONDS = 0.2  # between two looks at the memory
PYTHON_PATH = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


# --- Pictures ------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """Return noise of a sensor, int8 [512, 512, 3]."""
    return np.random.default_rng(0).normal(0, 2.5, (512, 512, 3)).round().astype(np.int8)


def clouds(rng: np.random.Generator, size: int, channels: int) -> np.ndarray:
    """Return smooth noise of one scale with mean 0 and deviation 1, float32 [HEIGHT, WIDTH, C]."""
    noise = rng.normal(128, 40, (size + 1, size, channels)).clip(0, 255).astype(np.uint8)
    layer = Image.fromarray(noise.squeeze()).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return (np.asarray(layer, dtype=np.float32).reshape(HEIGHT, WIDTH, channels) - 128) / 40


def draw(number: int) -> Image.Image:
    """Return a picture in the manner of an aligned portrait; each number gives another one.

    They are about as unlike as real faces: of these pictures 7 pairs in 100,000 have perceptual
    hashes within 8 bits, of 10,137 real faces 4.
    """
    rng = np.random.default_rng([number, 7])
    texture = clouds(rng, 9, 1) + clouds(rng, 30, 1) + clouds(rng, 90, 1)
    background = rng.integers(40, 220, 3) + rng.uniform(2, 18) * texture
    background += rng.uniform(30, 90) * clouds(rng, 3, 1) + 12 * clouds(rng, 3, 3)
    hair = rng.integers(10, 160) * np.array([1, 0.8, 0.6]) + rng.uniform(4, 14) * texture
    face = np.array([205, 160, 135]) * rng.uniform(0.45, 1.15) + 3 * texture

    x, y = 89 + rng.normal(0, 11, 2) + [0, 22]
    wide, high = rng.uniform(44, 56), rng.uniform(60, 74)
    mask = Image.new("RGB", (WIDTH, HEIGHT))  # red: hair, green: face, blue: features
    pen = ImageDraw.Draw(mask)
    long = rng.uniform(-0.2, 1.4)
    pen.ellipse((x - 1.3 * wide, y - 1.45 * high, x + 1.3 * wide, y + long * high), fill="red")
    pen.ellipse((x - wide, y - high, x + wide, y + high), fill=(0, 255, 0))
    for side in (-1, 1):
        eye = x + side * rng.uniform(17, 22)
        pen.ellipse((eye - 7, y - 16, eye + 7, y - 16 + rng.uniform(4, 8)), fill=(0, 255, 255))
        pen.line((eye - 10, y - 27, eye + 10, y - 27 - rng.uniform(-3, 3)), (0, 255, 180), 3)
    mouth = rng.uniform(12, 20)
    pen.ellipse((x - mouth, y + 30, x + mouth, y + 30 + rng.uniform(4, 14)), fill=(0, 255, 150))
    pen.line((x, y - 5, x + rng.uniform(-5, 5), y + 15), (0, 255, 90), 2)
    shares = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32) / 255

    pixels = background.astype(np.float32)
    pixels += shares[..., :1] * (hair - pixels)
    pixels += shares[..., 1:2] * (face - pixels)
    pixels *= 1 - 0.75 * shares[..., 2:]
    pixels *= 1 + rng.uniform(0.1, 0.45) * clouds(rng, 2, 1)  # light
    top, left = rng.integers(0, [512 - HEIGHT, 512 - WIDTH])
    pixels += grain()[top : top + HEIGHT, left : left + WIDTH]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@lru_cache(maxsize=DRAWN)
def drawn(number: int) -> np.ndarray:
    return np.asarray(draw(number))


def mixed(number: int) -> np.ndarray:
    """Return one of the first pictures as it is, or two of them, shifted, one over the other.

    That is 20 times as quick, and the pictures are about as unlike as those that are drawn.
    """
    if number < DRAWN:
        return drawn(number)
    rng = np.random.default_rng([number, 8])
    first, second = (drawn(int(one)) for one in rng.choice(DRAWN, 2, replace=False))
    share = int(rng.integers(96, 160))  # of 256
    second = np.roll(second, rng.integers(-24, 25, 2), (0, 1))[:, :: int(rng.choice([-1, 1]))]
    total = first * np.uint16(share) + second * np.uint16(256 - share)
    return (total >> 8).astype(np.uint8)


def write_pictures(numbers: range, folder: Path) -> int:
    """Make pictures in a folder; return their bytes."""
    from simplejpeg import encode_jpeg

    total = 0
    for number in numbers:
        data = encode_jpeg(np.ascontiguousarray(mixed(number)), quality=95, colorsubsampling="420")
        (folder / f"{number + 1:06}.jpg").write_bytes(data)
        total += len(data)
    return total


def write_dataset(root: Path, first: int, num_images: int, num_workers: int) -> float:
    """Write a data set in CelebA's layout; return the mean bytes of a picture.

    Args:
        root: its folder; pictures before `first` are there.
        first: number of the first picture to make.
        num_images: of the whole set.
        num_workers: processes.
    """
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(first, num_images, CHUNK)
    tasks = (range(start, min(start + CHUNK, num_images)) for start in starts)
    total = sum(ordered_map(partial(write_pictures, folder=folder), tasks, num_workers, 1))
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.02, 0.6, len(CELEBA_ATTRIBUTES))
    labels = np.where(rng.random((num_images, len(rates))) < rates, " 1", "-1")
    with (root / "list_attr_celeba.txt").open("w") as file:
        print(num_images, file=file)
        print(" ".join(CELEBA_ATTRIBUTES), file=file)
        for number, row in enumerate(labels):
            print(f"{number + 1:06}.jpg {' '.join(row)}", file=file)
    with (root / "list_eval_partition.txt").open("w") as file:
        for number in range(num_images):
            part = 0 if number < 0.8 * num_images else 1 + (number % 2)
            print(f"{number + 1:06}.jpg {part}", file=file)
    return total / max(num_images - first, 1)


# --- Decoding alone ------------------------------------------------------------------------------


def pillow() -> Callable[[bytes], object]:
    return lambda data: Image.open(io.BytesIO(data), formats=["JPEG"]).load()


def simplejpeg() -> Callable[[bytes], object]:
    from simplejpeg import decode_jpeg

    return decode_jpeg


def opencv() -> Callable[[bytes], object]:
    import cv2

    cv2.setNumThreads(1)
    return lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def torchvision() -> Callable[[bytes], object]:
    import torch
    from torchvision.io import decode_jpeg

    torch.set_num_threads(1)
    return lambda data: decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))


DECODERS = {each.__name__: each for each in (pillow, simplejpeg, opencv, torchvision)}
MODULES = {"pillow": "PIL", "opencv": "cv2"}  # where they are not called as the decoder


def decode_files(paths: list[str], decoder: str) -> int:
    """Decode files and keep nothing; return how many."""
    decode = DECODERS[decoder]()
    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123  as quick as can be
            decode(file.read())
    return len(paths)


def decode_all(folder: Path, decoder: str, num_workers: int) -> None:
    DECODERS[decoder]()  # loaded once, before the processes part
    paths = sorted(entry.path for entry in os.scandir(folder))
    chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    assert sum(ordered_map(partial(decode_files, decoder=decoder), chunks, num_workers, 1))


# --- Measuring -----------------------------------------------------------------------------------


def children(pid: int) -> Iterator[int]:
    """Yield a process and all that it started."""
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            yield from children(int(child))


def memory(pid: int) -> int:
    """Return the bytes that a process and its children hold; shared pages count once (PSS)."""
    total = 0
    for each in list(children(pid)):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def run(command: list[object], pictures: Path) -> tuple[float, float, int]:
    """Run a command; return seconds by the clock and of processors, and its peak memory, bytes.

    Args:
        command: its words.
        pictures: folder whose files are read before, so that they lie in memory.

    Raises:
        SystemExit: it fails; with what it wrote.
    """
    for entry in os.scandir(pictures):
        Path(entry.path).read_bytes()
    with tempfile.TemporaryFile("w+") as errors:
        before, start, peak = os.times(), time.perf_counter(), 0
        process = subprocess.Popen(
            [str(word) for word in command], stderr=errors, env=os.environ | PYTHON_PATH
        )
        while True:
            try:
                process.wait(SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                try:
                    peak = max(peak, memory(process.pid))
                except OSError:  # it has ended meanwhile
                    continue
        seconds, after = time.perf_counter() - start, os.times()
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{command}\n{errors.read()}")
    used = after.children_user - before.children_user
    used += after.children_system - before.children_system
    return seconds, used, peak


def commands(root: Path, results: Path, num_workers: int) -> dict[str, list[object]]:
    """Return the command line of each stage, with the settings of the default config."""
    config = yaml.safe_load((ROOT / "config/celeba.yaml").read_text())
    facedata = [sys.executable, "-c", "from facedata.cli import main; main()"]
    index, inspection = results / "index.parquet", results / "inspection.parquet"
    ingest = ["--adapter", "celeba", "--root", root, "--seed", 0, "--index", index]
    ingest += ["--rejected", results / "rejected.csv", "--notes", results / "notes.csv"]
    inspect = ["--index", index, "--root", root, "--workers", num_workers]
    inspect += ["--geometries", json.dumps(config["geometries"])]
    inspect += ["--inspection", inspection, "--images", results / "images"]
    dedup = ["--index", index, "--inspection", inspection]
    dedup += ["--thumbs", results / "images/thumbs.npy", "--workers", num_workers]
    dedup += ["--duplicates", results / "duplicates.parquet"]
    for name, value in config["dedup"].items():
        dedup += [f"--{name.replace('_', '-')}", value]
    stages = {"ingest": ingest, "inspect": inspect, "dedup": dedup}
    return {name: [*facedata, name, *options] for name, options in stages.items()}


@click.command()
@click.option("--num-images", type=click.IntRange(min=1), default=3000, show_default=True)
@click.option("--num-added", type=click.IntRange(min=0), default=100, show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=2, show_default=True, help="Best of.")
@click.option("--workers", type=options.NUM_WORKERS, default=num_cores, help="Default: cores.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Pictures are made here and stay, for another run. Default: a temporary folder.",
)
@click.option("--decode", type=click.Choice(list(DECODERS)), hidden=True)
def main(
    num_images: int,
    num_added: int,
    turns: int,
    workers: int,
    folder: Path | None,
    decode: str | None,
) -> None:
    """Compare ingest + inspect + dedup with decoding alone."""
    if decode:
        decode_all(folder, decode, workers)
        return
    with tempfile.TemporaryDirectory(prefix="data-half-", dir=folder) as temporary:
        parent = folder or Path(temporary)
        free = shutil.disk_usage(parent).free
        if free < num_images * 250_000:
            raise SystemExit(f"{parent}: {free >> 30} GiB free; {num_images} images take more")
        compare(
            parent / f"celeba{num_images}", Path(temporary), num_images, num_added, turns, workers
        )


def compare(
    root: Path, results: Path, num_images: int, num_added: int, turns: int, workers: int
) -> None:
    """Make pictures, measure and print."""
    pictures = root / "img_align_celeba"
    if not (root / "list_eval_partition.txt").exists():  # written last
        shutil.rmtree(root, ignore_errors=True)
        num_bytes = write_dataset(root, 0, num_images, workers)
        print(f"{num_images} pictures of {num_bytes:,.0f} bytes on average")
    script = [sys.executable, __file__, "--folder", pictures, "--workers", workers, "--decode"]
    decoders = {
        f"decode: {name}": [*script, name]
        for name in DECODERS
        if find_spec(MODULES.get(name, name))
    }
    rows = {}
    for turn in range(turns):  # the better one: other work on the machine counts for nobody
        folder = results / str(turn)
        folder.mkdir()
        stages = commands(root, folder, workers)
        for name, command in (decoders | stages).items():
            found = run(command, pictures)
            rows[name] = min(found, rows.get(name, found))
        if turn < turns - 1:
            shutil.rmtree(folder)
    fastest = min(decoders, key=rows.get)
    rows["all three"] = together([rows[name] for name in stages])
    if num_added:
        # The pictures before are the same files, as where some are put beside them.
        write_dataset(root, num_images, num_images + num_added, workers)
        again = {f"again: {name}": run(line, pictures) for name, line in stages.items()}
        rows |= again | {f"all three, {num_added} more": together(list(again.values()))}
        for number in range(num_images, num_images + num_added):
            (pictures / f"{number + 1:06}.jpg").unlink()
        write_dataset(root, num_images, num_images, workers)

    limit = rows[fastest]
    print(f"{workers} processes; relative to the fastest, {fastest}\n")
    print(f"{'':24}{'seconds':>9}{'ratio':>7}{'CPU s':>9}{'ratio':>7}{'µs/image':>10}{'MiB':>7}")
    for name, (seconds, used, peak) in rows.items():
        print(
            f"{name:24}{seconds:9.2f}{seconds / limit[0]:7.2f}{used:9.2f}{used / limit[1]:7.2f}"
            f"{1e6 * used / num_images:10.1f}{peak / 2**20:7.0f}"
        )


def together(rows: list[tuple[float, float, int]]) -> tuple[float, float, int]:
    seconds, used, peaks = zip(*rows, strict=True)
    return sum(seconds), sum(used), max(peaks)


if __name__ == "__main__":
    main()
