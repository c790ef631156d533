"""Images to learn from, with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from classifiers.images.data import ImagePool
from classifiers.images.synthetic import SyntheticImages
from classifiers.models.heads import Head, head_targets


@dataclass(frozen=True)
class Examples:
    """Images to learn from.

    Attributes:
        pool: the images.
        targets: by head, as of `head_targets`.
        weights: how much each image's labels are trusted, float32 [N] in 0..1.
        num_added: how many, the last ones, an arm has added to the real images of train.
    """

    pool: ImagePool
    targets: dict[str, np.ndarray]
    weights: np.ndarray
    num_added: int = 0

    @property
    def num_real(self) -> int:
        """Real images of train, which come first."""
        return len(self.pool) - self.num_added

    @classmethod
    def of(cls, images: np.ndarray, table: pd.DataFrame, heads: Sequence[Head]) -> "Examples":
        """Return the examples of a table whose `row` counts in `images`; `weight` may lack."""
        pool = ImagePool([(images, table["row"].to_numpy(dtype=np.int64))])
        weights = table.get("weight", pd.Series(1.0, index=table.index))
        targets = {head.name: head_targets(head, table) for head in heads}
        return cls(pool, targets, weights.to_numpy(dtype=np.float32))

    @classmethod
    def of_synthetic(
        cls, images: SyntheticImages, samples: pd.DataFrame, heads: Sequence[Head]
    ) -> "Examples":
        """Return synthetic images, refitted now; labels that samples do not carry are missing."""
        refitted = images.take(np.arange(len(images)))
        targets = {head.name: head_targets(head, samples) for head in heads}
        pool = ImagePool([(refitted, np.arange(len(refitted)))])
        return cls(pool, targets, np.ones(len(samples), dtype=np.float32))

    def __add__(self, other: "Examples") -> "Examples":
        pool = ImagePool([*self.pool.parts, *other.pool.parts])
        targets = {
            name: np.concatenate([target, other.targets[name]])
            for name, target in self.targets.items()
        }
        weights = np.concatenate([self.weights, other.weights])
        return Examples(pool, targets, weights, self.num_added + other.num_added)

    def as_added(self, weight: float) -> "Examples":
        """Return these as images that an arm adds, with a weight in the loss."""
        weights = self.weights * np.float32(weight)
        return replace(self, weights=weights, num_added=len(self.pool))
