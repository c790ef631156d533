"""Can the teacher tell the classes apart: of real images, and of those that were drawn for them?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from classifiers.evaluate.bootstrap import bootstrap, interval, resample
from classifiers.evaluate.confusions import confusion_matrix, mean_known, recalls

CONFIDENCE = 0.95  # of the intervals
NUM_BOOTSTRAP = 1000


def recognised(probability: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the class that each image is taken for, int64 [N].

    It is the most probable one if all were equally frequent: else faces of a rare class, which the
    teacher rarely saw, would all be taken for the most frequent one.

    Args:
        probability: of each class, float64 [N, num_classes].
        frequency: images of each class in train, int64 [num_classes]; of a class without any, which
            the teacher cannot know, nothing is taken for it.
    """
    odds = np.where(frequency > 0, probability / np.maximum(frequency, 1), -1)
    return odds.argmax(axis=1).astype(np.int64)


def of_real(
    taken: np.ndarray, label: np.ndarray, cluster: np.ndarray, num_classes: int, seed: int
) -> dict[str, Any]:
    """Return how well real images are told apart that the model did not learn from.

    Args:
        taken: class that each image is taken for, int64 [N].
        label: its class, int64 [N].
        cluster: persons, clusters of duplicates or single images, int64 [N], from 0.
        num_classes: how many there are.
        seed: of the resamplings.

    Returns:
        images, balanced_accuracy with its interval (low, high) over persons, chance (what a guess
        reaches) and told, whether the whole interval is above it.
    """
    num_clusters = int(cluster.max()) + 1
    cells = (cluster * num_classes + label) * num_classes + taken
    counts = np.bincount(cells, minlength=num_clusters * num_classes**2).astype(np.float32)
    sums = counts.reshape(num_clusters, 1, 1, num_classes, num_classes)
    resampling = resample(len(sums), 1, NUM_BOOTSTRAP, seed)
    drawn = bootstrap(sums, {"balanced": _balanced}, resampling)["balanced"][:, 0]
    low, high = interval(drawn, CONFIDENCE)
    chance = 1 / len(np.unique(label))
    return {
        "images": len(label),
        "balanced_accuracy": float(_balanced(confusion_matrix(label, taken, num_classes))),
        "low": float(low),
        "high": float(high),
        "chance": chance,
        "told": bool(low > chance),
    }


def _balanced(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes that occur, from counts [..., K, K]."""
    return mean_known(recalls(confusion))


def of_candidates(taken: np.ndarray, label: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return how often candidates are taken for the class that they were drawn for.

    Chance is what a generator that ignores the class reaches: as often as candidates of other
    classes are taken for it, and one in so many as there are classes at least.

    Args:
        taken: class that each candidate is taken for, int64 [N].
        label: class that it was drawn for, int64 [N].
        names: of the classes.

    Returns:
        classes: name, candidates, share with its exact interval (low, high), chance and told, of
        each class that was drawn; share and chance, their means over the classes, low, which the
        mean share exceeds with CONFIDENCE, and told.
    """
    classes = []
    for one in np.unique(label):
        own = label == one
        hits = int((taken[own] == one).sum())
        chance = max(1 / len(names), float((taken[~own] == one).mean()) if (~own).any() else 0.0)
        ends = binomtest(hits, int(own.sum())).proportion_ci(CONFIDENCE, "exact")
        classes.append(
            {
                "name": names[one],
                "candidates": int(own.sum()),
                "share": hits / int(own.sum()),
                "low": float(ends.low),
                "high": float(ends.high),
                "chance": chance,
                "told": bool(ends.low > chance),
            }
        )
    return {**_overall(classes), "classes": classes}


def _overall(classes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means over classes; the error is that of binomial shares, a hit and a miss added."""
    if not classes:
        return {"share": None, "low": None, "chance": None, "told": None}
    share, chance = (float(np.mean([one[name] for one in classes])) for name in ("share", "chance"))
    num = np.array([one["candidates"] for one in classes])
    near = (np.array([one["share"] for one in classes]) * num + 1) / (num + 2)
    error = float(np.sqrt((near * (1 - near) / num).sum())) / len(classes)
    low = share - float(norm.ppf(CONFIDENCE)) * error
    return {"share": share, "low": low, "chance": chance, "told": low > chance}
