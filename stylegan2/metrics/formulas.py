"""How near generated images are to real ones, and how much of them they cover: the formulas.

All work on features of images, arrays or `vectors.Selected` rows of arrays that may lie on disk:
what is in memory at a time is a block of them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from stylegan2.metrics.vectors import Vectors, blocks

PRECISION_NEIGHBOURS = 3  # arXiv:1904.06991
DENSITY_NEIGHBOURS = 5  # arXiv:2002.09797


class Moments:
    """Mean and covariance of vectors that come in batches, in float64."""

    def __init__(self, size: int) -> None:
        self.num = 0
        self._sum = torch.zeros(size, dtype=torch.float64)
        self._outer = torch.zeros(size, size, dtype=torch.float64)

    def add(self, features: np.ndarray) -> None:
        """Take in a batch, [n, size]."""
        x = torch.from_numpy(features.astype(np.float64))
        self.num += len(x)
        self._sum += x.sum(dim=0)
        self._outer.addmm_(x.T, x)

    @property
    def mean(self) -> Tensor:
        """float64 [size]."""
        return self._sum / self.num

    @property
    def covariance(self) -> Tensor:
        """float64 [size, size], divided by the number of vectors."""
        return self._outer / self.num - torch.outer(self.mean, self.mean)


def moments(features: Vectors) -> Moments:
    """Return mean and covariance of features, [N, size]."""
    result = Moments(features.shape[1])
    for block in blocks(features):
        result.add(block)
    return result


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance of two normal distributions.

    |m_a - m_b|^2 + tr(A + B - 2 sqrt(A B)), where tr sqrt(A B) is the sum of the square roots of
    the eigenvalues of sqrt(A) B sqrt(A): symmetric, so no complex numbers arise.

    Source: arXiv:1706.08500, equation 6.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0)
    trace = a.covariance.trace() + b.covariance.trace() - 2 * product.sqrt().sum()
    return float((a.mean - b.mean).square().sum() + trace)


def kernel_distance(
    real: Vectors, generated: Vectors, num_subsets: int, subset_size: int, seed: int
) -> float:
    """Return the KID: the unbiased squared MMD with the kernel (x.y / size + 1)^3 over subsets.

    Args:
        real, generated: features, [N, size] and [M, size], at least 2 each.
        num_subsets: drawn without replacement.
        subset_size: at most; a smaller set is taken whole.
        seed: of numpy's legacy generator.

    Source: arXiv:1801.01401.
    """
    rng = np.random.RandomState(seed)
    size = real.shape[1]
    m = min(len(real), len(generated), subset_size)
    total = 0.0
    for _ in range(num_subsets):
        x, y = (
            torch.from_numpy(z[rng.choice(len(z), m, replace=False)].astype(np.float64))
            for z in (generated, real)
        )
        within = (x @ x.T / size + 1) ** 3 + (y @ y.T / size + 1) ** 3
        across = (x @ y.T / size + 1) ** 3
        total += float((within.sum() - within.trace()) / (m - 1) - across.sum() * 2 / m)
    return total / num_subsets / m


def coverage_figures(
    real: Vectors,
    generated: Vectors,
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    density_neighbours: int = DENSITY_NEIGHBOURS,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Return precision, recall, density and coverage of generated images.

    The ball of a vector reaches to its k-th nearest other one of the same set. Precision: share of
    generated vectors within a real ball. Recall: share of real vectors within a generated ball.
    Density: mean number of real balls that a generated vector is in, over k. Coverage: share of
    real balls with a generated vector in them.

    Args:
        real, generated: features, float32 [N, size] and [M, size], more of each than neighbours.
        precision_neighbours: k of precision and recall.
        density_neighbours: k of density and coverage.
        device: to work on.

    Source: arXiv:1904.06991 (precision, recall), arXiv:2002.09797 (density, coverage).
    """
    center = sum(block.sum(axis=0, dtype=np.float64) for block in blocks(real)) / len(real)
    center = center.astype(np.float32)
    ks = [precision_neighbours, density_neighbours]
    wide, dense = _squared_radii(real, ks, center, device)
    (of_generated,) = _squared_radii(generated, ks[:1], center, device)

    num_precise, num_within = 0, 0
    is_recalled = torch.zeros(len(real), dtype=torch.bool, device=device)
    nearest = torch.full([len(real)], torch.inf, device=device)
    for rows, a in centered_blocks(generated, center, device):
        is_precise = torch.zeros(len(a), dtype=torch.bool, device=device)
        for columns, b in centered_blocks(real, center, device):
            squared = squared_distances(a, b)
            is_precise |= (squared <= wide[columns]).any(dim=1)
            num_within += int((squared <= dense[columns]).sum())
            is_recalled[columns] |= (squared <= of_generated[rows, None]).any(dim=0)
            nearest[columns] = torch.minimum(nearest[columns], squared.amin(dim=0))
        num_precise += int(is_precise.sum())
    return {
        "precision": num_precise / len(generated),
        "recall": int(is_recalled.sum()) / len(real),
        "density": num_within / (density_neighbours * len(generated)),
        "coverage": int((nearest <= dense).sum()) / len(real),
    }


def _squared_radii(
    features: Vectors, neighbours: Sequence[int], center: np.ndarray, device: torch.device | str
) -> Tensor:
    """Return squared distances of vectors to their nearest others, [len(neighbours), N]."""
    most = max(neighbours) + 1  # a vector is its own nearest
    nearest = torch.full([len(features), most], torch.inf, device=device)

    def keep(rows: slice, squared: Tensor) -> None:
        candidates = torch.cat([nearest[rows], squared], dim=1)
        nearest[rows] = candidates.topk(most, dim=1, largest=False).values

    for rows, a in centered_blocks(features, center, device):
        for columns, b in centered_blocks(features, center, device, rows.start):
            squared = squared_distances(a, b)
            keep(rows, squared)
            if columns != rows:
                keep(columns, squared.T)
    return nearest[:, list(neighbours)].T.contiguous()


def centered_blocks(
    features: Vectors, center: np.ndarray, device: torch.device | str, first: int = 0
) -> Iterator[tuple[slice, Tensor]]:
    """Yield where each block from a first vector on is, and its vectors as seen from near them.

    Distances stay what they are, and fewer of their digits are lost.
    """
    start = first
    for block in blocks(features, first):
        yield slice(start, start + len(block)), torch.from_numpy(block - center).to(device)
        start += len(block)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return squared distances of vectors [n, size] and [m, size], [n, m]."""
    lengths = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return torch.addmm(lengths, a, b.T, alpha=-2).clamp(min=0)
