"""Training images a second of `classifiers` beside a plain loop of torchvision and timm.

    python benchmarks/classifier_training.py --threads 2

Ours is the loop of `classifiers train` with the default settings: packed images,
augmentation of whole batches, precision `auto`, channels last. The plain loop decodes each file by
PIL, augments it alone by torchvision's v2 transforms (flip, affine, colours, as there) in a
DataLoader with as many workers as threads, and trains timm's model in float32 as it comes. Both see
the same portraits of 128x96 px (JPEG; the plain loop need not even scale them), two heads, AdamW,
one batch size.

Each measurement is a process of its own, in turn, so that neither loop's allocator and threads are
the other's and both meet the same machine; medians over rounds. The loaders alone make the same
batches without a network.
"""

import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from classifiers.images import augment
from classifiers.models import backbones
from classifiers.models.heads import Head
from classifiers.options import TrainOptions
from classifiers.train import loop
from facedata.ingest import avatars
from facekit.compute import machine
from facekit.compute.workers import num_cores

OPTIONS = TrainOptions()
HEIGHT, WIDTH = 128, 96
HEADS = (
    Head("gender", ("gender",), "categorical", 1.0, ("female", "male")),
    Head("age_group", ("age_group",), "categorical", 1.0, ("young", "middle", "old")),
)
BACKBONES = ("tf_efficientnet_lite0", "mobilenetv2_100")
FACE = {
    "hair_color": "brown",
    "glasses": "none",
    "facial_hair": "none",
    "headwear": "none",
    "mouth": "smile",
}
JPEG_QUALITY = 90
WARM_UP = 3  # steps that are not counted


@dataclass(frozen=True)
class Work:
    """What one process measures.

    Attributes:
        folder: of images 0.jpg, 1.jpg ..., images.npy and labels.csv.
        backbone: a model of timm.
        batch: images a step.
        steps: that are timed.
        threads: of tensor operations; also workers of the plain loop.
    """

    folder: Path
    backbone: str
    batch: int
    steps: int
    threads: int


@dataclass(frozen=True)
class Rates:
    """Images a second of the whole loop and of its loader alone."""

    training: float
    loading: float
    precision: str


def write_images(folder: Path, num_images: int) -> None:
    """Write portraits as files, the same pixels packed, and random labels."""
    rng = np.random.default_rng(0)
    for i in range(num_images):
        portrait = avatars.paint_portrait(FACE, HEIGHT, WIDTH, rng)
        portrait.save(folder / f"{i}.jpg", quality=JPEG_QUALITY)
    np.save(folder / "images.npy", np.stack([read(folder, i) for i in range(num_images)]))
    labels = {head.name: rng.integers(len(head.classes), size=num_images) for head in HEADS}
    pd.DataFrame(labels).to_csv(folder / "labels.csv", index=False)


def read(folder: Path, number: int) -> Image.Image:
    """Return an image."""
    with Image.open(folder / f"{number}.jpg") as image:
        return image.convert("RGB")


def rate(step: Callable[[], object], work: Work) -> float:
    """Return images a second of a step, after some that are not counted."""
    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(work.steps):
        step()
    return work.batch * work.steps / (time.perf_counter() - start)


def measure_ours(work: Work) -> Rates:
    """Measure the loop of `classifiers train`."""
    machine.tune(work.threads)
    labels = pd.read_csv(work.folder / "labels.csv")
    images = np.load(work.folder / "images.npy", mmap_mode="r")
    for head in HEADS:
        codes = labels[head.name].to_numpy()
        labels[head.name] = pd.Categorical.from_codes(codes, head.classes)
    labels["row"] = np.arange(len(images))
    device = torch.device("cpu")
    options = OPTIONS.but(
        epochs=2 * (WARM_UP + work.steps) * work.batch / len(images), batch=work.batch
    )
    view = augment.View.of(options.view, HEIGHT, WIDTH)
    model = backbones.build_classifier(work.backbone, "none", HEADS, view, 0, options.head)
    run = loop.Training(
        model,
        loop.Examples.of(images, labels, HEADS),
        {head.name: options.loss for head in HEADS},
        len(images),
        options,
        0,
        device,
    )
    return Rates(rate(run.take_step, work), rate(run.draw_batch, work), run.precision)


class Files(Dataset):
    """Files, each decoded and augmented when it is asked for."""

    def __init__(self, folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Read the labels."""
        self.folder = folder
        labels = pd.read_csv(folder / "labels.csv")
        self.labels = torch.from_numpy(labels[[head.name for head in HEADS]].to_numpy())
        own = OPTIONS.augment
        affine, color = own.affine, own.color
        scale = (1 - affine.scale, 1 + affine.scale)
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(own.flip),
                v2.RandomAffine(affine.rotation, translate=[affine.shift] * 2, scale=scale),
                v2.ColorJitter(color.brightness, color.contrast),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.transform(read(self.folder, i)), self.labels[i]


def measure_plain(work: Work) -> Rates:
    """Measure the plain loop."""
    torch.set_num_threads(work.threads)
    sizes = [len(head.classes) for head in HEADS]
    model = timm.create_model(work.backbone, num_classes=sum(sizes)).train()
    about = model.pretrained_cfg
    loader = DataLoader(
        Files(work.folder, about["mean"], about["std"]),
        batch_size=work.batch,
        shuffle=True,
        num_workers=work.threads,
        drop_last=True,
        persistent_workers=True,
    )
    batches: Iterator = itertools.chain.from_iterable(itertools.repeat(loader))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=OPTIONS.lr, weight_decay=OPTIONS.weight_decay
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=OPTIONS.label_smoothing)

    def step() -> None:
        images, labels = next(batches)
        logits = model(images).split(sizes, dim=1)
        loss = sum(criterion(part, labels[:, i]) for i, part in enumerate(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Rates(rate(step, work), rate(lambda: next(batches), work), "fp32")


def in_a_process(function: Callable[[Work], Rates], work: Work) -> Rates:
    """Return what a function measures in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, work).result()


def median(rates: list[Rates]) -> Rates:
    """Return the medians."""
    return Rates(
        statistics.median(one.training for one in rates),
        statistics.median(one.loading for one in rates),
        rates[0].precision,
    )


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=num_cores, show_default="all cores")
@click.option("--images", "num_images", type=click.IntRange(min=2), default=1024, show_default=True)
@click.option("--batch", type=click.IntRange(min=2), default=64, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--backbone", "names", multiple=True, default=BACKBONES, show_default=True)
def main(
    threads: int, num_images: int, batch: int, steps: int, rounds: int, names: tuple[str, ...]
) -> None:
    """Print a table: images a second of both loops, and of their loaders alone."""
    if num_images < batch:
        raise click.BadParameter(f"--images {num_images}: fewer than --batch {batch}")
    columns = ("ours", "plain", "ours/plain", "our loader", "plain loader", "precision")
    print(f"{threads} threads, batch {batch}, {WIDTH}x{HEIGHT} px, images a second")
    print(f"{'backbone':>22}", *[f"{name:>12}" for name in columns])
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), num_images)
        for name in names:
            work = Work(Path(folder), name, batch, steps, threads)
            found = {measure_ours: [], measure_plain: []}
            for _ in range(rounds):
                for function, rates in found.items():
                    rates.append(in_a_process(function, work))
            ours, plain = map(median, found.values())
            figures = (ours.training, plain.training, ours.training / plain.training)
            figures += (ours.loading, plain.loading)
            cells = [f"{figure:>12.4g}" for figure in figures]
            print(f"{name:>22}", *cells, f"{ours.precision:>12}", flush=True)


if __name__ == "__main__":
    main()
