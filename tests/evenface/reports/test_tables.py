"""Stage tables that another program has written again, or that are of another run.

docs/reliability.md lists the reports; each test names its own (repository and number on GitHub).
"""

import numpy as np
import pandas as pd
import pytest

from facedata import columns
from facekit.errors import DataError
from facekit.storage import arrays, tables


def index(**attributes):
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    table = pd.DataFrame({"image_id": ids, "table_row": [1, 2, 3], "path": ids})
    table["table_row"] = table["table_row"].astype("Int64")
    for name in ("group", "official_split"):
        table[name] = pd.array([pd.NA] * 3, dtype="str")
    return table.assign(**attributes)


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["red", "gray", "red"], "str"), ([True, False, True], "bool")],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_attributes_that_are_no_classes_any_more_are_told(tmp_path, values, kind, suffix):
    """Written by DuckDB, Spark or as CSV: a category comes back as text."""
    path = tmp_path / f"index{suffix}"
    tables.write(index(hair=values), path)
    kind = "str" if suffix == ".csv" else kind
    with pytest.raises(DataError, match=f"column hair is {kind}, expected category or float64"):
        tables.read(path, columns.INDEX)


def test_attributes_that_are_wholly_missing_are_read(tmp_path):
    for values in ([None] * 3, [np.nan] * 3, pd.Categorical([None] * 3, ["red", "gray"])):
        tables.write(index(hair=values), tmp_path / "index.parquet")
        assert tables.read(tmp_path / "index.parquet", columns.INDEX)["hair"].isna().all()


@pytest.mark.parametrize("values", [["train", "train", "test"], ["train"] * 3])
def test_splits_know_all_parts_whoever_wrote_them(tmp_path, values):
    table = pd.DataFrame({"image_id": ["a", "b", "c"], "split": values})
    table["fold"] = pd.array([0, 1, pd.NA], dtype="Int64")
    tables.write(table, tmp_path / "splits.parquet")
    found = tables.read(tmp_path / "splits.parquet", columns.SPLITS)["split"]
    assert list(found.cat.categories) == list(columns.PARTS)
    assert found.astype(str).tolist() == values


@pytest.mark.parametrize(
    ("read", "shape"), [(arrays.read_images, (4, 16, 16, 3)), (arrays.read_thumbs, (4, 32, 32))]
)
def test_pictures_of_another_run_are_told(tmp_path, read, shape):
    """Images of one run with the tables of another: an IndexError in the middle of the work."""
    path = tmp_path / "images.npy"
    np.save(path, np.zeros(shape, np.uint8))
    assert len(read(path, np.array([0, 3]))) == 4
    assert len(read(path, np.array([], dtype=np.int64))) == 4
    for rows in ([0, 4], [-1, 0]):
        with pytest.raises(DataError, match=r"images\.npy: has 4 images, rows .* another run"):
            read(path, np.array(rows))
