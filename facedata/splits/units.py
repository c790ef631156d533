"""Units: images that stay together wherever images are dealt out or drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from facedata.columns import CURATED, DUPLICATES, INDEX, INSPECTION, UNIT_COLUMNS
from facekit.errors import DataError
from facekit.storage import tables


def units(table: pd.DataFrame) -> np.ndarray:
    """Return the unit of each image: what shares any value of UNIT_COLUMNS, int64 [N].

    They are united where they overlap; any of the columns may be missing. Units are numbered by
    first image. What only an image links that is not in the table is united by the column `unit`,
    which curate counts over all images.
    """
    num_images = len(table)
    links = [np.empty((2, 0), dtype=np.int64)]
    for name in table.columns.intersection(UNIT_COLUMNS):
        codes = pd.factorize(table[name])[0]  # -1 where missing
        known = np.flatnonzero(codes >= 0)
        first = pd.Series(known).groupby(codes[known]).transform("first").to_numpy()
        links.append(np.stack([known, first]))
    rows, columns = np.concatenate(links, axis=1)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(num_images,) * 2)
    _, component = connected_components(graph, directed=False)
    return pd.factorize(component)[0]


def clusters(image_ids: pd.Series, duplicates: pd.DataFrame) -> pd.Series:
    """Return the cluster of each image: those of the pairs, then one of its own for every other."""
    of_image: dict[str, int] = {}
    for column in ("image_id_a", "image_id_b"):
        of_image |= dict(zip(duplicates[column], duplicates["cluster"], strict=True))
    cluster = image_ids.map(of_image)
    alone = cluster.isna()
    first = int(duplicates["cluster"].max()) + 1 if len(duplicates) else 0
    cluster[alone] = np.arange(first, first + alone.sum())
    return cluster.astype("int64")


def read_units(index: Path, duplicates: Path, inspection: Path) -> pd.DataFrame:
    """Return image_id and unit of all images, dropped ones included, counted anew.

    Args:
        index: index.parquet.
        duplicates: duplicates.parquet.
        inspection: inspection.parquet.

    Raises:
        DataError: a table is wrong, or they do not belong together.
    """
    table = tables.read(index, INDEX, ["image_id", "group"])
    pairs = tables.read(duplicates, DUPLICATES, ["image_id_a", "image_id_b", "cluster"])
    facts = tables.read(inspection, INSPECTION, ["image_id", "pixel_hash"])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    table = table[table.columns.intersection(["image_id", "group", "cut_from"])].assign(
        cluster=clusters(table["image_id"], pairs), pixel_hash=facts["pixel_hash"]
    )
    return table[["image_id"]].assign(unit=units(table))


def read_images(curated: Path, inspection: Path) -> pd.DataFrame:
    """Return images with their attributes and all that may join them into units.

    Args:
        curated: curated.parquet.
        inspection: inspection.parquet, whose pixel hashes are added.

    Raises:
        DataError: a table is wrong, it has no image, or one was not inspected.
    """
    table = tables.read(
        curated, CURATED, ["image_id", "group", "official_split", "cluster", "unit"]
    )
    if table.empty:
        raise DataError(f"{curated}: no image is left; dropped.csv beside it says why")
    facts = tables.read(inspection, INSPECTION, ["image_id", "pixel_hash"])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    return table.assign(pixel_hash=facts["pixel_hash"])


def check_whole(table: pd.DataFrame, splits: pd.DataFrame) -> dict[str, int]:
    """Check that nothing straddles: return how many values of each column do, 0 each.

    Args:
        table: images, with as many of the columns as there are.
        splits: split and fold of each.

    Raises:
        DataError: something straddles.
    """
    found = {
        name: _num_straddling(table[name], splits) for name in UNIT_COLUMNS if name in table.columns
    }
    if any(found.values()):
        numbers = ", ".join(f"{name} {number}" for name, number in found.items())
        raise DataError(
            f"split: values in more than one split or fold: {numbers}; expected none, split again"
        )
    return found


def _num_straddling(values: pd.Series, splits: pd.DataFrame) -> int:
    """Return how many values occur in more than one split or fold."""
    places = splits[["split", "fold"]].assign(value=values)[values.notna()].drop_duplicates()
    return len(places.loc[places["value"].duplicated(), "value"].unique())
