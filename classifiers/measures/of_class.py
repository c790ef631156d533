"""Measures of single classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.measures import CLASS_MEASURES

if TYPE_CHECKING:
    import numpy as np


@CLASS_MEASURES.register("recall")
def recall(confusion: np.ndarray) -> np.ndarray:
    """Return each class's recall [..., K]; NaN without true images."""
    from classifiers.evaluate.confusions import recalls

    return recalls(confusion)
