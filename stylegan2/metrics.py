"""How near generated images are to real ones, and how much of them they cover.

The features are those of an ImageNet EfficientNet-Lite0 whose weights are installed with the
package. The formulas are those of FID, KID, precision and recall, the features are not Inception's:
figures can be compared with each other, not with published ones. Hence names such as
`frechet_efficientnet_lite0` and `kid_efficientnet_lite0`.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from facedata import progress
from facedata.errors import DataError
from facedata.packed import Pack
from facedata.weights import packaged_state_dict
from stylegan2 import sampling
from stylegan2.checkpoint import About
from stylegan2.networks import Generator

BACKBONE = "tf_efficientnet_lite0"
FEATURE_SIZE = 128  # pixels a side that images are scaled to; fewer make coarse features
MIN_CLASS_IMAGES = 32  # real images below which a class gets no figures of its own
KID_SUBSETS, KID_SUBSET_SIZE = 20, 500  # unbiased for any number and size of subsets
PRECISION_NEIGHBOURS = 3  # arXiv:1904.06991
DENSITY_NEIGHBOURS = 5  # arXiv:2002.09797
FIGURES = ("frechet", "kid", "precision", "recall", "density", "coverage")
BLOCK = 2048  # vectors whose distances to as many others are in memory at a time

log = logging.getLogger(__name__)


class Features(nn.Module):
    """Pooled ImageNet features of images."""

    def __init__(self) -> None:
        super().__init__()
        self.model = timm.create_model(BACKBONE, num_classes=0)
        state = packaged_state_dict(BACKBONE)
        self.model.load_state_dict(
            {key: x for key, x in state.items() if not key.startswith("classifier.")}
        )
        self.size = self.model.num_features
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return features, float32 [N, 1280], of uint8 [N, H, W, 3] images of one size."""
        x = images.permute(0, 3, 1, 2).to(torch.float32)
        if x.shape[2:] != (FEATURE_SIZE, FEATURE_SIZE):
            x = functional.interpolate(
                x, (FEATURE_SIZE, FEATURE_SIZE), mode="bicubic", antialias=True
            ).clamp(0, 255)
        return self.model(x / 127.5 - 1)


class Moments:
    """Mean and covariance of vectors that come in batches."""

    def __init__(self, size: int) -> None:
        self.num = 0
        self._sum = np.zeros(size)
        self._outer = np.zeros([size, size])

    def add(self, features: np.ndarray) -> None:
        """Take in a batch, [n, size]."""
        features = features.astype(np.float64)
        self.num += len(features)
        self._sum += features.sum(axis=0)
        self._outer += features.T @ features

    @property
    def mean(self) -> np.ndarray:
        """float64 [size]."""
        return self._sum / self.num

    @property
    def covariance(self) -> np.ndarray:
        """float64 [size, size], divided by the number of vectors."""
        return self._outer / self.num - np.outer(self.mean, self.mean)


def moments(features: np.ndarray) -> Moments:
    """Return mean and covariance of features, [N, size]."""
    result = Moments(features.shape[1])
    result.add(features)
    return result


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance of two normal distributions.

    |m_a - m_b|^2 + tr(A + B - 2 sqrt(A B)), where tr sqrt(A B) is the sum of the square roots of
    the eigenvalues of sqrt(A) B sqrt(A): symmetric, so no complex numbers arise.

    Source: arXiv:1706.08500, equation 6.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(product.clip(min=0)).sum()
    return float(np.square(a.mean - b.mean).sum() + trace)


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, num_subsets: int, subset_size: int, seed: int
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
        x = generated[rng.choice(len(generated), m, replace=False)].astype(np.float64)
        y = real[rng.choice(len(real), m, replace=False)].astype(np.float64)
        within = (x @ x.T / size + 1) ** 3 + (y @ y.T / size + 1) ** 3
        across = (x @ y.T / size + 1) ** 3
        total += (within.sum() - np.trace(within)) / (m - 1) - across.sum() * 2 / m
    return float(total / num_subsets / m)


def squared_radii(
    features: np.ndarray, neighbours: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Return squared distances of vectors to their nearest others, float32 [len(neighbours), N].

    Args:
        features: float32 [N, size], more than max(neighbours) of them; near the origin, since
            differences of large numbers lose digits.
        neighbours: 1 is the nearest other vector.
        device: to work on.
    """
    most = max(neighbours) + 1  # a vector is its own nearest
    found = []
    for rows in _blocks(features, device):
        nearest = torch.full([len(rows), most], torch.inf, device=device)
        for columns in _blocks(features, device):
            candidates = torch.cat([nearest, _squared_distances(rows, columns)], dim=1)
            nearest = candidates.topk(most, dim=1, largest=False).values
        found.append(nearest[:, list(neighbours)].T)
    return torch.cat(found, dim=1)


def coverage_figures(
    real: np.ndarray,
    generated: np.ndarray,
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
        device: to work on; distances are there block by block, never all at once.

    Source: arXiv:1904.06991 (precision, recall), arXiv:2002.09797 (density, coverage).
    """
    center = moments(real).mean.astype(np.float32)
    real, generated = real - center, generated - center
    ks = [precision_neighbours, density_neighbours]
    wide, dense = squared_radii(real, ks, device).split(1)  # [1, N] each
    of_generated = squared_radii(generated, ks[:1], device)[0].split(BLOCK)

    precise, num_within = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool, device=device)
    nearest = torch.full([len(real)], torch.inf, device=device)
    for rows, radii in zip(_blocks(generated, device), of_generated, strict=True):
        is_precise = torch.zeros(len(rows), dtype=torch.bool, device=device)
        for start, columns in zip(range(0, len(real), BLOCK), _blocks(real, device), strict=True):
            here = slice(start, start + len(columns))
            squared = _squared_distances(rows, columns)
            is_precise |= (squared <= wide[:, here]).any(dim=1)
            num_within += int((squared <= dense[:, here]).sum())
            recalled[here] |= (squared <= radii[:, None]).any(dim=0)
            nearest[here] = torch.minimum(nearest[here], squared.amin(dim=0))
        precise += int(is_precise.sum())
    return {
        "precision": precise / len(generated),
        "recall": float(recalled.double().mean()),
        "density": num_within / (density_neighbours * len(generated)),
        "coverage": float((nearest <= dense[0]).double().mean()),
    }


def _blocks(features: np.ndarray, device: torch.device | str) -> Iterator[Tensor]:
    for start in range(0, len(features), BLOCK):
        yield torch.from_numpy(features[start : start + BLOCK]).to(device)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return squared distances of vectors [n, size] and [m, size], [n, m]."""
    lengths = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return torch.addmm(lengths, a, b.T, alpha=-2).clamp(min=0)


def figures(
    real: np.ndarray, generated: np.ndarray, seed: int, device: torch.device | str = "cpu"
) -> dict[str, float | None]:
    """Return all figures of two sets of features under the names of metrics.json.

    Those that need more neighbours than there are vectors are None.
    """
    found = {
        "frechet": frechet_distance(moments(real), moments(generated)),
        "kid": kernel_distance(real, generated, KID_SUBSETS, KID_SUBSET_SIZE, seed),
    }
    if min(len(real), len(generated)) > max(PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS):
        found |= coverage_figures(real, generated, device=device)
    return {f"{name}_efficientnet_lite0": found.get(name) for name in FIGURES}


def compare(
    network: Generator, about: About, pack: Pack, num_images: int, batch: int, seed: int
) -> dict[str, Any]:
    """Compare a generator's images with the real ones of a pack, overall and class by class.

    Classes come in the shares of the pack; a class whose share is fewer than
    `MIN_CLASS_IMAGES` images gets more of them, which enter its own figures only. The baseline is
    one random half of the real images against the other: what no generator can be expected to
    beat (and, having half as many images, is biased upwards for the Fréchet distance).

    Args:
        network: on the device to work on.
        about: what its file says.
        pack: the real images; of the network's size and classes.
        num_images: generated images of the overall figures, at least 2.
        batch: images at a time.
        seed: of latents, noise and subsets.

    Raises:
        DataError: the pack's images or classes are not the network's, or fewer than 4 images.
    """
    resolution = about.arguments["img_resolution"]
    if pack.images.shape[1:3] != (resolution, resolution) or pack.classes != about.classes:
        raise DataError(
            f"the pack ({pack.images.shape[1]} px, classes {pack.class_names}) is not what the"
            f" network was trained on ({resolution} px, classes {about.class_names})"
        )
    if len(pack.images) < 4:
        raise DataError(f"{len(pack.images)} real images, at least 4 are needed")
    device = next(network.parameters()).device
    features = Features().to(device)

    # Real images.
    real = _features(features, _batches(pack.images, batch), len(pack.images), "real images")
    labels = pack.labels
    counts = np.bincount(labels, minlength=max(len(pack.classes), 1))

    # Generated ones: of each class its share, and more of the rare ones.
    shares = proportional(num_images, counts)
    wanted = [
        max(share, MIN_CLASS_IMAGES) if count >= MIN_CLASS_IMAGES else share
        for share, count in zip(shares, counts, strict=True)
    ]
    rng = np.random.default_rng([seed, 0])
    by_class = []
    for class_id, num in enumerate(wanted):
        seeds = rng.integers(2**32, size=num)
        images = sampling.images(
            network,
            seeds,
            [class_id] * num if pack.classes else None,
            noise_mode="random",
            batch=batch,
        )
        name = f"generated {pack.class_names[class_id]}" if pack.classes else "generated"
        by_class.append(_features(features, images, num, name))
    generated = np.concatenate([x[:share] for x, share in zip(by_class, shares, strict=True)])

    half = np.random.default_rng([seed, 1]).permutation(len(real))
    cut = len(real) // 2
    result = {
        "kimg": about.kimg,
        "num_real": len(real),
        "num_generated": len(generated),
        **figures(real, generated, seed, device),
        "baseline_real_halves": figures(real[half[:cut]], real[half[cut:]], seed, device),
    }
    if pack.classes:
        result["classes"] = {
            name: {
                "num_real": int(count),
                "num_generated": len(x),
                **(
                    figures(real[labels == class_id], x, seed, device)
                    if count >= MIN_CLASS_IMAGES
                    else dict.fromkeys(f"{name}_efficientnet_lite0" for name in FIGURES)
                ),
            }
            for class_id, (name, count, x) in enumerate(
                zip(pack.class_names, counts, by_class, strict=True)
            )
        }
    return result


def proportional(total: int, counts: np.ndarray) -> list[int]:
    """Share `total` out in proportion to counts: whole numbers, largest remainders first."""
    exact = total * counts / counts.sum()
    shares = np.floor(exact).astype(int)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - shares.sum()]] += 1
    return shares.tolist()


def _batches(images: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), batch):
        yield np.array(images[start : start + batch])


def _features(
    features: Features, batches: Iterable[np.ndarray], num_images: int, name: str
) -> np.ndarray:
    """Return the features of batches of uint8 images, float32 [N, 1280]."""
    device = next(features.parameters()).device
    found = [np.zeros([0, features.size], np.float32)]
    with progress.bar() as bar, torch.inference_mode():
        task = bar.add_task(name, total=num_images)
        for images in batches:
            found.append(features(torch.from_numpy(images).to(device)).cpu().numpy())
            bar.advance(task, len(images))
    return np.concatenate(found)
