"""Dealing units out to parts, so that each class keeps its share in each of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from facedata.splits.strata import holdings, rare_classes

MAX_PASSES = 20  # over the units that were placed one by one; it settles after two or three
NUM_PAIRS = 20_000  # of units whose swap is weighed in one round
MAX_ROUNDS = 60  # of swaps
MAX_SWAPS = 200  # in one round
MAX_IDLE = 3  # rounds without a swap, then it is over


def distribute(
    unit: np.ndarray,
    labels: pd.DataFrame,
    shares: Sequence[float],
    rng: np.random.Generator,
    place_rare: bool = False,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Distribute units over parts so that each class has its share of images in each part.

    Units that hold the same classes are alike: of n alike units each part gets its share, rounded
    down. The few that remain, and units like no other, go one by one, large ones first, where the
    counts of all classes come nearest to their shares; then they move and swap while that helps.
    Nearest is least squares, each class weighed by 1 / sqrt(its images): a rare class keeps its
    share more exactly, yet many tiny ones together do not pull the parts off their sizes.

    Args:
        unit: of each image, int64 [N].
        labels: columns whose classes are to be balanced, one row an image.
        shares: of each part; they add up to 1.
        rng: decides between alike units.
        place_rare: place classes of one or two units as `_place_rare` says.
        kept: part of each image that stays where it is, -1 for the others, one for all of a unit;
            where there are such images, others go one by one where they fit best beside them.

    Returns:
        part of each image, int64 [N].

    Source: for many labels the aim is that of iterative stratification (Sechidis et al. 2011).
    """
    unit, share = pd.factorize(unit)[0], np.asarray(shares)
    holds, names = holdings(unit, labels)
    part = np.full(holds.shape[0], -1)
    if kept is not None:
        part[unit] = kept
    is_begun = (part >= 0).any()
    if place_rare:
        _place_rare(holds, names, share, part)
    order = rng.permutation(len(part))
    if not is_begun:
        _deal_alike(holds, share, order[part[order] < 0], rng, part)
    free = order[part[order] < 0]
    _fit(holds, share, free, part)
    _swap(holds, share, free, rng, part)
    return part[unit]


def _place_rare(
    holds: sparse.csr_array,
    names: Sequence[tuple[str, str]],
    shares: np.ndarray,
    part: np.ndarray,
) -> None:
    """Place, in `part` [units], the units that hold a class which cannot be shared out.

    A unit that holds all images of a class, or of a joint class, goes to the first part. Of two
    that hold all images of a class, the larger one goes to the first part and the other to the
    last, as long as that has room: a class must be learnt before it can be tested.
    """
    rare = list(rare_classes(holds, names))
    for _, held_by in rare:
        if len(held_by) == 1 and part[held_by[0]] < 0:
            part[held_by] = 0
    size = holds[:, [0]].toarray().ravel()
    room = shares[-1] * size.sum() - size[part == len(shares) - 1].sum()
    for _, held_by in rare:
        if len(held_by) == 2:
            first, second = held_by
            if part[second] == 0 or part[first] > 0:  # placed by another class
                first, second = second, first
            if part[first] < 0:
                part[first] = 0
            if part[second] < 0 and size[second] <= room:
                part[second] = len(shares) - 1
                room -= size[second]


def _deal_alike(
    holds: sparse.csr_array,
    shares: np.ndarray,
    order: np.ndarray,
    rng: np.random.Generator,
    part: np.ndarray,
) -> None:
    """Deal alike units of `order` out, in `part`: each part gets its share, rounded down."""
    key = rng.integers(2**63, size=holds.shape[1], dtype=np.uint64)
    kind = pd.factorize((holds.astype(np.uint64) @ key)[order])[0]  # alike: an equal hash
    bound = np.floor(np.bincount(kind)[:, None] * shares + 1e-9).cumsum(axis=1)  # [kinds, parts]
    rank = pd.Series(kind).groupby(kind).cumcount().to_numpy()
    dealt = (rank[:, None] >= bound[kind]).sum(axis=1)
    part[order] = np.where(dealt < len(shares), dealt, -1)


def _errors(
    holds: sparse.csr_array, shares: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return count - share of what is placed, [classes, parts], and each class's weight."""
    counts = [holds[np.flatnonzero(part == p)].sum(axis=0) for p in range(len(shares))]
    error = np.stack(counts, axis=1)
    error -= error.sum(axis=1, keepdims=True) * shares
    return error, 1 / np.sqrt(np.maximum(holds.sum(axis=0), 1))


def _fit(holds: sparse.csr_array, shares: np.ndarray, order: np.ndarray, part: np.ndarray) -> None:
    """Place the units of `order`, in `part`, where they fit best."""
    error, weight = _errors(holds, shares, part)
    indptr = holds.indptr.tolist()

    def place(units: np.ndarray) -> int:
        """Place or move units, one by one; return how many changed their part."""
        num_changed = 0
        for u in units.tolist():
            row = slice(indptr[u], indptr[u + 1])
            held, count = holds.indices[row], holds.data[row]
            of_unit, old = error[held], part[u]
            if old < 0:
                of_unit -= count[:, None] * shares
            else:
                of_unit[:, old] -= count
            # Squared errors grow by 2 * count * error + count^2, the latter the same everywhere.
            cost = (count * weight[held]) @ of_unit
            new = int(cost.argmin())
            if old >= 0 and cost[old] <= cost[new] + 1e-9:
                continue
            of_unit[:, new] += count
            error[held] = of_unit
            part[u] = new
            num_changed += 1
        return num_changed

    size = holds[:, [0]].toarray().ravel()
    order = order[np.argsort(-size[order], kind="stable")]
    place(order)
    held = holds[order]
    square = held.multiply(held) @ weight
    for _ in range(MAX_PASSES):
        cost = held @ (error * weight[:, None])  # [units, parts]
        own = cost[np.arange(len(order)), part[order]]
        gain = own - square - cost.min(axis=1)
        best_first = np.argsort(-gain, kind="stable")
        if not place(order[best_first[: (gain > 1e-9).sum()]]):
            break


def _swap(
    holds: sparse.csr_array,
    shares: np.ndarray,
    free: np.ndarray,
    rng: np.random.Generator,
    part: np.ndarray,
) -> None:
    """Let units of `free` change places, in `part`, while that helps: pairs are drawn at random."""
    error, weight = _errors(holds, shares, part)
    num_idle = 0
    for _ in range(MAX_ROUNDS if len(free) else 0):
        pairs = free[rng.integers(len(free), size=(2, min(NUM_PAIRS, len(free) ** 2)))]
        a, b = pairs[:, part[pairs[0]] != part[pairs[1]]]
        change = holds[b] - holds[a]  # of a's part; b's changes by as much the other way
        square = change.multiply(change) @ weight
        cost = change @ (error * weight[:, None])  # [pairs, parts]
        pair = np.arange(len(a))
        gain = cost[pair, part[b]] - cost[pair, part[a]] - square
        num_swapped = 0
        for k in np.argsort(-gain, kind="stable")[: min(MAX_SWAPS, (gain > 1e-9).sum())]:
            to, of = part[b[k]], part[a[k]]
            delta = change[[k]].toarray().ravel()
            if (delta * weight) @ (error[:, to] - error[:, of]) > square[k] + 1e-9:
                error[:, of] += delta
                error[:, to] -= delta
                part[a[k]], part[b[k]] = to, of
                num_swapped += 1
        num_idle = 0 if num_swapped else num_idle + 1
        if num_idle == MAX_IDLE:
            break
