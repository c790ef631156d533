"""Near-copies: one photograph twice, though cropped, turned, captioned, mirrored or recoloured.

Independent of hashes. Structure in a few views proposes pairs (each picture with those that are
most similar to it), pixels decide: one picture is brought onto the other by an affine map, found by
Gauss-Newton steps that leave out what a caption covers, and a pair counts when the fine structure
of the one explains that of the other.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facedata.duplicates.smoothing import blur_matrix, interpolation
from facekit import progress
from facekit.compute.workers import threaded_map
from facekit.storage.arrays import THUMB_SHAPE

if TYPE_CHECKING:
    import faiss

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SIDE = THUMB_SHAPE[0]  # pictures are compared at this size, px
CHUNK = 512  # pictures, or pairs, at a time
TILE = 1024  # pictures that these are compared with at a time: the table stays in the cache
# What a picture is looked for by: its middle at a scale, shifted by halves of a side. Copies that
# lie a few per cent beside a view are still similar to it.
VIEWS = (
    *((1.0, 0.0, 0.0), (0.91, 0.0, 0.0), (0.82, 0.0, 0.0)),
    *((0.91, x, y) for x in (-0.06, 0.06) for y in (-0.06, 0.06)),
)
NUM_CENTRAL = 3  # of the views; these are also looked for without a strip
STRIP = 7  # rows at the top or at the bottom that a caption may cover
STRIPS = ((0, SIDE), (0, SIDE - STRIP), (STRIP, SIDE))  # rows compared: all, without a strip
ROUGH, COARSE, EVERY = 2.5, 8.0, 3  # a view: blurred, px, without what is coarser, each third px
MIN_DETAIL = 1.5  # standard deviation of structure, gray levels; with less there is nothing to see
NUM_NEAREST = 8  # candidates of each picture
# More pictures than these are not all compared: sketches are sorted into SHELVES * sqrt(N) groups
# of alike ones, and a view is looked for in the PROBED groups that are most like it.
EXACT, SHELVES, PROBED = 16_384, 4, 8
# Of 3,000 altered copies of real faces each had more with its original, in the view most like it.
MIN_CORRELATION = 0.9
# Blur, px, at what part of the size, Gauss-Newton steps, and the largest distance after them that
# is followed further: rough, then fine.
STEPS = ((1.6, 2, 1, 0.48), (1.6, 2, 2, 0.36), (1.0, 1, 3, 1.0))
MAX_STEP = 0.12  # of a parameter of the affine map
RESIDUALS = 3.75  # medians of them from which on a pixel hardly counts
SHORTLIST = 0.5  # largest distance of what is told as nearest at all
LOCAL = 3.0  # fine structure is what a blur of so many px takes away
MARGIN = 2  # rows and columns at the edges that are not compared
# Share of a picture that is left to compare, and its area when brought onto the other.
MIN_OVERLAP, MIN_AREA, MAX_AREA = 0.6, 0.5, 1.4
# The 24th to 32nd nearest of some pictures are no copies. q, what 1 % of them fall below, is 0.38
# for real faces and 0.26 for cartoons, which all look alike: their copies have to be nearer. Up to
# SAFE * q^2 no pair of 10,137 faces was wrong.
OTHERS, NUM_SAMPLED, OTHERS_QUANTILE, SAFE = slice(24, 32), 500, 0.01, 1.25


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, and how far the one is from being a copy of the other.

    Attributes:
        a: positions among the first pictures, int64 [n].
        b: positions among the second pictures, or also the first, int64 [n].
        distance: share of the fine structure that is left unexplained, sqrt(1 - correlation^2),
            float32 [n], 0..1. Of copies mostly below 0.2, of other photographs above 0.3.
        warp: what b shows at (x, y), a shows at warp @ (x, y, 1), float32 [n, 2, 3]; -1 is the
            first and 1 the last pixel. A negative determinant mirrors.
    """

    a: np.ndarray
    b: np.ndarray
    distance: np.ndarray
    warp: np.ndarray

    def __len__(self) -> int:
        return len(self.a)

    @property
    def is_mirrored(self) -> np.ndarray:
        """Whether one is the mirror image of the other, bool [n]."""
        return np.linalg.det(self.warp[:, :, :2]) < 0

    def take(self, which: np.ndarray) -> "Pairs":
        """Return some of the pairs, by positions or by a mask."""
        return Pairs(*(values[which] for values in astuple(self)))

    def swapped(self) -> "Pairs":
        """Return the same pairs with a and b exchanged."""
        linear = np.linalg.inv(self.warp[:, :, :2])
        warp = np.concatenate([linear, -linear @ self.warp[:, :, 2:]], axis=2)
        return Pairs(self.b, self.a, self.distance, warp.astype(np.float32))


def near_copies(
    queries: np.ndarray, images: np.ndarray, num_threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return of each query the image that comes nearest to being a copy of it, and how near.

    Args:
        queries: uint8 [Q, H, W, 3], or gray [Q, H, W].
        images: likewise, of any size; [N, ...].
        num_threads: the result does not depend on it.

    Returns:
        The image's position, int64 [Q], and the distance as in `Pairs`, float32 [Q]; -1 and 1
        where no image is alike enough to be compared.
    """
    found = _one_way_and_back(queries, images, num_threads, lambda first, second: SHORTLIST)
    order = np.lexsort((found.b, found.distance, found.a))
    query, first = np.unique(found.a[order], return_index=True)
    nearest = np.full(len(queries), -1, dtype=np.int64)
    distance = np.ones(len(queries), dtype=np.float32)
    nearest[query], distance[query] = found.b[order[first]], found.distance[order[first]]
    return nearest, distance


def near_pairs(
    images: np.ndarray,
    others: np.ndarray | None,
    max_distance: float,
    num_threads: int = 1,
    caution: float = 1.0,
) -> Pairs:
    """Return the pairs of images that show the same photograph.

    Each image is compared with the NUM_NEAREST that are most similar to it: of a large cluster not
    all pairs are found.

    Args:
        images: uint8 [N, H, W, 3], or gray [N, H, W].
        others: those among which copies are looked for, likewise; None: among the images.
        max_distance: largest distance of copies; it is lowered where many pictures that are none
            are about so near to each other.
        num_threads: the result does not depend on it.
        caution: share of this limit up to which pairs are taken, to have only sure ones.

    Returns:
        Each pair once, a < b where there are no others; sorted by a, b.
    """

    def limit(first: "_Pictures", second: "_Pictures") -> float:
        return caution * min(max_distance, _safe_distance(first, second, num_threads))

    found = _one_way_and_back(images, others, num_threads, limit)
    order = np.lexsort((found.distance, found.b, found.a))
    found = found.take(order)
    is_first = np.ones(len(found), dtype=bool)
    is_first[1:] = (np.diff(found.a) != 0) | (np.diff(found.b) != 0)
    return found.take(is_first)


def _one_way_and_back(
    images: np.ndarray,
    others: np.ndarray | None,
    num_threads: int,
    limit: Callable[["_Pictures", "_Pictures"], float],
) -> Pairs:
    """Return pairs up to a limit, some of them twice: views of either one in the other."""
    with _one_thread():
        first = _Pictures(images)
        second = first if others is None else _Pictures(others)
        most = limit(first, second)
        log.info("near-copies: up to a distance of %.3f", most)
        there = _search(first, second, most, num_threads)
        back = there if others is None else _search(second, first, most, num_threads)
    swapped = back.swapped()
    if others is None:
        there, swapped = there.take(there.a < there.b), swapped.take(swapped.a < swapped.b)
    both = zip(astuple(there), astuple(swapped), strict=True)
    return Pairs(*(np.concatenate(parts) for parts in both))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within, torch and faiss compute in one thread: pictures are shared out instead.

    Threads of theirs wait for each other at every small operator, and spin meanwhile.
    """
    before = torch.get_num_threads()
    try:
        with torch.inference_mode():
            _set_one_thread()
            yield
    finally:
        torch.set_num_threads(before)


def _set_one_thread() -> None:
    """Have this thread compute alone; what was set for another one does not count for it."""
    torch.set_num_threads(1)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(1)


def _shared_out(
    function: Callable[[Item], Result], items: Sequence[Item], num_threads: int
) -> Iterator[Result]:
    """Yield `function(item)` of every item in order, computed by threads."""

    def compute(item: Item) -> Result:
        _set_one_thread()
        with torch.inference_mode():
            return function(item)

    return threaded_map(compute, items, num_threads)


class _Pictures:
    """Pictures in gray at SIDE, those with structure first of all.

    Attributes:
        gray: float32 [n, SIDE, SIDE].
        positions: of these among all that were given, int64 [n].
        sketches: of each as it is, for each of STRIPS float32 [n, values] of length 1.
        shelves: an index of each of the sketches; None where all are compared.
    """

    def __init__(self, images: np.ndarray) -> None:
        chunks = [_gray(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        gray = torch.cat([torch.zeros(0, SIDE, SIDE), *chunks])
        has_detail = _structure(gray, VIEWS[0], STRIPS[0]).square().mean(1) >= MIN_DETAIL**2
        self.gray = gray[has_detail]
        self.positions = has_detail.nonzero()[:, 0]
        self.sketches = [F.normalize(_structure(self.gray, VIEWS[0], rows)) for rows in STRIPS]
        is_large = len(self.gray) > EXACT
        self.shelves = [_shelved(sketch) for sketch in self.sketches] if is_large else None


def _gray(images: np.ndarray) -> Tensor:
    """Return pictures in gray at SIDE, float32 [N, SIDE, SIDE]."""
    pixels = torch.from_numpy(np.asarray(images, dtype=np.float32))
    if pixels.ndim == 4:
        pixels = pixels @ torch.tensor([0.299, 0.587, 0.114])
    if pixels.shape[1:] == THUMB_SHAPE:
        return pixels
    size = list(THUMB_SHAPE)
    return F.interpolate(pixels[:, None], size, mode="bicubic", antialias=True)[:, 0]


def _structure(gray: Tensor, view: tuple[float, float, float], rows: tuple[int, int]) -> Tensor:
    """Return the rough structure of a view of pictures in some of its rows, [N, values]."""
    scale, shift_x, shift_y = view
    first, last = rows
    places = np.linspace(-1, 1, SIDE, dtype=np.float32)
    down = interpolation(shift_y + scale * places, SIDE)[first:last]
    across = interpolation(shift_x + scale * places, SIDE)
    sides = []
    for reading in (down, across):
        size = len(reading)
        smooth = blur_matrix(size, ROUGH)
        coarse = blur_matrix(size, COARSE) @ smooth
        sides.append([(matrix @ reading)[1:-1:EVERY] for matrix in (smooth, coarse)])
    (smooth_y, coarse_y), (smooth_x, coarse_x) = (map(torch.from_numpy, side) for side in sides)
    return (smooth_y @ gray @ smooth_x.T - coarse_y @ gray @ coarse_x.T).flatten(1)


def _looks() -> list[tuple[int, tuple[float, float, float], int]]:
    """Return what is compared: 1 or -1 for mirrored, the view, and which of STRIPS."""
    return [
        (side, view, strip)
        for side in (1, -1)
        for number, view in enumerate(VIEWS)
        for strip in range(len(STRIPS) if number < NUM_CENTRAL else 1)
    ]


LOOKS = _looks()


def _shelved(sketches: Tensor) -> "faiss.IndexIVFFlat":
    """Return an index of vectors of length 1, in which those most similar are looked for."""
    import faiss  # only large sets need it

    count, length = sketches.shape
    groups = round(SHELVES * count**0.5)
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(length), length, groups, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.spherical = True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, 64
    index.nprobe = PROBED
    _set_one_thread()
    index.train(sketches.numpy())
    index.add(sketches.numpy())
    return index


def _views(first: _Pictures, rows: Tensor) -> list[tuple[int, Tensor]]:
    """Return for each of LOOKS which of STRIPS it is, and the sketches of some pictures."""
    sides = {1: first.gray[rows], -1: first.gray[rows].flip(2)}
    return [
        (strip, F.normalize(_structure(sides[side], view, STRIPS[strip])))
        for side, view, strip in LOOKS
    ]


def _nearest(
    first: _Pictures, second: _Pictures, rows: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """Return correlation with, and positions in second of, those most similar; [n, number].

    Where fewer are found the correlation is -1.
    """
    if second.shelves is None:
        return _nearest_of_all(first, second, rows, number)
    values, positions = [], []
    for strip, sketches in _views(first, rows):
        # One more than wanted: a picture finds itself.
        found = second.shelves[strip].search(sketches.numpy(), number + 1)
        values.append(torch.from_numpy(found[0]))
        positions.append(torch.from_numpy(found[1]))
    value, position = torch.cat(values, dim=1), torch.cat(positions, dim=1)

    # What several views find counts once, where it is most similar.
    order = value.argsort(dim=1, descending=True, stable=True)
    value, position = value.gather(1, order), position.gather(1, order)
    order = position.argsort(dim=1, stable=True)
    value, position = value.gather(1, order), position.gather(1, order)
    is_other = position >= 0
    is_other[:, 1:] &= position[:, 1:] != position[:, :-1]
    if first is second:
        is_other &= position != rows[:, None]
    top = torch.where(is_other, value, -1.0).topk(number, dim=1)
    return top.values, position.gather(1, top.indices)


def _nearest_of_all(
    first: _Pictures, second: _Pictures, rows: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """Return what `_nearest` does, each compared with each."""
    sketches = [(mine, second.sketches[strip]) for strip, mine in _views(first, rows)]
    values, positions = [torch.zeros(len(rows), 0)], [torch.zeros(len(rows), 0, dtype=torch.long)]
    for start in range(0, len(second.gray), TILE):
        tile = slice(start, start + TILE)
        best = sketches[0][0] @ sketches[0][1][tile].T
        other = torch.empty_like(best)
        for mine, theirs in sketches[1:]:
            torch.maximum(best, torch.mm(mine, theirs[tile].T, out=other), out=best)
        if first is second:
            best[rows[:, None] == torch.arange(start, start + best.shape[1])] = -1.0
        top = best.topk(min(number, best.shape[1]), dim=1)
        values.append(top.values)
        positions.append(top.indices + start)
    value, position = torch.cat(values, dim=1), torch.cat(positions, dim=1)
    top = value.topk(min(number, value.shape[1]), dim=1)
    return top.values, position.gather(1, top.indices)


def _search(first: _Pictures, second: _Pictures, max_distance: float, num_threads: int) -> Pairs:
    """Return pairs in which a view of a picture is found in another, by their positions."""

    def look_for(rows: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        correlation, j = _nearest(first, second, rows, NUM_NEAREST)
        i = rows[:, None].expand_as(j)[correlation >= MIN_CORRELATION]
        j = j[correlation >= MIN_CORRELATION]
        parts = []
        for pairs in _some_at_a_time(i, j):
            distance, warp = _align(first, second, *pairs)
            close = distance <= max_distance
            parts.append((pairs[0][close], pairs[1][close], distance[close], warp[close]))
        return parts

    chunks = torch.arange(len(first.gray)).split(CHUNK) if len(second.gray) else []
    found = [(torch.zeros(0, dtype=torch.long),) * 2 + (torch.zeros(0), torch.zeros(0, 2, 3))]
    parts = _shared_out(look_for, chunks, num_threads)
    for part in progress.track(parts, "near-copies", len(chunks)):
        found += part
    i, j, distance, warp = map(torch.cat, zip(*found, strict=True))
    a, b = first.positions[i], second.positions[j]
    return Pairs(a.numpy(), b.numpy(), distance.numpy(), warp.numpy())


def _some_at_a_time(i: Tensor, j: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    if len(i):
        yield from zip(i.split(CHUNK), j.split(CHUNK), strict=True)


def _safe_distance(first: _Pictures, second: _Pictures, num_threads: int) -> float:
    """Return the distance up to which pictures are rather copies than just alike; 1: no bound."""
    count = len(first.gray)
    if min(count, len(second.gray)) <= OTHERS.stop:
        return 1.0

    def distances_of(rows: Tensor) -> Tensor:
        j = _nearest_of_all(first, second, rows, OTHERS.stop)[1][:, OTHERS]
        pairs = _some_at_a_time(rows[:, None].expand_as(j).flatten(), j.flatten())
        return torch.cat([_align(first, second, *some, follows_all=True)[0] for some in pairs])

    rows = torch.linspace(0, count - 1, min(count, NUM_SAMPLED)).long().split(CHUNK // 4)
    distances = torch.cat(list(_shared_out(distances_of, rows, num_threads)))
    return SAFE * float(distances.quantile(OTHERS_QUANTILE)) ** 2


def _align(
    first: _Pictures, second: _Pictures, i: Tensor, j: Tensor, follows_all: bool = False
) -> tuple[Tensor, Tensor]:
    """Return distance [n] and warp [n, 2, 3] of pairs; those that are no map of a picture have 1.

    Args:
        first, second: the pictures.
        i, j: positions in them, int64 [n].
        follows_all: also those that are far from each other after some of the STEPS.
    """
    look = _best_look(first, second, i, j)
    a, b = first.gray[i], second.gray[j]
    side = torch.tensor([one[0] for one in LOOKS])[look]
    a = torch.where((side < 0)[:, None, None], a.flip(2), a)
    scale, x, y = torch.tensor([one[1] for one in LOOKS])[look].T
    strips = torch.tensor([STRIPS[one[2]] for one in LOOKS])[look]
    row = torch.arange(SIDE)
    weight = ((row >= strips[:, :1]) & (row < strips[:, 1:])).float()[:, :, None]
    zero = torch.zeros_like(x)
    warp = torch.stack([scale, zero, x, zero, scale, y], dim=1).view(-1, 2, 3)
    distance = torch.ones(len(i))
    followed = torch.arange(len(i))
    for sigma, part, num_steps, shortlist in STEPS:
        distance[followed], warp[followed] = _steps(
            a[followed],
            b[followed],
            scale[followed],
            warp[followed],
            weight[followed],
            sigma,
            part,
            num_steps,
        )
        if not follows_all:
            followed = (distance <= shortlist).nonzero()[:, 0]
        if not len(followed):
            break
    # As if a had not been mirrored before.
    warp[:, 0] *= side[:, None]
    return distance, warp


def _best_look(first: _Pictures, second: _Pictures, i: Tensor, j: Tensor) -> Tensor:
    """Return which of LOOKS makes each first picture most similar to the second, int64 [n]."""
    rows, place = i.unique(return_inverse=True)
    similar = [
        (sketches[place] * second.sketches[strip][j]).sum(1)
        for strip, sketches in _views(first, rows)
    ]
    return torch.stack(similar).argmax(0)


def _steps(
    a: Tensor,
    b: Tensor,
    scale: Tensor,
    warp: Tensor,
    weight: Tensor,
    sigma: float,
    part: int,
    num_steps: int,
) -> tuple[Tensor, Tensor]:
    """Return distance [n] and warp after some Gauss-Newton steps on brightness.

    Means of `part` x `part` pixels are compared.
    """
    mean = torch.eye(SIDE // part).repeat_interleave(part, 1) / part  # [SIDE / part, SIDE]
    blur = mean @ torch.from_numpy(blur_matrix(SIDE, sigma))
    a = blur @ a @ blur.T
    # What is enlarged is blurred more; so is what it is compared with.
    blurred = torch.empty_like(a)
    for size in scale.unique():
        blur = mean @ torch.from_numpy(blur_matrix(SIDE, sigma / float(size)))
        blurred[scale == size] = blur @ b[scale == size] @ blur.T
    b, weight = blurred, mean @ weight
    # Of means the first and the last one lie further in.
    wider = (SIDE - 1) / (SIDE - part)
    warp = torch.cat([warp[:, :, :2], warp[:, :, 2:] * wider], dim=2)
    trust = weight
    for _ in range(num_steps):
        moved, inside = _moved(a, warp)
        step, seen = _step(moved, b, inside * trust)
        trust = weight * seen
        warp = _composed(warp, step)
    distance = _distance(*_moved(a, warp), b, warp, part)
    return distance, torch.cat([warp[:, :, :2], warp[:, :, 2:] / wider], dim=2)


def _moved(pictures: Tensor, warp: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures read where the warp says, and 1 where that is inside of them, else 0."""
    side = pictures.shape[1]
    places = F.affine_grid(warp, [len(pictures), 1, side, side], align_corners=True)
    moved = F.grid_sample(pictures[:, None], places, padding_mode="border", align_corners=True)
    return moved[:, 0], (places.abs() <= 1 + 1 / side).all(-1).float()


def _step(moved: Tensor, b: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change of the warp [n, 2, 3] that brings `moved` nearer to b, and new weights."""
    side = moved.shape[1]
    dy, dx = (slope * (side - 1) / 2 for slope in torch.gradient(moved, dim=(1, 2)))
    x = torch.linspace(-1, 1, side)
    y = x[:, None]
    # b is about gain * (moved + slopes * change) + offset.
    values = [dx * x, dx * y, dx, dy * x, dy * y, dy, moved, torch.ones_like(moved)]
    columns = torch.stack(values, dim=1).flatten(2)  # [n, 8, pixels]
    weighted = columns * weight.flatten(1)[:, None]
    normal = weighted @ columns.transpose(1, 2)
    # A picture without slopes would leave nothing to solve.
    normal += (1e-4 * normal.diagonal(dim1=1, dim2=2) + 1e-3).diag_embed()
    solution = torch.linalg.solve(normal, weighted @ b.flatten(1)[..., None])[..., 0]  # [n, 8]
    gain, offset = solution[:, 6, None, None], solution[:, 7, None, None]
    change = solution[:, :6] / gain[:, 0].clamp(min=0.3)
    residual = (b - gain * moved - offset).abs()
    # What is covered differs far more than the rest (Geman and McClure's weights).
    spread = residual.flatten(1).median(1).values.clamp(min=1.0)[:, None, None] * RESIDUALS
    return change.clamp(-MAX_STEP, MAX_STEP).view(-1, 2, 3), 1 / (1 + (residual / spread) ** 2) ** 2


def _composed(warp: Tensor, change: Tensor) -> Tensor:
    """Return the warp after a small change of the places that it reads, [n, 2, 3]."""
    linear = warp[:, :, :2]
    return torch.cat(
        [linear + linear @ change[:, :, :2], linear @ change[:, :, 2:] + warp[:, :, 2:]], 2
    )


def _distance(moved: Tensor, inside: Tensor, b: Tensor, warp: Tensor, part: int) -> Tensor:
    """Return sqrt(1 - correlation^2) of the fine structure, without a strip if that is less; [n].

    1 where little of the picture is left or its area much another one. A pixel is the mean of
    `part` x `part` ones.
    """
    side, margin = SIDE // part, MARGIN // part
    edge = torch.zeros(side, side)
    edge[margin:-margin, margin:-margin] = 1
    inside = inside * edge
    row = torch.arange(side)
    near = torch.exp(-0.5 * ((row[:, None] - row) * part / LOCAL) ** 2)
    best = torch.ones(len(b))
    for first, last in ((-(-first // part), last // part) for first, last in STRIPS):
        seen = inside[:, first:last]
        down = near[first:last, first:last]
        share = (down @ seen @ near).clamp(min=1e-3)
        rows = (moved[:, first:last], b[:, first:last])
        p, q = ((one - down @ (one * seen) @ near / share) * seen for one in rows)
        power = (p.square().sum((1, 2)) * q.square().sum((1, 2))).clamp(min=1e-6).sqrt()
        explained = ((p * q).sum((1, 2)) / power).clamp(0, 1).square()
        best = torch.minimum(best, (1 - explained).sqrt())
    area = torch.linalg.det(warp[:, :, :2])
    valid = (area >= MIN_AREA) & (area <= MAX_AREA) & (inside.mean((1, 2)) >= MIN_OVERLAP)
    return torch.where(valid, best, torch.ones(()))
