"""Classes of the first head in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from classifiers.samplers import SAMPLERS

if TYPE_CHECKING:
    import numpy as np


@SAMPLERS.register("balanced_sampler")
def classes_in_turn(
    targets: Sequence[tuple[np.ndarray, int]], num_shown: int, seed: int
) -> np.ndarray:
    """Show the first head's classes in turn; images without that label are left out."""
    import numpy as np

    return balanced_order(*targets[0], num_shown, np.random.default_rng(seed))


def balanced_order(
    target: np.ndarray, num_classes: int, num_shown: int, rng: np.random.Generator
) -> np.ndarray:
    """Return an order that shows the classes in turn, int64 [num_shown].

    So every stretch of as many images as there are classes holds one of each, in random order, and
    each class's images are all shown before any of them again. Images without a label are left out.

    Args:
        target: class ids int64 [N] with MISSING.
        num_classes: classes without an image are left out.
        num_shown: length of the order.
        rng: of random numbers.
    """
    import numpy as np

    from classifiers.images.order import passes

    members = [np.flatnonzero(target == k) for k in range(num_classes)]
    members = [one for one in members if len(one)]
    num_rounds = math.ceil(num_shown / len(members))
    columns = [passes(len(one), num_rounds, rng) for one in members]
    rows = np.stack([one[place] for one, place in zip(members, columns, strict=True)], axis=1)
    return rng.permuted(rows, axis=1).ravel()[:num_shown]
