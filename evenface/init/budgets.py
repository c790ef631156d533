"""How much time a run may take, and what follows: rounds, sizes, lengths of trainings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evenface.experiment.differences import MIN_CLASS_IMAGES

SHARES = (0.7, 0.6, 0.5, 0.4)  # of train, the largest first
LEAST = math.ceil(MIN_CLASS_IMAGES / ((1 - SHARES[-1]) / 2))  # images of a class that can be tested
MIN_EPOCHS = 2
LARGE_BATCH, MANY_IMAGES = 64, 2000  # of train, from which on batches are large


@dataclass(frozen=True)
class Budget:
    """What may be spent, for two cores and no GPU.

    Attributes:
        name: of the option.
        says: in words, for a few hundred and for ten thousand photographs.
        rounds: of the experiment.
        seeds: of classifiers in each round.
        kimg: thousands of images that a GAN is shown, of 32 px.
        shown: images that a classifier is shown.
        max_epochs: in which that may be, where there are few images.
        side: longest side of the classifiers' images, in pixels.
        folds: of train, whose classifiers check generated images.
        labels_kimg: thousands of images shown to the networks that judge labels.
    """

    name: str
    says: str
    rounds: int
    seeds: tuple[int, ...]
    kimg: int
    shown: int
    max_epochs: int
    side: int
    folds: int
    labels_kimg: int

    def epochs(self, num_train: int) -> int:
        """Return passes over as many images of train."""
        wanted = round(self.shown / max(num_train, 1))
        return min(max(wanted, MIN_EPOCHS), self.max_epochs)


BUDGETS = {
    one.name: one
    for one in (
        Budget(
            "quick",
            "minutes for hundreds of photographs; a first look",
            rounds=3, seeds=(0,), kimg=20, shown=4000, max_epochs=12, side=64, folds=2,
            labels_kimg=2,
        ),
        Budget(
            "standard",
            "an evening for thousands of photographs",
            rounds=3, seeds=(0, 1), kimg=80, shown=20_000, max_epochs=20, side=128, folds=3,
            labels_kimg=9,
        ),
        Budget(
            "thorough",
            "a night for thousands of photographs",
            rounds=5, seeds=(0, 1), kimg=160, shown=40_000, max_epochs=30, side=160, folds=3,
            labels_kimg=18,
        ),
    )
}  # fmt: skip


def share_of_train(smallest: int) -> float:
    """Return the share of train that leaves test images enough of the smallest class.

    The largest one where none does: then the verdict is withheld, and the plan says so.

    Args:
        smallest: images of that class.
    """
    fitting = (one for one in SHARES if int(smallest * (1 - one) / 2 + 1e-9) >= MIN_CLASS_IMAGES)
    return next(fitting, SHARES[0])


def judged(counts: Mapping[str, Mapping[str, int]], kept: float = 1.0) -> str:
    """Return the head that arms are judged by: that of the rarest class that can be tested.

    A class can be tested where some share of train leaves test images enough; where no head has
    only such classes, it is the head whose smallest class is the largest.

    Args:
        counts: images of each class, by head.
        kept: share of them that is expected to be left.
    """
    smallest = {name: min(found.values()) for name, found in counts.items()}
    tested = [name for name in counts if not too_few(counts[name], kept)]
    if not tested:
        return max(smallest, key=lambda name: smallest[name])
    return min(tested, key=lambda name: smallest[name] / sum(counts[name].values()))


def too_few(counts: Mapping[str, int], kept: float = 1.0) -> dict[str, int]:
    """Return the classes that no share of train leaves test images enough of, and their images.

    Args:
        counts: images of each class.
        kept: share of them that is expected to be left.
    """
    return {name: number for name, number in counts.items() if number * kept < LEAST}
