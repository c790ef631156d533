"""Bootstrap of figures over clusters: images of a person, and duplicates, are drawn together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

CHUNK = 256  # replicates at a time: memory stays flat


Measure = Callable[[np.ndarray], np.ndarray]  # sums [..., *S], such as confusions -> [...]


@dataclass(frozen=True)
class Resampling:
    """How often each cluster and seed is drawn, one row a replicate.

    Attributes:
        counts: of the clusters, uint16 [num_bootstrap, num_clusters].
        shares: of the seeds, float64 [num_bootstrap, num_seeds].
    """

    counts: np.ndarray
    shares: np.ndarray


def resample(num_clusters: int, num_seeds: int, num_bootstrap: int, seed: int) -> Resampling:
    """Draw clusters and seeds; whatever is measured on the same draws can be compared.

    A replicate draws as many clusters as there are, with replacement, and independently of them
    one seed fewer than there are (at least one): so the variance between seeds is not understated,
    which matters with two or three of them. One seed alone is kept: its interval leaves
    out how much another training would differ.

    Args:
        num_clusters: to draw from, and how many a replicate draws.
        num_seeds: of the trainings.
        num_bootstrap: replicates.
        seed: of the random numbers.

    Source: clusters and seeds as crossed factors, Owen 2007 (doi:10.1214/07-AOAS122); n - 1 draws,
    Rao and Wu 1988 (doi:10.1080/01621459.1988.10478591).
    """
    rng = np.random.default_rng(seed)
    num_drawn = max(num_seeds - 1, 1)
    counts, shares = [], []
    for start in range(0, num_bootstrap, CHUNK):
        size = min(CHUNK, num_bootstrap - start)
        drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=size)
        counts.append(drawn.astype(np.uint16))
        shares.append(rng.multinomial(num_drawn, np.full(num_seeds, 1 / num_seeds), size=size))
    return Resampling(np.concatenate(counts), np.concatenate(shares) / num_drawn)


def bootstrap(
    sums: np.ndarray, measures: Mapping[str, Measure], resampling: Resampling
) -> dict[str, np.ndarray]:
    """Return replicates of each measure averaged over seeds, float64 [num_bootstrap, num_arms].

    Args:
        sums: over the images of each cluster, [num_clusters, num_arms, num_seeds, *S]: counts by
            true and predicted class, or whatever else the measures are made of. Arms are what is
            measured on the same draws.
        measures: by name.
        resampling: of these clusters and seeds.
    """
    flat = sums.reshape(len(sums), -1)
    replicates: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for start in range(0, len(resampling.counts), CHUNK):
        chunk = slice(start, start + CHUNK)
        drawn = resampling.counts[chunk].astype(flat.dtype) @ flat
        drawn = drawn.reshape(-1, *sums.shape[1:]).astype(np.float64)  # exact: counts below 2**24
        shares = resampling.shares[chunk, None]
        for name, measure in measures.items():
            values = measure(drawn)  # [size, num_arms, num_seeds]
            replicates[name].append((values * shares).sum(axis=2))
    return {name: np.concatenate(parts) for name, parts in replicates.items()}


def interval(replicates: np.ndarray, confidence: float) -> np.ndarray:
    """Return the percentile intervals (low, high) of replicates, float64 [2, ...].

    Args:
        replicates: [num_bootstrap, ...]; those that are not defined (NaN) are left out, and where
            all are the interval is NaN.
        confidence: of the intervals, in 0..1.
    """
    tail = (1 - confidence) / 2
    columns = replicates.reshape(len(replicates), -1)
    found = np.quantile(columns, [tail, 1 - tail], axis=0)
    for i in np.flatnonzero(np.isnan(columns).any(axis=0)):
        known = columns[~np.isnan(columns[:, i]), i]
        if len(known):
            found[:, i] = np.quantile(known, [tail, 1 - tail])
    return found.reshape(2, *replicates.shape[1:])
