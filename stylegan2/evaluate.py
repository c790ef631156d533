"""A generator against real images: the figures of metrics.json, overall and class by class."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from facedata.errors import DataError
from facedata.packed import Pack
from stylegan2 import features, metrics, sampling
from stylegan2.checkpoint import About
from stylegan2.features import Extractor
from stylegan2.networks import Generator
from stylegan2.vectors import Growing, Selected

FIGURES = ("frechet", "kid", "precision", "recall", "density", "coverage")
PUBLISHED = {"frechet": "fid", "kid": "kid"}  # names that are due to Inception features alone
MIN_CLASS_IMAGES = 32  # real images below which a class gets no figures of its own


def figure_name(figure: str, extractor: str) -> str:
    """Return a figure's name in metrics.json: `frechet_efficientnet_lite0`, or `fid`."""
    published = PUBLISHED.get(figure) if extractor == "inception" else None
    return published or f"{figure}_{extractor}"


def figures(
    real: metrics.Vectors,
    generated: metrics.Vectors,
    extractor: Extractor,
    seed: int,
    device: torch.device | str,
) -> dict[str, float | None]:
    """Return all figures of two sets of features under the names of metrics.json.

    Those that need more neighbours than there are vectors are None.
    """
    found = {
        "frechet": metrics.frechet_distance(metrics.moments(real), metrics.moments(generated)),
        "kid": metrics.kernel_distance(real, generated, *extractor.kid_subsets, seed),
    }
    neighbours = max(metrics.PRECISION_NEIGHBOURS, metrics.DENSITY_NEIGHBOURS)
    if min(len(real), len(generated)) > neighbours:
        found |= metrics.coverage_figures(real, generated, device=device)
    return {figure_name(name, extractor.name): found.get(name) for name in FIGURES}


def compare(
    network: Generator,
    about: About,
    pack: Pack,
    extractor: Extractor,
    num_images: int,
    batch: int,
    seed: int,
    cache: Path,
) -> dict[str, Any]:
    """Compare a generator's images with the real ones of a pack, overall and class by class.

    Classes come in the shares of the pack; a class whose share is fewer than
    `MIN_CLASS_IMAGES` images gets more of them, which enter its own figures only. The baseline is
    one random half of the real images against the other: what no generator can be expected to
    beat (and, having half as many images, is biased upwards for the Fréchet distance).

    Features lie on disk: of real images in a file that the next run finds again, of generated ones
    in a temporary file.

    Args:
        network: on the device to work on.
        about: what its file says.
        pack: the real images; of the network's size and classes.
        extractor: of features, on the same device.
        num_images: generated images of the overall figures, at least 2.
        batch: images at a time.
        seed: of latents, noise and subsets.
        cache: where the features of real images are kept, as in `features.of_real_images`.

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
    real = features.of_real_images(extractor, pack.images, batch, cache, device)
    labels = pack.labels
    counts = np.bincount(labels, minlength=max(len(pack.classes), 1))

    # Generated images: of each class its share, and more of the rare ones.
    shares = proportional(num_images, counts)
    wanted = [
        max(share, MIN_CLASS_IMAGES) if count >= MIN_CLASS_IMAGES else share
        for share, count in zip(shares, counts, strict=True)
    ]
    classes = np.repeat(np.arange(len(counts)), wanted)
    seeds = np.random.default_rng([seed, 0]).integers(2**32, size=len(classes))
    images = sampling.images(
        network, seeds, classes if pack.classes else None, noise_mode="random", batch=batch
    )
    drawn = Growing(extractor.size)
    for found in features.extract(extractor, images, len(seeds), "generated images", device):
        drawn.append(found)
    generated = drawn.array()
    ends = np.cumsum(wanted)
    by_class = [np.arange(end - num, end) for end, num in zip(ends, wanted, strict=True)]
    overall = np.concatenate([x[:share] for x, share in zip(by_class, shares, strict=True)])

    half = np.random.default_rng([seed, 1]).permutation(len(real))
    cut = len(real) // 2

    def measure(of_real: np.ndarray, other: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        return figures(Selected(real, of_real), Selected(other, rows), extractor, seed, device)

    result = {
        "kimg": about.kimg,
        "extractor": extractor.name,
        "num_real": len(real),
        "num_generated": len(overall),
        **measure(np.arange(len(real)), generated, overall),
        "baseline_real_halves": measure(half[:cut], real, half[cut:]),
    }
    if pack.classes:
        unknown = dict.fromkeys(figure_name(name, extractor.name) for name in FIGURES)
        result["classes"] = {
            name: {
                "num_real": int(count),
                "num_generated": len(rows),
                **(
                    measure(np.flatnonzero(labels == class_id), generated, rows)
                    if count >= MIN_CLASS_IMAGES
                    else unknown
                ),
            }
            for class_id, (name, count, rows) in enumerate(
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
