"""Augmentation of training batches: every image is changed a little, all in one operation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Largest changes, uniform in both directions. Faces are roughly aligned already.
ROTATION = 5.0  # degrees
SCALE = 0.05  # share of the size
SHIFT = 0.05  # share of the height and of the width
BRIGHTNESS = 0.15  # share of the whole range
CONTRAST = 0.2  # share of the contrast


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a batch in which every image is flipped (or not), moved and relit by chance.

    Args:
        images: float32 [N, 3, H, W] in [0, 1].
        generator: of random numbers on the CPU, whatever device the images are on.

    Returns:
        float32 [N, 3, H, W], about [0, 1]; what comes in from outside repeats the border.
    """
    num_images, _, height, width = images.shape
    draws = torch.rand(num_images, 7, generator=generator) * 2 - 1  # [N, 7] in [-1, 1)

    # From output to input, in affine_grid's units: half the height and half the width.
    angle = draws[:, 0] * math.radians(ROTATION)
    scale = 1 + draws[:, 1] * SCALE
    flip = torch.where(draws[:, 2] < 0, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    x_row = torch.stack([flip * cos, -flip * sin * height / width, 2 * SHIFT * draws[:, 3]], dim=1)
    y_row = torch.stack([sin * width / height, cos, 2 * SHIFT * draws[:, 4]], dim=1)
    theta = torch.stack([x_row, y_row], dim=1).to(images.device)  # [N, 2, 3]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    # Contrast about the middle grey, then brightness.
    contrast, brightness = draws[:, 5:].to(images.device).view(num_images, 2, 1, 1, 1).unbind(1)
    contrast = 1 + contrast * CONTRAST
    return images * contrast + (0.5 - 0.5 * contrast + brightness * BRIGHTNESS)
