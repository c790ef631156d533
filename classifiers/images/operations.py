"""The operations of RandAugment (arXiv:1909.13719), on batches."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

NUM_BINS = 31  # of magnitudes, 0..30; as torchvision's
MAX_SHEAR = 0.3  # tangent
MAX_SHIFT = 150 / 331  # of a side
MAX_ANGLE = 30.0  # degrees
MAX_FACTOR = 0.9  # of colours, from 1
MAX_VALUE = 255


@dataclass(frozen=True)
class Operation:
    """One operation; ranges and meaning are torchvision's.

    Attributes:
        apply: images uint8 [n, 3, H, W] and a strength -> images likewise.
        strengths: of all magnitudes for height and width, float [NUM_BINS]; None: it has none.
        is_signed: whether it goes either way.
    """

    apply: Callable[[Tensor, float], Tensor]
    strengths: Callable[[int, int], Tensor] | None = None
    is_signed: bool = False

    def strength(self, magnitude: int, size: tuple[int, int]) -> float:
        """Return the strength at a magnitude for images of a size."""
        return 0.0 if self.strengths is None else float(self.strengths(*size)[magnitude])


def _upto(largest: float) -> Callable[[int, int], Tensor]:
    return lambda height, width: torch.linspace(0.0, largest, NUM_BINS)


def _shear(images: Tensor, strength: float, axis: int) -> Tensor:
    shear = [0.0, 0.0]
    shear[axis] = math.degrees(math.atan(strength))
    return functional.affine(
        images, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0]
    )


def _shift(images: Tensor, strength: float, axis: int) -> Tensor:
    translate = [0, 0]
    translate[axis] = int(strength)
    return functional.affine(images, angle=0.0, translate=translate, scale=1.0, shear=[0.0, 0.0])


def _bits(height: int, width: int) -> Tensor:
    return (8 - torch.arange(NUM_BINS) / ((NUM_BINS - 1) / 4)).round()


OPERATIONS = {
    "AutoContrast": Operation(lambda images, _: functional.autocontrast(images)),
    "Brightness": Operation(
        lambda images, x: functional.adjust_brightness(images, 1 + x), _upto(MAX_FACTOR), True
    ),
    "Color": Operation(
        lambda images, x: functional.adjust_saturation(images, 1 + x), _upto(MAX_FACTOR), True
    ),
    "Contrast": Operation(
        lambda images, x: functional.adjust_contrast(images, 1 + x), _upto(MAX_FACTOR), True
    ),
    "Equalize": Operation(lambda images, _: functional.equalize(images)),
    "Identity": Operation(lambda images, _: images),
    "Posterize": Operation(lambda images, x: functional.posterize(images, int(x)), _bits),
    "Rotate": Operation(lambda images, x: functional.rotate(images, x), _upto(MAX_ANGLE), True),
    "Sharpness": Operation(
        lambda images, x: functional.adjust_sharpness(images, 1 + x), _upto(MAX_FACTOR), True
    ),
    "ShearX": Operation(partial(_shear, axis=0), _upto(MAX_SHEAR), True),
    "ShearY": Operation(partial(_shear, axis=1), _upto(MAX_SHEAR), True),
    "Solarize": Operation(
        lambda images, x: functional.solarize(images, MAX_VALUE * x),
        lambda height, width: torch.linspace(1.0, 0.0, NUM_BINS),
    ),
    "TranslateX": Operation(
        partial(_shift, axis=0),
        lambda height, width: torch.linspace(0.0, MAX_SHIFT * width, NUM_BINS),
        True,
    ),
    "TranslateY": Operation(
        partial(_shift, axis=1),
        lambda height, width: torch.linspace(0.0, MAX_SHIFT * height, NUM_BINS),
        True,
    ),
}
