"""Units: what shares a person, a cluster of duplicates or its pixels stays together."""

import pandas as pd

from facedata.splits.units import units


def test_groups_and_clusters_are_united_where_they_overlap():
    group = pd.array(["p", "p", "q", None, None, None], dtype="str")
    table = pd.DataFrame({"group": group, "cluster": [1, 2, 2, 3, 3, 4]})
    assert units(table).tolist() == [0, 0, 0, 1, 1, 2]


def test_pixel_hashes_join_units():
    table = pd.DataFrame({"cluster": range(4), "pixel_hash": ["a", "b", "b", None]})
    assert units(table).tolist() == [0, 1, 1, 2]


def test_without_any_of_the_columns_each_image_is_its_own():
    assert units(pd.DataFrame({"image_id": ["a", "b"]})).tolist() == [0, 1]
