"""Augmentation of training batches: every image is changed in its own way, all in one operation."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import _color  # adjust_hue takes one hue for all images

from classifiers.options import flatten
from facekit.errors import DataError

GRAY = (0.2989, 0.587, 0.114)  # of red, green, blue; torchvision's
MAX_ASPECT = 3.3  # of an erased rectangle, either way; torchvision's
PATHS = {
    "flip": "flip",
    "pad": "crop.pad",
    "random_crop": "crop.random",
    "affine": "affine.p",
    "rotation": "affine.rotation",
    "scale": "affine.scale",
    "shift": "affine.shift",
    "shear": "affine.shear",
    "perspective": "perspective.p",
    "distortion": "perspective.distortion",
    "color": "color.p",
    "brightness": "color.brightness",
    "contrast": "color.contrast",
    "saturation": "color.saturation",
    "hue": "color.hue",
    "erase": "erase.p",
    "erase_min": "erase.min_area",
    "erase_max": "erase.max_area",
    "num_ops": "randaugment.num_ops",
    "magnitude": "randaugment.magnitude",
    "mix": "mix.p",
    "mixup": "mix.mixup",
    "cutmix": "mix.cutmix",
}
LIMITS = {  # 1 for others
    "hue": 0.5,
    "rotation": 180,
    "shear": 60,
    "magnitude": 30,
    "pad": math.inf,
    "num_ops": math.inf,
    "mixup": math.inf,
    "cutmix": math.inf,
}


@dataclass(frozen=True)
class Augment:
    """How training images are changed. As it stands, nothing is.

    Attributes:
        flip: probability of a mirror image.
        pad: pixels by which the place of the crop may reach over the image's borders.
        random_crop: whether the view's crop lies anywhere, not in the middle.
        affine: probability of an affine change.
        rotation: largest angle, degrees either way.
        scale: largest change of size, as a share of it.
        shift: largest shift, as a share of height and width.
        shear: largest angle of shear, degrees either way.
        perspective: probability of a change of perspective.
        distortion: share of half a side by which corners move inwards at most.
        color: probability of a change of colours.
        brightness, contrast, saturation: factors lie in [1 - value, 1 + value].
        hue: largest turn of the hue, in turns, at most 0.5.
        erase: probability of an erased rectangle.
        erase_min: its smallest area, as a share of the image.
        erase_max: its largest area.
        num_ops: RandAugment's operations an image; 0 for none.
        magnitude: their strength, 0..30.
        mix: probability that a batch is mixed, where mixup or cutmix is above 0.
        mixup: alpha of MixUp's Beta distribution; 0 for none. With cutmix either is as likely.
        cutmix: alpha of CutMix's.
    """

    flip: float = 0.0
    pad: int = 0
    random_crop: bool = False
    affine: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    distortion: float = 0.0
    color: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erase: float = 0.0
    erase_min: float = 0.02
    erase_max: float = 0.33
    num_ops: int = 0
    magnitude: int = 9
    mix: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0


# For networks that judge labels: faces are roughly aligned already.
LIGHT = Augment(
    flip=0.5, affine=1.0, rotation=5.0, scale=0.05, shift=0.05, color=1.0, brightness=0.15,
    contrast=0.2,
)  # fmt: skip


def read_augment(values: Any) -> Augment:
    """Return the augmentation of the config's `classify.augment`.

    Raises:
        DataError: a key is missing or unknown, or a value is out of range.
    """
    augment = Augment(**flatten(values, "augment", PATHS))
    for name, path in PATHS.items():
        value, limit = getattr(augment, name), LIMITS.get(name, 1)
        if not 0 <= value <= limit:
            raise DataError(f"augment: {path} {value} is not in 0..{limit}")
    if augment.erase_min > augment.erase_max:
        raise DataError("augment: erase.min_area is above erase.max_area")
    return augment


@dataclass(frozen=True)
class View:
    """What of an image the network sees.

    Attributes:
        crop: height and width in pixels of the part it sees.
        size: height and width in pixels that this part is resized to.
    """

    crop: tuple[int, int]
    size: tuple[int, int]


def read_view(values: Any, height: int, width: int) -> View:
    """Return a view from `{crop, resize}`, each [height, width] or null, of images of some size.

    Raises:
        DataError: a key is missing or unknown, or the crop is larger than the images.
    """
    found = flatten(values, "view", {"crop": "crop", "resize": "resize"})
    crop = found["crop"] or [height, width]
    size = found["resize"] or crop
    for name, pair in (("crop", crop), ("resize", size)):
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair or not all(type(side) is int and side > 0 for side in pair):
            raise DataError(f"view: {name} {pair} is not [height, width] in pixels")
    if crop[0] > height or crop[1] > width:
        raise DataError(f"view: crop {crop} is larger than the images, {[height, width]}")
    return View(tuple(crop), tuple(size))


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


def draw_affine(augment: Augment, crop: tuple[int, int], rng, num_images: int) -> np.ndarray:
    """Return random affine maps with mirror images, float64 [N, 3, 3], about the middle of a crop.

    They take a pixel of the output to its place in the input, (x, y) in pixels from the middle.
    """
    height, width = crop
    chosen = rng.random(num_images) < augment.affine
    draw = lambda largest: chosen * rng.uniform(-largest, largest, num_images)  # noqa: E731
    angle, shear = (draw(math.radians(one)) for one in (augment.rotation, augment.shear))
    scale = 1 + draw(augment.scale)
    mirror = np.where(rng.random(num_images) < augment.flip, -1.0, 1.0)
    maps = np.zeros((num_images, 3, 3))
    maps[:, 0, 0] = mirror * scale * np.cos(angle)
    maps[:, 1, 0] = mirror * scale * np.sin(angle)
    maps[:, 0, 1] = scale * (-np.sin(angle) + np.tan(shear) * np.cos(angle))
    maps[:, 1, 1] = scale * (np.cos(angle) + np.tan(shear) * np.sin(angle))
    maps[:, 0, 2] = draw(augment.shift * width)
    maps[:, 1, 2] = draw(augment.shift * height)
    maps[:, 2, 2] = 1
    return maps


def draw_perspective(augment: Augment, crop: tuple[int, int], rng, num_images: int) -> np.ndarray:
    """Return random changes of perspective, float64 [N, 3, 3], as of `draw_affine`.

    The corners move inwards, each by at most `distortion` of half a side, as torchvision's.
    """
    height, width = crop
    chosen = rng.random(num_images) < augment.perspective
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]  # [4, 2]
    inwards = rng.uniform(0, augment.distortion, (num_images, 4, 2)) * chosen[:, None, None]
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
    augment: Augment, crop: tuple[int, int], size: tuple[int, int], rng, num_images: int
) -> np.ndarray:
    """Return where crops' middles lie from the images' middles, pixels (x, y), float64 [N, 2].

    Whole pixels, so that a crop alone blurs nothing.
    """
    offsets = np.zeros((num_images, 2))
    for i, (part, whole) in enumerate(zip(crop[::-1], size[::-1], strict=True)):
        spare = whole - part
        first = spare // 2 if not augment.random_crop else rng.integers(0, spare + 1, num_images)
        if augment.pad:
            first = first + rng.integers(-augment.pad, augment.pad + 1, num_images)
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


def move(images: Tensor, augment: Augment, view: View, rng: np.random.Generator) -> Tensor:
    """Return images cropped, flipped, moved and resized by chance, all in one resampling."""
    num_images, _, *size = images.shape
    if not (augment.affine or augment.perspective) and view.size == view.crop:
        return _crop_and_flip(images, augment, view, rng)
    maps = draw_affine(augment, view.crop, rng, num_images)
    if augment.perspective:
        maps = draw_perspective(augment, view.crop, rng, num_images) @ maps
    maps[:, :2] += draw_offsets(augment, view.crop, size, rng, num_images)[:, :, None] * maps[:, 2:]
    return warp(images, maps, view)


def _crop_and_flip(
    images: Tensor, augment: Augment, view: View, rng: np.random.Generator
) -> Tensor:
    """Return whole pixels of images, without resampling."""
    num_images, _, *size = images.shape
    offsets = draw_offsets(augment, view.crop, size, rng, num_images)
    starts = [offsets[:, 1 - i] + (size[i] - view.crop[i]) / 2 for i in (0, 1)]
    rows, columns = (
        (starts[i][:, None] + np.arange(view.crop[i])).clip(0, size[i] - 1).astype(np.int64)
        for i in (0, 1)
    )  # [N, H'], [N, W']
    is_flipped = rng.random(num_images) < augment.flip
    columns = np.where(is_flipped[:, None], columns[:, ::-1], columns)
    rows, columns = (torch.from_numpy(one).to(images.device) for one in (rows, columns))
    image = torch.arange(num_images, device=images.device)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None]]
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
    turned, *rest = _color._rgb_to_hsv(images).unbind(dim=1)
    turned = (turned + hue.view(-1, 1, 1)).remainder(1.0)
    return _color._hsv_to_rgb(torch.stack([turned, *rest], dim=1))


def _change_colors(images: Tensor, augment: Augment, rng: np.random.Generator) -> Tensor:
    chosen = rng.random(len(images)) < augment.color
    draw = lambda largest: torch.from_numpy(  # noqa: E731
        (chosen * rng.uniform(-largest, largest, len(images))).astype(np.float32)
    ).to(images.device)
    factors = [1 + draw(one) for one in (augment.brightness, augment.contrast, augment.saturation)]
    return adjust_colors(images, *factors, draw(augment.hue) if augment.hue else None)


def draw_boxes(
    area: np.ndarray, aspect: np.ndarray, size: tuple[int, int], rng: np.random.Generator
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


def inside(boxes: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    """Return which pixels lie in the images' boxes, bool [N, 1, H, W]."""
    top, left, bottom, right = torch.from_numpy(boxes).to(device)[:, :, None].unbind(dim=1)
    y, x = (torch.arange(side, device=device) for side in size)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # [N, H], [N, W]
    return (rows[:, :, None] & columns[:, None])[:, None]


def _erase(images: Tensor, augment: Augment, rng: np.random.Generator) -> Tensor:
    """Return images of which some have a rectangle of noise (arXiv:1708.04896)."""
    num_images, _, *size = images.shape
    area = rng.uniform(augment.erase_min, augment.erase_max, num_images)
    area = np.where(rng.random(num_images) < augment.erase, area, 0.0)
    aspect = np.exp(rng.uniform(-math.log(MAX_ASPECT), math.log(MAX_ASPECT), num_images))
    mask = inside(draw_boxes(area, aspect, size, rng), size, images.device)
    noise = torch.from_numpy(rng.random(images.shape, dtype=np.float32)).to(images.device)
    return torch.where(mask, noise, images)


def _randaugment(images: Tensor, augment: Augment, rng: np.random.Generator) -> Tensor:
    """Return uint8 images changed by RandAugment's operations, torchvision's (arXiv:1909.13719).

    Images that got the same operation and direction are changed together.
    """
    method = v2.RandAugment(augment.num_ops, augment.magnitude)
    names = sorted(method._AUGMENTATION_SPACE)
    images = images.clone()
    for _ in range(augment.num_ops):
        op, sign = rng.integers(len(names), size=len(images)), rng.choice([-1, 1], len(images))
        for k, name in enumerate(names):
            strengths, is_signed = method._AUGMENTATION_SPACE[name]
            strength = strengths(method.num_magnitude_bins, *images.shape[2:])
            strength = 0.0 if strength is None else float(strength[augment.magnitude])
            for direction in (-1, 1) if is_signed else (None,):
                chosen = op == k if direction is None else (op == k) & (sign == direction)
                if not chosen.any():
                    continue
                rows = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
                images[rows] = method._apply_image_or_video_transform(
                    images[rows], name, strength * (direction or 1), method.interpolation,
                    method._fill,
                )  # fmt: skip
    return images


# --- Batches


def augment_images(
    images: Tensor, augment: Augment, view: View, rng: np.random.Generator
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
    if augment.num_ops:
        images = _randaugment(images, augment, rng)
    images = move(images.float() / 255, augment, view, rng)
    if augment.color:
        images = _change_colors(images, augment, rng)
    return _erase(images, augment, rng) if augment.erase else images


def mix_batch(
    images: Tensor, targets: Tensor, trust: Tensor, augment: Augment, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch whose images are mixed in pairs, with the targets in the same shares.

    Args:
        images: float32 [N, C, H, W].
        targets: float32 [N, D], NaN where missing; a mixture of a missing one is missing.
        trust: float32 [N].
        augment: mix, mixup and cutmix.
        rng: of random numbers.

    Source: arXiv:1710.09412 (MixUp), arXiv:1905.04899 (CutMix), with a share for each image.
    """
    alphas = {"mixup": augment.mixup, "cutmix": augment.cutmix}
    kinds = [name for name, alpha in alphas.items() if alpha]
    if not kinds or rng.random() >= augment.mix:
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
