"""Augmentation of training batches: every image is changed in its own way, all in one operation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.arms import Part
from classifiers.augmentations import Frame, Move, OfBatches, OfBytes, OfValues
from classifiers.options import AugmentOptions, ViewOptions

PARTNER_P = 0.5  # probability that a batch is mixed with partners, as in arXiv:2112.00412


@dataclass(frozen=True)
class View:
    """What of an image the network sees.

    Attributes:
        crop: height and width in pixels of the part it sees.
        size: height and width in pixels that this part is resized to.
    """

    crop: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, options: ViewOptions, height: int, width: int) -> "View":
        """Return what options say of images of some size.

        Raises:
            DataError: the crop is larger than they are.
        """
        options.check(height, width)
        crop_height, crop_width = options.crop or (height, width)
        size_height, size_width = options.resize or (crop_height, crop_width)
        return cls((crop_height, crop_width), (size_height, size_width))


def center(images: Tensor, view: View) -> Tensor:
    """Return the middle of images [N, C, H, W] in a view, float32 [N, C, *view.size].

    Smaller sizes are antialiased.
    """
    top, left = ((images.shape[2 + i] - view.crop[i]) // 2 for i in (0, 1))
    return _crop(images, view, top, left)


def corners(images: Tensor, view: View) -> list[Tensor]:
    """Return the four corners likewise; none where a view is of the whole image."""
    bottom, right = (images.shape[2 + i] - view.crop[i] for i in (0, 1))
    places = sorted({(top, left) for top in (0, bottom) for left in (0, right)})
    return [_crop(images, view, *place) for place in places] if bottom or right else []


def _crop(images: Tensor, view: View, top: int, left: int) -> Tensor:
    images = images[:, :, top : top + view.crop[0], left : left + view.crop[1]]
    if view.size == view.crop:
        return images
    return F.interpolate(images, view.size, mode="bilinear", antialias=True)


# --- Where pixels come from


def warp(images: Tensor, maps: np.ndarray, view: View) -> Tensor:
    """Return images [N, C, H, W] seen through maps [N, 3, 3], float32 [N, C, *view.size].

    Args:
        images: float32.
        maps: as of `Move`; they lead from the view's crop, in pixels from its middle, to
            pixels from the image's middle.
        view: of the output. What comes in from outside of an image repeats its border.
    """
    num_images, channels, height, width = images.shape
    # From and to grid_sample's units, half a side each.
    to_pixels = np.diag([view.crop[1] / 2, view.crop[0] / 2, 1.0])
    to_units = np.diag([2 / width, 2 / height, 1.0])
    theta = torch.from_numpy(to_units @ maps @ to_pixels).float().to(images.device)
    size = [num_images, channels, *view.size]
    if np.array_equal(maps[:, 2], np.broadcast_to([0.0, 0.0, 1.0], (num_images, 3))):
        grid = F.affine_grid(theta[:, :2], size, align_corners=False)
    else:
        eye = torch.eye(2, 3, device=images.device)[None]
        flat = F.affine_grid(eye, [1, *size[1:]], align_corners=False).view(1, -1, 2)
        flat = F.pad(flat, (0, 1), value=1.0)  # homogeneous, [1, H * W, 3]
        places = flat @ theta.transpose(1, 2)  # [N, H * W, 3]
        grid = (places[..., :2] / places[..., 2:]).view(num_images, *view.size, 2)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def move(images: Tensor, moves: Sequence[Move], view: View, rng: np.random.Generator) -> Tensor:
    """Return images cropped, flipped, moved and resized by chance, all in one resampling.

    Args:
        images: float32 [N, C, H, W].
        moves: in their order.
        view: of the output.
        rng: of random numbers.
    """
    num_images, _, height, width = images.shape
    frame = Frame(num_images, (height, width), view.crop)
    if view.size == view.crop and not any(one.resamples for one in moves):
        maps = np.tile(np.eye(3), (num_images, 1, 1))
        for one in reversed(moves):  # from the image to the view: a place, then mirrors
            if one.is_whole:
                maps = maps @ draw_maps([one], frame, rng)
        return _take(images, maps, view)
    return warp(images, draw_maps(moves, frame, rng), view)


def draw_maps(moves: Sequence[Move], frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Return what moves make of the images of a batch together, maps as of `Move`, [N, 3, 3]."""
    maps = np.tile(np.eye(3), (frame.num_images, 1, 1))
    begun = [one.begin(frame, rng) for one in moves]
    for one, drawn in zip(moves, begun, strict=True):
        maps = one.move(maps, drawn, frame, rng)
    return maps


def _take(images: Tensor, maps: np.ndarray, view: View) -> Tensor:
    """Return whole pixels of images seen through maps that mirror and shift, as of `warp`."""
    places = []
    for i, axis in ((0, 1), (1, 0)):  # rows, columns
        part, whole = view.crop[i], images.shape[2 + i]
        from_middle = np.arange(part) - (part - 1) / 2
        place = maps[:, axis, axis, None] * from_middle + maps[:, axis, 2, None] + (whole - 1) / 2
        place = place.clip(0, whole - 1).astype(np.int64)  # [N, H'] or [N, W']
        places.append(torch.from_numpy(place).to(images.device))
    y, x = places
    image = torch.arange(len(images), device=images.device)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)[image, y[:, :, None], x[:, None]]
    return pixels.permute(0, 3, 1, 2)


# --- Batches


def augment_images(
    images: Tensor, augment: AugmentOptions, view: View, rng: np.random.Generator
) -> Tensor:
    """Return a batch in which every image is changed by chance.

    Args:
        images: uint8 [N, 3, H, W].
        augment: how.
        view: of the output.
        rng: of random numbers.

    Returns:
        float32 [N, 3, *view.size] in [0, 1].
    """
    used = augment.used.values()
    for one in used:
        if isinstance(one, OfBytes):
            images = one.change(images, rng)
    moves = [one for one in used if isinstance(one, Move)]
    images = move(images.float() / 255, moves, view, rng)
    for one in used:
        if isinstance(one, OfValues):
            images = one.change(images, rng)
    return images


def mix_batch(
    images: Tensor,
    targets: Tensor,
    trust: Tensor,
    augment: AugmentOptions,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch whose images are mixed with others by chance, and their targets.

    Args:
        images: float32 [N, C, H, W].
        targets: float32 [N, D], NaN where missing.
        trust: how much each image's labels are trusted, float32 [N].
        augment: how.
        rng: of random numbers.
    """
    for one in augment.used.values():
        if isinstance(one, OfBatches):
            images, targets, trust = one.change(images, targets, trust, rng)
    return images, targets, trust


def mix_with_partners(
    mixer: Part, images: Tensor, targets: Tensor, trust: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first half of a batch, by chance mixed with the second half.

    Args:
        mixer: the part of an arm that mixes.
        images: float32 [2 N, C, H, W]; others as of `mix_batch`.
        targets: of the images.
        trust: of the images.
        rng: of random numbers.
    """
    half = len(images) // 2
    own, other = (
        (images[one], targets[one], trust[one]) for one in (slice(half), slice(half, None))
    )
    if rng.random() >= PARTNER_P:
        return own
    return mixer.mix(own, other, rng)
