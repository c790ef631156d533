"""Measures of predictions with classes: what arms, epochs and thresholds are chosen by.

A measure is a registered function of confusions: of all classes together (MEASURES), or of each
class (CLASS_MEASURES), of which the rarest class's is judged. Modules of this folder are imported
for the names alone, so they import numpy inside functions.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from facekit.registry import Registry

if TYPE_CHECKING:
    import numpy as np

# Confusions [..., K, K] (any counts or weights; row the true class) -> [...].
MEASURES: Registry["Callable[[np.ndarray], np.ndarray]"] = Registry("measure", __name__)
# Likewise -> [..., K].
CLASS_MEASURES: Registry["Callable[[np.ndarray], np.ndarray]"] = Registry(
    "measure of a class", __name__
)


def meaning(name: str) -> str:
    """Return what a measure of all classes is, in a few words: those of its docstring."""
    words = (MEASURES[name].__doc__ or "").partition("\n")[0]
    return words.removeprefix("Return the ").replace(" [...]", "").rstrip(".")


def judged() -> list[str]:
    """Return the names of all measures that arms can be judged by."""
    return sorted({*MEASURES, *CLASS_MEASURES})
