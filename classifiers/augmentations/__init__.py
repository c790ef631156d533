"""Augmentations: ways to change training images by chance, each a file with its options.

A batch goes through those of bytes, then through all moves at once, those of values, and mixtures.
Modules of this folder are imported for names and options alone, so they import torch and numpy
inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from facekit.options import Options
from facekit.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Augmentation(Options):
    """A way to change images by chance; its fields are `classify.augment.NAME` of the config.

    With its defaults a new one changes nothing, so that trainings stay as they were.

    Attributes:
        order: of two of a kind the one with the lower number acts first, else the first by name.
    """

    order: ClassVar[int] = 0

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything; if not, its code is no part of a training."""
        return True


class OfBytes(Augmentation):
    """One that changes images as they are stored."""

    def change(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return changed images, uint8 [N, 3, H, W] like those given, which stay as they are."""
        raise NotImplementedError


@dataclass(frozen=True)
class Frame:
    """What moves go by.

    Attributes:
        num_images: N.
        size: height and width of the images in pixels.
        crop: height and width in pixels of the part of them that the network sees.
    """

    num_images: int
    size: tuple[int, int]
    crop: tuple[int, int]


class Move(Augmentation):
    """One that says where pixels come from; all moves together are one resampling.

    Maps are float64 [N, 3, 3]. They take a pixel of the output, (x, y) from the middle of the crop,
    to its place in the input. So they go from the network's view to the image: what is first in
    order is nearest to the view.

    Attributes:
        is_whole: whether it only mirrors, and shifts by whole pixels. Where no other move does
            anything, pixels are copied, not resampled.
    """

    is_whole: ClassVar[bool] = False

    @property
    def resamples(self) -> bool:
        """Whether pixels will come from between pixels."""
        return not self.is_whole

    def begin(self, frame: Frame, rng: np.random.Generator) -> Any:
        """Return what is drawn before any move is made, for `move`; most draw nothing here."""
        return None

    def move(self, maps: np.ndarray, begun: Any, frame: Frame, rng: np.random.Generator) -> Any:
        """Return maps followed by a map of this move's for each image, [N, 3, 3]."""
        raise NotImplementedError


class OfValues(Augmentation):
    """One that changes what the network would see."""

    def change(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return changed images, float32 [N, 3, H, W] in [0, 1] like those given."""
        raise NotImplementedError


class OfBatches(Augmentation):
    """One that changes images and labels together."""

    def change(
        self, images: Tensor, targets: Tensor, trust: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a changed batch.

        Args:
            images: float32 [N, C, H, W].
            targets: float32 [N, D], NaN where missing.
            trust: how much each image's labels are trusted, float32 [N].
            rng: of random numbers.
        """
        raise NotImplementedError


KINDS = (OfBytes, Move, OfValues, OfBatches)  # in the order in which they act
AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation", __name__)


def in_order() -> list[tuple[str, type[Augmentation]]]:
    """Return names and classes of all augmentations in the order in which they act."""
    kind = lambda cls: [issubclass(cls, one) for one in KINDS].index(True)  # noqa: E731
    return sorted(AUGMENTATIONS.items(), key=lambda one: (kind(one[1]), one[1].order))
