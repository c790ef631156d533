"""Copies among the pictures of a folder, found in one go."""

import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa

from facedata.columns import INSPECTION
from facedata.duplicates import dedup
from facedata.inspection import inspect
from facedata.options import DedupOptions
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import arrays, tables
from facekit.storage.walking import Files, also

NAMES = {"image_id_a": "file_a", "image_id_b": "file_b"}
SMALLEST = {"smallest": Geometry(height=16, width=16)}  # a size has to be packed; none is needed


def find_in_folder(folder: Path, options: DedupOptions, num_workers: int) -> pd.DataFrame:
    """Return the pairs of pictures below a folder that show the same.

    Args:
        folder: is read alone; what is measured lies in a temporary folder meanwhile.
        options: which pairs count.
        num_workers: processes, or threads; the result does not depend on it.

    Returns:
        file_a, file_b (below the folder), kind, cluster, distance, difference, as
        `duplicates.parquet` has them; sorted by cluster and names.

    Raises:
        DataError: there are no pictures, or none that can be read.
    """
    files = Files(folder)
    paths = files.images("")
    if not paths:
        raise DataError(f"{folder}: no pictures below it{also(files.passed_over)}")
    index = pd.DataFrame({"image_id": paths, "path": paths}, dtype="str")
    with tempfile.TemporaryDirectory() as kept:
        images, inspection = Path(kept, "images"), Path(kept, "inspection.parquet")
        table = pa.Table.from_pandas(index, preserve_index=False)
        inspect.inspect(table, folder, SMALLEST, num_workers, images, inspection)
        facts = tables.read(inspection, INSPECTION)
        thumbs = arrays.read_thumbs(images / f"{inspect.THUMBS}.npy")
        found = dedup.find_duplicates(index[["image_id"]], facts, thumbs, options, [], num_workers)
    order = ["image_id_a", "image_id_b", "kind", "cluster", "distance", "difference"]
    found = found[order].sort_values(["cluster", "image_id_a", "image_id_b"], ignore_index=True)
    return found.rename(columns=NAMES)
