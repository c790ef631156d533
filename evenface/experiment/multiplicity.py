"""Several comparisons at once: which of them may be called findings.

One comparison, declared beforehand, is primary and keeps its own p. The other arms of a task, and
other tasks, are exploratory: they are marked as such, and corrected together (Holm), controls by
themselves. Where many figures are looked through for something odd, such as gaps of subgroups, the
share of false alarms among the alarms is held instead (Benjamini and Hochberg).
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Role = Literal["primary", "exploratory"]
Key = TypeVar("Key", bound=Hashable)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p corrected so that any false finding has the chance of the level, float64 [m].

    Args:
        p: float [m]; NaN stays NaN and counts as no comparison.

    Source: Holm 1979 (https://www.jstor.org/stable/4615733).
    """
    return _stepwise(p, lambda rank, num: num - rank, np.maximum.accumulate)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return p corrected so that of the findings the share of false ones is the level at most.

    Args:
        p: float [m], independent or positively dependent; NaN stays NaN.

    Source: Benjamini and Hochberg 1995 (doi:10.1111/j.2517-6161.1995.tb02031.x).
    """

    def from_above(values: np.ndarray) -> np.ndarray:
        return np.minimum.accumulate(values[::-1])[::-1]

    return _stepwise(p, lambda rank, num: num / (rank + 1), from_above)


def _stepwise(
    p: np.ndarray,
    factor: Callable[[np.ndarray, int], np.ndarray],
    accumulate: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return p times a factor by rank, in order again, at most 1."""
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    ranks = np.arange(len(order))
    corrected[order] = np.minimum(accumulate(p[order] * factor(ranks, len(order))), 1)
    return corrected


@dataclass(frozen=True)
class Corrected:
    """A comparison among others.

    Attributes:
        role: `primary`, declared beforehand, or `exploratory`.
        p: of itself.
        corrected: p of the primary one; Holm's over the exploratory ones else.
        is_finding: corrected is at most the level.
    """

    role: Role
    p: float
    corrected: float
    is_finding: bool


def correct(
    p: Mapping[Key, float], primary: Key | None = None, confidence: float = 0.95
) -> dict[Key, Corrected]:
    """Return what becomes of comparisons, in their order.

    Args:
        p: of each comparison, such as (task, arm).
        primary: the one that was declared, if any.
        confidence: of the findings.

    Raises:
        KeyError: the primary comparison is none of these.
    """
    if primary is not None and primary not in p:
        raise KeyError(primary)
    others = [key for key in p if key != primary]
    corrected = dict(zip(others, holm(np.array([p[key] for key in others])), strict=True))
    if primary is not None:
        corrected[primary] = p[primary]
    return {
        key: Corrected(
            role="primary" if key == primary else "exploratory",
            p=p[key],
            corrected=float(corrected[key]),
            is_finding=bool(corrected[key] <= 1 - confidence),
        )
        for key in p
    }
