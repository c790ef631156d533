"""Pack: the right images with the right classes, the same class ids in every split."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli
from facedata.options import PackOptions
from facedata.packs import storage, subset
from facekit.errors import DataError
from facekit.pictures import geometry
from facekit.storage import tables


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def curated() -> pd.DataFrame:
    """Images a to h; the packed rows skip 0 and 5."""
    color = ["red", "brown", "red", None, "brown", "blond", "red", "brown"]
    glasses = ["no", "no", "yes", "no", "yes", "no", "no", None]
    return pd.DataFrame(
        {
            "image_id": list("abcdefgh"),
            "row": [1, 2, 3, 4, 6, 7, 8, 9],
            "cluster": range(8),
            "color": pd.Categorical(color, ["brown", "red", "blond", "gray"]),
            "glasses": pd.Categorical(glasses, ["no", "yes"]),
            "age": np.arange(8.0),
        }
    )


@pytest.fixture
def splits(curated) -> pd.DataFrame:
    parts = ["train", "train", "train", "train", "train", "val", "val", "train"]
    return pd.DataFrame({"image_id": curated["image_id"], "split": parts})


BOXES = np.tile([1, 0, 7, 8], (8, 1))


def write(tmp_path, images, curated, splits, split="train", condition=("color",), boxes=BOXES):
    path = tmp_path / f"{split}.npy"
    subset.pack_split(path, images, curated, splits, boxes, split, PackOptions(condition=condition))
    return storage.read_pack(path)


def test_images_of_the_split_with_a_class_are_packed(tmp_path, images, curated, splits):
    found = write(tmp_path, images, curated, splits)
    assert found.table["image_id"].tolist() == ["a", "b", "c", "e", "h"]  # d has no colour
    np.testing.assert_array_equal(found.images, images[[1, 2, 3, 6, 9]])
    assert found.classes == [["brown"], ["red"]]  # in class order; blond is not in train
    assert found.labels.tolist() == [1, 0, 1, 0, 0]
    assert found.attributes == ["color"]
    assert found.table["color"].astype(str).tolist() == ["red", "brown", "red", "brown", "brown"]


def test_joint_classes_are_those_that_occur_in_train(tmp_path, images, curated, splits):
    found = write(tmp_path, images, curated, splits, condition=["color", "glasses"])
    assert found.table["image_id"].tolist() == ["a", "b", "c", "e"]
    assert found.classes == [["brown", "no"], ["brown", "yes"], ["red", "no"], ["red", "yes"]]
    assert found.class_names == ["brown/no", "brown/yes", "red/no", "red/yes"]
    assert found.labels.tolist() == [2, 0, 3, 1]


def test_other_splits_have_the_class_ids_of_train(tmp_path, images, curated, splits):
    found = write(tmp_path, images, curated, splits, split="val")
    assert found.table["image_id"].tolist() == ["g"]  # f is blond, which train never shows
    assert found.classes == [["brown"], ["red"]]
    assert found.labels.tolist() == [1]


def test_without_condition_every_image_is_of_class_zero(tmp_path, images, curated, splits):
    found = write(tmp_path, images, curated, splits, condition=[])
    assert found.table["image_id"].tolist() == list("abcdeh")
    assert found.labels.tolist() == [0] * 6
    assert found.classes == []


def test_content_box_is_the_median(tmp_path, images, curated, splits):
    boxes = BOXES.copy()
    boxes[[0, 1], 0] = 0  # a and b are wider; of five images that is not the median
    boxes[5] = [3, 3, 5, 5]  # not in train
    found = write(tmp_path, images, curated, splits, boxes=boxes)
    assert found.content_box == (1, 0, 7, 8)


@pytest.mark.parametrize(
    ("condition", "message"),
    [(["nose"], "no attribute 'nose', there are color, glasses, age"), (["age"], "age is numeric")],
)
def test_attributes_that_make_no_classes(tmp_path, images, curated, splits, condition, message):
    with pytest.raises(DataError, match=message):
        write(tmp_path, images, curated, splits, condition=condition)


def test_nothing_to_pack_is_an_error(tmp_path, images, curated, splits):
    with pytest.raises(DataError, match="--split test: none of its 0 images"):
        write(tmp_path, images, curated, splits, split="test")


def test_command(tmp_path, images, curated, splits):
    inspection = pd.DataFrame(BOXES, columns=geometry.box_columns("gan")).astype("Int64")
    inspection.insert(0, "image_id", curated["image_id"])
    inspection = pd.concat([pd.DataFrame({"image_id": ["broken"]}), inspection])
    tables.write(inspection, tmp_path / "inspection.parquet")
    tables.write(curated, tmp_path / "curated.parquet")
    tables.write(splits, tmp_path / "splits.parquet")
    np.save(tmp_path / "gan.npy", images)
    options = {
        "curated": tmp_path / "curated.parquet",
        "splits": tmp_path / "splits.parquet",
        "inspection": tmp_path / "inspection.parquet",
        "images": tmp_path / "gan.npy",
        "split": "train",
        "condition": '["color"]',
        "pack": tmp_path / "packs" / "train.npy",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    result = CliRunner().invoke(cli.main, ["pack", *arguments])
    assert result.exit_code == 0, result.output
    found = storage.read_pack(options["pack"])
    assert found.content_box == (1, 0, 7, 8)
    assert len(found.images) == 5
    assert (tmp_path / "packs" / "train.run.json").exists()

    tables.write(splits.iloc[1:], tmp_path / "splits.parquet")
    result = CliRunner().invoke(cli.main, ["pack", *arguments])
    assert result.exit_code == 1
    assert "splits.parquet: no row for image 'a'" in result.output


def test_doubtful_images_of_train_are_not_packed_and_make_no_class(
    tmp_path, images, curated, splits
):
    curated["weight"] = [1.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]  # all brown ones of train
    found = write(tmp_path, images, curated, splits)
    assert found.table["image_id"].tolist() == ["a", "c"]
    assert found.classes == [["red"]]
    found = write(tmp_path, images, curated, splits, split="val")
    assert found.table["image_id"].tolist() == ["g"]  # of val all that have a class
