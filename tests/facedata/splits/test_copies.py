"""Copies across a split: one part that shows another part's photographs ends the check."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from facedata import cli
from facedata.splits.copies import check_copies
from facekit.errors import DataError
from facekit.storage import files, tables

NUM_IMAGES = 120


def scene(seed: int) -> Image.Image:
    """Draw a picture with structure at all scales, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((100, 80))
    for side in (3, 6, 12, 24):
        small = Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8))
        picture += np.asarray(small.resize((80, 100), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(picture.astype(np.uint8))


def thumbs_of(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack(
        [np.asarray(one.resize((32, 32), Image.Resampling.LANCZOS)) for one in pictures]
    )


@pytest.fixture
def parts() -> tuple[pd.DataFrame, pd.Series, list[Image.Image]]:
    """Return images, their split, and pictures that all differ."""
    ids = [f"{number:03}.png" for number in range(NUM_IMAGES)]
    # The rows of the pictures are not those of the table.
    images = pd.DataFrame({"image_id": ids, "row": np.arange(NUM_IMAGES)[::-1]})
    split = pd.Series(["train"] * 80 + ["val"] * 20 + ["test"] * 20, dtype="category")
    return images, split, [scene(seed) for seed in range(NUM_IMAGES)][::-1]


def plant(pictures: list[Image.Image]) -> None:
    """Make two test pictures a crop and a turned mirror image of train's, one of val a crop."""
    first, second, third = (pictures[NUM_IMAGES - 1 - place] for place in (0, 1, 2))
    pictures[NUM_IMAGES - 1 - 100] = first.crop((6, 8, 74, 92))
    turned = second.rotate(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pictures[NUM_IMAGES - 1 - 101] = turned
    pictures[NUM_IMAGES - 1 - 80] = third.crop((0, 6, 74, 100))


def test_a_split_without_copies_passes(parts):
    images, split, pictures = parts
    assert check_copies(images, split, thumbs_of(pictures), 0.18, 1) == 0


def test_copies_are_refused_by_number_and_name(parts):
    images, split, pictures = parts
    plant(pictures)
    with pytest.raises(DataError) as refused:
        check_copies(images, split, thumbs_of(pictures), 0.18, 1)
    message = str(refused.value)
    assert message.startswith("split: 3 pairs of images in different parts show one photograph")
    for one, other in (
        ("000.png (train)", "100.png (test)"),
        ("001.png (train)", "101.png (test)"),
        ("002.png (train)", "080.png (val)"),
    ):
        assert f"{one} and {other}" in message
    assert "\n" not in message


def test_copies_within_a_part_are_no_matter(parts):
    images, _, pictures = parts
    plant(pictures)
    alone = pd.Series(["train"] * NUM_IMAGES)
    assert check_copies(images, alone, thumbs_of(pictures), 0.18, 1) == 0


def test_the_command_counts_them_or_stops(parts, tmp_path):
    images, split, pictures = parts
    ids = images["image_id"]
    missing = pd.array([pd.NA] * NUM_IMAGES, dtype="str")
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": pd.array(range(1, NUM_IMAGES + 1), dtype="Int64"),
            "path": ids,
            "group": missing,
            "official_split": missing,
            "color": pd.Categorical(["black", "red"] * (NUM_IMAGES // 2)),
        }
    )
    place = np.arange(NUM_IMAGES)
    curated = index.assign(row=images["row"], cluster=place, unit=place, weight=1.0, flags="")
    fold = pd.array([n % 2 if part == "train" else pd.NA for n, part in enumerate(split)], "Int64")
    pairs = pd.DataFrame({"image_id_a": ids[:0], "image_id_b": ids[:0]})
    given = {
        "index": index,
        "curated": curated,
        "inspection": pd.DataFrame({"image_id": ids, "row": images["row"], "pixel_hash": ids}),
        "splits": pd.DataFrame({"image_id": ids, "split": split, "fold": fold}),
        "duplicates": pairs.assign(cluster=pd.array([], "int64")),
    }
    path = {name: tmp_path / f"{name}.parquet" for name in given}
    for name, table in given.items():
        tables.write(table, path[name])
    path |= {name: tmp_path / f"{name}.csv" for name in ("dropped", "summary")}
    tables.write(pd.DataFrame({"image_id": [], "table_row": [], "reason": []}), path["dropped"])
    path |= {"check": tmp_path / "check.json", "thumbs": tmp_path / "thumbs.npy"}

    def checked(*more: str, thumbs: bool = True):
        arguments = [f"--{name}={one}" for name, one in path.items() if thumbs or name != "thumbs"]
        return CliRunner().invoke(cli.main, ["split-check", *arguments, *more])

    np.save(path["thumbs"], thumbs_of(pictures))
    result = checked()
    assert result.exit_code == 0, result.output
    assert files.read_json(path["check"])["copies"] == 0

    plant(pictures)
    np.save(path["thumbs"], thumbs_of(pictures))
    result = checked()
    assert result.exit_code == 1
    assert "3 pairs of images in different parts show one photograph" in result.output

    for result in (checked(thumbs=False), checked("--max-altered-difference=0")):
        assert result.exit_code == 0, result.output
        assert files.read_json(path["check"])["copies"] is None  # it did not look
