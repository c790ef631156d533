"""Measures of all classes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.measures import MEASURES

if TYPE_CHECKING:
    import numpy as np


@MEASURES.register("accuracy")
def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of images [...] whose class is right."""
    import numpy as np

    from classifiers.evaluate.confusions import share

    return share(np.einsum("...kk->...", confusion), confusion.sum(axis=(-2, -1)))


@MEASURES.register("balanced_accuracy")
def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall [...] over the classes that have true images."""
    from classifiers.evaluate.confusions import mean_known, recalls

    return mean_known(recalls(confusion))


@MEASURES.register("macro_f1")
def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 [...] over the classes that have true images."""
    from classifiers.evaluate.confusions import f1_scores, mean_known

    return mean_known(f1_scores(confusion))


@MEASURES.register("weighted_f1")
def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 [...] over all images, each with the F1 of its class."""
    import numpy as np

    from classifiers.evaluate.confusions import f1_scores, share

    support = confusion.sum(axis=-1)
    scores = np.where(support > 0, f1_scores(confusion), 0)
    return share((scores * support).sum(axis=-1), support.sum(axis=-1))


@MEASURES.register("g_mean")
def g_mean(confusion: np.ndarray) -> np.ndarray:
    """Return the geometric mean [...] of the recalls of the classes that have true images.

    A class that is never found makes it 0.

    Source: Kubat and Matwin 1997, of two classes; Sun, Kamel and Wang 2006, of any number.
    """
    import numpy as np

    from classifiers.evaluate.confusions import mean_known, recalls

    with np.errstate(divide="ignore"):  # the logarithm of 0
        return np.exp(mean_known(np.log(recalls(confusion))))
