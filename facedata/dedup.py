"""Duplicates: the same picture again, re-encoded, resized, recoloured, cropped or mirrored.

Perceptual hashes propose pairs, pixels decide: a pair counts when the fine structure of one
picture, shifted and scaled a little, explains that of the other.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from facedata import progress, tables
from facedata.geometry import box_columns

log = logging.getLogger(__name__)

SIDE = 32  # of the gray thumbnails that are compared, px
MARGIN = 3  # rows and columns at each side left out: a shifted picture does not know them
CHUNK = 2048  # pairs or images at a time: memory stays flat

# Alignment, in units of half a side; enough for pictures cropped by a tenth of their size.
MAX_STEP, MAX_SHIFT, MIN_SCALE, MAX_SCALE = 0.15, 0.2, 0.8, 1.25
# Largest difference that goes on to the next step of the alignment. On 10,137 faces all pairs that
# ended below 0.2 had less than 0.73 before the first step and less than 0.21 after it.
SHORTLIST = (0.8, 0.4)
# Standard deviation, in gray levels, below which a picture has no structure that could be compared:
# uniform areas and gradients. Faces have 8 and more.
MIN_DETAIL = 2.0

POSITIONS = np.linspace(-1, 1, SIDE, dtype=np.float32)
INNER = slice(MARGIN, SIDE - MARGIN)


def blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Return a Gaussian blur that leaves ramps as they are, also at the ends; float32 [size, size].

    Each row is the weighted least-squares line through the values around it, read at its place.
    """
    offsets = np.arange(size) - np.arange(size)[:, None]
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    zeroth, first, second = (np.sum(weights * offsets**k, axis=1, keepdims=True) for k in range(3))
    rows = weights * (second - first * offsets) / (zeroth * second - first**2)
    return rows.astype(np.float32)


SMOOTH = blur_matrix(SIDE, 1.0)  # takes away what compression and resampling change
LOCAL_MEAN = blur_matrix(SIDE - 2 * MARGIN, 3.0)  # the rest is structure: features, not background


def thumbnails(images: np.ndarray, rows: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return smoothed gray thumbnails of the content of packed images.

    Args:
        images: uint8 [M, H, W, 3].
        rows: the images wanted, int [N].
        boxes: their content boxes (left, top, right, bottom) in pixels, int [N, 4].

    Returns:
        float16 [N, SIDE, SIDE], gray levels 0..255.
    """
    thumbs = np.empty((len(rows), SIDE, SIDE), dtype=np.float16)
    for i, row in enumerate(progress.track(rows, "thumbnails")):
        gray = Image.fromarray(images[row]).convert("L")
        small = gray.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=tuple(boxes[i].tolist()))
        thumbs[i] = SMOOTH @ np.asarray(small, dtype=np.float32) @ SMOOTH.T
    return thumbs


def similar_hashes(
    hashes_a: np.ndarray, hashes_b: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs i < j with few differing bits between hashes_a[i] and hashes_b[j].

    Args:
        hashes_a: uint64 [N].
        hashes_b: uint64 [N].
        max_distance: largest number of differing bits, 0..64.

    Yields:
        i, j (int64 [n]) and the number of differing bits (uint8 [n]); in order of i, then j.
    """
    num_images = len(hashes_a)
    rows = max(1, (1 << 22) // max(num_images, 1))  # 32 MiB of hashes compared at a time
    for start in progress.track(range(0, num_images, rows), "hashes"):
        later = hashes_b[start:]
        distance = np.bitwise_count(hashes_a[start : start + rows, None] ^ later)
        i, j = np.nonzero(distance <= max_distance)
        keep = i < j
        i, j = i[keep], j[keep]
        yield i + start, j + start, distance[i, j]


def difference(a: np.ndarray, b: np.ndarray, max_difference: float) -> np.ndarray:
    """Return which part of b's fine structure a does not explain, after a small shift and scaling.

    Each axis of a is shifted and scaled (Gauss-Newton steps on the brightness differences), then
    both pictures lose their local mean; the difference is sqrt(1 - correlation^2) of what is left:
    0 for the same picture at any brightness and contrast, 0.6 to 0.9 for two faces.

    Args:
        a: thumbnails, float [N, SIDE, SIDE], gray levels.
        b: as a.
        max_difference: pairs that are clearly above are not followed to the end.

    Returns:
        float32 [N]; 1 where a picture has too little structure to say.
    """
    a, b = a.astype(np.float32), b.astype(np.float32)
    result = np.ones(len(a), dtype=np.float32)
    left = np.arange(len(a))  # pairs still in question
    warp = np.tile(np.float32([0, 1, 0, 1]), (len(a), 1))  # shift and scale along x, along y
    moved = a
    for limit in (*SHORTLIST, None):
        result[left] = _difference(moved, b[left])
        if limit is None:
            break
        close = result[left] <= max(limit, max_difference)
        left, warp = left[close], warp[close]
        if not len(left):
            break
        warp = _step(warp, moved[close], b[left])
        moved = _warp(a[left], warp)
    return result


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return sqrt(1 - correlation^2) of two pictures without their local means, float32 [N]."""
    a, b = (_detail(pictures[:, INNER, INNER]) for pictures in (a, b))
    a_power, b_power = (np.mean(pictures**2, axis=(1, 2)) for pictures in (a, b))
    power = np.sqrt(np.maximum(a_power * b_power, 1e-12))
    correlation = np.clip(np.mean(a * b, axis=(1, 2)) / power, 0, 1)
    is_flat = np.minimum(a_power, b_power) < MIN_DETAIL**2
    return np.where(is_flat, 1, np.sqrt(1 - correlation**2)).astype(np.float32)


def _detail(pictures: np.ndarray) -> np.ndarray:
    return pictures - LOCAL_MEAN @ pictures @ LOCAL_MEAN.T


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
    along_x = _interpolation(warp[:, 0:1] + warp[:, 1:2] * POSITIONS)
    along_y = _interpolation(warp[:, 2:3] + warp[:, 3:4] * POSITIONS)
    return along_y @ pictures @ along_x.transpose(0, 2, 1)


def _interpolation(positions: np.ndarray) -> np.ndarray:
    """Return the weights that read a line of SIDE values at positions -1..1, [N, SIDE, SIDE]."""
    pixels = np.clip((positions + 1) * (SIDE - 1) / 2, 0, SIDE - 1)[..., None]
    return np.maximum(1 - np.abs(pixels - np.arange(SIDE, dtype=np.float32)), 0)


def find_pairs(
    inspection: pd.DataFrame, thumbs: np.ndarray, max_distance: int, max_difference: float
) -> pd.DataFrame:
    """Return the pairs of images that show the same picture.

    Pictures of equal pixels are paired with the first of them, which alone is compared further.

    Args:
        inspection: images that decoded: pixel_hash, phash, phash_mirror (uint64).
        thumbs: their thumbnails, float [N, SIDE, SIDE].
        max_distance: largest number of differing bits of two perceptual hashes to look closer.
        max_difference: largest `difference` of two duplicates, 0..1.

    Returns:
        a, b (positions, a < b), distance, difference, kind (exact, near, mirror) and cluster
        (numbered by first member); sorted by a, b.
    """
    first = pd.factorize(inspection["pixel_hash"])[0]
    _, originals = np.unique(first, return_index=True)  # position of the first of each picture
    copies = np.setdiff1d(np.arange(len(first)), originals)
    found = [_table(originals[first[copies]], copies, 0, 0.0, "exact")]

    hashes = inspection["phash"].to_numpy(dtype=np.uint64)[originals]
    mirror_hashes = inspection["phash_mirror"].to_numpy(dtype=np.uint64)[originals]
    for kind, others in (("near", hashes), ("mirror", mirror_hashes)):
        for i, j, distance in similar_hashes(others, hashes, max_distance):
            for start in range(0, len(i), CHUNK):
                chunk = slice(start, start + CHUNK)
                a, b = originals[i[chunk]], originals[j[chunk]]
                pictures = thumbs[a][:, :, ::-1] if kind == "mirror" else thumbs[a]
                differences = difference(pictures, thumbs[b], max_difference)
                same = differences <= max_difference
                found.append(
                    _table(a[same], b[same], distance[chunk][same], differences[same], kind)
                )
    pairs = pd.concat(found, ignore_index=True)
    # A picture that is nearly its own mirror image is paired once, as it lies.
    pairs = pairs.drop_duplicates(["a", "b"]).sort_values(["a", "b"], ignore_index=True)
    return pairs.assign(cluster=_clusters(pairs["a"], pairs["b"], len(inspection)))


def _table(a: np.ndarray, b: np.ndarray, distance: object, difference: object, kind: str):
    values = {"a": a, "b": b, "distance": distance, "difference": difference, "kind": kind}
    types = {"distance": "int64", "difference": "float64"}
    return pd.DataFrame(values).astype(types)


def _clusters(a: pd.Series, b: pd.Series, num_images: int) -> np.ndarray:
    """Return the connected component of each pair, numbered in the order of the pairs."""
    edges = sparse.coo_array((np.ones(len(a)), (a, b)), shape=(num_images, num_images))
    _, component = connected_components(edges, directed=False)
    return pd.factorize(component[a])[0]


def conflicts(labels: pd.DataFrame, a: np.ndarray, b: np.ndarray) -> list[str]:
    """Return the attributes in which the images of each pair differ, joined by `;`.

    Args:
        labels: attribute columns, one row an image; missing values agree with all.
        a: positions of the first images, int [n].
        b: positions of the second images.
    """
    names = np.full(len(a), "", dtype=object)
    for name in labels.columns:
        first, second = labels[name].iloc[a], labels[name].iloc[b]
        known = first.notna().to_numpy() & second.notna().to_numpy()
        differ = known & (first.to_numpy() != second.to_numpy())
        names[differ] += np.where(names[differ] == "", "", ";") + name
    return names.tolist()


def find_duplicates(
    index: pd.DataFrame,
    inspection: pd.DataFrame,
    images: np.ndarray,
    geometry: str,
    max_distance: int,
    max_difference: float,
) -> pd.DataFrame:
    """Return the table of duplicates.

    Args:
        index: all images with their attributes.
        inspection: its rows for the same images, in the same order.
        images: packed images, uint8 [M, H, W, 3], rows as the inspection says.
        geometry: name of their geometry, the prefix of the inspection's content boxes.
        max_distance: as in `find_pairs`.
        max_difference: as in `find_pairs`.

    Returns:
        image_id_a, image_id_b, distance, kind, cluster, conflict, difference.
    """
    decodable = inspection["row"].notna().to_numpy()
    inspection, labels = inspection[decodable], index.loc[decodable, tables.attributes(index)]
    rows = inspection["row"].to_numpy(dtype=np.int64)
    boxes = inspection[box_columns(geometry)].to_numpy(dtype=np.int64)
    thumbs = thumbnails(images, rows, boxes)
    pairs = find_pairs(inspection, thumbs, max_distance, max_difference)
    kinds = ", ".join(f"{n} {kind}" for kind, n in pairs["kind"].value_counts().items())
    log.info("%d pairs in %d clusters: %s", len(pairs), pairs["cluster"].nunique(), kinds or "none")
    ids = inspection["image_id"].to_numpy()
    return pd.DataFrame(
        {
            "image_id_a": ids[pairs["a"]],
            "image_id_b": ids[pairs["b"]],
            "distance": pairs["distance"],
            "kind": pairs["kind"],
            "cluster": pairs["cluster"],
            "conflict": conflicts(labels, pairs["a"].to_numpy(), pairs["b"].to_numpy()),
            "difference": pairs["difference"],
        }
    )
