"""What pictures show, measured: pixels, faces, copies, features. Each stage is kept in a folder.

The stages are those of `facedata`; a stage whose photographs are the same is not done again.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from evenface.check.sources import Photographs
from facedata import columns
from facedata.duplicates import dedup
from facedata.inspection import inspect
from facedata.options import DedupOptions, FacesOptions
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import box_columns
from facekit.storage import archives, arrays, files, tables

log = logging.getLogger(__name__)

LOOK, CLOSER = "look", "closer"  # names of packed sizes
SIZES = {LOOK: 128, CLOSER: 320}  # pixels a side
CLOSER_SHARE = 0.06  # smallest face of a picture looked for where a first look finds none
FEATURE_BATCH = 256
MARGIN = 1.3  # side of the part that features are of, in sides of the face's box
BOX = ["x0", "y0", "x1", "y1"]


@dataclass
class Looks:
    """What was measured of photographs, in the order of the index.

    Attributes:
        facts: as `inspection.parquet` has them.
        images: packed pictures, uint8 [M, 128, 128, 3]; `facts.row` tells which.
        boxes: content box of each of them there, int64 [M, 4]: left, top, right, bottom.
        faces: of each photograph: num_faces, several_faces, probability, and in shares of its
            width and height the box x0, y0, x1, y1; roll, degrees (NaN: no face). Missing where it
            did not decode. None where faces were not looked for.
        pairs: copies: image_id_a, image_id_b, kind, cluster.
        features: of each packed picture, of its face where one was found, float32 [M, 1280].
        seconds: by stage; 0 for one that was done before.
    """

    facts: pd.DataFrame
    images: np.ndarray
    boxes: np.ndarray
    faces: pd.DataFrame | None
    pairs: pd.DataFrame
    features: np.ndarray
    seconds: dict[str, float] = field(default_factory=dict)


Tell = Callable[[str], None]


class Stages:
    """Stages whose outputs lie in a folder, each beside a key that says what it was made of."""

    def __init__(self, folder: Path, key: str, tell: Tell) -> None:
        """Remember where outputs lie.

        Args:
            folder: of the outputs.
            key: of the photographs, see `key_of`.
            tell: gets a line a stage.
        """
        self.folder, self.key, self.tell = folder, key, tell
        self.seconds: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name: str, more: object = None) -> bool:
        """Tell whether a stage was done for these photographs with these settings."""
        path = self.folder / f"{name}.key"
        return path.is_file() and path.read_text() == self._key(more)

    def _key(self, more: object) -> str:
        return f"{self.key} {more!r}"

    @contextmanager
    def doing(self, name: str, title: str, more: object = None):
        """Do a stage: its time is taken, and its key is written when it is done."""
        path = self.folder / f"{name}.key"
        path.unlink(missing_ok=True)
        begun = time.monotonic()
        yield
        files.write_text(self._key(more), path)
        self.seconds[title] = round(time.monotonic() - begun, 1)
        self.tell(f"{title}: {self.seconds[title]:.0f} s")


def size_of(path: str) -> int:
    """Return the bytes of a file; 0 of one that cannot be read."""
    try:
        return archives.size(path) or 0
    except OSError:
        return 0


def key_of(photographs: Photographs) -> str:
    """Return a digest of the photographs' names, sizes and times, and of our version."""
    digest = hashlib.blake2b(metadata.version("evenface").encode(), digest_size=16)
    for path in photographs.index["path"]:
        stamp = archives.stamp_or_none(f"{photographs.root}/{path}")
        digest.update(json.dumps([path, stamp]).encode())
    return digest.hexdigest()


def look(
    photographs: Photographs, folder: Path, use_faces: bool, workers: int, device: str, tell: Tell
) -> Looks:
    """Measure the photographs, as far as that was not done before.

    Args:
        photographs: to look at.
        folder: keeps what is measured.
        use_faces: whether to look for faces.
        workers: processes, or threads.
        device: where networks run: auto, cpu or cuda.
        tell: gets a line a stage.

    Raises:
        DataError: none of them decodes.
    """
    stages = Stages(folder, key_of(photographs), tell)
    ids = photographs.index[["image_id", "path"]]
    facts = _inspect(stages, "inspection", ids, photographs.root, LOOK, workers)
    rows = facts["row"].dropna().to_numpy(dtype=np.int64)
    images = arrays.read_images(folder / LOOK / f"{LOOK}.npy")
    boxes = facts[box_columns(LOOK)].dropna().to_numpy(dtype=np.int64)
    pairs = _pairs(stages, ids, facts, workers)
    faces = None
    if use_faces:
        faces = _faces(stages, photographs, facts, images, workers, device)
    parts = boxes.astype(np.float64)
    if faces is not None:
        parts = around_faces(boxes, faces[facts["row"].notna().to_numpy()])
    features = _features(stages, images, parts, workers, device)
    assert len(boxes) == len(rows) == len(images) == len(features)
    return Looks(facts, images, boxes, faces, pairs, features, stages.seconds)


def _inspect(
    stages: Stages, name: str, ids: pd.DataFrame, root: Path, geometry: str, workers: int
) -> pd.DataFrame:
    """Return the facts of photographs; their packed pictures lie in a folder of this geometry."""
    path, images = stages.folder / f"{name}.parquet", stages.folder / geometry
    side = SIZES[geometry]
    more = (side, len(ids), _digest(ids))
    if not stages.kept(name, more):
        title = "Decoding" if geometry == LOOK else "Decoding once more, larger"
        with stages.doing(name, title, more):
            table = pa.Table.from_pandas(ids, preserve_index=False)
            sizes = {geometry: Geometry(height=side, width=side)}
            inspect.inspect(table, root, sizes, workers, images, path)
    return tables.read(path, columns.INSPECTION)


def _digest(ids: pd.DataFrame) -> str:
    return hashlib.blake2b(json.dumps(list(ids["path"])).encode(), digest_size=8).hexdigest()


def _pairs(stages: Stages, ids: pd.DataFrame, facts: pd.DataFrame, workers: int) -> pd.DataFrame:
    path = stages.folder / "duplicates.parquet"
    options = DedupOptions()
    if not stages.kept("duplicates", options):
        with stages.doing("duplicates", "Copies", options):
            thumbs = arrays.read_thumbs(stages.folder / LOOK / f"{inspect.THUMBS}.npy")
            known = ids[["image_id"]]
            found = dedup.find_duplicates(known, facts, thumbs, options, [], workers)
            tables.write(found, path)
    return tables.read(path, columns.DUPLICATES)


def around_faces(boxes: np.ndarray, faces: pd.DataFrame) -> np.ndarray:
    """Return what of packed pictures is looked at for labels: a square around the face.

    Without a face it is all of the picture.

    Args:
        boxes: content box of each picture, int [M, 4]: left, top, right, bottom.
        faces: of the same pictures, as in `Looks`.

    Returns:
        Boxes, float64 [M, 4]; may reach beyond the picture.
    """
    found = boxes.astype(np.float64)
    has_face = faces["non_face"].eq(False).to_numpy()
    left, top, right, bottom = found[has_face].T
    x0, y0, x1, y1 = faces.loc[has_face, BOX].to_numpy(dtype=np.float64).T
    x0, x1 = left + x0 * (right - left), left + x1 * (right - left)
    y0, y1 = top + y0 * (bottom - top), top + y1 * (bottom - top)
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, MARGIN * np.maximum(x1 - x0, y1 - y0) / 2
    found[has_face] = np.stack([x - half, y - half, x + half, y + half], axis=1)
    return found


def _cut(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return a part of a picture at the size of all, black beyond its edge; uint8 [S, S, 3]."""
    side = SIZES[LOOK]
    image = Image.fromarray(np.asarray(picture))
    left, top, right, bottom = box
    place = ((right - left) / side, 0, left, 0, (bottom - top) / side, top)
    size, way = (side, side), Image.Transform.AFFINE
    return np.asarray(image.transform(size, way, place, Image.Resampling.BICUBIC))


def _features(
    stages: Stages, images: np.ndarray, boxes: np.ndarray, workers: int, device: str
) -> np.ndarray:
    """Return ImageNet features of parts of pictures, float32 [M, 1280]."""
    from facekit.compute import machine
    from stylegan2.metrics import features

    path = stages.folder / "features.npy"
    key = hashlib.blake2b(boxes.tobytes(), digest_size=8).hexdigest()
    if not stages.kept("features", key):
        with stages.doing("features", "Features", key):
            where = machine.ready(workers, device)
            extractor = features.load_extractor("efficientnet_lite0", None, where)
            parts = (
                np.stack([_cut(images[row], boxes[row]) for row in rows])
                for rows in np.array_split(np.arange(len(images)), -(-len(images) // FEATURE_BATCH))
            )
            with arrays.appending(path, [extractor.size], np.float32) as append:
                for found in features.extract(extractor, parts, len(images), "features", where):
                    append(found)
    return arrays.read_features(path, 1280)


def _faces(
    stages: Stages,
    photographs: Photographs,
    facts: pd.DataFrame,
    images: np.ndarray,
    workers: int,
    device: str,
) -> pd.DataFrame:
    """Return the main face of each photograph, in shares of it; see `Looks`."""
    path, first = stages.folder / "faces.parquet", stages.folder / "faces_first.parquet"
    if not stages.kept("faces"):
        decoded = facts[facts["row"].notna()]
        if not stages.kept("faces_first"):
            with stages.doing("faces_first", "Faces"):
                tables.write(_detect(decoded, images, LOOK, FacesOptions(), workers, device), first)
        found = tables.read(first)
        # Where faces are small, a first look at 128 pixels finds none.
        larger = decoded[["width", "height"]].max(axis=1) > SIZES[LOOK]
        again = decoded.loc[found["non_face"].to_numpy() & larger.to_numpy(), "image_id"]
        ids = photographs.index.loc[photographs.index["image_id"].isin(again), ["image_id", "path"]]
        if len(ids):
            nearer = _inspect(stages, "closer", ids, photographs.root, CLOSER, workers)
        with stages.doing("faces", "Small faces"):
            if len(ids):
                pictures = arrays.read_images(stages.folder / CLOSER / f"{CLOSER}.npy")
                options = FacesOptions(min_face_share=CLOSER_SHARE)
                small = _detect(nearer, pictures, CLOSER, options, workers, device)
                small = small[~small["non_face"]]
                found = pd.concat([found[~found["image_id"].isin(small["image_id"])], small])
            tables.write(found, path)
    table = tables.read(path)
    return table.set_index("image_id").reindex(facts["image_id"]).reset_index()


def _detect(
    facts: pd.DataFrame,
    images: np.ndarray,
    geometry: str,
    options: FacesOptions,
    workers: int,
    device: str,
) -> pd.DataFrame:
    """Return image_id and faces of those that decoded; boxes and roll as in `Looks`."""
    from facedata.inspection import faces
    from facekit.compute import machine

    facts = facts[facts["row"].notna()]
    where = machine.ready(workers, device)
    found = faces.detect_faces(images, facts["row"].to_numpy(dtype=np.int64), options, where)
    left, top, right, bottom = facts[box_columns(geometry)].to_numpy(dtype=np.float64).T
    dy = found["right_eye_y"] - found["left_eye_y"]
    dx = found["right_eye_x"] - found["left_eye_x"]
    table = pd.DataFrame({"image_id": facts["image_id"].to_numpy(dtype=object)})
    for name in ("num_faces", "several_faces", "non_face", "probability"):
        table[name] = found[name]
    for name, first, last in (("x", left, right), ("y", top, bottom)):
        for end in "01":
            table[f"{name}{end}"] = (found[f"{name}{end}"] - first) / (last - first)
    return table.assign(roll=np.degrees(np.arctan2(dy, dx)))
