"""Bootstrap of figures over clusters: images of a person, and duplicates, are drawn together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

CHUNK = 256  # replicates at a time: memory stays flat


@dataclass(frozen=True)
class Draws:
    """How intervals are drawn.

    Attributes:
        confidence: of an interval, in 0..1.
        number: replicates.
        seed: of the random numbers.
    """

    confidence: float
    number: int
    seed: int


Measure = Callable[[np.ndarray], np.ndarray]  # sums [..., *S], such as confusions -> [...]


def bootstrap(
    sums: np.ndarray, measures: Mapping[str, Measure], num_bootstrap: int, seed: int
) -> dict[str, np.ndarray]:
    """Return replicates of each measure averaged over seeds, float64 [num_bootstrap, num_arms].

    A replicate draws as many clusters as there are, with replacement, and independently of them
    one seed fewer than there are (at least one): so the variance between seeds is not understated,
    which matters with two or three of them. One seed alone is kept: its interval leaves
    out how much another training would differ.

    Args:
        sums: over the images of each cluster, [num_clusters, num_arms, num_seeds, *S]: counts by
            true and predicted class, or whatever else the measures are made of. Arms are what is
            measured on the same draws.
        measures: by name.
        num_bootstrap: replicates.
        seed: of the random numbers.

    Source: clusters and seeds as crossed factors, Owen 2007 (doi:10.1214/07-AOAS122); n - 1 draws,
    Rao and Wu 1988 (doi:10.1080/01621459.1988.10478591).
    """
    rng = np.random.default_rng(seed)
    num_clusters, _, num_seeds, *_ = sums.shape
    flat = sums.reshape(num_clusters, -1)
    replicates: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for start in range(0, num_bootstrap, CHUNK):
        size = min(CHUNK, num_bootstrap - start)
        weights = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=size)
        drawn = (weights.astype(flat.dtype) @ flat).reshape(size, *sums.shape[1:])
        drawn = drawn.astype(np.float64)  # float32 counts below 2**24 are exact
        num_drawn = max(num_seeds - 1, 1)
        shares = rng.multinomial(num_drawn, np.full(num_seeds, 1 / num_seeds), size=size)
        for name, measure in measures.items():
            values = measure(drawn)  # [size, num_arms, num_seeds]
            replicates[name].append((values * (shares / num_drawn)[:, None]).sum(axis=2))
    return {name: np.concatenate(parts) for name, parts in replicates.items()}


def interval(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the replicates [num_bootstrap] that are defined (not NaN).

    NaN if none is.
    """
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
