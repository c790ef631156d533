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
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from facedata.columns import BOX, FACES, REJECTED
from facedata.ingest.adapters import Ingested
from facedata.ingest.boxes import PIXELS, SHARES
from facedata.inspection import align
from facedata.options import IngestOptions
from facekit.compute.workers import ordered_map
from facekit.digests.parts import ROOT, Code
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.pictures.canvas import Canvas
from facekit.progress import track
from facekit.storage import archives, files, tables

log = logging.getLogger(__name__)

CHUNK = 16  # photographs that are lost when a run is stopped, for each process
# To name a face: by a box, in pixels or in shares of the photograph's sides, or by a number.
WAYS = (PIXELS, SHARES, ("by_size",), ("from_left",))
TINY = align.SMALLEST**2  # px, of a face's box
EDGE = 0.1  # share of a cut picture that lies outside of the photograph: its face is at the edge
PACKAGES = ("facenet-pytorch", "numpy", "pillow", "torch")  # that faces are found and cut by
# What became of the rows of some photographs, see `cut_chunk`.
CHOICES = pa.schema(
    [
        ("photograph", pa.int64()),
        *[("row", pa.int64()), ("face", pa.int64())],
        *[("reason", pa.string()), ("detail", pa.string())],
        *[(end, pa.float64()) for end in BOX],
        *[("mode", pa.string()), ("turned", pa.bool_()), ("outside", pa.float64())],
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


@dataclass(frozen=True)
class Frame:
    """How faces lie in pictures that are cut.

    Attributes:
        height, width: of the pictures in pixels.
        points: where landmarks lie, [x, y] of each in pixels.
    """

    height: int
    width: int
    points: tuple[tuple[float, float], ...]

    @classmethod
    def declared(cls, options: IngestOptions) -> Self:
        """Return that of squares with a margin."""
        side = options.side
        canvas = Canvas(height=side, width=side, fit="face", margin=options.margin)
        return cls(side, side, _pairs(align.framing_of(canvas)))

    @classmethod
    def like(cls, faces: Path, size: Canvas, options: IngestOptions) -> Self:
        """Return that of a data set's thumbnails; the declared one where it has none, as drawings.

        Args:
            faces: what `facedata faces` found in them.
            size: of the packed images that were looked at.
            options: their `side` is that of the longer side.
        """
        wanted = ["image_id", "non_face", *align.POINT_COLUMNS]
        points = align.measure_framing(tables.read(faces, FACES, wanted))
        if points is None:
            return cls.declared(options)
        scale = options.side / max(size.height, size.width)
        height, width = (round(side * scale) for side in (size.height, size.width))
        by = np.array([width / size.width, height / size.height])
        return cls(height, width, _pairs(np.array(points) * by))


def _pairs(points: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)


def cut_faces(
    found: Ingested,
    root: Path,
    options: IngestOptions,
    archive: Path,
    num_workers: int,
    frame: Frame | None = None,
) -> Ingested:
    """Return the index with a row a face in place of photographs; write the faces' pictures.

    Args:
        found: photographs as an adapter read them.
        root: folder that their paths are relative to.
        options: which faces are cut, and how.
        archive: gets the pictures, PNG files; paths of the new index are relative to its folder.
        num_workers: processes; the result does not depend on it.
        frame: how faces lie in them; None: as the options declare.

    Returns:
        A row a face: image_id is the photograph's with `#` and the face's number, the largest
        first; path, cut_from and cut_x0 to cut_y1 are of the face, all else is the photograph's. In
        `rejected` are photographs and rows without a face, and faces that no row is about
        (other_face).

    Raises:
        DataError: no face was cut at all.
    """
    photographs = _photographs(found)
    frame = Frame.declared(options) if frame is None else frame
    folder = _open_state(archive, options, frame)
    cut = partial(cut_chunk, root=str(root), options=options, frame=frame, folder=folder)
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


def _open_state(archive: Path, options: IngestOptions, frame: Frame) -> Path:
    """Return the folder of the chunks that are done; those that others would make are removed."""
    code = Code(ROOT, ("facekit", "facedata")).digest_of(__name__, cut_chunk.__name__)
    values = [code, [metadata.version(name) for name in PACKAGES], options.effective(), CHUNK]
    values.append(vars(frame))
    digest = hashlib.blake2b(json.dumps(values).encode(), digest_size=8)
    return files.state_folder(archive.parent / ".cut", digest.hexdigest())


def _member(row: int) -> str:
    """Return a face's name in the archive: no text of anybody's is part of it."""
    return f"{row:07}.png"


def cut_chunk(
    chunk: tuple[int, Sequence[Photograph]],
    root: str,
    options: IngestOptions,
    frame: Frame,
    folder: Path,
) -> Path:
    """Cut the faces of some photographs, unless that was done before and the files are the same.

    Args:
        chunk: its number, and the photographs.
        root: folder that their paths are relative to.
        options: which faces are cut.
        frame: how they lie in the pictures.
        folder: gets a table of CHOICES: those fields of `Choice`, the box of the face, picture (the
            bytes of a PNG file; missing where none is cut), which share of it lies outside of the
            photograph, photograph (its first row in the index), its mode, whether EXIF turns it.

    Returns:
        The path of that table; its name says what it was made from.
    """
    number, photographs = chunk
    stamps = [archives.stamp_or_none(f"{root}/{one.path}") for one in photographs]
    about = zip(photographs, stamps, strict=True)
    said = [[one.path, stamp, one.rows, one.named] for one, stamp in about]
    source = hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()
    path = folder / f"{number:07}-{source}.parquet"
    if path.is_file():
        return path
    records = [
        record
        for one in photographs
        for record in _records(one, f"{root}/{one.path}", options, frame)
    ]
    with files.replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(records, CHOICES), part)
    return path


def _records(
    photograph: Photograph, path: str, options: IngestOptions, frame: Frame
) -> Iterator[dict]:
    """Yield a record for each choice of a photograph, as in `cut_chunk`."""
    canvas, framing = Canvas(height=frame.height, width=frame.width), np.array(frame.points)
    of: dict[str, Any] = {"photograph": photograph.rows[0]}
    facts: dict[str, Any] = {}
    try:
        data = decode.read(path)
        pixels = decode.decode(data, facts)
    except decode.Unusable as problem:
        for row in photograph.rows:
            yield {**of, "row": row, "reason": str(problem), "detail": "cannot be decoded"}
        return
    of |= {"mode": facts["mode"], "turned": decode.is_turned(data)}
    size = facts["width"], facts["height"]
    photograph = _in_pixels(photograph, size)
    boxes, points = _find(photograph, pixels, align.finder_here(options.min_probability))
    for choice in choose(photograph, boxes, options, size):
        record = {**of, **vars(choice)}
        if choice.face is not None:
            record |= dict(zip(BOX, boxes[choice.face].tolist(), strict=True))
            if not choice.reason:
                face = points[choice.face]
                record["picture"] = _encoded(align.cut_face(pixels, face, framing, canvas))
                record["outside"] = align.share_outside(size, face, framing, canvas)
        yield record


def _in_pixels(photograph: Photograph, size: tuple[int, int]) -> Photograph:
    """Return a photograph whose boxes are in pixels; its width and height are given."""
    scale = [*size, *size]

    def converted(named: dict[str, float]) -> dict[str, float]:
        if SHARES[0] not in named:
            return named
        return {name: named[way] * by for name, way, by in zip(PIXELS, SHARES, scale, strict=True)}

    return replace(photograph, named=tuple(map(converted, photograph.named)))


def _find(
    photograph: Photograph, pixels: np.ndarray, finder: align.FaceFinder
) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces of a photograph, the largest first, as `FaceFinder.find`.

    Where a box is said to have a face and none was found, it is looked at close up.
    """
    boxes, points = finder.find(pixels)
    for box in map(_box_of, photograph.named):
        if box is None or _face_in(box, boxes) is not None:
            continue
        near, near_points = align.find_near(finder, pixels, box)
        face = _face_in(box, near)
        if face is not None:
            boxes = np.concatenate([boxes, near[face : face + 1]])
            points = np.concatenate([points, near_points[face : face + 1]])
    order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    return boxes[order], points[order]


def _box_of(named: dict[str, float]) -> np.ndarray | None:
    """Return the box by which a row names a face, x0, y0, x1, y1 in pixels; None: there is none."""
    if PIXELS[0] not in named:
        return None
    box = np.array([named[name] for name in PIXELS])
    box[2:] += box[:2]
    return box


def _encoded(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def choose(
    photograph: Photograph, boxes: np.ndarray, options: IngestOptions, size: tuple[int, int]
) -> list[Choice]:
    """Return what becomes of the rows about a photograph, and of faces that none is about.

    A face counts that is not much smaller than the largest: those of passers-by do not. A row that
    names a face gets the one whose centre lies in its box and that overlaps with it most, or the
    one of its number. Others are about the photograph's only face, or as `several` says.

    Args:
        photograph: and its rows.
        boxes: of the faces found in it, the largest first, [n, 4] (x0, y0, x1, y1).
        options: the rules.
        size: width and height of the photograph in pixels.

    Returns:
        A choice a row, in their order, then the other faces that count, if any row got one.
    """
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    counted = np.flatnonzero(sides >= options.several_share * sides.max(initial=0.0))
    found: list[Choice] = []
    taken: dict[int, int] = {}  # face -> row
    for row, named in zip(photograph.rows, photograph.named, strict=True):
        choice = _choice(row, named, boxes, counted, options, size)
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
    size: tuple[int, int],
) -> Choice:
    """Return the face that a row is about."""
    box = _box_of(named)
    if box is not None and ((box[2:] <= 0) | (box[:2] >= size)).any():
        detail = f"of the photograph of {size[0]} x {size[1]} px"
        return Choice(row, None, "box_outside", f"{_told(box)} lies outside {detail}")
    if not len(boxes):
        return Choice(row, None, "no_face", "no face was found")
    if box is not None:
        face = _face_in(box, boxes)
        if face is None:
            detail = f"{len(boxes)} faces, none in {_told(box)}"
            return Choice(row, None, "no_such_face", detail)
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


def _told(box: np.ndarray) -> str:
    return f"the box {box[0]:g}, {box[1]:g} to {box[2]:g}, {box[3]:g}"


def _face_in(box: np.ndarray, boxes: np.ndarray) -> int | None:
    """Return the face whose centre lies in a box and that overlaps with it most; None: none."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= box[:2]) & (centres <= box[2:])).all(axis=1)
    if not inside.any():
        return None
    return int(np.argmax(np.where(inside, align.overlap(box, boxes), -1)))


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
    return replace(found, index=index, rejected=rejected, named=None, said=tuple(_said(choices)))


def _said(choices: pd.DataFrame) -> Iterator[str]:
    """Yield what photographs and cut faces are besides plain, and how many, in words."""
    photographs = choices.drop_duplicates("photograph")
    total = len(photographs)
    modes = photographs["mode"].dropna().value_counts().drop("RGB", errors="ignore").items()
    kinds = [f"{number} {mode}" for mode, number in modes]
    if num_turned := int((photographs["turned"] == True).sum()):  # noqa: E712  also missing
        kinds.append(f"{num_turned} turned upright as EXIF says")
    if kinds:
        yield f"of {total} photographs {', '.join(kinds)}"
    cut = choices[choices["reason"] == ""]
    x0, y0, x1, y1 = (cut[end] for end in BOX)
    kinds = [
        f"{number} {what}"
        for what, number in (
            (f"smaller than {align.SMALLEST} px", int((((x1 - x0) * (y1 - y0)) < TINY).sum())),
            ("at the edge, which is repeated", int((cut["outside"] > EDGE).sum())),
        )
        if number
    ]
    if kinds:
        yield f"of {len(cut)} faces {', '.join(kinds)}"


def _image_id(photograph: str, face: int) -> str:
    return f"{photograph}#{face}"
