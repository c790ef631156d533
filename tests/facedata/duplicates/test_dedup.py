"""Duplicates: planted copies are found, different and empty pictures are not."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

from facedata import cli
from facedata.columns import DUPLICATES
from facedata.duplicates import dedup
from facedata.inspection import inspect
from facedata.options import DedupOptions
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import tables

SHARED = Path(__file__).parents[4] / "shared" / "data" / "aaf_dirty"
GEOMETRIES = {"classifier": Geometry(height=64, width=52, fit="pad")}
KINDS = ("exact", "jpeg", "resized", "brighter", "gray", "cropped", "mirror")


def scene(seed: int, height: int = 160, width: int = 124) -> Image.Image:
    """Draw a picture with structure at all scales, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for side in (4, 8, 16, 32):
        small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(picture.astype(np.uint8))


def copy(picture: Image.Image, kind: str) -> Image.Image:
    """Return a picture again, the way `kind` says."""
    width, height = picture.size
    if kind == "jpeg":
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=40)
        return Image.open(data).convert("RGB")
    if kind == "resized":
        return picture.resize((width * 7 // 10, height * 7 // 10)).resize((width, height))
    if kind == "brighter":
        return picture.point(lambda value: round(value * 1.1))
    if kind == "gray":
        return picture.convert("L").convert("RGB")
    if kind == "cropped":
        return picture.crop((4, 2, width - 3, height - 4))
    if kind == "mirror":
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture


def inspection_of(index: pd.DataFrame, root: Path, geometries: dict, images: Path) -> pd.DataFrame:
    """Inspect the images of an index and return what was found."""
    found = images / "inspection.parquet"
    inspect.inspect(pa.Table.from_pandas(index), root, geometries, 1, images, found)
    return tables.read(found)


def inspected(pictures: dict[str, Image.Image], folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Save pictures, inspect them, and return the inspection and the gray thumbnails."""
    for name, picture in pictures.items():
        picture.save(folder / name)
    index = pd.DataFrame({"image_id": list(pictures), "path": list(pictures)})
    table = inspection_of(index, folder, GEOMETRIES, folder / "images")
    return table, np.load(folder / "images" / "thumbs.npy")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Forty scenes, one copy of some of them a kind, and pictures without structure."""
    pictures = {f"{seed:02}.png": scene(seed) for seed in range(40)}
    pictures |= {
        f"{place:02}_{kind}.png": copy(pictures[f"{place:02}.png"], kind)
        for place, kind in enumerate(KINDS)
    }
    ramp = np.linspace(0, 255, 124)[None, :, None] * np.ones((160, 1, 3))
    for k in range(3):
        pictures[f"uniform{k}.png"] = Image.new("RGB", (124, 160), (40 * k, 90, 200))
        pictures[f"gradient{k}.png"] = Image.fromarray((ramp * (0.7 + 0.1 * k)).astype(np.uint8))
    table, thumbs = inspected(pictures, tmp_path_factory.mktemp("copies"))
    gender = pd.Categorical(["female"] * len(table), ["female", "male"])
    index = pd.DataFrame(
        {"image_id": table["image_id"], "gender": gender, "age": np.full(len(table), 30.0)}
    )
    return index, table, thumbs


def find(copies, max_difference: float = 0.2, workers: int = 1) -> pd.DataFrame:
    index, inspection, thumbs = copies
    return duplicates_of(index, inspection, thumbs, max_difference, workers)


def duplicates_of(
    index, inspection, thumbs, max_difference=0.2, workers=1, altered=0.0
) -> pd.DataFrame:
    options = DedupOptions(
        max_distance=8, max_difference=max_difference, max_altered_difference=altered
    )
    return dedup.find_duplicates(index, inspection, thumbs, options, [], workers)


def test_every_kind_of_copy_is_found_and_nothing_else(copies):
    pairs = find(copies)
    found = dict(zip(pairs["image_id_b"], pairs["image_id_a"], strict=True))
    expected = {f"{place:02}_{kind}.png": f"{place:02}.png" for place, kind in enumerate(KINDS)}
    assert found == expected
    kinds = dict(zip(pairs["image_id_b"], pairs["kind"], strict=True))
    assert kinds.pop("00_exact.png") == "exact"
    assert kinds.pop("06_mirror.png") == "mirror"
    assert set(kinds.values()) == {"near"}
    assert pairs["cluster"].tolist() == list(range(len(KINDS)))
    assert (pairs["conflict"] == "").all()
    assert pairs["difference"].between(0, 0.2).all()


def test_same_table_whatever_the_number_of_threads(copies):
    pd.testing.assert_frame_equal(find(copies), find(copies, workers=3))


def test_a_stricter_limit_finds_fewer(copies):
    assert len(find(copies, 0.001)) < len(find(copies, 0.2))


def test_conflicts_name_the_attributes_that_differ(copies):
    index, inspection, thumbs = copies
    index = index.copy()
    at = {name: place for place, name in enumerate(index["image_id"])}
    index.loc[at["00.png"], "gender"] = "male"
    index.loc[at["00_exact.png"], "age"] = 31.0
    index.loc[at["01.png"], "gender"] = np.nan  # missing is no conflict
    pairs = duplicates_of(index, inspection, thumbs)
    assert pairs["conflict"].tolist()[:3] == ["gender;age", "", ""]


def test_copies_of_a_copy_share_its_cluster(tmp_path):
    first = scene(0)
    pictures = {"a.png": first, "b.png": scene(1), "c.png": first, "d.png": copy(first, "mirror")}
    table, thumbs = inspected({**pictures, "e.png": first}, tmp_path)
    pairs = duplicates_of(table[["image_id"]], table, thumbs)
    assert set(pairs["cluster"]) == {0}
    assert set(pairs["image_id_a"]) | set(pairs["image_id_b"]) == {
        "a.png",
        "c.png",
        "d.png",
        "e.png",
    }
    assert (pairs["kind"] == "exact").sum() == 2  # each with the first, not with each other


def test_images_that_did_not_decode_are_left_out(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    scene(0).save(tmp_path / "a.png")
    scene(0).save(tmp_path / "b.png")
    index = pd.DataFrame({"image_id": ["broken.png", "a.png", "b.png"]})
    index["path"] = index["image_id"]
    table = inspection_of(index, tmp_path, GEOMETRIES, tmp_path / "images")
    thumbs = np.load(tmp_path / "images" / "thumbs.npy")
    pairs = duplicates_of(index[["image_id"]], table, thumbs)
    assert pairs[["image_id_a", "image_id_b"]].to_numpy().tolist() == [["a.png", "b.png"]]


def test_no_duplicates_give_an_empty_table(tmp_path):
    table, thumbs = inspected({"a.png": scene(0), "b.png": scene(1)}, tmp_path)
    pairs = duplicates_of(table[["image_id"]], table, thumbs)
    assert len(pairs) == 0
    tables.write(pairs, tmp_path / "duplicates.parquet")
    found = tables.read(tmp_path / "duplicates.parquet", DUPLICATES)
    assert list(found.columns) == [one.name for one in DUPLICATES.columns]


def test_altered_copies_join_the_clusters(tmp_path):
    """A crop of 15 %, a turn, one mirrored and cropped: no hash is near, one cluster each."""
    pictures = {f"{seed:02}.png": scene(seed) for seed in range(60)}
    crop = pictures["00.png"].crop((10, 10, 114, 145))
    pictures["crop.png"] = crop
    pictures["turn.png"] = pictures["00.png"].rotate(4)
    pictures["mirror.png"] = copy(pictures["01.png"].crop((8, 8, 116, 150)), "mirror")
    pictures["exact.png"] = copy(crop, "exact")
    table, thumbs = inspected(pictures, tmp_path)
    assert len(duplicates_of(table[["image_id"]], table, thumbs)) == 1
    pairs = duplicates_of(table[["image_id"]], table, thumbs, altered=0.18)
    of_first = pairs[pairs["cluster"] == 0]
    members = {"00.png", "crop.png", "turn.png", "exact.png"}
    assert set(of_first["image_id_a"]) | set(of_first["image_id_b"]) == members
    kinds = pairs.set_index("image_id_b")["kind"].to_dict()
    assert kinds == {
        "crop.png": "altered", "turn.png": "altered", "mirror.png": "altered", "exact.png": "exact",
    }  # fmt: skip
    other = pairs[pairs["cluster"] == 1]
    assert other[["image_id_a", "image_id_b"]].to_numpy().tolist() == [["01.png", "mirror.png"]]
    assert pairs["difference"].between(0, 0.18).all()
    tables.write(pairs, tmp_path / "duplicates.parquet")
    tables.read(tmp_path / "duplicates.parquet", DUPLICATES)  # all kinds are declared


def thumb(picture: Image.Image) -> np.ndarray:
    small = picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.float32)[None]


def test_difference_ignores_gain_and_offset():
    a = thumb(scene(0))
    assert dedup.difference(a, 0.5 * a + 60, 0.2)[0] < 0.01


def test_difference_of_a_shifted_and_scaled_part_is_small():
    picture = scene(0)
    part = picture.crop((7, 4, 120, 155))
    unaligned = dedup._difference(thumb(picture), thumb(part))
    assert unaligned[0] > 0.3
    assert dedup.difference(thumb(picture), thumb(part), 0.2)[0] < 0.15
    assert dedup.difference(thumb(picture), thumb(part), 0.2, scale=0.96)[0] < 0.15


def test_difference_of_other_pictures_and_of_negatives_is_large():
    a = thumb(scene(0))
    assert dedup.difference(a, thumb(scene(1)), 0.2)[0] > 0.5
    assert dedup.difference(a, 255 - a, 0.2)[0] == 1


def table_of(thumbs: np.ndarray) -> pd.DataFrame:
    """Return an inspection of pictures of which there is but a thumbnail."""
    hashes, mirrored = inspect.phash(thumbs)
    names = [f"{number:05}" for number in range(len(thumbs))]
    pixels = [values.tobytes().hex() for values in thumbs]
    return pd.DataFrame(
        {
            "image_id": names,
            "row": np.arange(len(thumbs)),
            "pixel_hash": pixels,
            "phash": hashes,
            "phash_mirror": mirrored,
        }
    )


def test_pictures_without_structure_pair_only_as_exact_copies():
    """Dark and uniform frames, with the noise of a sensor, and ramps: most share a hash."""
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 4, (300, 32, 32))  # nearly black
    uniform = np.ones((100, 32, 32)) * np.arange(100)[:, None, None] * 2 + rng.random((100, 32, 32))
    ramp = np.ones((32, 1)) * np.linspace(0, 255, 32)
    ramps = ramp * np.linspace(0.5, 1, 50)[:, None, None]
    thumbs = np.concatenate([dark, dark[:1], uniform, ramps, ramps[:1]]).astype(np.uint8)
    table = table_of(thumbs)
    copies = table["pixel_hash"].duplicated().sum()
    pairs = duplicates_of(table[["image_id"]], table, thumbs)
    assert set(pairs["kind"]) == {"exact"}
    assert len(pairs) == copies
    assert {"00300", "00451"} <= set(pairs["image_id_b"])


def test_dark_pictures_with_structure_are_told_apart():
    """Photographs taken in the dark: their copies pair, they do not pair with each other."""
    pictures = [scene(seed).point(lambda value: value // 3) for seed in range(30)]
    pictures += [copy(pictures[seed], "jpeg") for seed in range(30)]
    thumbs = np.concatenate([thumb(picture) for picture in pictures]).astype(np.uint8)
    table = table_of(thumbs)
    table["pixel_hash"] = table["image_id"]
    pairs = duplicates_of(table[["image_id"]], table, thumbs)
    found = set(zip(pairs["image_id_a"], pairs["image_id_b"], strict=True))
    assert found == {(f"{seed:05}", f"{seed + 30:05}") for seed in range(30)}


def test_many_frames_of_few_scenes_are_not_many_pairs(caplog):
    """A thousand frames that share a hash: one cluster a scene, hardly more pairs than frames."""
    rng = np.random.default_rng(0)
    scenes = np.concatenate([thumb(scene(seed)) for seed in range(3)])
    which = rng.integers(0, 3, 1000)
    # As a camera would: other noise in each frame, and a hash that says nothing.
    thumbs = (scenes[which] + rng.normal(0, 1, (1000, 32, 32))).clip(0, 255).astype(np.uint8)
    table = table_of(thumbs)
    table["phash"] = table["phash_mirror"] = np.uint64(7)
    pairs = duplicates_of(table[["image_id"]], table, thumbs)
    assert len(pairs) == 997
    cluster = dict(zip(pairs["image_id_b"], pairs["cluster"], strict=True))
    cluster |= dict(zip(pairs["image_id_a"], pairs["cluster"], strict=True))
    found = table["image_id"].map(cluster)
    assert pd.crosstab(found, which).gt(0).to_numpy().sum() == 3
    assert "3 clusters have more than 20 images" in caplog.text


def test_a_chain_is_one_cluster():
    first, second = pd.Series([0, 5, 2, 1]), pd.Series([1, 6, 3, 2])
    assert dedup._clusters(first, second).tolist() == [0, 1, 0, 0]


def test_thumbnails_of_another_inspection_are_refused(copies):
    index, inspection, thumbs = copies
    with pytest.raises(DataError, match=r"thumbnails, but \d+ images that decoded; inspect again"):
        duplicates_of(index, inspection, thumbs[1:])


def test_command_writes_pairs(copies, tmp_path):
    index, inspection, thumbs = copies
    tables.write(index, tmp_path / "index.parquet")
    tables.write(inspection, tmp_path / "inspection.parquet")
    np.save(tmp_path / "thumbs.npy", thumbs)
    options = {
        "index": tmp_path / "index.parquet",
        "inspection": tmp_path / "inspection.parquet",
        "thumbs": tmp_path / "thumbs.npy",
        "max-distance": 8,
        "max-difference": 0.2,
        "tolerance": '{"age": 5}',
        "derived": "[]",
        "workers": 2,
        "duplicates": tmp_path / "duplicates.parquet",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["dedup", *arguments])
    assert result.exit_code == 0, result.output
    pairs = tables.read(tmp_path / "duplicates.parquet")
    columns = ["image_id_a", "image_id_b", "distance", "kind", "cluster", "conflict"]
    assert list(pairs.columns) == [*columns, "difference"]
    assert len(pairs) == len(KINDS)
    assert (tmp_path / "duplicates.run.json").exists()

    tables.write(inspection.iloc[1:], tmp_path / "inspection.parquet")
    result = CliRunner().invoke(cli.main, ["dedup", *arguments])
    assert result.exit_code == 1
    assert "inspection.parquet: no row for image '00.png'" in result.output


@pytest.mark.skipif(not SHARED.exists(), reason="needs the faces with planted faults")
def test_planted_copies_of_real_faces_are_found(tmp_path):
    truth = tables.read(SHARED / "truth.csv")
    planted = truth[truth["fault"] == "duplicate"]
    empty = truth.loc[truth["fault"] == "non_face", "file"]
    files = pd.unique(pd.concat([planted["file"], planted["pair_file"], empty]))
    others = tables.read(SHARED / "labels.csv")["file"].drop_duplicates()
    files = [*files, *others[~others.isin(truth["file"]) & ~others.isin(files)].head(400)]
    index = pd.DataFrame({"image_id": files, "path": files})
    inspection = inspection_of(index, SHARED, GEOMETRIES, tmp_path)
    thumbs = np.load(tmp_path / "thumbs.npy")
    pairs = duplicates_of(index[["image_id"]], inspection, thumbs)

    cluster = dict(zip(pairs["image_id_a"], pairs["cluster"], strict=True))
    cluster |= dict(zip(pairs["image_id_b"], pairs["cluster"], strict=True))
    together = planted["file"].map(cluster) == planted["pair_file"].map(cluster)
    assert together.mean() >= 0.99
    found = [frozenset(pair) for pair in pairs[["image_id_a", "image_id_b"]].to_numpy().tolist()]
    groups = dict(zip(planted["file"], planted["group"], strict=True))
    groups |= dict(zip(planted["pair_file"], planted["group"], strict=True))
    right = [len({groups.get(name, name) for name in pair}) == 1 for pair in found]
    assert np.mean(right) >= 0.98
