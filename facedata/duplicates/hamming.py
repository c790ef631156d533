"""Near pairs among 64-bit hashes, exactly, without comparing each with each.

Cut into b blocks, two hashes that differ in at most d bits agree in at least b - d blocks. For each
choice of b - d blocks the hashes are sorted by those bits, and only neighbours with equal bits are
compared. With no block to agree in (b = d) this is the comparison of each with each.
"""

import math
from collections.abc import Iterator
from functools import partial
from itertools import combinations, pairwise

import numpy as np

from facekit.compute.workers import threaded_map

BITS = 64
# Cost of a row sorted for one choice of blocks and of a pair of rows compared, ns. Only their
# ratio matters, and only for the time.
SORT_COST, COMPARE_COST = 25.0, 2.5
SAMPLE = 1 << 18  # pairs drawn to foresee how many rows will have to be compared
JOINED = 1 << 16  # near pairs looked at together
CACHED_ROWS = 1 << 15  # compared at a time
MAX_EXTRA = 8  # most blocks b - d that are thought of


def near_pairs(
    a: np.ndarray, b: np.ndarray | None, max_distance: int, num_threads: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield all pairs of hashes that differ in few bits, each pair once.

    Args:
        a: uint64 [N].
        b: uint64 [M], the others; None: those of `a` among each other.
        max_distance: largest number of differing bits, 0..64.
        num_threads: the result does not depend on it.

    Yields:
        i, j (int64 [n]): positions in a and in b; i < j where b is None. And the number of
        differing bits (uint8 [n]). The order depends on nothing but the input.
    """
    hashes = a if b is None else np.concatenate([a, b])
    hashes = np.ascontiguousarray(hashes, dtype=np.uint64)
    num_blocks = _choose_num_blocks(hashes, max_distance)
    masks = _block_masks(num_blocks)
    choices = combinations(range(num_blocks), num_blocks - max_distance)
    first_b = None if b is None else len(a)
    find = partial(_near_rows, hashes, masks, max_distance, first_b)
    yield from threaded_map(find, choices, num_threads)


def _near_rows(
    hashes: np.ndarray,
    masks: np.ndarray,
    max_distance: int,
    first_b: int | None,
    chosen: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs that agree in the chosen blocks and in no choice before; as `near_pairs`.

    Args:
        hashes: uint64 [N], both lists one after the other.
        masks: the bits of each block, uint64 [num_blocks].
        max_distance: as in `near_pairs`.
        first_b: number of hashes of the first list; None if there is but one.
        chosen: blocks, ascending.
    """
    # A pair that agrees in more blocks is found with each choice of them: the first counts.
    passed_over = [block for block in range(max(chosen, default=0)) if block not in chosen]
    agreed = np.bitwise_or.reduce(masks[list(chosen)])
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))]
    for i, j in _some_at_a_time(_neighbours(hashes, masks[list(chosen)], max_distance)):
        differing = hashes[i] ^ hashes[j]
        keep = (differing & agreed) == 0
        for block in passed_over:
            keep &= (differing & masks[block]) != 0
        if first_b is not None:
            keep &= (i < first_b) & (j >= first_b)
        found.append((i[keep], j[keep], np.bitwise_count(differing[keep])))
    i, j, distance = map(np.concatenate, zip(*found, strict=True))
    return i, j if first_b is None else j - first_b, distance


def _some_at_a_time(
    parts: Iterator[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the same pairs, many small arrays joined."""
    collected, size = [], 0
    for part in parts:
        collected.append(part)
        size += len(part[0])
        if size >= JOINED:
            yield _joined(collected)
            collected, size = [], 0
    if collected:
        yield _joined(collected)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    i, j = map(np.concatenate, zip(*parts, strict=True))
    return i, j


def _block_masks(num_blocks: int) -> np.ndarray:
    """Return the bits of each block, uint64 [num_blocks]; blocks as equal as can be."""
    edges = [BITS * block // num_blocks for block in range(num_blocks + 1)]
    return np.array([(1 << high) - (1 << low) for low, high in pairwise(edges)], dtype=np.uint64)


def _choose_num_blocks(hashes: np.ndarray, max_distance: int) -> int:
    """Return the number of blocks, at least max_distance, that should take the least time.

    Hashes of pictures are far from uniform: a sample of pairs tells in how many blocks they agree.
    """
    if max_distance == 0:
        return 1
    num_rows = len(hashes)
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, max(num_rows, 1), (2, SAMPLE if num_rows > 1 else 0))
    differing = (hashes[i] ^ hashes[j])[i != j]
    num_pairs = num_rows * (num_rows - 1) / 2
    best, least = max_distance, num_pairs * COMPARE_COST
    for num_blocks in range(max_distance + 1, min(max_distance + MAX_EXTRA, BITS) + 1):
        extra = num_blocks - max_distance
        sorting = math.comb(num_blocks, extra) * num_rows * SORT_COST
        if sorting >= least:
            break
        num_equal = sum((differing & mask) == 0 for mask in _block_masks(num_blocks))
        ways = np.array([math.comb(equal, extra) for equal in range(num_blocks + 1)])
        meetings = ways[num_equal].mean() if len(differing) else 0.0
        cost = sorting + num_pairs * meetings * COMPARE_COST
        if cost < least:
            best, least = num_blocks, cost
    return best


def _neighbours(
    hashes: np.ndarray, masks: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions i < j of near pairs: all of those that are equal in the masked bits.

    Some others are among them.
    """
    num_rows = len(hashes)
    position_bits = max(num_rows - 1, 1).bit_length()
    rows, room = np.arange(num_rows, dtype=np.uint64), BITS - position_bits
    for mask in masks.tolist():
        low, width = (mask & -mask).bit_length() - 1, min(mask.bit_count(), room)
        room -= width
        block = (hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)
        rows |= block << np.uint64(room + position_bits)
    rows.sort()
    # Buckets of rows with equal bits; a row that is alone in its own has no neighbour.
    bucket = rows >> np.uint64(position_bits)
    is_equal = bucket[1:] == bucket[:-1]  # to the row before
    keep = np.zeros(num_rows, dtype=bool)
    keep[1:] |= is_equal
    keep[:-1] |= is_equal
    rows, bucket = rows[keep], bucket[keep]
    position = (rows & np.uint64((1 << position_bits) - 1)).astype(np.int64)
    ends = np.flatnonzero(np.append(bucket[1:] != bucket[:-1], len(bucket) > 0)) + 1
    sizes = np.diff(ends, prepend=0)
    if not len(rows):
        return
    # Largest buckets first: those that hold rows so and so far from each other come before others.
    order = np.argsort(-sizes, kind="stable")
    moved_ends = np.cumsum(sizes[order])
    position = position[np.repeat((ends[order] - moved_ends), sizes[order]) + np.arange(len(rows))]
    sizes, ends = sizes[order], moved_ends
    # Some at a time stay in the cache.
    cuts = np.flatnonzero(np.diff(ends // CACHED_ROWS)) + 1
    for first, last in zip([0, *cuts], [*cuts, len(sizes)], strict=True):
        part = slice(ends[first] - sizes[first], ends[last - 1])
        yield from _compare_buckets(hashes, position[part], sizes[first:last], max_distance)


def _compare_buckets(
    hashes: np.ndarray, position: np.ndarray, sizes: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the near pairs within buckets of rows, and some from one bucket to the next.

    Args:
        hashes: uint64 [N].
        position: of the buckets' rows, one bucket after the other, int64 [sum of sizes].
        sizes: of the buckets, int64, descending.
        max_distance: as in `near_pairs`.
    """
    bits = hashes[position]
    differing = np.empty(len(bits), dtype=np.uint64)
    distance = np.empty(len(bits), dtype=np.uint8)
    # Number of rows in buckets of more than 0, 1, 2 ... rows.
    num_rows = np.cumsum(np.bincount(sizes, weights=sizes)[::-1])[::-1].astype(np.int64)[1:]
    for step in range(1, len(num_rows)):
        num_pairs = num_rows[step] - step
        np.bitwise_xor(bits[:num_pairs], bits[step:][:num_pairs], out=differing[:num_pairs])
        np.bitwise_count(differing[:num_pairs], out=distance[:num_pairs])
        near = np.flatnonzero(distance[:num_pairs] <= max_distance)
        if len(near):
            yield position[near], position[near + step]
