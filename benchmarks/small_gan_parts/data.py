"""Train and held-out faces of a labelled set, and where their landmarks are."""

import itertools
import json
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from facedata.options import FacesOptions
from facedata.packs import storage
from facedata.packs.storage import Pack, read_pack
from facekit.storage import files

HELD_OUT = 0.2  # of each class
MARKED_SIZE = 96  # pixels a side at which landmarks are looked for
MOST_MARKED = 1500  # faces of a class
GENDERS, AGES = ["female", "male"], ["young", "middle", "old"]
SETTINGS = {
    "file": "labels.csv",
    "file_column": "file",
    "attributes": [
        {"name": "gender", "column": "gender", "kind": "categorical", "classes": GENDERS},
        {"name": "age", "column": "age", "kind": "numeric", "min": 0, "max": 120},
    ],
    "derived": [{"name": "age_group", "source": "age", "bins": [30, 60], "classes": AGES}],
}

log = logging.getLogger(__name__)


def prepare(root: Path, folder: Path, sizes: Sequence[int], workers: int) -> None:
    """Write packs train{size}.npy and test{size}.npy of a set; what is there is kept.

    Of near-duplicates one face stays. Classes are gender and age group; a fifth of each is held
    out.

    Args:
        root: labels.csv with file, gender and age, and the files it names.
        folder: to write to.
        sizes: pixels a side; that of the landmarks comes by itself.
        workers: processes that read images.
    """
    sizes = sorted({*sizes, MARKED_SIZE})
    if all((folder / f"test{size}.npy").is_file() for size in sizes):
        return
    folder.mkdir(parents=True, exist_ok=True)
    geometries = {f"g{s}": {"height": s, "width": s, "fit": "pad"} for s in sizes}
    _facedata(
        *(folder, "ingest", "--adapter", "table", "--root", str(root.resolve()), "--seed", "0"),
        *("--settings", json.dumps(SETTINGS), "--index", "index.parquet"),
        *("--rejected", "rejected.csv", "--notes", "notes.csv"),
    )
    _facedata(
        *(folder, "inspect", "--index", "index.parquet", "--root", str(root.resolve())),
        *("--geometries", json.dumps(geometries), "--workers", str(workers)),
        *("--inspection", "inspection.parquet", "--images", "images"),
    )
    _facedata(
        *(folder, "dedup", "--index", "index.parquet", "--inspection", "inspection.parquet"),
        *("--thumbs", "images/thumbs.npy", "--duplicates", "duplicates.parquet"),
        *("--workers", str(workers), "--max-distance", "10"),
    )
    _write_packs(folder, sizes)


def _facedata(folder: Path, *words: str) -> None:
    subprocess.run(["facedata", *words], cwd=folder, check=True)


def _write_packs(folder: Path, sizes: Sequence[int]) -> None:
    index = pd.read_parquet(folder / "index.parquet")
    pairs = pd.read_parquet(folder / "duplicates.parquet")
    inspection = pd.read_parquet(folder / "inspection.parquet").set_index("image_id")
    members: dict[int, set[str]] = {}
    for pair in pairs.to_dict("records"):
        ids = {pair["image_id_a"], pair["image_id_b"]}
        members.setdefault(pair["cluster"], set()).update(ids)
    dropped = {each for ids in members.values() for each in sorted(ids)[1:]}
    usable = ~index["image_id"].isin(dropped) & index["gender"].notna() & index["age_group"].notna()
    table = index[usable].reset_index(drop=True)
    classes = [list(values) for values in itertools.product(GENDERS, AGES)]
    table["class"] = [
        classes.index(list(each)) for each in zip(table.gender, table.age_group, strict=True)
    ]
    rng = np.random.default_rng(0)
    is_held_out = np.zeros(len(table), bool)
    for class_id in range(len(classes)):
        rows = rng.permutation(np.flatnonzero(table["class"] == class_id))
        is_held_out[rows[: round(HELD_OUT * len(rows))]] = True
    rows = inspection.loc[table["image_id"], "row"].to_numpy()
    for size in sizes:
        images = storage.read_images(folder / f"images/g{size}.npy")
        box = [int(inspection[f"g{size}_{k}"].median()) for k in ("left", "top", "right", "bottom")]
        for name, chosen in (("train", ~is_held_out), ("test", is_held_out)):
            storage.write_pack(
                folder / f"{name}{size}.npy",
                images,
                table.loc[chosen, ["image_id", "class", "gender", "age_group"]],
                ["gender", "age_group"],
                classes,
                box,
                rows[chosen],
            )


def packs(folder: Path, size: int) -> tuple[Pack, Pack]:
    """Return train and held-out faces of a size."""
    return read_pack(folder / f"train{size}.npy"), read_pack(folder / f"test{size}.npy")


def landmarks(folder: Path, kept: Path) -> np.ndarray:
    """Return eyes, nose and corners of the mouth of train faces, in parts of the side.

    Of each class at most MOST_MARKED are looked for, once.

    Args:
        folder: of the packs.
        kept: file that keeps what was found.

    Returns:
        float [N, 5, 2], x and y; NaN where none were looked for or found.
    """
    pack = read_pack(folder / f"train{MARKED_SIZE}.npy")
    if not kept.is_file():
        from facedata.inspection.faces import detect_faces  # loads the detector's packages

        chosen = np.sort(
            np.concatenate(
                [np.flatnonzero(pack.labels == i)[:MOST_MARKED] for i in range(len(pack.classes))]
            )
        )
        log.info("landmarks of %d faces, once", len(chosen))
        options = FacesOptions(min_face_share=0.3)
        table = detect_faces(pack.images, chosen, options, torch.device("cpu"))
        names = [column for column in table.columns if column.endswith(("_x", "_y"))]
        points = np.full([len(pack.images), 5, 2], np.nan)
        points[chosen] = table[names].to_numpy(float).reshape(-1, 5, 2) / MARKED_SIZE
        points[chosen[table["non_face"].to_numpy()]] = np.nan
        with files.replacing(kept) as part, part.open("wb") as file:
            np.save(file, points)
    return np.load(kept)
