"""Tables: rows of given images, names of columns that stages share."""

import pandas as pd
import pytest

from facekit.errors import DataError
from facekit.storage import tables

TABLE = pd.DataFrame({"row": [0, 1, 2], "image_id": ["a", "b", "c"]})


def test_rows_come_in_the_order_asked_for():
    found = tables.rows_of(TABLE, ["c", "a"], "faces.parquet")
    assert found.to_dict("list") == {"row": [2, 0], "image_id": ["c", "a"]}
    assert found.index.tolist() == [0, 1]


def test_a_table_of_another_run_is_refused():
    with pytest.raises(DataError, match=r"faces.parquet: no row for image 'd'; make the file"):
        tables.rows_of(TABLE, ["a", "d"], "faces.parquet")
    with pytest.raises(DataError, match="'a' twice"):
        tables.rows_of(pd.concat([TABLE, TABLE]), ["a"], "faces.parquet")
