"""Weights of classes by how many images they have."""

import numpy as np


def inverse_frequency(counts: np.ndarray) -> np.ndarray:
    """Return class weights inverse to the classes' frequencies, float64 [num_classes].

    Over the images counted their mean is 1, so that a loss keeps its size; classes without an
    image get 0.

    Args:
        counts: images of each class, int64 [num_classes].
    """
    return inverse_effective_number(counts, 1.0)


def inverse_effective_number(counts: np.ndarray, beta: float) -> np.ndarray:
    """Return class weights inverse to the effective number of images, float64 [num_classes].

    Over the images counted their mean is 1; classes without an image get 0.

    Args:
        counts: images of each class, int64 [num_classes].
        beta: (N - 1) / N for N prototypes a class; 0 weighs all classes alike, 1 by frequency.

    Source: Cui et al. 2019, arXiv:1901.05555.
    """
    present = counts > 0
    number = counts[present].astype(float)
    if beta < 1:
        number = (1 - beta**number) / (1 - beta)
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / number / (counts[present] / number).sum()
    return weights
