"""Augmentation of training batches: every image is changed in its own way, all in one operation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import adjust_hue

from classifiers.images.randaugment import randaugment
from classifiers.options import (
    AffineOptions,
    AugmentOptions,
    ColorOptions,
    CropOptions,
    EraseOptions,
    MixOptions,
    PerspectiveOptions,
    ViewOptions,
)

GRAY = (0.2989, 0.587, 0.114)  # of red, green, blue; torchvision's
MAX_ASPECT = 3.3  # of an erased rectangle, either way; torchvision's
# Nothing is changed.
STILL = AugmentOptions(flip=0.0, affine=AffineOptions(p=0.0), color=ColorOptions(p=0.0))
# For networks that judge labels: faces are roughly aligned already.
LIGHT = STILL.but(
    flip=0.5,
    affine=AffineOptions(p=1.0, rotation=5.0, scale=0.05, shift=0.05, shear=0.0),
    color=ColorOptions(p=1.0, brightness=0.15, contrast=0.2, saturation=0.0, hue=0.0),
)


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


def draw_affine(
    affine: AffineOptions, flip: float, crop: tuple[int, int], rng, num_images: int
) -> np.ndarray:
    """Return random affine maps with mirror images, float64 [N, 3, 3], about the middle of a crop.

    They take a pixel of the output to its place in the input, (x, y) in pixels from the middle.
    """
    height, width = crop
    chosen = rng.random(num_images) < affine.p
    draw = lambda largest: chosen * rng.uniform(-largest, largest, num_images)  # noqa: E731
    angle, shear = (draw(math.radians(one)) for one in (affine.rotation, affine.shear))
    scale = 1 + draw(affine.scale)
    mirror = np.where(rng.random(num_images) < flip, -1.0, 1.0)
    maps = np.zeros((num_images, 3, 3))
    maps[:, 0, 0] = mirror * scale * np.cos(angle)
    maps[:, 1, 0] = mirror * scale * np.sin(angle)
    maps[:, 0, 1] = scale * (-np.sin(angle) + np.tan(shear) * np.cos(angle))
    maps[:, 1, 1] = scale * (np.cos(angle) + np.tan(shear) * np.sin(angle))
    maps[:, 0, 2] = draw(affine.shift * width)
    maps[:, 1, 2] = draw(affine.shift * height)
    maps[:, 2, 2] = 1
    return maps


def draw_perspective(
    perspective: PerspectiveOptions, crop: tuple[int, int], rng, num_images: int
) -> np.ndarray:
    """Return random changes of perspective, float64 [N, 3, 3], as of `draw_affine`.

    The corners move inwards, each by at most `distortion` of half a side, as torchvision's.
    """
    height, width = crop
    chosen = rng.random(num_images) < perspective.p
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]  # [4, 2]
    inwards = rng.uniform(0, perspective.distortion, (num_images, 4, 2)) * chosen[:, None, None]
    return homography(corners * (1 - inwards), np.broadcast_to(corners, (num_images, 4, 2)))


def homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the projective maps [N, 3, 3] that take four points [N, 4, 2] to four others."""
    num_images = len(source)
    x, y = source[..., 0], source[..., 1]
    matrix = np.zeros((num_images, 8, 8))
    for i in (0, 1):
        rows = slice(4 * i, 4 * i + 4)
        matrix[:, rows, 3 * i], matrix[:, rows, 3 * i + 1] = x, y
        matrix[:, rows, 3 * i + 2] = 1
        matrix[:, rows, 6], matrix[:, rows, 7] = -x * target[..., i], -y * target[..., i]
    wanted = np.concatenate([target[..., 0], target[..., 1]], axis=1)  # [N, 8]
    solved = np.linalg.solve(matrix, wanted[..., None])[..., 0]
    return np.concatenate([solved, np.ones((num_images, 1))], axis=1).reshape(num_images, 3, 3)


def draw_offsets(
    place: CropOptions, crop: tuple[int, int], size: Sequence[int], rng, num_images: int
) -> np.ndarray:
    """Return where crops' middles lie from the images' middles, pixels (x, y), float64 [N, 2].

    Whole pixels, so that a crop alone blurs nothing.
    """
    offsets = np.zeros((num_images, 2))
    for i, (part, whole) in enumerate(zip(crop[::-1], size[::-1], strict=True)):
        spare = whole - part
        first = spare // 2 if not place.random else rng.integers(0, spare + 1, num_images)
        if place.pad:
            first = first + rng.integers(-place.pad, place.pad + 1, num_images)
        offsets[:, i] = first - spare / 2
    return offsets


def warp(images: Tensor, maps: np.ndarray, view: View) -> Tensor:
    """Return images [N, C, H, W] seen through maps [N, 3, 3], float32 [N, C, *view.size].

    Args:
        images: float32.
        maps: as of `draw_affine`; they lead from the view's crop, in pixels from its middle, to
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


def move(images: Tensor, augment: AugmentOptions, view: View, rng: np.random.Generator) -> Tensor:
    """Return images cropped, flipped, moved and resized by chance, all in one resampling."""
    num_images, _, *size = images.shape
    if not (augment.affine.p or augment.perspective.p) and view.size == view.crop:
        return _crop_and_flip(images, augment, view, rng)
    maps = draw_affine(augment.affine, augment.flip, view.crop, rng, num_images)
    if augment.perspective.p:
        maps = draw_perspective(augment.perspective, view.crop, rng, num_images) @ maps
    offsets = draw_offsets(augment.crop, view.crop, size, rng, num_images)
    maps[:, :2] += offsets[:, :, None] * maps[:, 2:]
    return warp(images, maps, view)


def _crop_and_flip(
    images: Tensor, augment: AugmentOptions, view: View, rng: np.random.Generator
) -> Tensor:
    """Return whole pixels of images, without resampling."""
    num_images, _, *size = images.shape
    offsets = draw_offsets(augment.crop, view.crop, size, rng, num_images)
    starts = [offsets[:, 1 - i] + (size[i] - view.crop[i]) / 2 for i in (0, 1)]
    rows, columns = (
        (starts[i][:, None] + np.arange(view.crop[i])).clip(0, size[i] - 1).astype(np.int64)
        for i in (0, 1)
    )  # [N, H'], [N, W']
    is_flipped = rng.random(num_images) < augment.flip
    columns = np.where(is_flipped[:, None], columns[:, ::-1], columns)
    y, x = (torch.from_numpy(one).to(images.device) for one in (rows, columns))
    image = torch.arange(num_images, device=images.device)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)[image, y[:, :, None], x[:, None]]
    return pixels.permute(0, 3, 1, 2)


# --- What they look like


def adjust_colors(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor | None
) -> Tensor:
    """Return images [N, 3, H, W] in [0, 1] with other colours, clamped to [0, 1].

    As torchvision's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue, one after
    the other, but clamped once.

    Args:
        images: float32.
        brightness, contrast, saturation: factors [N]; 1 changes nothing.
        hue: turns [N]; None changes nothing.
    """
    weights = torch.tensor(GRAY, device=images.device).view(1, 3, 1, 1)
    brightness, contrast, saturation = (
        one.view(-1, 1, 1, 1) for one in (brightness, contrast, saturation)
    )
    gray = (images * weights).sum(dim=1, keepdim=True)  # [N, 1, H, W]
    offset = (1 - contrast) * brightness * gray.mean(dim=(2, 3), keepdim=True)
    factor = brightness * contrast
    if not torch.equal(saturation, torch.ones_like(saturation)):
        offset = offset + (1 - saturation) * factor * gray
        factor = factor * saturation
    images = torch.addcmul(offset, images, factor).clamp_(0, 1)
    if hue is None:
        return images
    turned = [adjust_hue(one, turn) for one, turn in zip(images, hue.tolist(), strict=True)]
    return torch.stack(turned)


def _change_colors(images: Tensor, color: ColorOptions, rng: np.random.Generator) -> Tensor:
    chosen = rng.random(len(images)) < color.p
    draw = lambda largest: torch.from_numpy(  # noqa: E731
        (chosen * rng.uniform(-largest, largest, len(images))).astype(np.float32)
    ).to(images.device)
    brightness, contrast, saturation = (
        1 + draw(one) for one in (color.brightness, color.contrast, color.saturation)
    )
    hue = draw(color.hue) if color.hue else None
    return adjust_colors(images, brightness, contrast, saturation, hue)


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


def _erase(images: Tensor, erase: EraseOptions, rng: np.random.Generator) -> Tensor:
    """Return images of which some have a rectangle of noise (arXiv:1708.04896)."""
    num_images, _, *size = images.shape
    area = rng.uniform(erase.min_area, erase.max_area, num_images)
    area = np.where(rng.random(num_images) < erase.p, area, 0.0)
    aspect = np.exp(rng.uniform(-math.log(MAX_ASPECT), math.log(MAX_ASPECT), num_images))
    mask = inside(draw_boxes(area, aspect, size, rng), size, images.device)
    noise = torch.from_numpy(rng.random(images.shape, dtype=np.float32)).to(images.device)
    return torch.where(mask, noise, images)


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
    if augment.randaugment.num_ops:
        images = randaugment(images, augment.randaugment, rng)
    images = move(images.float() / 255, augment, view, rng)
    if augment.color.p:
        images = _change_colors(images, augment.color, rng)
    return _erase(images, augment.erase, rng) if augment.erase.p else images


def mix_batch(
    images: Tensor, targets: Tensor, trust: Tensor, mix: MixOptions, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch whose images are mixed in pairs, with the targets in the same shares.

    Args:
        images: float32 [N, C, H, W].
        targets: float32 [N, D], NaN where missing; a mixture of a missing one is missing.
        trust: float32 [N].
        mix: how.
        rng: of random numbers.

    Source: arXiv:1710.09412 (MixUp), arXiv:1905.04899 (CutMix), with a share for each image.
    """
    alphas = {"mixup": mix.mixup, "cutmix": mix.cutmix}
    kinds = [name for name, alpha in alphas.items() if alpha]
    if not kinds or rng.random() >= mix.p:
        return images, targets, trust
    kind = kinds[rng.integers(len(kinds))]
    num_images, _, *size = images.shape
    other = torch.from_numpy(rng.permutation(num_images)).to(images.device)
    share = rng.beta(alphas[kind], alphas[kind], num_images)  # of an image's own in the mixture
    if kind == "cutmix":
        boxes = draw_boxes(1 - share, np.ones(num_images), size, rng)
        share = 1 - np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / np.prod(size)
        images = torch.where(inside(boxes, size, images.device), images[other], images)
    own = torch.from_numpy(share.astype(np.float32)).to(images.device)  # [N]
    if kind == "mixup":
        images = images[other].lerp(images, own.view(-1, 1, 1, 1))
    mixed = torch.where(own[:, None] == 1, targets, targets[other].lerp(targets, own[:, None]))
    return images, mixed, trust[other].lerp(trust, own)
