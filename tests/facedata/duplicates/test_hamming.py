"""Near pairs of hashes: the search finds what comparing each with each finds."""

import math
from itertools import pairwise

import numpy as np
import pytest

from facedata.duplicates import hamming


def slowly(a, b, max_distance):
    """Compare each with each."""
    others = a if b is None else b
    distance = np.bitwise_count(a[:, None] ^ others)
    return sorted(
        (int(i), int(j), int(distance[i, j]))
        for i, j in zip(*np.nonzero(distance <= max_distance), strict=True)
        if b is not None or i < j
    )


def found(a, b, max_distance, num_threads=1):
    chunks = hamming.near_pairs(a, b, max_distance, num_threads)
    return [pair for chunk in chunks for pair in zip(*(c.tolist() for c in chunk), strict=True)]


def random_hashes(rng, number, spread):
    """Return hashes around a few others; spread: bits that vary, 64 for uniform ones."""
    centres = rng.integers(0, 1 << 64, max(number // 4, 1), dtype=np.uint64)
    free = np.uint64(sum(1 << int(bit) for bit in rng.permutation(64)[:spread]))
    noise = rng.integers(0, 1 << 64, number, dtype=np.uint64)
    return centres[rng.integers(0, len(centres), number)] ^ (noise & free)


@pytest.mark.parametrize("seed", range(40))
def test_search_is_exact(seed):
    rng = np.random.default_rng(seed)
    max_distance = int(rng.integers(0, 14))
    spread = int(rng.choice([2, 5, 20, 64]))
    a = random_hashes(rng, int(rng.integers(0, 400)), spread)
    b = None
    if seed % 2:
        b = np.concatenate([rng.permutation(a)[: len(a) // 2], random_hashes(rng, 100, spread)])
    pairs = found(a, b, max_distance)
    assert sorted(pairs) == slowly(a, b, max_distance)


@pytest.mark.parametrize("max_distance", [0, 1, 3, 6, 12, 64])
def test_any_number_of_blocks_finds_each_pair_once(max_distance, monkeypatch):
    a = random_hashes(np.random.default_rng(0), 200, 12)
    a = np.concatenate([a, a[:20]])
    expected = slowly(a, None, max_distance)
    assert expected
    for num_blocks in range(max(max_distance, 1), min(max_distance + 6, 64) + 1):
        if math.comb(num_blocks, max_distance) < 1000:
            monkeypatch.setattr(hamming, "_choose_num_blocks", lambda *_, n=num_blocks: n)
            assert sorted(found(a, None, max_distance)) == expected


def test_threads_change_nothing():
    a = random_hashes(np.random.default_rng(1), 3000, 40)
    assert found(a, None, 6, num_threads=3) == found(a, None, 6)


def test_equal_hashes_are_all_near(monkeypatch):
    """One bucket holds them all, whatever blocks are chosen."""
    a = np.full(700, 5, dtype=np.uint64)
    a[-1] = 4
    monkeypatch.setattr(hamming, "CACHED_ROWS", 256)
    for num_blocks in (3, 5):
        monkeypatch.setattr(hamming, "_choose_num_blocks", lambda *_, n=num_blocks: n)
        assert len(found(a, None, 3)) == 700 * 699 // 2
    assert len(found(a, a, 0)) == 699**2 + 1


def test_blocks_cover_all_bits():
    for number in (1, 7, 9, 64):
        masks = hamming._block_masks(number)
        assert np.bitwise_or.reduce(masks) == np.uint64((1 << 64) - 1)
        assert all(low & high == 0 for low, high in pairwise(masks))


def test_more_hashes_are_cut_into_blocks_that_keep_their_buckets_small():
    rng = np.random.default_rng(0)
    few, many = (rng.integers(0, 1 << 64, n, dtype=np.uint64) for n in (50, 1 << 20))
    assert hamming._choose_num_blocks(few, 6) == 6  # each with each
    assert hamming._choose_num_blocks(many, 6) > 7
    assert hamming._choose_num_blocks(many, 30) == 30  # nothing to be gained
