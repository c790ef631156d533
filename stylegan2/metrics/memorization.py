"""Does a generator repeat its training images? Nearest neighbours, against those of held-out ones.

A generated image that is nearer to a training image than real images that were never trained on
usually are is a copy, or nearly one. Images are compared by their features, and by the pixels of
small thumbnails, with the training images and with their mirror images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from facekit.pictures import tiles
from stylegan2.metrics.formulas import centered_blocks, squared_distances
from stylegan2.metrics.vectors import Selected, Vectors, blocks

THUMBNAIL = 32  # most pixels a side of thumbnails; a copy keeps them, and noise hardly counts
QUANTILE = 0.01  # of the held-out images' distances: nearer than this is suspicious
MAX_HELD_OUT = 10_000  # images that are looked at; enough for the quantile
CHUNK = 256  # images that are made small at a time
NUM_PAIRS = 8  # closest pairs that are shown
CELL = 64  # pixels a side that small images are enlarged to on the sheet


class Thumbnails:
    """Thumbnails of images as vectors, made when they are read.

    Attributes:
        images: uint8 [N, H, W, 3], in memory or mapped.
        side: height and width of a thumbnail.
        shape: number of images, and numbers a thumbnail.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.side = tuple(min(side, THUMBNAIL) for side in images.shape[1:3])
        self.shape = (len(images), 3 * self.side[0] * self.side[1])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return the thumbnails of some images: mean colours in 0..255, float32 [n, size]."""
        images = self.images[key]
        found = np.empty([len(images), self.shape[1]], np.float32)
        for start in range(0, len(images), CHUNK):
            x = torch.from_numpy(np.array(images[start : start + CHUNK])).permute(0, 3, 1, 2)
            x = functional.adaptive_avg_pool2d(x.to(torch.float32), self.side)
            found[start : start + CHUNK] = x.permute(0, 2, 3, 1).flatten(1).numpy()
        return found

    def mirror(self, vectors: np.ndarray) -> np.ndarray:
        """Return thumbnails [n, size] of the mirror images."""
        return vectors.reshape(-1, *self.side, 3)[:, :, ::-1].reshape(vectors.shape)


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each image.

    Attributes:
        rows: of the training images, int64 [N].
        distances: float64 [N].
        is_mirrored: whether the training image's mirror image is meant, bool [N].
    """

    rows: np.ndarray
    distances: np.ndarray
    is_mirrored: np.ndarray


def find_nearest(
    vectors: Vectors,
    bank: Vectors,
    device: torch.device | str = "cpu",
    mirror: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Nearest:
    """Return the nearest vector of a bank to each of some vectors.

    Args:
        vectors: float32 [N, size], read once for each block of the bank.
        bank: float32 [M, size], read once; M at least 1.
        device: to work on; distances are there block by block.
        mirror: of vectors of the bank, to be compared too.
    """
    center = np.mean(bank[:1], axis=0)
    least = torch.full([len(vectors)], torch.inf, device=device)
    rows = torch.zeros(len(vectors), dtype=torch.int64, device=device)
    is_mirrored = torch.zeros(len(vectors), dtype=torch.bool, device=device)
    start = 0
    for block in blocks(bank):
        for flipped, candidates in enumerate([block] if mirror is None else [block, mirror(block)]):
            b = torch.from_numpy(candidates - center).to(device)
            for place, a in centered_blocks(vectors, center, device):
                found, index = squared_distances(a, b).min(dim=1)
                is_nearer = found < least[place]
                least[place] = torch.where(is_nearer, found, least[place])
                rows[place] = torch.where(is_nearer, index + start, rows[place])
                is_mirrored[place] = torch.where(is_nearer, bool(flipped), is_mirrored[place])
        start += len(block)

    # Once more for the pairs found: differences of squares lose the digits of small distances.
    nearest, turned = rows.cpu().numpy(), is_mirrored.cpu().numpy()
    distances, start = [np.zeros(0)], 0
    for block in blocks(vectors):
        place = slice(start, start + len(block))
        partners = np.array(bank[nearest[place]])
        if mirror is not None:
            partners[turned[place]] = mirror(partners[turned[place]])
        distances.append(np.linalg.norm(block.astype(np.float64) - partners, axis=1))
        start += len(block)
    return Nearest(nearest, np.concatenate(distances), turned)


@dataclass(frozen=True)
class Views:
    """Images as vectors, by features and by thumbnails, [N, ...]."""

    features: Vectors
    thumbnails: Vectors

    def rows(self, rows: np.ndarray) -> "Views":
        """Return some of the images."""
        return Views(Selected(self.features, rows), Selected(self.thumbnails, rows))


def search(
    images: Views,
    bank: Views,
    mirror: Callable[[np.ndarray], np.ndarray],
    device: torch.device | str,
) -> dict[str, Nearest]:
    """Return the nearest images of a bank by `features` and by `pixels`.

    The distance of pixels is the root mean square difference of thumbnails, in 0..255. Mirror
    images are compared by pixels alone: features hardly change with them.

    Args:
        images, bank: as for `find_nearest`.
        mirror: of thumbnails.
        device: to work on.
    """
    pixels = find_nearest(images.thumbnails, bank.thumbnails, device, mirror)
    scale = bank.thumbnails.shape[1] ** -0.5
    return {
        "features": find_nearest(images.features, bank.features, device),
        "pixels": replace(pixels, distances=pixels.distances * scale),
    }


def limit_of(held_out: Nearest) -> float:
    """Return the distance that QUANTILE of the held-out images fall below."""
    return float(np.quantile(held_out.distances, QUANTILE))


def figures(samples: Nearest, held_out: Nearest, bank_share: float) -> dict[str, float]:
    """Return the figures of one way to compare, for metrics.json.

    Args:
        samples: nearest training images of generated ones.
        held_out: nearest training images of real ones that are not trained on.
        bank_share: share of the training images that the latter were compared with: the more there
            are, the nearer is the nearest.
    """
    limit = limit_of(held_out)
    return {
        "share_nearer": float((samples.distances < limit).mean()),
        "expected_share": QUANTILE / bank_share,
        "limit": limit,
        "median": float(np.median(samples.distances)),
        "held_out_median": float(np.median(held_out.distances)),
    }


def closest(found: Nearest) -> np.ndarray:
    """Return the places of the closest pairs, the closest first, int64 [at most NUM_PAIRS]."""
    return np.argsort(found.distances, kind="stable")[:NUM_PAIRS]


def draw_sheet(lines: Sequence[tuple[str, np.ndarray, str, np.ndarray]]) -> np.ndarray:
    """Return pairs of images one above the other, uint8 [H, W, 3].

    Args:
        lines: name and images, uint8 [n, H, W, 3], of the upper row, and of the row below it.
    """
    names, rows = [], []
    num_columns = max(len(images) for _, images, _, _ in lines)
    for upper_name, upper, lower_name, lower in lines:
        for name, images in ((upper_name, upper), (lower_name, lower)):
            names.append(name)
            rows.append(tiles.tile(tiles.enlarge(images, CELL), num_columns))
    return tiles.label_rows(np.concatenate(rows), names)
