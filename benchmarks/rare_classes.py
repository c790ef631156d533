"""Rare classes of a conditional GAN: are they taken for their class, and are they copies?

    python benchmarks/rare_classes.py --work DIR --kimg 72

Avatars of 32 px are painted as the demo's are, hair colours from 1000 images down to 20 (1:50).
Each candidate trains the demo's GAN on them, on one thread, with the same number of images shown;
`cifar` is how it was trained before it had features and linear faces.
Then, class by class: `accepted`, the share of 200 unfiltered samples that a classifier of other
avatars (250 of each class) takes for their class; `copies`, the share that are a train image, maybe
cropped, turned or relit, more surely than 1 % of held-out avatars are (small_gan_parts/copies.py);
`distance`, the Fréchet distance from held-out avatars of the class in that classifier's features.
The line `real` says all three of train images, that of `fresh` of avatars that nobody has seen.

What is there is not made again: stop and go on at any moment. DIR/rare_classes.md is the table.
"""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from small_gan_parts import classifier, copies

from facedata.ingest import avatars
from facedata.ingest.adapters.avatars import SHARES
from facedata.packs import storage
from facekit.storage import files
from stylegan2.draw import sampling
from stylegan2.metrics import formulas
from stylegan2.models import checkpoint

SIDE = 32
CLASSES = list(SHARES["hair_color"])  # the most frequent one first
MOST, LEAST = 1000, 20
NUM_JUDGE, NUM_HELD_OUT = 250, 100  # of each class
NUM_SAMPLES = 200  # of each class
STEPS = 1500  # of the judge's training
NUM_RAREST = 3
GAN = (  # the demo's, config/config.yaml
    *("--cfg", "cpu-32", "--gamma", "0.2", "--channel-base", "512", "--channel-max", "64"),
    *("--z-dim", "64", "--w-dim", "64", "--mirror"),
)
BEFORE = (
    *("--cfg", "cifar", "--batch", "16", "--lr", "0.005", "--ema-kimg", "2"),
    *("--ada-kimg", "100"),
)
CANDIDATES = {
    "cifar, natural": BEFORE,  # the demo's of version 0.1
    "natural": (),
    "sqrt": ("--class-draw", "sqrt"),
    "equal": ("--class-draw", "equal"),
    "sqrt, sets in": ("--class-draw", "sqrt", "--cond-kimg", "{third}"),
    "sqrt, noise": ("--class-draw", "sqrt", "--class-noise", "0.1"),
    "equal, sets in": ("--class-draw", "equal", "--cond-kimg", "{third}"),
}
FIGURES = ("accepted", "copies", "distance")


def counts() -> list[int]:
    """Return train images of each class: a geometric row from MOST to LEAST."""
    return [round(x) for x in np.geomspace(MOST, LEAST, len(CLASSES))]


def paint(num: Sequence[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return avatars, uint8 [N, R, R, 3], so many of each hair colour, and their class ids."""
    images = []
    labels = np.repeat(np.arange(len(CLASSES)), num)
    for i, label in enumerate(labels):
        rng = np.random.default_rng([seed, i])
        chosen: dict[str, str | None] = {"headwear": "none", "hair_color": CLASSES[label]}
        for name in ("glasses", "facial_hair", "mouth"):
            shares = SHARES[name]
            chosen[name] = str(rng.choice(list(shares), p=list(shares.values())))
        if chosen["facial_hair"] == "moustache":
            chosen["mouth"] = None
        images.append(np.asarray(avatars.paint_portrait(chosen, SIDE, SIDE, rng)))
    return np.stack(images), labels


def prepare(work: Path) -> Path:
    """Paint train pack, judge's and held-out avatars, where they are missing; return the pack."""
    pack, others = work / "train.npy", work / "others.npz"
    if not others.exists():
        judge, judge_labels = paint([NUM_JUDGE] * len(CLASSES), seed=1)
        held_out, held_out_labels = paint([NUM_HELD_OUT] * len(CLASSES), seed=2)
        with files.replacing(others) as part, part.open("wb") as file:
            np.savez(
                file,
                judge=judge,
                judge_labels=judge_labels,
                held_out=held_out,
                held_out_labels=held_out_labels,
            )
    if not pack.exists():
        images, labels = paint(counts(), seed=0)
        table = pd.DataFrame({"image_id": [f"{i:05d}" for i in range(len(images))]})
        table["class"] = pd.array(labels, "Int64")
        table["hair_color"] = pd.Categorical.from_codes(labels, CLASSES)
        box = (0, 0, SIDE, SIDE)
        names = [[name] for name in CLASSES]
        storage.write_pack(pack, images, table, ["hair_color"], names, box)
    return pack


class Judge:
    """Real avatars that no GAN has seen, and a classifier of them."""

    def __init__(self, work: Path, pack: Path) -> None:
        self.train = storage.read_pack(pack)
        with np.load(work / "others.npz") as found:
            self.others = {name: found[name] for name in found.files}
        net = work / "judge.pt"
        if net.exists():
            self.net = classifier.SmallNet(SIDE, len(CLASSES)).eval().requires_grad_(False)
            self.net.load_state_dict(torch.load(net, weights_only=True))
        else:
            images, labels = self.others["judge"], self.others["judge_labels"]
            self.net = classifier.fit(images, labels, len(CLASSES), STEPS, seed=0)
            with files.replacing(net) as part:
                torch.save(self.net.state_dict(), part)
        self.held_out, self.labels = self.others["held_out"], self.others["held_out_labels"]
        self.usual = copies.standing_out(self.held_out, self.train.images)

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
        """Return each class's `FIGURES` of images, uint8 [N, R, R, 3]."""
        pred = classifier.logits(self.net, images).argmax(axis=1)
        near = copies.standing_out(images, self.train.images)
        mine, real = self.features(images), self.features(self.held_out)
        found = {}
        for i, name in enumerate(CLASSES):
            own = labels == i
            moments = [formulas.moments(x) for x in (real[self.labels == i], mine[own])]
            found[name] = {
                "accepted": float((pred[own] == i).mean()),
                "copies": copies.share(near[own], self.usual),
                "distance": formulas.frechet_distance(*moments),
            }
        return found

    @torch.no_grad()
    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the classifier's features, float32 [N, size]."""
        parts = np.array_split(np.asarray(images), max(len(images) // 500, 1))
        return torch.cat([self.net.features(torch.from_numpy(np.array(x))) for x in parts]).numpy()


def train(name: str, pack: Path, folder: Path, kimg: float, seed: int) -> float:
    """Train a candidate, or go on; return the seconds that took."""
    extra = [word.format(third=f"{kimg / 3:g}") for word in CANDIDATES[name]]
    given = ["--data", pack, "--outdir", folder, "--kimg", kimg, "--threads", 1, "--seed", seed]
    start = time.monotonic()
    command = [sys.executable, "-c", "from stylegan2.cli import main; main()", "train"]
    subprocess.run([*command, *map(str, given), *GAN, *extra], check=True)
    return time.monotonic() - start


def samples(network: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return NUM_SAMPLES images of each class, uint8 [N, R, R, 3], and their class ids."""
    G, _ = checkpoint.load_generator(network)
    labels = np.repeat(np.arange(len(CLASSES)), NUM_SAMPLES)
    drawn = sampling.images(G, np.arange(len(labels)), labels, noise_mode="random", batch=100)
    return np.concatenate(list(drawn)), labels


def table(results: dict[str, dict[str, Any]], kimg: float) -> str:
    """Return a Markdown table of all results: rarest classes alone, then their mean."""
    rarest = CLASSES[-NUM_RAREST:]
    heads = [f"{name} ({num})" for name, num in zip(CLASSES, counts(), strict=True)][-NUM_RAREST:]
    lines = [
        f"Avatars of {SIDE} px, 1:{MOST // LEAST}, {kimg:g} kimg; accepted / copies / distance of",
        f"the {NUM_RAREST} rarest of {len(CLASSES)} classes (train images), and of all.",
        "",
        f"| | {' | '.join(heads)} | mean of these | mean of all |",
        "| --- |" + " --- |" * (NUM_RAREST + 2),
    ]
    for name, found in results.items():
        cells = [_cell([found[each]]) for each in rarest]
        cells += [_cell([found[each] for each in rarest]), _cell(list(found.values()))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[dict[str, float]]) -> str:
    accepted, copied, distance = (np.mean([each[x] for each in found]) for x in FIGURES)
    return f"{accepted:.0%} / {copied:.1%} / {distance:.2f}"


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--kimg", type=click.FloatRange(min=0.1), default=72.0, show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=[0], help="May be repeated.")
@click.option("--only", type=click.Choice(list(CANDIDATES)), multiple=True, help="Candidates.")
def main(work: Path, kimg: float, seeds: Sequence[int], only: Sequence[str]) -> None:
    """Train what is not trained yet, judge it, and print the table."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    pack = prepare(work)
    judge = Judge(work, pack)
    results: dict[str, dict[str, Any]] = {
        "real": judge(judge.train.images, judge.train.labels),
        "fresh": judge(judge.others["judge"], judge.others["judge_labels"]),
    }
    for name in only or list(CANDIDATES):
        for seed in seeds:
            folder = work / f"{name.replace(', ', '-').replace(' ', '_')}-{kimg:g}-{seed}"
            judged = folder / "judged.json"
            if not judged.exists():
                seconds = train(name, pack, folder, kimg, seed)
                found = judge(*samples(folder / "network-final.safetensors"))
                files.write_json({"seconds": seconds, "classes": found}, judged)
            results[f"{name}, seed {seed}"] = json.loads(judged.read_text())["classes"]
            (work / "rare_classes.md").write_text(table(results, kimg), encoding="utf-8")
    print(table(results, kimg))


if __name__ == "__main__":
    main()
