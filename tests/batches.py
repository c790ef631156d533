"""Batches of images for tests of augmentations."""

import numpy as np
import torch
from torchvision.transforms import v2

from classifiers.images.augment import View

SIZE = (32, 24)
WHOLE = View(SIZE, SIZE)
INSIDE = (slice(None), slice(None), slice(9, 23), slice(7, 17))  # where no border comes in
BILINEAR = v2.InterpolationMode.BILINEAR


def rng(seed=0):
    return np.random.default_rng(seed)


def bytes_of(num_images=8, size=SIZE, seed=0):
    pixels = rng(seed).integers(0, 256, (num_images, *size, 3), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def smooth(num_images=4, size=SIZE):
    """Return images float32 [N, 3, H, W] without edges, so that resampling hardly blurs them."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    planes = [0.5 + 0.3 * torch.sin(x + i) * torch.cos(2 * y - i) for i in range(3 * num_images)]
    return torch.stack(planes).view(num_images, 3, *size)
