"""Duplicates: the same picture again, re-encoded, resized, recoloured, cropped or mirrored.

Perceptual hashes propose pairs, pixels decide: a pair counts when the fine structure of one
picture, shifted and scaled a little, explains that of the other. Copies that no hash tells are
looked for in `neighbours`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from facedata.columns import attributes_of
from facedata.duplicates import hamming, neighbours
from facedata.duplicates.conflicts import disagreements
from facedata.duplicates.smoothing import blur_matrix, interpolation
from facedata.inspection.inspect import phash
from facedata.options import DedupOptions
from facekit import progress
from facekit.compute.workers import threaded_map
from facekit.errors import DataError
from facekit.storage import arrays

log = logging.getLogger(__name__)

SIDE = arrays.THUMB_SHAPE[0]  # of the gray thumbnails that are compared, px
MARGIN = 3  # rows and columns at each side left out: a shifted picture does not know them
CHUNK = 256  # pictures or pairs at a time: they stay in the cache
TASK = 32 * CHUNK  # pictures or pairs a thread takes at a time

# Share of each side that is cut off a picture before it is looked for among the others as they are:
# a copy that was cropped by 1 to 4 % has a hash too far from that of the whole.
CROP = 0.02
# Alignment, in units of half a side; enough for pictures cropped by a tenth of their size.
MAX_STEP, MAX_SHIFT, MIN_SCALE, MAX_SCALE = 0.15, 0.2, 0.8, 1.25
# Least correlation of two pictures' structure as they lie, and largest difference after the first
# step of their alignment, that are followed further. Of 430 pairs of faces that ended below 0.25,
# those within 10 bits had 0.76 and more, and less than 0.21 after the first step.
MIN_CORRELATION, SHORTLIST = 0.7, 0.4
# Standard deviation, in gray levels, below which a picture has no structure that could be compared:
# uniform areas and plain gradients, also with noise. Faces have 6 and more.
MIN_DETAIL = 1.5
LARGE_CLUSTER = 20  # pictures; more deserve a look

POSITIONS = np.linspace(-1, 1, SIDE, dtype=np.float32)
INNER = slice(MARGIN, SIDE - MARGIN)


SMOOTH = blur_matrix(SIDE, 1.0)  # takes away what compression and resampling change
LOCAL_MEAN = blur_matrix(SIDE - 2 * MARGIN, 3.0)  # the rest is structure: features, not background
CROPPED = interpolation((1 - 2 * CROP) * POSITIONS, SIDE)  # the middle at the size of the whole
HALF_SIZE = np.kron(np.eye(SIDE // 2 - MARGIN), [0.5, 0.5]).astype(np.float32)
DETAIL_LENGTH = 254.0  # of vectors of 169 values in 8 bits; hardly one exceeds half of it


@dataclass(frozen=True)
class _Pictures:
    """Different pictures with some structure, and what duplicates are looked for by.

    Attributes:
        positions: in the table of images, ascending, int [N].
        thumbs: uint8 [M, SIDE, SIDE], may be a memory map.
        rows: of the thumbs, int [N].
        hashes: perceptual hashes, uint64 [N].
        mirrored: those of the mirror images.
        cropped: those of the pictures' middle.
        detail: structure at half size, of length DETAIL_LENGTH, int8 [N, 13 * 13].
        cropped_detail: that of the middle.
    """

    positions: np.ndarray
    thumbs: np.ndarray
    rows: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray
    cropped: np.ndarray
    detail: np.ndarray
    cropped_detail: np.ndarray


def _look_at(
    inspection: pd.DataFrame, thumbs: np.ndarray, positions: np.ndarray, num_threads: int
) -> _Pictures:
    """Return what duplicates of the pictures at these positions are looked for by."""
    rows = inspection["row"].to_numpy(dtype=np.int64)[positions]
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    found = threaded_map(lambda chunk: _sketch(thumbs[chunk]), chunks, num_threads)
    sketches = list(progress.track(found, "thumbnails", len(chunks)))
    is_flat, *sketch = (np.concatenate(parts) for parts in zip(*sketches, strict=True))
    hashes = [
        inspection[name].to_numpy(dtype=np.uint64)[positions] for name in ("phash", "phash_mirror")
    ]
    values = [values[~is_flat] for values in (rows, *hashes, *sketch)]
    return _Pictures(positions[~is_flat], thumbs, *values)


def _sketch(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return whether thumbnails are without structure, then columns of _Pictures: from cropped."""
    thumbs = thumbs.astype(np.float32)
    cropped = CROPPED @ thumbs @ CROPPED.T
    detail = _half_size_detail(thumbs)
    is_flat = np.mean(detail**2, axis=1) < MIN_DETAIL**2
    return is_flat, phash(cropped)[0], _packed(detail), _packed(_half_size_detail(cropped))


def _half_size_detail(thumbs: np.ndarray) -> np.ndarray:
    smoothed = HALF_SIZE @ SMOOTH[INNER]  # [13, SIDE]
    local_mean = HALF_SIZE @ LOCAL_MEAN @ SMOOTH[INNER]
    detail = smoothed @ thumbs @ smoothed.T - local_mean @ thumbs @ local_mean.T
    return detail.reshape(len(thumbs), -1)


def _packed(detail: np.ndarray) -> np.ndarray:
    """Return vectors at length DETAIL_LENGTH in 8 bits."""
    length = np.sqrt(np.sum(detail**2, axis=1, keepdims=True))
    scaled = detail * (DETAIL_LENGTH / np.maximum(length, 1e-6))
    return np.rint(scaled).clip(-127, 127).astype(np.int8)


def _detail(pictures: np.ndarray) -> np.ndarray:
    return pictures - LOCAL_MEAN @ pictures @ LOCAL_MEAN.T


def difference(
    a: np.ndarray, b: np.ndarray, max_difference: float, scale: float = 1.0
) -> np.ndarray:
    """Return which part of b's fine structure a does not explain, after a small shift and scaling.

    Each axis of a is shifted and scaled (Gauss-Newton steps on the brightness differences), then
    both pictures lose their local mean; the difference is sqrt(1 - correlation^2) of what is left:
    0 for the same picture at any brightness and contrast, 0.6 to 0.9 for two faces.

    Args:
        a: thumbnails with some structure, [N, SIDE, SIDE], gray levels.
        b: as a.
        max_difference: pairs that are clearly above are not followed to the end.
        scale: of a where the steps begin; below 1, its middle is enlarged.

    Returns:
        float32 [N], 0..1.
    """
    a, b = (SMOOTH @ pictures.astype(np.float32) @ SMOOTH.T for pictures in (a, b))
    # Shift and scale along x, y.
    warp = np.tile(np.array([0, scale, 0, scale], dtype=np.float32), (len(a), 1))
    moved = a if scale == 1 else _warp(a, warp)
    warp = _step(warp, moved, b)
    moved = _warp(a, warp)
    result = _difference(moved, b)
    close = np.flatnonzero(result <= max(SHORTLIST, max_difference))
    if len(close):
        warp = _step(warp[close], moved[close], b[close])
        result[close] = _difference(_warp(a[close], warp), b[close])
    return result


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return sqrt(1 - correlation^2) of two pictures without their local means, float32 [N]."""
    a, b = (_detail(pictures[:, INNER, INNER]) for pictures in (a, b))
    a_power, b_power = (np.mean(pictures**2, axis=(1, 2)) for pictures in (a, b))
    power = np.sqrt(np.maximum(a_power * b_power, 1e-12))
    correlation = np.clip(np.mean(a * b, axis=(1, 2)) / power, 0, 1)
    return np.sqrt(1 - correlation**2).astype(np.float32)


def _step(warp: np.ndarray, moved: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the warp after one Gauss-Newton step that brings `moved` nearer to b."""
    half = (SIDE - 1) / 2
    dy, dx = (slope[:, INNER, INNER] * half for slope in np.gradient(moved, axis=(1, 2)))
    x, y = POSITIONS[INNER], POSITIONS[INNER, None]
    inner = moved[:, INNER, INNER]
    # b is about gain * (moved + slopes * step) + offset.
    columns = np.stack([dx, dx * x, dy, dy * y, inner, np.ones_like(inner)], axis=1)
    columns = columns.reshape(len(moved), 6, -1)  # [N, 6, pixels]
    normal = columns @ columns.transpose(0, 2, 1)
    # A picture without slopes would leave nothing to solve.
    normal += (1e-5 * normal + 1e-3) * np.eye(6, dtype=np.float32)
    target = columns @ b[:, INNER, INNER].reshape(len(b), -1, 1)
    solution = np.linalg.solve(normal, target)[..., 0]  # [N, 6]
    gain = np.maximum(solution[:, 4:5], 0.2)  # recoloured pictures have other gains, not such
    shift_x, scale_x, shift_y, scale_y = warp.T
    step = np.clip(solution[:, :4] / gain, -MAX_STEP, MAX_STEP).T
    return np.stack(
        [
            np.clip(shift_x + scale_x * step[0], -MAX_SHIFT, MAX_SHIFT),
            np.clip(scale_x * (1 + step[1]), MIN_SCALE, MAX_SCALE),
            np.clip(shift_y + scale_y * step[2], -MAX_SHIFT, MAX_SHIFT),
            np.clip(scale_y * (1 + step[3]), MIN_SCALE, MAX_SCALE),
        ],
        axis=1,
    )


def _warp(pictures: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Return pictures read at shift + scale * position along each axis, linearly interpolated."""
    along_x = interpolation(warp[:, 0:1] + warp[:, 1:2] * POSITIONS, SIDE)
    along_y = interpolation(warp[:, 2:3] + warp[:, 3:4] * POSITIONS, SIDE)
    return along_y @ pictures @ along_x.transpose(0, 2, 1)


def find_pairs(
    inspection: pd.DataFrame,
    thumbs: np.ndarray,
    max_distance: int,
    max_difference: float,
    max_altered_difference: float,
    num_threads: int,
) -> pd.DataFrame:
    """Return the pairs of images that show the same picture.

    Images of equal pixels are paired with the first of them, which alone is compared further; so
    are images of one perceptual hash whose pixels agree.

    Args:
        inspection: images that decoded: row (in thumbs), pixel_hash, phash, phash_mirror (uint64).
        thumbs: uint8 [M, SIDE, SIDE], gray thumbnails of whole pictures; may be a memory map.
        max_distance: largest number of differing bits of two perceptual hashes to look closer.
        max_difference: largest `difference` of two duplicates, 0..1.
        max_altered_difference: likewise of altered ones, as for `neighbours.near_pairs`; 0: none.
        num_threads: the result does not depend on it.

    Returns:
        a, b (positions, a < b), distance, difference, kind (KINDS_OF_PAIRS) and cluster
        (numbered by first member); sorted by a, b.
    """
    first = pd.factorize(inspection["pixel_hash"])[0]
    _, originals = np.unique(first, return_index=True)  # position of the first of each picture
    copies = np.setdiff1d(np.arange(len(first)), originals)
    found = [_table(originals[first[copies]], copies, 0, 0.0, "exact")]

    if len(originals) > 1:
        pictures = _look_at(inspection, thumbs, np.sort(originals), num_threads)
        pairs = _search(pictures, max_distance, max_difference, num_threads)
        for kind, i, j, differences in pairs if len(pictures.positions) else ():
            left = pictures.mirrored if kind == "mirror" else pictures.hashes
            distance = np.bitwise_count(left[i] ^ pictures.hashes[j])
            a, b = pictures.positions[np.minimum(i, j)], pictures.positions[np.maximum(i, j)]
            found.append(_table(a, b, distance, differences, kind))
        if max_altered_difference > 0:
            found.append(
                _altered(
                    inspection, thumbs, np.sort(originals), max_altered_difference, num_threads
                )
            )
    pairs = pd.concat(found, ignore_index=True)
    # A pair found in several ways counts in the first: as it lies, mirrored, altered.
    pairs = pairs.drop_duplicates(["a", "b"]).sort_values(["a", "b"], ignore_index=True)
    return pairs.assign(cluster=_clusters(pairs["a"], pairs["b"]))


def _altered(
    inspection: pd.DataFrame,
    thumbs: np.ndarray,
    positions: np.ndarray,
    max_difference: float,
    num_threads: int,
) -> pd.DataFrame:
    """Return the pairs that show one photograph though it was altered, of the pictures given."""
    rows = inspection["row"].to_numpy(dtype=np.int64)[positions]
    pairs = neighbours.near_pairs(thumbs[rows], None, max_difference, num_threads)
    a, b = positions[pairs.a], positions[pairs.b]
    hashes, mirrored = (
        inspection[name].to_numpy(dtype=np.uint64) for name in ("phash", "phash_mirror")
    )
    distance = np.bitwise_count(np.where(pairs.is_mirrored, mirrored[a], hashes[a]) ^ hashes[b])
    return _table(a, b, distance, pairs.distance, "altered")


def _search(
    pictures: _Pictures, max_distance: int, max_difference: float, num_threads: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield kind (near, mirror), two pictures i, j (int [n]) and their difference (float [n])."""
    confirm = partial(_confirm, pictures, max_difference)

    # Pictures of one hash: each with the first, those that differ from it with the first of these
    # and so on. Only the first ones go on: a thousand frames of one scene are not a million pairs.
    left = np.argsort(pictures.hashes, kind="stable")
    firsts = []
    while len(left):
        _, start, number = np.unique(pictures.hashes[left], return_index=True, return_inverse=True)
        firsts.append(left[start])
        i, j = left[start][number], left
        i, j = i[i != j], j[i != j]
        agree = np.zeros(len(pictures.hashes), dtype=bool)
        for pair in threaded_map(confirm, _tasks("near", i, j), num_threads):
            agree[pair[2]] = True
            yield pair
        left = j[~agree[j]]
    distinct = np.sort(np.concatenate(firsts))

    hashes, cropped = pictures.hashes[distinct], pictures.cropped[distinct]
    mirrored = pictures.mirrored[distinct]
    num_candidates = 0

    def candidates() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        nonlocal num_candidates
        for kind, others in (("near", None), ("cropped", cropped), ("mirror", mirrored)):
            a, b = (hashes, None) if others is None else (others, hashes)
            for i, j, distance in hamming.near_pairs(a, b, max_distance, num_threads):
                if kind == "near":
                    keep = distance > 0  # the others were compared above
                elif kind == "mirror":
                    keep = i < j  # the mirror image of j and i are the same
                else:
                    keep = (i != j) & (np.bitwise_count(hashes[i] ^ hashes[j]) > max_distance)
                num_candidates += int(np.count_nonzero(keep))
                yield from _tasks(kind, distinct[i[keep]], distinct[j[keep]])

    yield from threaded_map(confirm, candidates(), num_threads)
    log.info("%d different hashes, %d pairs compared", len(distinct), num_candidates)


def _tasks(kind: str, i: np.ndarray, j: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the pairs some at a time."""
    for start in range(0, len(i), TASK):
        yield kind, i[start : start + TASK], j[start : start + TASK]


def _confirm(
    pictures: _Pictures, max_difference: float, task: tuple[str, np.ndarray, np.ndarray]
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Return kind, i, j and difference of the pairs that show the same picture."""
    kind, i, j = task
    similar = _correlation(pictures, kind, i, j) >= MIN_CORRELATION
    i, j = i[similar], j[similar]
    differences = np.empty(len(i), dtype=np.float32)
    for start in range(0, len(i), CHUNK):
        chunk = slice(start, start + CHUNK)
        a, b = (pictures.thumbs[pictures.rows[side[chunk]]] for side in (i, j))
        a = a[:, :, ::-1] if kind == "mirror" else a
        scale = 1 - 2 * CROP if kind == "cropped" else 1.0
        found = difference(a, b, max_difference, scale)
        # What is not far off is seen from the other side too.
        near = np.flatnonzero((found > max_difference) & (found <= 2 * max_difference))
        if len(near):
            other = difference(b[near], a[near], max_difference, 1 / scale)
            found[near] = np.minimum(found[near], other)
        differences[chunk] = found
    same = differences <= max_difference
    return "mirror" if kind == "mirror" else "near", i[same], j[same], differences[same]


def _correlation(pictures: _Pictures, kind: str, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the correlation of the pictures' structure as they lie, at half size; float32 [n]."""
    result = np.empty(len(i), dtype=np.float32)
    details = pictures.cropped_detail if kind == "cropped" else pictures.detail
    side = SIDE // 2 - MARGIN
    for start in range(0, len(i), CHUNK):
        chunk = slice(start, start + CHUNK)
        a, b = details[i[chunk]], pictures.detail[j[chunk]]
        if kind == "mirror":
            a = a.reshape(-1, side, side)[:, :, ::-1].reshape(len(a), -1)
        product = np.einsum("np,np->n", a.astype(np.float32), b.astype(np.float32))
        result[chunk] = product / DETAIL_LENGTH**2
    return result


def _table(a: np.ndarray, b: np.ndarray, distance: object, difference: object, kind: str):
    values = {"a": a, "b": b, "distance": distance, "difference": difference, "kind": kind}
    types = {"distance": "int64", "difference": "float64"}
    return pd.DataFrame(values).astype(types)


def _clusters(a: pd.Series, b: pd.Series) -> np.ndarray:
    """Return what each pair is connected with, numbered in the order of the pairs; int64 [n]."""
    # Of an image another one of its cluster, nearer to the one that stands for it.
    above: dict[int, int] = {}

    def top(image: int) -> int:
        while (next_one := above.get(image, image)) != image:
            above[image] = above.get(next_one, next_one)
            image = next_one
        return image

    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    for i, j in pairs:
        above[top(i)] = top(j)
    return pd.factorize(np.array([top(i) for i, _ in pairs], dtype=np.int64))[0]


def _report(pairs: pd.DataFrame) -> None:
    """Log how many pairs there are of each kind, and how large their clusters are."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in pairs["kind"].value_counts().items())
    log.info("%d pairs in %d clusters: %s", len(pairs), pairs["cluster"].nunique(), kinds or "none")
    members = pd.concat([pairs.set_index("cluster")[side] for side in "ab"])
    sizes = members.groupby(level=0).nunique()
    counts = sizes.value_counts().sort_index()
    if len(counts):
        text = ", ".join(f"{count} of {size}" for size, count in counts.items())
        log.info("clusters by number of images: %s", text)
    if sizes.max() > LARGE_CLUSTER:
        log.warning(
            "%d clusters have more than %d images, the largest %d: not each need look like each,"
            " one resembles the next; have a look at them, a smaller max_difference splits them",
            (sizes > LARGE_CLUSTER).sum(),
            LARGE_CLUSTER,
            sizes.max(),
        )


def conflicts(
    labels: pd.DataFrame,
    a: np.ndarray,
    b: np.ndarray,
    tolerance: Mapping[str, float],
    derived: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return the attributes in which the images of each pair disagree, joined by `;`.

    Args:
        labels: attribute columns, one row an image.
        a: positions of the first images, int [n].
        b: positions of the second images.
        tolerance: as in `disagreements`.
        derived: as in `disagreements`.
    """
    pair = np.tile(np.arange(len(a)), 2)
    found = disagreements(labels.iloc[np.concatenate([a, b])], pair, tolerance, derived)
    names = np.full(len(a), "", dtype=object)
    for name in found:
        names[found[name]] += name + ";"
    return [text.removesuffix(";") for text in names]


def find_duplicates(
    index: pd.DataFrame,
    inspection: pd.DataFrame,
    thumbs: np.ndarray,
    options: DedupOptions,
    derived: Sequence[Mapping[str, Any]],
    num_threads: int,
) -> pd.DataFrame:
    """Return the pairs of images that show the same picture, for `duplicates.parquet`.

    Args:
        index: all images with their attributes.
        inspection: rows of the same images in the same order: image_id, row, pixel_hash, phash,
            phash_mirror.
        thumbs: as in `find_pairs`.
        options: which pairs count, and when their labels agree.
        derived: as in `disagreements`.
        num_threads: as in `find_pairs`.

    Returns:
        image_id_a, image_id_b, distance, kind, cluster, conflict, difference.

    Raises:
        DataError: the thumbnails are not those of the inspection.
    """
    decodable = inspection["row"].notna().to_numpy()
    if decodable.sum() != len(thumbs):
        raise DataError(
            f"{len(thumbs)} thumbnails, but {decodable.sum()} images that decoded; inspect again"
        )
    inspection, labels = inspection[decodable], index.loc[decodable, attributes_of(index)]
    pairs = find_pairs(
        inspection,
        thumbs,
        options.max_distance,
        options.max_difference,
        options.max_altered_difference,
        num_threads,
    )
    _report(pairs)
    ids = inspection["image_id"].to_numpy()
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    return pd.DataFrame(
        {
            "image_id_a": ids[a],
            "image_id_b": ids[b],
            "distance": pairs["distance"],
            "kind": pairs["kind"],
            "cluster": pairs["cluster"],
            # Of no pairs, a list would become a column of numbers.
            "conflict": pd.array(conflicts(labels, a, b, options.tolerance, derived), dtype="str"),
            "difference": pairs["difference"],
        }
    )
