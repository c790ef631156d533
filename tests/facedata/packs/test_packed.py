"""Packed images and packs."""

import numpy as np
import pandas as pd
import pytest

from facedata.packs import storage
from facekit.errors import DataError
from facekit.storage import files


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)


@pytest.fixture
def table() -> pd.DataFrame:
    color = pd.Categorical(["red", "brown", "red"], categories=["brown", "red"])
    return pd.DataFrame({"image_id": ["c", "a", "b"], "class": [1, 0, 1], "color": color})


def write(path, images, table, **changes):
    values = {
        "attributes": ["color"],
        "classes": [["brown"], ["red"]],
        "content_box": [1, 0, 4, 6],
        "rows": np.array([5, 0, 2]),
    }
    storage.write_pack(path, images, table, **(values | changes))


def test_pack_returns_as_written(tmp_path, images, table):
    write(tmp_path / "train.npy", images, table)
    pack = storage.read_pack(tmp_path / "train.npy")
    assert isinstance(pack.images, np.memmap)
    np.testing.assert_array_equal(pack.images, images[[5, 0, 2]])
    assert list(pack.table.columns) == ["row", "image_id", "class", "color"]
    assert pack.table["row"].tolist() == [0, 1, 2]
    assert pack.table["color"].cat.categories.tolist() == ["brown", "red"]
    assert pack.labels.tolist() == [1, 0, 1]
    assert pack.class_names == ["brown", "red"]
    assert pack.content_box == (1, 0, 4, 6)


def test_unconditional_pack_has_class_zero_only(tmp_path, images, table):
    table = table.assign(**{"class": 0})
    write(tmp_path / "train.npy", images, table, attributes=[], classes=[])
    pack = storage.read_pack(tmp_path / "train.npy")
    assert pack.class_names == []
    assert pack.labels.tolist() == [0, 0, 0]


def test_name_of_joint_class():
    assert storage.class_name(["red", "glasses"]) == "red/glasses"


def test_same_input_same_bytes(tmp_path, images, table):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.npy", images, table)
    for suffix in (".npy", ".parquet", ".json"):
        first = (tmp_path / "a").with_suffix(suffix).read_bytes()
        assert first == (tmp_path / "b").with_suffix(suffix).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": np.array([1])},
        {"classes": [["brown"]]},
        {"classes": [["brown", "x"], ["red", "y"]]},
        {"content_box": [0, 0, 6, 6]},
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, images, table, changes):
    with pytest.raises(ValueError):
        write(tmp_path / "train.npy", images, table, **changes)
    assert not (tmp_path / "train.npy").exists()


def test_read_pack_names_what_is_wrong(tmp_path, images, table):
    path = tmp_path / "train.npy"
    with pytest.raises(DataError, match="no such file"):
        storage.read_pack(path)
    write(path, images, table)
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"train\.json: no such file"):
        storage.read_pack(path)
    write(path, images, table)
    np.save(path, images)
    with pytest.raises(DataError, match="7 images, but 3 rows"):
        storage.read_pack(path)
    write(path, images, table)
    files.write_json({"classes": []}, path.with_suffix(".json"))
    with pytest.raises(DataError, match="not the description of a pack"):
        storage.read_pack(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attributes", 5),
        ("attributes", [["hair"]]),
        ("classes", None),
        ("classes", [1, 2]),
        ("content_box", [0, 0, 3]),
        ("content_box", ["left", 0, 3, 3]),
        ("content_box", {}),
    ],
)
def test_a_description_of_other_types_is_refused(tmp_path, images, table, key, value):
    path = tmp_path / "train.npy"
    write(path, images, table)
    told = files.read_json(path.with_suffix(".json"))
    files.write_json({**told, key: value}, path.with_suffix(".json"))
    with pytest.raises(DataError, match=rf"train\.json: not the description of a pack \({key}"):
        storage.read_pack(path)


def test_read_images_refuses_other_arrays(tmp_path):
    np.save(tmp_path / "floats.npy", np.zeros((2, 3, 3, 3)))
    with pytest.raises(DataError, match="expected uint8"):
        storage.read_images(tmp_path / "floats.npy")
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(DataError, match="not a readable array"):
        storage.read_images(tmp_path / "text.npy")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(DataError, match="an empty file, expected an array"):
        storage.read_images(tmp_path / "empty.npy")


def test_read_thumbs(tmp_path):
    thumbs = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    with storage.appending(tmp_path / "thumbs.npy", (32, 32)) as append:
        append(thumbs)
    found = storage.read_thumbs(tmp_path / "thumbs.npy")
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, thumbs)
    with pytest.raises(DataError, match="no such file"):
        storage.read_thumbs(tmp_path / "nowhere.npy")
    for other in (thumbs[:, :31], thumbs[0], thumbs.astype(np.float32)):
        np.save(tmp_path / "other.npy", other)
        with pytest.raises(DataError, match=r"expected uint8 \['N', 32, 32\]"):
            storage.read_thumbs(tmp_path / "other.npy")


def test_appending_writes_what_numpy_would(tmp_path, images):
    path = tmp_path / "images.npy"
    with storage.appending(path, images.shape[1:]) as append:
        append(images[:3])
        append(images[3:3])
        append(images[3:])
    np.save(tmp_path / "expected.npy", images)
    assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_appending_leaves_nothing_behind_when_it_fails(tmp_path, images):
    with (
        pytest.raises(ValueError, match="not uint8"),
        storage.appending(tmp_path / "images.npy", (6, 5, 3)) as append,
    ):
        append(images)
        append(images.astype(np.float32))
    assert list(tmp_path.iterdir()) == []
