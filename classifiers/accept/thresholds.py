"""How sure the teacher must be of a synthetic image: as sure as it is of nearly all real ones."""

import numpy as np

PRIOR = 20  # images that the classes together count as beside each class's own


def thresholds(
    probability: np.ndarray, label: np.ndarray, num_classes: int, share: float
) -> np.ndarray:
    """Return what a share of the real images of each class falls below, float64 [num_classes].

    A class's distribution is that of its own images together with that of the images of all classes
    given, which count as PRIOR of its own: the mean of the posterior under a Dirichlet process. So
    a class of few images leans on the others, and one without any has theirs.

    Args:
        probability: of each real image's own class, by a model that did not learn from the image,
            float64 [N].
        label: its class, int64 [N]; images of classes that nothing is drawn of are left out.
        num_classes: how many there are.
        share: in [0, 1]; 0 gives 0, so that nothing is refused.

    Source: Ferguson 1973 (doi:10.1214/aos/1176342360).
    """
    if not share or not len(probability):
        return np.zeros(num_classes)
    order = np.argsort(probability, kind="stable")
    ranked = probability[order]
    found = np.empty(num_classes)
    for one in range(num_classes):
        weight = (label[order] == one) + PRIOR / len(ranked)
        reached = np.cumsum(weight) / weight.sum()
        found[one] = ranked[np.searchsorted(reached, share)]
    return found
