"""Which snapshot of a run is the best, by the Fréchet distance of its images to the real ones."""

import math
from pathlib import Path

import numpy as np
import torch

from facedata.packs.storage import Pack
from stylegan2.draw import sampling
from stylegan2.metrics import evaluate, features, formulas
from stylegan2.metrics.features import Extractor
from stylegan2.models.networks import Generator
from stylegan2.options import TrainOptions
from stylegan2.train.snapshot_metrics import SNAPSHOT_METRICS

BATCH = features.ROUND  # images at a time


class Measure:
    """Measures generators against a pack, each with the same latents."""

    def __init__(
        self, pack: Pack, extractor: Extractor, num_images: int, seed: int, cache: Path
    ) -> None:
        """Hold what is compared.

        Args:
            pack: the real images.
            extractor: of features, on the device to work on.
            num_images: generated for each measurement, classes in the shares of the pack.
            seed: of the latents.
            cache: where the features of real images are kept, as in `features.of_real_images`.
        """
        self.pack = pack
        self.extractor = extractor
        self.num_images = num_images
        self.seed = seed
        self.cache = cache
        self.real: formulas.Moments | None = None

    @property
    def name(self) -> str:
        """Name of the figure; smaller is better."""
        return evaluate.figure_name("frechet", self.extractor.name)

    def prepare(self, device: torch.device) -> None:
        """Take in the real images."""
        real = features.of_real_images(self.extractor, self.pack.images, BATCH, self.cache, device)
        self.real = formulas.moments(real)

    def __call__(self, network: Generator) -> float:
        """Return the figure of a generator, which is in eval mode."""
        device = next(network.parameters()).device
        if self.real is None:
            self.prepare(device)
            assert self.real is not None
        classes = None
        if self.pack.classes:
            counts = np.bincount(self.pack.labels, minlength=len(self.pack.classes))
            shares = evaluate.proportional(self.num_images, counts)
            classes = np.repeat(np.arange(len(counts)), shares)
        seeds = np.random.default_rng([self.seed, 4]).integers(2**32, size=self.num_images)
        images = sampling.images(network, seeds, classes, noise_mode="random", batch=BATCH)
        generated = formulas.Moments(self.extractor.size)
        with torch.inference_mode():
            for batch in images:
                found = self.extractor(torch.from_numpy(batch).to(device))
                generated.add(found.cpu().numpy())
        return formulas.frechet_distance(self.real, generated)


def make_measure(
    pack: Pack, options: TrainOptions, seed: int, cache: Path, device: torch.device
) -> Measure:
    """Return what measures a run's snapshots by the figure that its options name."""
    assert options.metric is not None
    return SNAPSHOT_METRICS[options.metric](pack, options.metric_images, seed, cache, device)


def is_best(measured: list[dict[str, float]]) -> bool:
    """Return whether the last of some measurements is better than all before."""
    *before, last = [entry["value"] for entry in measured]
    return last < min(before, default=math.inf)


def num_since_best(measured: list[dict[str, float]]) -> int:
    """Return how many measurements came after the best one."""
    values = [entry["value"] for entry in measured]
    return len(values) - 1 - int(np.argmin(values)) if values else 0
