"""What is judged: networks, and floors that need no training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from facedata.packs.storage import Pack
from facekit.errors import DataError
from stylegan2.draw import sampling
from stylegan2.models.checkpoint import load_generator

COMPONENTS = 256  # of the PCA that the Gaussian is in
MIX = (0.3, 0.7)  # weight of the first of two blended faces
BATCH = 256
GAUSSIAN, BLENDS, REPEAT, REAL = "pca-gaussian", "blends", "repeat", "real train"
FLOORS = (GAUSSIAN, BLENDS, REPEAT)

Draw = Callable[[Sequence[int], int], np.ndarray]


@dataclass(frozen=True)
class Source:
    """Something that draws faces.

    Attributes:
        name: of the candidate.
        draw: given how many of each class, and a seed, returns the images, uint8 [N, R, R, 3], in
            the order of the classes.
        facts: what else the table says of it: minutes, kimg, seed.
    """

    name: str
    draw: Draw
    facts: dict[str, Any] = field(default_factory=dict)


def of_network(name: str, path: Path, pack: Pack, **facts: Any) -> Source:
    """Return the faces of a network's file, psi 1, noise drawn.

    Raises:
        DataError: not a network, or not of the pack's size and classes.
    """
    network, about = load_generator(path)
    if network.img_resolution != pack.images.shape[1] or about.classes != pack.classes:
        raise DataError(
            f"{path}: {network.img_resolution} px, classes {about.class_names}; the train faces"
            f" have {pack.images.shape[1]} px, {pack.class_names}"
        )

    def draw(counts: Sequence[int], seed: int) -> np.ndarray:
        classes = np.repeat(np.arange(len(counts)), counts)
        seeds = np.random.default_rng([seed, 0]).integers(sampling.NUM_SEEDS, size=len(classes))
        batches = sampling.images(network, seeds, classes, noise_mode="random", batch=BATCH)
        return np.concatenate(list(batches))

    return Source(name, draw, {"kimg": about.kimg, **facts})


def real_faces(pack: Pack) -> Source:
    """Return train faces themselves, none twice while there are enough."""

    def draw(counts: Sequence[int], seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 1])
        rows = []
        for class_id, num in enumerate(counts):
            own = rng.permutation(np.flatnonzero(pack.labels == class_id))
            rows.append(np.resize(own, num))
        return np.asarray(pack.images[np.concatenate(rows)])

    return Source(REAL, draw)


def repeated(pack: Pack) -> Source:
    """Return train faces drawn with replacement: what oversampling shows a classifier."""

    def draw(counts: Sequence[int], seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 2])
        rows = [
            rng.choice(np.flatnonzero(pack.labels == class_id), num)
            for class_id, num in enumerate(counts)
        ]
        return np.asarray(pack.images[np.concatenate(rows)])

    return Source(REPEAT, draw)


def pca_gaussian(pack: Pack) -> Source:
    """Return faces from a Gaussian of each class within the main components of the train pixels."""
    pixels = np.asarray(pack.images).reshape(len(pack.images), -1).astype(np.float32)
    mean = pixels.mean(axis=0)
    centered = torch.from_numpy(pixels - mean)
    with torch.random.fork_rng(devices=[]):  # found from random directions; all pixels are too many
        torch.manual_seed(0)
        most = min(COMPONENTS, *centered.shape)
        basis = torch.svd_lowrank(centered, most, niter=4)[2]
    codes = (centered @ basis).numpy()

    def draw(counts: Sequence[int], seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 3])
        images = []
        for class_id, num in enumerate(counts):
            own = codes[pack.labels == class_id].astype(np.float64)
            if len(own) < 2:
                raise DataError(f"class {class_id}: {len(own)} train faces, a Gaussian needs 2")
            # A mix of the faces with unit normal weights has their covariance.
            weights = rng.standard_normal((num, len(own))) / np.sqrt(len(own) - 1)
            drawn = own.mean(axis=0) + weights @ (own - own.mean(axis=0))
            drawn = drawn.astype(np.float32) @ basis.numpy().T + mean
            images.append(drawn.round().clip(0, 255).astype(np.uint8))
        return np.concatenate(images).reshape(-1, *pack.images.shape[1:])

    return Source(GAUSSIAN, draw)


def blends(pack: Pack, points: np.ndarray) -> Source:
    """Return mixes of two train faces of the class, the second laid on the first's landmarks.

    Args:
        pack: the train faces.
        points: landmarks in parts of the side, float [N, 5, 2], x and y; NaN: not known.
    """
    known = np.flatnonzero(~np.isnan(points).any(axis=(1, 2)))

    def draw(counts: Sequence[int], seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 4])
        images = []
        for class_id, num in enumerate(counts):
            own = known[pack.labels[known] == class_id]
            if len(own) < 2:
                raise DataError(f"class {class_id}: {len(own)} faces with landmarks, 2 are needed")
            first = rng.choice(own, num)
            second = rng.choice(own, num)
            same = first == second
            second[same] = own[(np.searchsorted(own, second[same]) + 1) % len(own)]
            weight = rng.uniform(*MIX, size=(num, 1, 1, 1)).astype(np.float32)
            for start in range(0, num, BATCH):
                a, b = first[start : start + BATCH], second[start : start + BATCH]
                laid = lay(np.asarray(pack.images[b]), points[b], points[a])
                w = weight[start : start + BATCH]
                mixed = w * np.asarray(pack.images[a], np.float32) + (1 - w) * laid
                images.append(mixed.round().clip(0, 255).astype(np.uint8))
        return np.concatenate(images)

    return Source(BLENDS, draw)


def lay(images: np.ndarray, points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return images moved, turned and scaled so that their landmarks lie nearest to wanted ones.

    Args:
        images: uint8 [N, H, W, 3].
        points, wanted: landmarks in parts of the side, [N, 5, 2].

    Returns:
        float32 [N, H, W, 3] in 0..255; edges go on outside.
    """
    # Least squares of p = s R w + t from wanted w to points p, as complex numbers.
    p = (points[..., 0] + 1j * points[..., 1]) * 2 - (1 + 1j)  # -1 .. 1, as grid_sample counts
    w = (wanted[..., 0] + 1j * wanted[..., 1]) * 2 - (1 + 1j)
    p0, w0 = p.mean(axis=1, keepdims=True), w.mean(axis=1, keepdims=True)
    turn = (np.conj(w - w0) * (p - p0)).sum(axis=1) / (abs(w - w0) ** 2).sum(axis=1)
    shift = (p0 - turn[:, None] * w0)[:, 0]
    theta = np.stack([turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag], axis=1)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32)
    theta = torch.from_numpy(theta.reshape(-1, 2, 3).astype(np.float32))
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    laid = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return laid.permute(0, 2, 3, 1).numpy()
