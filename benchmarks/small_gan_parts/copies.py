"""Copies of train faces, also cropped, turned, mirrored, relit ones.

Every train face is seen in several views; a picture's distance from it is that from its nearest
view. What is judged is not this distance, which is small for any blurred face, but how much nearer
the nearest train face is than the next 50: a copy is near one face alone.

Source: the calibrated distance of arXiv:2301.13188, section 5.1.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SIDE = 16  # pixels a side that views are compared at: a pixel more or less hardly counts
NEIGHBOURS = 50  # train faces after the nearest
QUANTILE = 0.01  # of the held-out faces' figures: below this a picture counts as a copy
CHUNK = 1024  # train faces at a time
CROP = 0.9
VIEWS = (  # turn in degrees, part of the side that is kept, centre of that part from -1 to 1
    *((turn, 1.0, 0.0, 0.0) for turn in (0, -5, 5)),
    *((turn, CROP, 0.0, 0.0) for turn in (0, -5, 5)),
    *((0, CROP, x, y) for x, y in itertools.product((CROP - 1, 1 - CROP), repeat=2)),
    (0, 0.95, 0.0, 0.0),
)


def seen(images: Tensor, turn: float, kept: float, x: float, y: float) -> Tensor:
    """Return a part of images [N, 3, H, W], turned, in the same size; edges go on outside."""
    angle = math.radians(turn)
    cos, sin = kept * math.cos(angle), kept * math.sin(angle)
    theta = torch.tensor([[cos, -sin, x], [sin, cos, y]]).expand(len(images), 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def as_vectors(images: Tensor) -> Tensor:
    """Return small copies of images [N, 3, H, W] without mean colour, of length 1, [N, size]."""
    x = functional.adaptive_avg_pool2d(images, (SIDE, SIDE))
    x = (x - x.mean(dim=(2, 3), keepdim=True)).flatten(1)
    return functional.normalize(x, dim=1)


def _floats(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(torch.float32)


def standing_out(images: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return how near each image is to its nearest train face, for the next ones 1, float64 [N].

    The distance from the nearest train face over the mean of those from the next NEIGHBOURS: 0 for
    a copy, near 1 for a picture that resembles many.

    Args:
        images: uint8 [N, R, R, 3].
        train: uint8 [M, R, R, 3].
    """
    asked = as_vectors(_floats(images))
    squared = torch.empty(len(asked), len(train))
    for start in range(0, len(train), CHUNK):
        part = _floats(train[start : start + CHUNK])
        likest = torch.full([len(asked), len(part)], -1.0)
        for view in VIEWS:
            looked = seen(part, *view)
            for each in (looked, looked.flip(3)):
                torch.maximum(likest, asked @ as_vectors(each).T, out=likest)
        squared[:, start : start + len(part)] = 2 - 2 * likest
    num = min(NEIGHBOURS + 1, len(train))
    least = squared.topk(num, dim=1, largest=False).values.clamp(min=0).sqrt().double()
    return (least[:, 0] / least[:, 1:].mean(dim=1).clamp(min=1e-9)).numpy()


def share(of_images: np.ndarray, of_held_out: np.ndarray) -> float:
    """Return the share of images that stand out more than all but QUANTILE of held-out faces do."""
    return float((of_images < np.quantile(of_held_out, QUANTILE)).mean())
