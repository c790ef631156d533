"""Inspect: one decode of every image gives its facts, its hashes and the packed thumbnails.

No file stops the stage: one that cannot be used is listed with a reason word in `problem`.

Images are worked on in chunks. What a chunk gives lies in a folder `.inspect` beside the packed
images until all is done, so that a run that was stopped goes on where it was. What was found is
kept (`facedata.inspection.kept`): the next run reads only files that are new or have changed.
"""

import hashlib
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from facedata.columns import INSPECTION
from facedata.inspection import kept
from facekit.compute.workers import ordered_map
from facekit.digests.parts import ROOT, Code
from facekit.errors import DataError
from facekit.pictures import decode, resample
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import box_columns, fit_images
from facekit.pictures.resample import Pictures
from facekit.progress import track
from facekit.storage import archives, arrays, arrow, files

log = logging.getLogger(__name__)

CHUNK = 256  # images that are lost when a run is stopped, for each process
BATCH = 8  # pictures of one size that are measured together
WAITING_BYTES = 32 << 20  # of pictures that wait for others of their size
ROW_GROUP = 64  # chunks; what the table's file is written in
QUALITY_SIDE = 128  # pixels; quality is measured with the longer side at no more than this
FRAMED = "face_framed"  # column: whether `fit: face` found a face
FINDERS = ("facenet-pytorch", "torch")  # packages that find faces
THUMBS = "thumbs"  # beside the geometries: the small gray pictures that duplicates are found by

FACTS = {
    "problem": "U16",
    "width": "i8",
    "height": "i8",
    "format": "U8",
    "mode": "U8",
    "num_frames": "i8",
    "num_bytes": "i8",
    "jpeg_quality": "i8",
    "pixel_hash": "U32",
    "phash": "u8",
    "phash_mirror": "u8",
    "sharpness": "f8",
    "brightness": "f8",
    "contrast": "f8",
    "entropy": "f8",
    "border_r": "f8",
    "border_g": "f8",
    "border_b": "f8",
    "border_std": "f8",
}
# Lowest eight waves of the cosine transform (DCT-II, orthonormal) over a thumbnail, [8, 32].
COSINES = np.cos(np.pi / 32 * np.arange(8)[:, None] * (np.arange(32) + 0.5)) / 4
COSINES[0] /= np.sqrt(2)


@dataclass(frozen=True)
class Chunk:
    """Images that are worked on at a time.

    Attributes:
        first: row of the first one in the index.
        paths: their files.
        known: of an earlier run; None: nothing.
    """

    first: int
    paths: list[str]
    known: kept.Known | None = None


def inspect(
    index: pa.Table,
    root: Path,
    geometries: Mapping[str, Geometry],
    num_workers: int,
    images_dir: Path,
    inspection: Path,
) -> None:
    """Decode every image of the index once; write the packed thumbnails and the facts.

    Args:
        index: image_id and path, one row an image.
        root: folder that the paths are relative to.
        geometries: sizes to pack, by name.
        num_workers: processes; the result does not depend on it.
        images_dir: gets `<geometry>.npy`, uint8 [N, H, W, 3], and `thumbs.npy`, uint8 [N, 32, 32]
            (as in `thumbnails`), of the images that decoded, in index order.
        inspection: gets one row an image of the index: image_id, row (in the packed arrays, NA if
            not decoded), problem (reason word, NA if none), and as far as known: width, height
            (pixels, upright), format, mode, num_frames, num_bytes (of the file), jpeg_quality
            (1 to 100), pixel_hash (32 hex digits, of size and RGB bytes), phash and phash_mirror
            (as in `phash`), sharpness, brightness, contrast, entropy (as in `quality`), border_r,
            border_g, border_b, border_std (as in `border`), face_framed (1 where `fit: face` found
            a face, 0 where not; if a geometry asks for it) and the content box of each geometry,
            such as gan_left, gan_top, gan_right, gan_bottom.

    Raises:
        DataError: no image can be used, or a geometry has the name of the thumbnails.
    """
    if THUMBS in geometries:
        raise DataError(f"geometry {THUMBS!r}: this name is taken; give it another one")
    images_dir = Path(images_dir)
    made_by = _made_by(geometries)
    folder = _open_state(images_dir, geometries, len(index), made_by)
    before = kept.Kept(images_dir, made_by, _dtypes(geometries))
    examine_one = partial(examine_chunk, geometries=dict(geometries), folder=folder)
    chunks = _chunks(index["path"], Path(root), before)
    schema = arrow.schema(INSPECTION, ["image_id", "row", *_dtypes(geometries)])
    is_decoded = np.zeros(len(index), dtype=bool)
    problems: Counter[str] = Counter()
    num_framed = 0
    waiting = []  # parts of the table
    stamps: list[kept.Stamp] = []
    with files.replacing(inspection) as part, pq.ParquetWriter(part, schema) as writer:
        found = ordered_map(examine_one, chunks, num_workers, 1)
        num_chunks = -(-len(index) // CHUNK)
        for first, facts, of_chunk in track(found, f"inspect, {CHUNK} images each", num_chunks):
            stamps += of_chunk
            image_ids = index["image_id"].slice(first, len(facts))
            row = int(np.count_nonzero(is_decoded[:first]))
            waiting.append(_table(image_ids, facts, row, schema))
            is_decoded[first : first + len(facts)] = facts["problem"] == ""
            problems.update(facts["problem"][facts["problem"] != ""].tolist())
            num_framed += int(facts[FRAMED].sum()) if _framed(geometries) else 0
            if len(waiting) == ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        writer.close()
        _check_problems(problems, len(index), root)
        for name in _shapes(geometries):
            _publish(folder / f"{name}.npy", images_dir / f"{name}.npy", is_decoded)
    kept.keep(images_dir, made_by, index["path"], stamps, inspection, list(_shapes(geometries)))
    shutil.rmtree(folder.parent)
    if _framed(geometries):
        _tell_without_face(int(is_decoded.sum()), num_framed, geometries)


def _framed(geometries: Mapping[str, Geometry]) -> dict[str, Geometry]:
    """Return the geometries that are cut out around a face."""
    return {name: size for name, size in geometries.items() if size.fit == "face"}


def _tell_without_face(
    num_images: int, num_framed: int, geometries: Mapping[str, Geometry]
) -> None:
    """Log how many images show no face, and what became of them."""
    from facedata.inspection import align

    canvases = list(geometries.values())
    told = align.told_without_face(num_images - num_framed, num_images, canvases, "images")
    log.log(logging.INFO if num_framed == num_images else logging.WARNING, "%s", told)


def _check_problems(problems: Mapping[str, int], num_images: int, root: Path) -> None:
    """Log how many images have a problem; stop when these are all of them."""
    num_problems = sum(problems.values())
    text = ", ".join(f"{count} {problem}" for problem, count in sorted(problems.items()))
    if num_problems == num_images:
        raise DataError(
            f"{root}: none of {num_images} images can be used ({text}); is it the right folder?"
        )
    log.info("%d of %d images decoded", num_images - num_problems, num_images)
    if text:
        log.warning("cannot be used: %s", text)


def _chunks(paths: pa.ChunkedArray, root: Path, before: kept.Kept) -> Iterator[Chunk]:
    rows = before.rows_of(paths)
    for first in range(0, len(paths), CHUNK):
        part = [f"{root}/{path}" for path in paths.slice(first, CHUNK).to_pylist()]
        known = None if rows is None else before.take(rows.slice(first, CHUNK))
        yield Chunk(first, part, known)


def _made_by(geometries: Mapping[str, Geometry]) -> str:
    """Return a digest of all that decides what is found of a file."""
    code = Code(ROOT, ("facekit", "facedata")).digest_of(__name__, examine_chunk.__name__)
    versions = [module.__version__ for module in (PIL, np, simplejpeg)]
    if _framed(geometries):
        versions += [metadata.version(name) for name in FINDERS]
    values = [code, versions, sorted(geometries.items())]
    return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


def _open_state(
    images_dir: Path, geometries: Mapping[str, Geometry], num_images: int, made_by: str
) -> Path:
    """Return the folder of the chunks that are done; those that others would make are removed."""
    folder = files.state_folder(images_dir / ".inspect", f"{made_by}-{num_images}-{CHUNK}")
    for name, shape in _shapes(geometries).items():
        if not (folder / f"{name}.npy").exists():
            arrays.create(folder / f"{name}.npy", (num_images, *shape))
    return folder


def _shapes(geometries: Mapping[str, Geometry]) -> dict[str, tuple[int, ...]]:
    shapes = {name: (size.height, size.width, 3) for name, size in geometries.items()}
    return shapes | {THUMBS: arrays.THUMB_SHAPE}


def _dtypes(geometries: Mapping[str, Geometry]) -> dict[str, str]:
    """Return the facts of an image and their numpy types, in order."""
    boxes = [column for name in geometries for column in box_columns(name)]
    framed = [FRAMED] if _framed(geometries) else []
    return FACTS | dict.fromkeys([*framed, *boxes], "i8")


def _table(
    image_ids: pa.ChunkedArray, facts: np.ndarray, first: int, schema: pa.Schema
) -> pa.Table:
    """Return the facts of a chunk as a table.

    Args:
        image_ids: N.
        facts: structured [N]; what is not known is empty, 0 or NaN.
        first: row of the first of its images in the packed arrays.
        schema: of the table.
    """
    is_decoded = facts["problem"] == ""
    row = first + np.cumsum(is_decoded) - 1
    found = [image_ids.cast(pa.large_string()), pa.array(row, mask=~is_decoded)]
    for name in facts.dtype.names or ():
        values = facts[name]
        if values.dtype.kind == "f":
            is_known = ~np.isnan(values)
        elif values.dtype.kind == "U" or (values.dtype.kind == "i" and name in FACTS):
            is_known = values != values.dtype.type()
        else:  # hashes, boxes and whether there is a face, which may be 0
            is_known = is_decoded
        found.append(pa.array(values, type=schema.field(name).type, mask=~is_known))
    return pa.table(found, schema=schema)


def _publish(source: Path, target: Path, is_decoded: np.ndarray) -> None:
    """Move packed pictures to their place, without rows for images that did not decode."""
    if is_decoded.all():
        with source.open("rb+") as file:
            os.fsync(file.fileno())
        source.replace(target)
        return
    pictures = np.load(source, mmap_mode="r")
    with arrays.appending(target, pictures.shape[1:]) as append:
        for first in range(0, len(pictures), CHUNK):
            append(pictures[first : first + CHUNK][is_decoded[first : first + CHUNK]])


def examine_chunk(
    chunk: Chunk, geometries: Mapping[str, Geometry], folder: Path
) -> tuple[int, np.ndarray, list[kept.Stamp]]:
    """Examine the images of a chunk, unless that was done before and the files are the same.

    Args:
        chunk: the images.
        geometries: sizes to pack, by name.
        folder: gets the facts, and the pictures into the rows of its arrays.

    Returns:
        The chunk's first row, the facts as `examine`, and the files' stamps.
    """
    stamps = [archives.stamp_or_none(path) for path in chunk.paths]
    about = list(zip(chunk.paths, stamps, strict=True))
    source = hashlib.blake2b(json.dumps(about).encode())
    path = folder / f"{chunk.first:09}.npz"
    names = list(_shapes(geometries))
    facts = _read_chunk(path, source.hexdigest(), names, chunk.first)
    if facts is None:
        facts, pictures = _examine_new(chunk, stamps, geometries)
        for name in names:
            arrays.write_rows(folder / f"{name}.npy", chunk.first, pictures[name])
        check = _checksum(pictures[name] for name in names)
        with files.replacing(path) as part, part.open("wb") as file:
            np.savez(file, source=source.hexdigest(), check=check, facts=facts)
    return chunk.first, facts, stamps


def _examine_new(
    chunk: Chunk, stamps: Sequence[kept.Stamp], geometries: Mapping[str, Geometry]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return what `examine` says of a chunk's files; those known are not read."""
    known = chunk.known.of_same(stamps) if chunk.known is not None else None
    if known is None or not len(known.places):
        return examine(chunk.paths, geometries)
    is_new = np.ones(len(chunk.paths), dtype=bool)
    is_new[known.places] = False
    new = np.flatnonzero(is_new)
    found, found_pictures = examine([chunk.paths[place] for place in new], geometries)
    facts = np.empty(len(is_new), dtype=found.dtype)
    facts[known.places], facts[new] = known.facts, found
    pictures = {}
    for name, part in found_pictures.items():
        pictures[name] = np.empty((len(is_new), *part.shape[1:]), dtype=part.dtype)
        pictures[name][known.places], pictures[name][new] = known.pictures(name), part
    return facts, pictures


def _read_chunk(path: Path, source: str, names: Sequence[str], first: int) -> np.ndarray | None:
    """Return the facts of a chunk made from the same files, if its pictures are there too."""
    try:
        with np.load(path) as saved:
            if saved["source"] != source:
                return None
            facts, check = saved["facts"], saved["check"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    rows = slice(first, first + len(facts))
    pictures = (np.load(path.with_name(f"{name}.npy"), mmap_mode="r")[rows] for name in names)
    return facts if _checksum(pictures) == check else None


def _checksum(arrays: Iterable[np.ndarray]) -> int:
    value = 0
    for array in arrays:
        value = zlib.crc32(array.data, value)
    return value


def examine(
    paths: Sequence[str], geometries: Mapping[str, Geometry]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the facts of files and their packed pictures.

    Args:
        paths: N files.
        geometries: sizes to pack, by name.

    Returns:
        Facts, structured [N]: empty, 0 or NaN where not known. Pictures of each geometry, uint8
        [N, H, W, 3], and under `thumbs` those of `thumbnails`: 0 where a file has a problem.
    """
    facts = np.zeros(len(paths), dtype=list(_dtypes(geometries).items()))
    for name, dtype in FACTS.items():
        if dtype == "f8":
            facts[name] = np.nan
    pictures = {
        name: np.zeros((len(paths), *shape), dtype=np.uint8)
        for name, shape in _shapes(geometries).items()
    }
    batches: dict[tuple[int, ...], dict[int, np.ndarray]] = {}  # by size, then by row
    num_waiting = 0  # bytes
    for row, path in enumerate(paths):
        found: dict[str, Any] = {}
        try:
            data = decode.read(path)
            found["num_bytes"] = len(data)
            picture = decode.decode(data, found)
        except decode.Unusable as problem:
            picture = None
            found["problem"] = str(problem)
        for name, value in found.items():
            facts[name][row] = value
        if picture is None:
            continue
        batch = batches.setdefault(picture.shape, {})
        batch[row] = picture
        num_waiting += picture.nbytes
        if len(batch) == BATCH or num_waiting > WAITING_BYTES:
            num_waiting -= len(batch) * picture.nbytes
            _measure(batches.pop(picture.shape), geometries, facts, pictures)
    for batch in batches.values():
        _measure(batch, geometries, facts, pictures)
    facts["phash"], facts["phash_mirror"] = phash(pictures[THUMBS])
    return facts, pictures


def _measure(
    batch: Mapping[int, np.ndarray],
    geometries: Mapping[str, Geometry],
    facts: np.ndarray,
    pictures: Mapping[str, np.ndarray],
) -> None:
    """Fill in what is made from decoded pictures of one size, given by row."""
    rows = list(batch)
    found = Pictures(list(batch.values()))
    pictures[THUMBS][rows] = thumbnails(found)
    for name, values in (quality(found) | border(found)).items():
        facts[name][rows] = values
    framed = _framed(geometries)
    for name, size in geometries.items():
        if name not in framed:
            pictures[name][rows], box = fit_images(found, size)
            _note_box(facts, name, rows, box)
    if framed:
        _frame(batch, framed, facts, pictures)


def _note_box(
    facts: np.ndarray, geometry: str, rows: int | Sequence[int], box: Sequence[int]
) -> None:
    for column, side in zip(box_columns(geometry), box, strict=True):
        facts[column][rows] = side


def _frame(
    batch: Mapping[int, np.ndarray],
    framed: Mapping[str, Geometry],
    facts: np.ndarray,
    pictures: Mapping[str, np.ndarray],
) -> None:
    """Fill in what is cut out around the main faces of decoded pictures, given by row."""
    from facedata.inspection import align

    for row, picture in batch.items():
        face = align.finder_here().main_face(picture)
        facts[FRAMED][row] = face is not None
        for name, size in framed.items():
            pictures[name][row], box = align.fit_face(picture, face, size)
            _note_box(facts, name, row, box)


def thumbnails(pictures: Pictures) -> np.ndarray:
    """Return pictures in gray at 32x32, whole, Lanczos-filtered; uint8 [N, 32, 32]."""
    height, width = arrays.THUMB_SHAPE
    spans = (0, pictures.width), (0, pictures.height)
    return resample.resize(pictures, width, height, "L", *spans)[..., 0]


def phash(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the perceptual hashes of pictures and of their mirror images, uint64 [N] each.

    The 8x8 lowest frequencies of the cosine transform of the thumbnail, row by row, the first in
    the highest bit: 1 where a coefficient exceeds their median.

    Args:
        thumbs: as `thumbnails` makes them, uint8 [N, 32, 32].

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    waves = COSINES @ thumbs.astype(np.float64) @ COSINES.T
    waves = waves.round(6)  # what should be 0 in a flat picture is 0
    mirror = waves * (-1) ** np.arange(8)  # mirroring changes the sign of odd waves
    hashes = []
    for coefficients in (waves, mirror):
        coefficients = coefficients.reshape(-1, 64)
        middle = np.sort(coefficients, axis=1)[:, 31:33].mean(axis=1, keepdims=True)
        bits = coefficients > middle
        hashes.append(np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64))
    return hashes[0], hashes[1]


def quality(pictures: Pictures) -> dict[str, np.ndarray]:
    """Return figures of pictures in gray, averaged over squares until a side has at most 128 px.

    The squares have 1, 2, 4, 8 ... pixels a side, the fewest for which the longer side suits.

    Returns:
        sharpness: variance of the Laplacian of values in 0..255 (Pech-Pacheco et al., ICPR 2000);
        brightness and contrast: mean and standard deviation of values in 0..1;
        entropy: of the histogram of every other pixel of every other line, bits a pixel in 0..8.
        Each float64 [N].
    """
    gray = pictures.means(_quality_factor(pictures), "L")[:, 0]
    num_pictures = len(gray)
    laplacian = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1]
    laplacian += gray[:, 1:-1, :-2]
    laplacian += gray[:, 1:-1, 2:]
    laplacian -= 4 * gray[:, 1:-1, 1:-1]
    _, variance = _moments(laplacian.reshape(num_pictures, -1))
    mean, gray_variance = _moments(gray.reshape(num_pictures, -1))

    codes = np.rint(gray[:, ::2, ::2]).astype(np.intp).reshape(num_pictures, -1)
    num_codes = codes.shape[1]
    codes += 256 * np.arange(num_pictures)[:, None]
    counts = np.bincount(codes.ravel(), minlength=256 * num_pictures)
    shares = counts.reshape(num_pictures, 256) / num_codes
    bits = shares * np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    return {
        "sharpness": variance,
        "brightness": mean / 255,
        "contrast": np.sqrt(gray_variance) / 255,
        "entropy": 0.0 - bits.sum(axis=1),
    }


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance of each row of float32 [N, n]."""
    means = values.mean(axis=1, keepdims=True)
    # One by one: what is measured together with a picture must not change a bit of its figures.
    variances = [row @ row / len(row) for row in values - means]
    return means[:, 0].astype(np.float64), np.array(variances, dtype=np.float64)


def border(pictures: Pictures) -> dict[str, np.ndarray]:
    """Return the colour along the edges of pictures: black corners, white frames and bars show.

    Returns:
        border_r, border_g, border_b: means of the outermost pixels (of the picture as it is for
        `quality`), 0..255; border_std: their standard deviation, pooled over the three. Each
        float64 [N].
    """
    colors = pictures.means(_quality_factor(pictures), "RGB")
    edges = (colors[..., 0, :], colors[..., -1, :], colors[..., 1:-1, 0], colors[..., 1:-1, -1])
    ring = np.concatenate(edges, axis=2, dtype=np.float64)  # [N, 3, pixels]
    means = ring.mean(axis=2)
    variances = ring.var(axis=2)
    return {
        "border_r": means[:, 0],
        "border_g": means[:, 1],
        "border_b": means[:, 2],
        "border_std": np.sqrt(variances.mean(axis=1)),
    }


def _quality_factor(pictures: Pictures) -> int:
    """Return the side of the squares that quality is measured with."""
    longer = max(pictures.width, pictures.height)
    return 1 << (-(-longer // QUALITY_SIDE) - 1).bit_length()
