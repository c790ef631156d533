"""Cut: from whole photographs to one picture a face, upright and in one framing.

Faces are found and cut by the code that `classifiers predict --align` uses. What is cut lies in an
archive of its own; photographs are only read. What a chunk of them gives lies in a folder `.cut`
beside that archive until all is done, so that a run that was stopped goes on where it was.
"""

import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from facedata.columns import BOX, REJECTED
from facedata.ingest.adapters import Ingested
from facedata.inspection.align import FaceFinder, cut_face
from facedata.options import IngestOptions
from facekit.compute.workers import ordered_map
from facekit.digests.parts import ROOT, Code
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.pictures.canvas import Canvas
from facekit.progress import track
from facekit.storage import archives, files

log = logging.getLogger(__name__)

CHUNK = 16  # photographs that are lost when a run is stopped, for each process
WAYS = (("left", "top", "width", "height"), ("by_size",), ("from_left",))  # to name a face
PACKAGES = ("facenet-pytorch", "numpy", "pillow", "torch")  # that faces are found and cut by
# Landmarks of a face that just fills a square, in shares of its side (facedata.columns.LANDMARKS).
# Source: the reference points of arXiv:1801.07698 (ArcFace), of 112 px, as its code has them.
EYES = [38.2946, 51.6963], [73.5318, 51.5014]
NOSE = [56.0252, 71.7366]
MOUTH = [41.5493, 92.3655], [70.7299, 92.2041]
FILLING = np.array([*EYES, NOSE, *MOUTH]) / 112
# What became of the rows of some photographs, see `cut_chunk`.
CHOICES = pa.schema(
    [
        ("photograph", pa.int64()),
        *[("row", pa.int64()), ("face", pa.int64())],
        *[("reason", pa.string()), ("detail", pa.string())],
        *[(end, pa.float64()) for end in BOX],
        ("picture", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Photograph:
    """A photograph, and what the index says of it.

    Attributes:
        path: below the root.
        rows: of the index that are about it.
        named: the face that each of them means, by way (see `WAYS`); empty where it does not say.
    """

    path: str
    rows: tuple[int, ...]
    named: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Choice:
    """A face that a row of the index is about, or why there is none.

    Attributes:
        row: of the index; None for a face that no row is about.
        face: its number in the photograph, from 0, the largest first; None: there is none.
        reason: why it is not cut; empty where it is.
        detail: more about it.
    """

    row: int | None
    face: int | None
    reason: str = ""
    detail: str = ""


def cut_faces(
    found: Ingested, root: Path, options: IngestOptions, archive: Path, num_workers: int
) -> Ingested:
    """Return the index with a row a face in place of photographs; write the faces' pictures.

    Args:
        found: photographs as an adapter read them.
        root: folder that their paths are relative to.
        options: which faces are cut, and how.
        archive: gets the pictures, square PNG files; paths of the new index are relative to its
            folder.
        num_workers: processes; the result does not depend on it.

    Returns:
        A row a face: image_id is the photograph's with `#` and the face's number, the largest
        first; path, cut_from and cut_x0 to cut_y1 are of the face, all else is the photograph's. In
        `rejected` are photographs and rows without a face, and faces that no row is about
        (other_face).

    Raises:
        DataError: no face was cut at all.
    """
    photographs = _photographs(found)
    folder = _open_state(archive, options)
    cut = partial(cut_chunk, root=str(root), options=options, folder=folder)
    chunks = [
        (number, photographs[first : first + CHUNK])
        for number, first in enumerate(range(0, len(photographs), CHUNK))
    ]
    parts = []
    with files.replacing(archive) as part, zipfile.ZipFile(part, "w") as packed:
        done = ordered_map(cut, chunks, num_workers, 1)
        for path in track(done, f"faces cut, {CHUNK} photographs each", len(chunks)):
            table = pq.read_table(path)
            rows, pictures = table["row"].to_pylist(), table["picture"].to_pylist()
            for row, picture in zip(rows, pictures, strict=True):
                if picture is not None:
                    packed.writestr(zipfile.ZipInfo(_member(row)), picture)
            parts.append(table.drop_columns("picture"))
        as_pandas = {pa.int64(): pd.Int64Dtype()}.get
        choices = pa.concat_tables(parts).to_pandas(types_mapper=as_pandas)
        if choices["reason"].ne("").all():
            counts = choices["reason"].value_counts().items()
            told = ", ".join(f"{number} {reason}" for reason, number in counts)
            raise DataError(f"{root}: no face to cut in {len(photographs)} photographs: {told}")
    shutil.rmtree(folder.parent)
    return _of_faces(found, choices, archive.name)


def _photographs(found: Ingested) -> list[Photograph]:
    """Return the photographs of an index, in its order."""
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(found.index["path"]):
        rows.setdefault(path, []).append(row)
    said: list[dict[str, float]] = [{}] * len(found.index)
    if found.named is not None:
        complete = found.named.notna().all(axis=1)
        records = found.named.to_dict("records")
        said = [one if whole else {} for one, whole in zip(records, complete, strict=True)]
    return [
        Photograph(path, tuple(of), tuple(said[row] for row in of)) for path, of in rows.items()
    ]


def _open_state(archive: Path, options: IngestOptions) -> Path:
    """Return the folder of the chunks that are done; those that others would make are removed."""
    code = Code(ROOT, ("facekit", "facedata")).digest_of(__name__, cut_chunk.__name__)
    values = [code, [metadata.version(name) for name in PACKAGES], options.effective(), CHUNK]
    digest = hashlib.blake2b(json.dumps(values).encode(), digest_size=8)
    folder = archive.parent / ".cut" / digest.hexdigest()
    if not folder.is_dir():
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder


def _member(row: int) -> str:
    """Return a face's name in the archive: no text of anybody's is part of it."""
    return f"{row:07}.png"


def cut_chunk(
    chunk: tuple[int, Sequence[Photograph]], root: str, options: IngestOptions, folder: Path
) -> Path:
    """Cut the faces of some photographs, unless that was done before and the files are the same.

    Args:
        chunk: its number, and the photographs.
        root: folder that their paths are relative to.
        options: which faces are cut, and how.
        folder: gets a table of CHOICES: those fields of `Choice`, the box of the face, picture (the
            bytes of a PNG file; missing where none is cut), photograph (its first row in the
            index).

    Returns:
        The path of that table; its name says what it was made from.
    """
    number, photographs = chunk
    said = [[one.path, _stamp(f"{root}/{one.path}"), one.rows, one.named] for one in photographs]
    source = hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()
    path = folder / f"{number:07}-{source}.parquet"
    if path.is_file():
        return path
    records = [
        record for one in photographs for record in _records(one, f"{root}/{one.path}", options)
    ]
    with files.replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(records, CHOICES), part)
    return path


def _stamp(path: str) -> object:
    """Return what tells a file from what it was before."""
    try:
        return archives.stamp(path)
    except OSError as error:
        return str(error)


def _records(photograph: Photograph, path: str, options: IngestOptions) -> Iterator[dict]:
    """Yield a record for each choice of a photograph, as in `cut_chunk`."""
    geometry, framing = Canvas(height=options.side, width=options.side), framing_of(options)
    of = {"photograph": photograph.rows[0]}
    try:
        pixels = decode.decode(decode.read(path), {})
    except decode.Unusable as problem:
        for row in photograph.rows:
            yield {**of, "row": row, "reason": str(problem), "detail": "cannot be decoded"}
        return
    boxes, points = _finder(options.min_probability).find(pixels)
    for choice in choose(photograph, boxes, options):
        record = {**of, **vars(choice)}
        if choice.face is not None:
            record |= dict(zip(BOX, boxes[choice.face].tolist(), strict=True))
            if not choice.reason:
                picture = cut_face(pixels, points[choice.face], framing, geometry)
                record["picture"] = _encoded(picture)
        yield record


@cache
def _finder(min_probability: float) -> FaceFinder:
    """Return this process's finder; with one thread, so that no process's result differs."""
    torch.set_num_threads(1)
    return FaceFinder(min_probability, torch.device("cpu"))


def framing_of(options: IngestOptions) -> np.ndarray:
    """Return where landmarks lie in a picture that is cut, float64 [5, 2] in pixels."""
    return options.side * (FILLING + options.margin) / (1 + 2 * options.margin)


def _encoded(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def choose(photograph: Photograph, boxes: np.ndarray, options: IngestOptions) -> list[Choice]:
    """Return what becomes of the rows about a photograph, and of faces that none is about.

    A face counts that is not much smaller than the largest: those of passers-by do not. A row that
    names a face gets the one whose centre lies in its box and that overlaps with it most, or the
    one of its number. Others are about the photograph's only face, or as `several` says.

    Args:
        photograph: and its rows.
        boxes: of the faces found in it, the largest first, [n, 4] (x0, y0, x1, y1).
        options: the rules.

    Returns:
        A choice a row, in their order, then the other faces that count, if any row got one.
    """
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    counted = np.flatnonzero(sides >= options.several_share * sides.max(initial=0.0))
    found: list[Choice] = []
    taken: dict[int, int] = {}  # face -> row
    for row, named in zip(photograph.rows, photograph.named, strict=True):
        choice = _choice(row, named, boxes, counted, options)
        if choice.face in taken:
            detail = "another row of the photograph is about the same face"
            choice = Choice(row, choice.face, "face_taken", detail)
        elif choice.face is not None:
            taken[choice.face] = row
        found.append(choice)
    if taken:
        found += [
            Choice(None, int(face), "other_face", "no row is about it")
            for face in counted
            if face not in taken
        ]
    return found


def _choice(
    row: int,
    named: dict[str, float],
    boxes: np.ndarray,
    counted: np.ndarray,
    options: IngestOptions,
) -> Choice:
    """Return the face that a row is about."""
    if not len(boxes):
        return Choice(row, None, "no_face", "no face was found")
    if "left" in named:
        box = np.array([named[name] for name in WAYS[0]])
        box[2:] += box[:2]
        face = _face_in(box, boxes)
        if face is None:
            detail = f"{len(boxes)} faces, none in the box {box[0]:g}, {box[1]:g} to"
            return Choice(row, None, "no_such_face", f"{detail} {box[2]:g}, {box[3]:g}")
        return Choice(row, face)
    for way, number in named.items():
        order = counted
        if way == "from_left":
            order = counted[np.argsort(boxes[counted, 0] + boxes[counted, 2], kind="stable")]
        if number not in range(1, len(order) + 1):
            detail = f"number {number:g}, but {len(order)} found"
            return Choice(row, None, "no_such_face", detail)
        return Choice(row, int(order[int(number) - 1]))
    if len(counted) > 1 and options.several == "list":
        return Choice(row, None, "several_faces", f"{len(counted)} faces, none is named")
    return Choice(row, 0)


def _face_in(box: np.ndarray, boxes: np.ndarray) -> int | None:
    """Return the face whose centre lies in a box and that overlaps with it most; None: none."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= box[:2]) & (centres <= box[2:])).all(axis=1)
    if not inside.any():
        return None
    shared = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    shared, areas = np.prod(shared, axis=1), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    overlap = shared / (areas + np.prod(box[2:] - box[:2]) - shared)
    return int(np.argmax(np.where(inside, overlap, -1)))


def _of_faces(found: Ingested, choices: pd.DataFrame, archive: str) -> Ingested:
    """Return the tables of faces, as in `cut_faces`."""
    is_cut = choices["reason"] == ""
    cut = choices[is_cut].sort_values("row")
    rows = cut["row"].to_numpy(dtype=np.int64)
    faces = cut["face"].to_numpy(dtype=np.int64) + 1
    photographs = found.index.iloc[rows].reset_index(drop=True)
    ids = [_image_id(*one) for one in zip(photographs["image_id"], faces, strict=True)]
    columns = {"cut_from": photographs["path"]}
    columns |= {f"cut_{end}": np.round(cut[end].to_numpy(), 1) for end in BOX}
    paths = [f"{archive}/{_member(row)}" for row in rows]
    index = photographs.assign(
        image_id=pd.array(ids, dtype="str"), path=pd.array(paths, dtype="str")
    )
    place = index.columns.get_loc("official_split") + 1
    for name, values in reversed(columns.items()):
        index.insert(place, name, values)

    left = choices[~is_cut].sort_values(["photograph", "row", "face"], kind="stable")
    records = []
    for one in left.itertuples():
        image_id = found.index["image_id"].iloc[one.photograph]
        if pd.isna(one.row):
            records.append((_image_id(image_id, one.face + 1), pd.NA, one.reason, one.detail))
        else:
            number = found.index["table_row"].iloc[one.row]
            records.append((image_id, number, one.reason, one.detail))
    rejected = pd.DataFrame(records, columns=REJECTED.names).astype(REJECTED.dtypes(REJECTED.names))
    rejected = pd.concat([found.rejected, rejected], ignore_index=True)
    return Ingested(index, rejected, found.notes, found.passed_over)


def _image_id(photograph: str, face: int) -> str:
    return f"{photograph}#{face}"
