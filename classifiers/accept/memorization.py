"""Does the generator repeat train images of a class? Accepted images against held-out faces.

A held-out face is no nearer to one train image than chance has it. Where many accepted images are
nearer to one than nearly all held-out faces of the class, they are copies of train images, or
nearly so. That they are alike, or typical, does not make them so: distances are relative
(`appearances.Nearness`), and a test that looks at all ranks would take a generator that draws
typical faces for one that copies.

The faces are those of val, and those of train, each as if it had been held out: compared with the
others of train. Rare classes have few of either, and faces of other classes are no measure for
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import hypergeom

LEVEL = 0.01  # of all classes together: of five rounds of an honest generator one in twenty stops
SHARE = 0.1  # of the held-out faces that count as near
EXCESS = 2  # times as many as expected; less shows in many images, and is no copying


@dataclass(frozen=True)
class Copying:
    """Whether accepted images of a class are copies.

    Attributes:
        name: of the class.
        accepted: images of it.
        held_out: faces that they were compared with.
        nearer: accepted images nearer to a train image than all but SHARE of the held-out faces.
        expected: as many of them would be by chance.
        p: the chance of so many.
        corrected: likewise, corrected for the number of classes (Holm).
    """

    name: str
    accepted: int
    held_out: int
    nearer: int
    expected: float
    p: float
    corrected: float

    @property
    def is_found(self) -> bool:
        """Whether the class counts as copied."""
        return self.corrected <= LEVEL and self.nearer >= EXCESS * self.expected

    @property
    def words(self) -> str:
        """What was found, for people."""
        return (
            f"{self.name}: {self.nearer} of {self.accepted} accepted images are nearer to one than"
            f" nine in ten of {self.held_out} held-out faces are, {self.expected:.0f} would be by"
            f" chance (p {self.corrected:.1g})"
        )


def copying(
    accepted: np.ndarray,
    label: np.ndarray,
    held_out: np.ndarray,
    held_out_label: np.ndarray,
    names: Sequence[str],
) -> list[Copying]:
    """Return for each class with accepted images whether they repeat images of train.

    Where both kinds are equally near, the number of accepted images nearer than the r-th nearest
    held-out face has a negative hypergeometric distribution (precedence test); r is SHARE of the
    faces.

    Args:
        accepted: relative distance of each accepted image to the nearest of train, float64 [N].
        label: its class, int64 [N].
        held_out: that of each held-out face, float64 [M]; a class without any is not found.
        held_out_label: its class, int64 [M].
        names: of the classes.

    Source: Balakrishnan and Ng 2006 (doi:10.1002/0471786179), chapter 3; copying as what is nearer
    than held-out data, arXiv:2004.05675; Holm 1979 (https://www.jstor.org/stable/4615733).
    """
    tested = []
    for one in np.unique(label):
        faces = held_out[held_out_label == one]
        images = accepted[label == one]
        found = _precedence(images, faces)
        tested.append(Copying(names[one], len(images), len(faces), *found, found[-1]))
    p = np.array([one.p for one in tested])
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    for place, corrected in zip(order, np.maximum.accumulate(p[order] * factors), strict=True):
        tested[place] = replace(tested[place], corrected=min(float(corrected), 1.0))
    return tested


def _precedence(images: np.ndarray, faces: np.ndarray) -> tuple[int, float, float]:
    """Return how many images are nearer than nearly all faces, how many would be, and p."""
    num, num_faces = len(images), len(faces)
    if not num_faces:
        return 0, 0.0, 1.0
    rank = max(round(SHARE * num_faces), 1)
    nearer = int((images < np.sort(faces)[rank - 1]).sum())
    # So many come before the rank-th face where, of as many and it, fewer than rank are faces.
    p = hypergeom.cdf(rank - 1, num + num_faces, num_faces, nearer + rank - 1)
    return nearer, num * rank / (num_faces + 1), float(p)
