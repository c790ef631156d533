"""Altered copies: which share hashes and the search for near-copies find, how many pairs are wrong.

    python benchmarks/altered.py --images FOLDER
    python benchmarks/altered.py --images FOLDER --num-altered 500 --list pairs.csv

Some pictures of a folder (all files below it, which must be whole) are altered in each way and put
beside the others. Pairs of the pictures as they were given are counted, too; those that only the
second search finds are listed with --list, for a person to tell whether they show one photograph.
"""

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from facedata.duplicates import dedup, neighbours
from facedata.inspection import inspect
from facedata.options import DedupOptions
from facekit import commands
from facekit.storage import arrays, tables

Alter = Callable[[Image.Image, np.random.Generator], Image.Image]
LETTERS = list("ABCDEFGHKLMNOPRSTU ")


def cropped(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Return a part, placed by chance, that lacks a share of each side."""
    width, height = (round(side * (1 - share)) for side in picture.size)
    x = rng.integers(0, picture.width - width + 1)
    y = rng.integers(0, picture.height - height + 1)
    return picture.crop((x, y, x + width, y + height))


def middle(picture: Image.Image, share: float) -> Image.Image:
    """Return the picture without a share at each of its four edges."""
    x, y = (round(side * share) for side in picture.size)
    return picture.crop((x, y, picture.width - x, picture.height - y))


def turned(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    return picture.rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC)


def captioned(picture: Image.Image, is_on_top: bool, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a line of text at an edge, every other time on a bar."""
    picture, tall = picture.copy(), round(picture.height * rng.uniform(0.1, 0.18))
    top = 0 if is_on_top else picture.height - tall
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        draw.rectangle((0, top, picture.width, top + tall), fill=tuple(rng.integers(0, 256, 3)))
    font = ImageFont.load_default(size=max(8, int(tall * 0.7)))
    text = "".join(rng.choice(LETTERS, 12))
    draw.text((4, top + 1), text, fill=tuple(rng.integers(0, 256, 3)), font=font)
    return picture


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def saved_again(picture: Image.Image) -> Image.Image:
    data = io.BytesIO()
    smaller = picture.resize((picture.width * 6 // 10, picture.height * 6 // 10))
    smaller.save(data, "JPEG", quality=50)
    return Image.open(data).convert("RGB")


WAYS: dict[str, Alter] = {
    "smaller, saved again": lambda one, rng: saved_again(one),
    "crop of 5 %": lambda one, rng: cropped(one, 0.05, rng),
    "crop of 8 %": lambda one, rng: cropped(one, 0.08, rng),
    "crop of 10 %": lambda one, rng: cropped(one, 0.1, rng),
    "5 % off each edge": lambda one, rng: middle(one, 0.05),
    "10 % off each edge": lambda one, rng: middle(one, 0.1),
    "turn of 2 degrees": lambda one, rng: turned(one, 2, rng),
    "turn of 3 degrees": lambda one, rng: turned(one, 3, rng),
    "turn of 3 degrees, corners cut off": lambda one, rng: middle(turned(one, 3, rng), 0.05),
    "caption below": lambda one, rng: captioned(one, False, rng),
    "caption above": lambda one, rng: captioned(one, True, rng),
    "mirror and crop of 5 %": lambda one, rng: mirrored(cropped(one, 0.05, rng)),
    "mirror and crop of 10 %": lambda one, rng: mirrored(cropped(one, 0.1, rng)),
}


def inspected(paths: list[Path], folder: Path, cores: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the inspection of pictures and their gray thumbnails."""
    names = [str(path) for path in paths]
    index = pa.table({"image_id": names, "path": names})
    inspect.inspect(index, Path("/"), {}, cores, folder, folder / "inspection.parquet")
    return tables.read(folder / "inspection.parquet"), arrays.read_thumbs(folder / "thumbs.npy")


def plant(originals: list[Path], folder: Path, num_altered: int) -> pd.DataFrame:
    """Write altered copies; return way, path and the position of the original of each."""
    rng = np.random.default_rng(0)
    rows = []
    for number, (way, alter) in enumerate(WAYS.items()):
        for place in rng.choice(len(originals), num_altered, replace=False):
            path = folder / f"{number}_{place}.jpg"
            alter(Image.open(originals[place]).convert("RGB"), rng).save(path, quality=85)
            rows.append((way, path, int(place)))
    return pd.DataFrame(rows, columns=["way", "path", "original"])


def report(planted: pd.DataFrame, found: dict[str, pd.DataFrame], num_given: int) -> None:
    """Print the share of each kind of copy that each search pairs with its original."""
    click.echo(f"{'altered copies':<36}" + "".join(f"{name:>16}" for name in found))
    named = {name: set(zip(pairs["a"], pairs["b"], strict=True)) for name, pairs in found.items()}
    for way, copies in planted.groupby("way", sort=False):
        keys = [(one, num_given + place) for place, one in copies["original"].items()]
        shares = [np.mean([key in pairs for key in keys]) for pairs in named.values()]
        click.echo(f"{way:<36}" + "".join(f"{share:16.1%}" for share in shares))


@click.command()
@click.option("--images", type=commands.IN_DIR, required=True, help="Folder of pictures.")
@click.option("--num-altered", type=int, default=200, show_default=True, help="Of each kind.")
@click.option("--cores", type=commands.NUM_WORKERS, default=2, show_default=True)
@click.option("--list", "listed", type=click.Path(path_type=Path), help="Pairs found anew (CSV).")
def main(images: Path, num_altered: int, cores: int, listed: Path | None) -> None:
    """Measure the search for near-copies beside hashes."""
    options = DedupOptions()
    originals = sorted(path.resolve() for path in images.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "altered").mkdir()
        planted = plant(originals, folder / "altered", num_altered)
        facts, thumbs = inspected([*originals, *planted["path"]], folder / "all", cores)
        limits = options.max_distance, options.max_difference
        start = time.perf_counter()
        by_hashes = dedup.find_pairs(facts, thumbs, *limits, 0.0, cores)
        middle_time = time.perf_counter()
        # What hashes have found is not looked for again by the command, but here.
        pairs = neighbours.near_pairs(thumbs, None, options.max_altered_difference, cores)
        end = time.perf_counter()
    by_pixels = pd.DataFrame({"a": pairs.a, "b": pairs.b, "distance": pairs.distance})
    report(planted, {"hashes": by_hashes, "near-copies": by_pixels}, len(originals))
    click.echo(
        f"{len(facts):,} pictures on {cores} cores: hashes {middle_time - start:.1f} s,"
        f" near-copies {end - middle_time:.1f} s"
    )
    given = by_pixels[by_pixels["b"] < len(originals)]
    keys = pd.MultiIndex.from_frame(given[["a", "b"]])
    new = given[~keys.isin(pd.MultiIndex.from_frame(by_hashes[["a", "b"]]))]
    click.echo(
        f"of {len(originals):,} pictures as given: {len(given)} pairs of near-copies,"
        f" {len(new)} of them not paired by hashes"
    )
    if listed is not None:
        names = {side: [originals[place].name for place in new[side]] for side in "ab"}
        tables.write(pd.DataFrame(names | {"distance": new["distance"]}), listed)


if __name__ == "__main__":
    main()
