"""A generator against real images: the figures of metrics.json, overall and class by class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facedata.packs.storage import Pack, read_pack
from facekit.errors import DataError
from stylegan2.draw import sampling
from stylegan2.metrics import features, formulas, memorization
from stylegan2.metrics.features import Extractor
from stylegan2.metrics.memorization import Nearest, Thumbnails, Views
from stylegan2.metrics.vectors import Growing, Selected, Vectors, stored
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator
from stylegan2.options import MetricsOptions

FIGURES = ("frechet", "kid", "precision", "recall", "density", "coverage")
PUBLISHED = {"frechet": "fid", "kid": "kid"}  # names that are due to Inception features alone
MIN_CLASS_IMAGES = 32  # real images below which a class gets no figures of its own


def figure_name(figure: str, extractor: str) -> str:
    """Return a figure's name in metrics.json: `frechet_efficientnet_lite0`, or `fid`."""
    published = PUBLISHED.get(figure) if extractor == "inception" else None
    return published or f"{figure}_{extractor}"


def figures(
    real: Vectors,
    generated: Vectors,
    extractor: Extractor,
    seed: int,
    device: torch.device | str,
) -> dict[str, float | None]:
    """Return all figures of two sets of features under the names of metrics.json.

    Those that need more neighbours than there are vectors are None.
    """
    found = {
        "frechet": formulas.frechet_distance(formulas.moments(real), formulas.moments(generated)),
        "kid": formulas.kernel_distance(real, generated, *extractor.kid_subsets, seed),
    }
    neighbours = max(formulas.PRECISION_NEIGHBOURS, formulas.DENSITY_NEIGHBOURS)
    if min(len(real), len(generated)) > neighbours:
        found |= formulas.coverage_figures(real, generated, device=device)
    return {figure_name(name, extractor.name): found.get(name) for name in FIGURES}


def compare_files(
    network: Generator,
    about: About,
    options: MetricsOptions,
    seed: int,
    data: Path,
    held_out: Path | None = None,
    cache: Path | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Compare a generator's images with the real ones of a pack; see `compare`.

    Args:
        network: on the device to work on.
        about: what its file says.
        options: how to compare.
        seed: as for `compare`.
        data: pack of the real images.
        held_out: pack of images that it was not trained on.
        cache: folder that keeps features of real images; by default that of each pack.
    """
    device = next(network.parameters()).device
    weights = None if options.weights is None else Path(options.weights)
    return compare(
        network,
        about,
        read_pack(data),
        features.load_extractor(options.extractor, weights, device),
        num_images=options.num_images,
        batch=options.batch,
        seed=seed,
        cache=(cache or data.parent) / data.stem,
        held_out=read_pack(held_out) if held_out else None,
        held_out_cache=(cache or held_out.parent) / held_out.stem if held_out else None,
    )


def compare(
    network: Generator,
    about: About,
    pack: Pack,
    extractor: Extractor,
    num_images: int,
    batch: int,
    seed: int,
    cache: Path,
    held_out: Pack | None = None,
    held_out_cache: Path | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Compare a generator's images with the real ones of a pack, overall and class by class.

    Classes come in the shares of the pack; a class whose share is fewer than
    `MIN_CLASS_IMAGES` images gets more of them, which enter its own figures only. The baseline is
    one random half of the real images against the other: what no generator can be expected to
    beat (and, having half as many images, is biased upwards for the Fréchet distance).

    Memorization is how near all generated images are to training images, beside how near real
    images are that were not trained on: those of `held_out`, else those of one half to the other.

    Features lie on disk: of real images in a file that the next run finds again, of generated ones
    in a temporary file.

    Args:
        network: on the device to work on.
        about: what its file says.
        pack: the real images; of the network's size and classes.
        extractor: of features, on the same device.
        num_images: generated images of the overall figures, at least 2.
        batch: images at a time.
        seed: of latents, noise, subsets and halves.
        cache: where the features of real images are kept, as in `features.of_real_images`.
        held_out: real images of the network's size that it was not trained on.
        held_out_cache: where the features of these are kept.

    Returns:
        The figures, and a sheet of the closest pairs, uint8 [H, W, 3].

    Raises:
        DataError: a pack's images or classes are not the network's, or fewer than 4 images.
    """
    _check_packs(about, pack, held_out)
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
    drawn = draw(network, wanted, extractor, batch, seed)
    by_class = [np.flatnonzero(drawn.classes == class_id) for class_id in range(len(counts))]
    overall = np.concatenate([x[:share] for x, share in zip(by_class, shares, strict=True)])

    half = np.random.default_rng([seed, 1]).permutation(len(real))
    cut = len(real) // 2

    def measure(of_real: np.ndarray, other: Vectors, rows: np.ndarray) -> dict[str, Any]:
        return figures(Selected(real, of_real), Selected(other, rows), extractor, seed, device)

    generated = drawn.views.features
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

    # Memorization.
    if held_out is None:
        baseline = Baseline(
            "halves of the training images", pack.images, labels, real, half[:cut], half[cut:]
        )
    else:
        assert held_out_cache is not None
        found = features.of_real_images(extractor, held_out.images, batch, held_out_cache, device)
        rows = np.random.default_rng([seed, 2]).permutation(len(found))
        classes, bank = _classes_as_in(pack, held_out), np.arange(len(real))
        baseline = Baseline("held-out images", held_out.images, classes, found, rows, bank)
    result["memorization"], sheet = memorization_of(drawn, pack, real, baseline, batch)
    return result, sheet


def _check_packs(about: About, pack: Pack, held_out: Pack | None) -> None:
    resolution = about.arguments["img_resolution"]
    if pack.images.shape[1:3] != (resolution, resolution) or pack.classes != about.classes:
        raise DataError(
            f"the pack ({pack.images.shape[1]} px, classes {pack.class_names}) is not what the"
            f" network was trained on ({resolution} px, classes {about.class_names})"
        )
    if len(pack.images) < 4:
        raise DataError(f"{len(pack.images)} real images, at least 4 are needed")
    if held_out is not None and held_out.images.shape[1:3] != (resolution, resolution):
        height, width = held_out.images.shape[1:3]
        raise DataError(
            f"the held-out images are {width}x{height} px, the network's {resolution}; pack them"
            " with the geometry of the training images"
        )
    if held_out is not None and not len(held_out.images):
        raise DataError("the held-out pack holds no images")


def _classes_as_in(pack: Pack, other: Pack) -> np.ndarray:
    """Return the class ids that another pack's images have in a pack, int64 [N]; -1: none."""
    if not other.classes:
        return np.full(len(other.images), -1)
    known = {name: i for i, name in enumerate(pack.class_names)}
    ids = np.array([known.get(name, -1) for name in other.class_names])
    return ids[np.asarray(other.labels, np.int64)]


@dataclass(frozen=True)
class Drawn:
    """Generated images, class by class.

    Attributes:
        network: that drew them.
        seeds, classes: that they were drawn from, int64 [N].
        views: the images as vectors.
    """

    network: Generator
    seeds: np.ndarray
    classes: np.ndarray
    views: Views

    def images(self, rows: np.ndarray, batch: int) -> Iterator[np.ndarray]:
        """Draw some of the images again, uint8 [n, R, R, 3]."""
        return _images(self.network, self.seeds[rows], self.classes[rows], batch)


def draw(
    network: Generator, num_images: Sequence[int], extractor: Extractor, batch: int, seed: int
) -> Drawn:
    """Draw so many images of each class, and keep them as vectors."""
    classes = np.repeat(np.arange(len(num_images)), num_images)
    seeds = np.random.default_rng([seed, 0]).integers(2**32, size=len(classes))
    device = next(network.parameters()).device
    side = network.img_resolution
    size = Thumbnails(np.zeros([0, side, side, 3], np.uint8)).shape[1]
    thumbnails, found = Growing(size), Growing(extractor.size)

    def watched() -> Iterator[np.ndarray]:
        for images in _images(network, seeds, classes, batch):
            thumbnails.append(Thumbnails(images)[:])
            yield images

    for group in features.extract(extractor, watched(), len(seeds), "generated images", device):
        found.append(group)
    return Drawn(network, seeds, classes, Views(found.array(), thumbnails.array()))


def _images(
    network: Generator, seeds: np.ndarray, classes: np.ndarray, batch: int
) -> Iterator[np.ndarray]:
    known = classes if network.c_dim else None
    return sampling.images(network, seeds, known, noise_mode="random", batch=batch)


@dataclass(frozen=True)
class Baseline:
    """Real images, and the training images that they are none of.

    Attributes:
        name: what they are, for people.
        images: uint8 [M, R, R, 3].
        classes: class ids of all of these in the training images' pack, int64 [M]; -1: none there.
        features: of all of these, [M, size].
        rows: the images that are meant, in random order.
        bank: rows of the training images that they are compared with.
    """

    name: str
    images: np.ndarray
    classes: np.ndarray
    features: np.ndarray
    rows: np.ndarray
    bank: np.ndarray


def memorization_of(
    drawn: Drawn, pack: Pack, real: np.ndarray, baseline: Baseline, batch: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the figures of memorization, and the sheet of the closest pairs.

    Args:
        drawn: generated images.
        pack: the training images.
        real: their features, [N, size].
        baseline: real images that the generated ones are judged by.
        batch: images at a time.
    """
    device = next(drawn.network.parameters()).device
    thumbnails = Thumbnails(pack.images)
    train = Views(real, thumbnails)
    rows, bank = np.sort(baseline.rows[: memorization.MAX_HELD_OUT]), np.sort(baseline.bank)
    held_out = Views(baseline.features, Thumbnails(baseline.images)).rows(rows)
    held_out = Views(held_out.features, stored(held_out.thumbnails))
    found = memorization.search(drawn.views, train, thumbnails.mirror, device)
    usual = memorization.search(held_out, train.rows(bank), thumbnails.mirror, device)

    result: dict[str, Any] = {
        "baseline": baseline.name,
        "num_held_out": len(rows),
        "num_generated": len(drawn.seeds),
    }
    lines = []
    for space in found:
        of_real = replace(usual[space], rows=bank[usual[space].rows])
        result[space] = {
            **memorization.figures(found[space], of_real, len(bank) / len(real)),
            **_pairs(drawn, pack, found[space], of_real, baseline.classes[rows]),
        }
        of_drawn, shown = found[space], memorization.closest(found[space])
        images = np.concatenate(list(drawn.images(shown, batch)))
        lines.append(("generated", images, f"nearest {space}", _partners(pack, of_drawn, shown)))
        shown = memorization.closest(of_real)
        images = baseline.images[rows[shown]]
        lines.append(("held out", images, f"nearest {space}", _partners(pack, of_real, shown)))
    return result, memorization.draw_sheet(lines)


def _pairs(
    drawn: Drawn, pack: Pack, found: Nearest, of_real: Nearest, real_classes: np.ndarray
) -> dict[str, Any]:
    """Return which classes are nearer than the limit, real images' too, and the closest pairs."""
    names: Sequence[str | None] = pack.class_names or [None]
    limit = memorization.limit_of(of_real)
    result: dict[str, Any] = {}
    if pack.classes:
        for key, near, classes in (
            ("share_nearer_by_class", found, drawn.classes),
            ("expected_share_by_class", of_real, real_classes),
        ):
            is_nearer = near.distances < limit
            result[key] = {
                name: float(is_nearer[classes == i].mean()) if i in classes else None
                for i, name in enumerate(names)
            }
    result["closest"] = [
        {
            "seed": int(drawn.seeds[i]),
            "class": names[drawn.classes[i]],
            "image_id": pack.table["image_id"].iloc[found.rows[i]],
            "is_mirrored": bool(found.is_mirrored[i]),
            "distance": float(found.distances[i]),
        }
        for i in memorization.closest(found)
    ]
    return result


def _partners(pack: Pack, found: Nearest, shown: np.ndarray) -> np.ndarray:
    """Return the training images of some pairs, turned the way in which they are near."""
    images = np.array(pack.images[found.rows[shown]])
    is_mirrored = found.is_mirrored[shown]
    images[is_mirrored] = images[is_mirrored, :, ::-1]
    return images


def proportional(total: int, counts: np.ndarray) -> list[int]:
    """Share `total` out in proportion to counts: whole numbers, largest remainders first."""
    exact = total * counts / counts.sum()
    shares = np.floor(exact).astype(int)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - shares.sum()]] += 1
    return shares.tolist()
