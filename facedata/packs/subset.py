"""Pack: the images of one split with their classes, for a GAN to learn from."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from facedata import columns
from facedata.columns import attributes_of
from facedata.curation.trusted import is_trusted
from facedata.options import PackOptions
from facedata.packs import storage
from facekit.errors import DataError
from facekit.pictures.geometry import box_columns
from facekit.storage import arrays, tables

log = logging.getLogger(__name__)


def find_classes(labels: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the joint classes that occur, in the order of the attributes' classes.

    Args:
        labels: category columns without missing values, one row an image.
    """
    codes = labels.apply(lambda values: values.cat.codes).drop_duplicates()
    codes = codes.sort_values(list(codes))
    return list(labels.loc[codes.index].astype(str).itertuples(index=False, name=None))


def pack_files(
    path: Path,
    curated: Path,
    splits: Path,
    inspection: Path,
    images: Path,
    split: str,
    options: PackOptions,
) -> None:
    """Write the pack of a split from what the stages before made; see `pack_split`.

    Args:
        path: of the pack, `.npy`.
        curated: images that stayed.
        splits: split of each.
        inspection: where content lies in the packed images.
        images: packed images, whose file has the name of their geometry.
        split: train, val or test.
        options: attributes that make the classes.

    Raises:
        DataError: as for `pack_split`; or a file is broken, or they do not belong together.
    """
    table = tables.read(curated, columns.CURATED, ["image_id", "row"])
    boxes = box_columns(images.stem)
    facts = tables.read(inspection, columns.INSPECTION, ["image_id", *boxes])
    facts = tables.rows_of(facts, table["image_id"], inspection)
    assigned = tables.read(splits, columns.SPLITS, ["image_id", "split"])
    assigned = tables.rows_of(assigned, table["image_id"], splits)
    content = facts[boxes].to_numpy(dtype="int64")
    pixels = arrays.read_images(images, table["row"].to_numpy(dtype="int64"))
    pack_split(path, pixels, table, assigned, content, split, options)


def pack_split(
    path: Path,
    images: np.ndarray,
    curated: pd.DataFrame,
    splits: pd.DataFrame,
    boxes: np.ndarray,
    split: str,
    options: PackOptions,
) -> None:
    """Write the pack of a split.

    Images without a label of the condition are left out, and those of train whose labels weigh
    nothing.

    Class ids are those of train in every pack, so that packs of one run can be compared: joint
    classes that occur in train, in the order of the attributes' classes.

    Args:
        path: of the pack, `.npy`.
        images: packed images, uint8 [M, H, W, 3].
        curated: images that stayed: image_id, row, weight (may lack) and attributes.
        splits: split of the same images, in the same order.
        boxes: content boxes (left, top, right, bottom) in pixels of the same images, int [N, 4].
        split: train, val or test.
        options: attributes that make the classes; none: unconditional, all images are of class 0.

    Raises:
        DataError: an attribute cannot make classes, or no image is left.
    """
    condition = list(options.condition)
    for name in condition:
        if name not in attributes_of(curated):
            found = ", ".join(attributes_of(curated))
            raise DataError(f"--condition: no attribute {name!r}, there are {found}")
        if not isinstance(curated[name].dtype, pd.CategoricalDtype):
            raise DataError(f"--condition: {name} is numeric; make classes of it by bins")

    trusted = is_trusted(curated, splits["split"])
    labels = curated[condition]
    labelled = labels.notna().all(axis=1)
    in_train = labelled & trusted & (splits["split"] == "train")
    classes = find_classes(labels[in_train]) if condition else []
    storage.check_names([storage.class_name(values) for values in classes], "--condition")
    ids = {values: number for number, values in enumerate(classes)}
    names = labels.astype(object).itertuples(index=False, name=None)
    number = [ids.get(values) if condition else 0 for values in names]
    table = curated.assign(**{"class": pd.array(number, dtype="Int64")})

    chosen = trusted & (splits["split"] == split)
    wanted = chosen & table["class"].notna()
    if not wanted.any():
        raise DataError(f"--split {split}: none of its {chosen.sum()} images has a class to pack")
    if wanted.sum() < chosen.sum():
        log.warning(
            "%d of %d images have no class and are left out", (chosen & ~wanted).sum(), chosen.sum()
        )
    box = np.median(boxes[wanted.to_numpy()], axis=0).round().astype(int)
    storage.write_pack(
        path,
        images,
        table[wanted],
        condition,
        classes,
        box,
        rows=table.loc[wanted, "row"].to_numpy(dtype=np.int64),
    )
    log.info("%d images in %d classes", wanted.sum(), max(len(classes), 1))
