"""What becomes of each candidate: refused, with the reason, or accepted by chance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def deal_folds(wanted: np.ndarray, order: np.ndarray, folds: Sequence[int]) -> np.ndarray:
    """Return the fold whose model judges each candidate, int64 [N]; of a class each as many.

    One model judges each, as with real images. The mean of all would be steadier than what those
    are judged by, so that other shares of them would pass.

    Args:
        wanted: class that each candidate was drawn for, int64 [N].
        order: of the candidates, by chance, int64 [N].
        folds: of the models.
    """
    place = pd.Series(wanted[order]).groupby(wanted[order]).cumcount().to_numpy()
    dealt = np.empty(len(wanted), dtype=np.int64)
    dealt[order] = np.asarray(folds, dtype=np.int64)[place % len(folds)]
    return dealt


def refuse(
    probability: np.ndarray,
    threshold: np.ndarray,
    distance: np.ndarray,
    min_distance: float,
    is_copy: np.ndarray,
) -> pd.Series:
    """Return why candidates are refused, one by one: a reason each, NA where there is none.

    Args:
        probability: the teacher's, of each candidate's class, float64 [N].
        threshold: below it a candidate is refused (low_probability), float64 [N].
        distance: relative, to the nearest train image, float64 [N].
        min_distance: nearer ones are refused (memorized).
        is_copy: so are these, bool [N].
    """
    reason = pd.Series(pd.NA, index=range(len(probability)), dtype="str")
    reason[probability < threshold] = "low_probability"
    reason[(distance < min_distance) | is_copy] = "memorized"
    return reason


def accept(
    reason: pd.Series, wanted: np.ndarray, order: np.ndarray, deficits: np.ndarray
) -> pd.DataFrame:
    """Return accepted, reason and rank of each candidate: as many are taken as their class lacks.

    Args:
        reason: why some are refused.
        wanted: class of each candidate, int64 [N], a place in `deficits`.
        order: in which they are taken, by chance: the surest ones would all be alike.
        deficits: of the classes, int64.

    Returns:
        accepted (bool), reason (with `surplus`, NA where accepted) and rank (Int64: place among
        those of the class that passed, from 0; NA where refused).
    """
    passed = order[reason.isna().to_numpy()[order]]
    rank = pd.Series(pd.NA, index=reason.index, dtype="Int64")
    rank[passed] = pd.Series(wanted[passed]).groupby(wanted[passed]).cumcount().to_numpy()
    reason = reason.mask(rank.ge(pd.Series(deficits[wanted])).fillna(False), "surplus")
    return pd.DataFrame({"accepted": reason.isna(), "reason": reason, "rank": rank})
