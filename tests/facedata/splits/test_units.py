"""Units: what shares a person, a cluster of duplicates or its pixels stays together."""

import pandas as pd
import pytest

from facedata.columns import CURATED
from facedata.splits.units import read_images, units
from facekit.errors import DataError
from facekit.storage import tables


def test_groups_and_clusters_are_united_where_they_overlap():
    group = pd.array(["p", "p", "q", None, None, None], dtype="str")
    table = pd.DataFrame({"group": group, "cluster": [1, 2, 2, 3, 3, 4]})
    assert units(table).tolist() == [0, 0, 0, 1, 1, 2]


def test_pixel_hashes_join_units():
    table = pd.DataFrame({"cluster": range(4), "pixel_hash": ["a", "b", "b", None]})
    assert units(table).tolist() == [0, 1, 1, 2]


def test_without_any_of_the_columns_each_image_is_its_own():
    assert units(pd.DataFrame({"image_id": ["a", "b"]})).tolist() == [0, 1]


def test_no_image_left_is_one_line(tmp_path):
    path = tmp_path / "curated.parquet"
    tables.write(pd.DataFrame({name: [] for name in CURATED.needed}), path)
    with pytest.raises(DataError, match="no image is left"):
        read_images(path, path)
