"""Boxes inside images, drawn by chance."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def draw_boxes(
    area: np.ndarray, aspect: np.ndarray, size: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """Return boxes at random places inside images, int64 [N, 4]: top, left, bottom, right.

    Args:
        area: share of the image [N] in 0..1.
        aspect: height to width, relative to the image's [N]; boxes larger than it are cut.
        size: height and width of the images in pixels.
        rng: of random numbers.
    """
    sides = [np.sqrt(area * aspect), np.sqrt(area / aspect)]
    lengths = [
        np.rint(side * whole).clip(0, whole).astype(np.int64)
        for side, whole in zip(sides, size, strict=True)
    ]
    starts = [rng.integers(0, whole - one + 1) for one, whole in zip(lengths, size, strict=True)]
    ends = [start + one for start, one in zip(starts, lengths, strict=True)]
    return np.stack([*starts, *ends], axis=1)


def inside(boxes: np.ndarray, size: Sequence[int], device: torch.device) -> Tensor:
    """Return which pixels lie in the images' boxes, bool [N, 1, H, W]."""
    top, left, bottom, right = torch.from_numpy(boxes).to(device)[:, :, None].unbind(dim=1)
    y, x = (torch.arange(side, device=device) for side in size)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # [N, H], [N, W]
    return (rows[:, :, None] & columns[:, None])[:, None]
