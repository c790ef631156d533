"""Would the arms' names, dealt anew, differ as much? A test of the networks as they are."""

from collections.abc import Sequence

import numpy as np

from evenface.experiment.influence import Measure, confusions

NUM_PERMUTATIONS = 2000
_CHUNK = 256  # permutations at a time: memory stays flat


def permutation_p(
    rounds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    measure: Measure,
    num_classes: int,
    seed: int,
    num_permutations: int = NUM_PERMUTATIONS,
) -> float:
    """Return the p of these very networks: would the arms' names, dealt anew, differ as much?

    The names of the arms are swapped, cluster by cluster, for all seeds of a round together.
    That is a test of these networks on other images; it knows nothing of
    other trainings, so it stands beside the interval and carries no verdict.

    Args:
        rounds: target [N], baseline [S, N], arm [S, N] and cluster [N] of each, as of
            `sample_classes`.
        measure: of confusions.
        num_classes: K.
        seed: of the permutations.
        num_permutations: how many.

    Source: Fisher's randomisation test; the share counts the arms as they are, Phipson and Smyth
    2010 (doi:10.2202/1544-6115.1585).
    """
    rng = np.random.default_rng(seed)
    found = 0.0
    dealt = np.zeros(num_permutations)
    for target, baseline, arm, cluster in rounds:
        _, place = np.unique(cluster, return_inverse=True)
        num_clusters, num_seeds = place.max() + 1, len(arm)
        shape = (num_clusters, num_seeds, num_classes**2)
        moved = np.zeros(shape, dtype=np.float32)  # what swapping a cluster adds to the baseline
        which = np.arange(num_seeds)[:, None]
        np.add.at(moved, (place[None], which, target * num_classes + arm), 1)
        np.add.at(moved, (place[None], which, target * num_classes + baseline), -1)
        differs = moved.any(axis=(1, 2))
        moved = moved[differs].reshape(-1, num_seeds * num_classes**2)
        counts = [confusions(target, pred, num_classes) for pred in (baseline, arm)]
        found += float((measure(counts[1]) - measure(counts[0])).mean())
        for start in range(0, num_permutations, _CHUNK):
            chunk = slice(start, min(start + _CHUNK, num_permutations))
            swapped = rng.random((chunk.stop - start, len(moved)), dtype=np.float32) < 0.5
            change = (swapped.astype(np.float32) @ moved).astype(np.float64)
            change = change.reshape(-1, num_seeds, num_classes, num_classes)
            gap = measure(counts[1] - change) - measure(counts[0] + change)
            dealt[chunk] += gap.mean(axis=1)
    as_much = (np.abs(dealt) >= abs(found) - 1e-12).sum()
    return float((1 + as_much) / (1 + num_permutations))
