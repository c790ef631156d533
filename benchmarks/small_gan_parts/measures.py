"""How good drawn faces are: what a classifier learns of them and sees in them, and distances."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import timm
import torch
import xxhash
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from facedata.packs.storage import Pack
from facekit.compute.weights import packaged_state_dict
from facekit.storage import files
from small_gan_parts import classifier, copies
from small_gan_parts.sources import REAL, Source
from stylegan2.metrics import evaluate, features, formulas
from stylegan2.train.data import hash_images

PER_CLASS = 1000  # images of a class that a classifier learns from
STEPS = 500  # of the classifiers that learn from drawn faces
CLASSIFIER_SEEDS = (0, 1)
TEACHER_STEPS = 2000  # of the one that learns from the real train faces and looks at drawn ones
TEACHER_WIDTH = 1.5
COLOUR_SIDE = 8
LITE2, FACES = "lite2", "faces"  # where distances are taken
KID_SUBSETS = (20, 500)
VERSION = "1"  # to be raised when a measure changes: kept figures are then made again

log = logging.getLogger(__name__)


class Lite2(nn.Module):
    """Pooled ImageNet features of tf_efficientnet_lite2; as `features.EfficientNetLite0` is."""

    name = LITE2
    size = features.EFFICIENTNET_SIZE
    kid_subsets = KID_SUBSETS
    version = f"tf_efficientnet_lite2 {features.FEATURE_SIZE} {features.CACHE_VERSION}"

    def __init__(self) -> None:
        super().__init__()
        self.model = timm.create_model("tf_efficientnet_lite2", num_classes=0)
        state = packaged_state_dict("tf_efficientnet_lite2")
        self.model.load_state_dict(
            {key: x for key, x in state.items() if not key.startswith("classifier.")}
        )
        self.model.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return features, float32 [N, 1280], of uint8 images [N, H, W, 3]."""
        x = images.permute(0, 3, 1, 2).to(torch.float32)
        size = (features.FEATURE_SIZE, features.FEATURE_SIZE)
        x = functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 255)
        return self.model(x / 127.5 - 1)


@dataclass
class Judge:
    """What candidates of one size are held against; all that is real is computed once and kept.

    Attributes:
        train, held_out: real faces, of the same classes.
        folder: where what is computed of them lies.
        teacher: classifier of the real train faces.
        heat: its temperature, by the held-out faces.
    """

    train: Pack
    held_out: Pack
    folder: Path

    def __post_init__(self) -> None:
        key = hash_images(self.train.images)
        key.update(hash_images(self.held_out.images).digest())
        settings = (VERSION, self.train.labels.tolist(), TEACHER_STEPS, TEACHER_WIDTH)
        key.update(repr(settings).encode())
        self.key = key.hexdigest()[:12]
        self.lite2 = Lite2()
        self.teacher = self._teacher()
        found = classifier.logits(self.teacher, self.held_out.images)
        self.heat = classifier.temperature(found, self.held_out.labels)
        self.of_held_out = {
            LITE2: features.of_real_images(
                self.lite2, self.held_out.images, 256, self.folder / "held-out", "cpu"
            ),
            FACES: self._faces(self.held_out.images),
        }
        self.usual = self._usual_standing_out()

    @property
    def num_classes(self) -> int:
        return len(self.train.classes)

    def _teacher(self) -> classifier.SmallNet:
        path = self.folder / f"teacher-{self.key}.safetensors"
        side, num = self.train.images.shape[1], self.num_classes
        if not path.is_file():
            log.info("a classifier of the real train faces, once: %d steps", TEACHER_STEPS)
            net = classifier.fit(
                *(self.train.images, self.train.labels, num, TEACHER_STEPS, 0, TEACHER_WIDTH)
            )
            with files.replacing(path) as part:
                save_file({k: x.contiguous() for k, x in net.state_dict().items()}, part)
        net = classifier.SmallNet(side, num, TEACHER_WIDTH)
        net.load_state_dict(load_file(path))
        return net.to(memory_format=torch.channels_last).eval().requires_grad_(False)

    def _usual_standing_out(self) -> np.ndarray:
        path = self.folder / f"standing-out-{self.key}.npy"
        if not path.is_file():
            found = copies.standing_out(self.held_out.images, self.train.images)
            with files.replacing(path) as part, part.open("wb") as file:
                np.save(file, found)
        return np.load(path)

    def _faces(self, images: np.ndarray) -> np.ndarray:
        """Return the teacher's features, float32 [N, size]."""
        parts = [
            torch.from_numpy(np.array(images[i : i + 500])) for i in range(0, len(images), 500)
        ]
        with torch.no_grad():
            return torch.cat([self.teacher.features(part) for part in parts]).numpy()

    def of_teacher(self) -> dict[str, Any]:
        """Return how well the teacher knows held-out faces."""
        found = classifier.logits(self.teacher, self.held_out.images)
        labels, pred = self.held_out.labels, found.argmax(axis=1)
        recall = [float((pred[labels == each] == each).mean()) for each in range(self.num_classes)]
        return {
            "accuracy": float((pred == labels).mean()),
            "recall_by_class": recall,
            "f1_by_class": classifier.f1_by_class(pred, labels, self.num_classes),
            "temperature": self.heat,
        }


def measure(source: Source, judge: Judge, seed: int = 0) -> dict[str, Any]:
    """Return all figures of a source.

    Args:
        source: of faces; REAL gives the classifier all train faces.
        judge: what it is held against.
        seed: of the draws and subsets.
    """
    start = time.process_time()
    num = judge.num_classes
    labels = np.repeat(np.arange(num), PER_CLASS)
    drawn = source.draw([PER_CLASS] * num, seed)
    counts = np.bincount(judge.train.labels, minlength=num)
    shares = evaluate.proportional(len(judge.held_out.images), counts)
    as_train = source.draw(shares, seed + 1)
    stages = {"draw": time.process_time() - start}

    def timed(name: str, result: dict[str, Any]) -> dict[str, Any]:
        stages[name] = time.process_time() - start - sum(stages.values())
        log.info("%s: %s %.0f s", source.name, name, stages[name])
        return result

    learned = (judge.train.images, judge.train.labels) if source.name == REAL else (drawn, labels)
    return {
        "name": source.name,
        **source.facts,
        **timed("classifiers", usefulness(*learned, judge)),
        **timed("teacher", acceptance(drawn, labels, judge)),
        **timed("distances", distances(as_train, judge, seed)),
        **timed("colour", {"colour": colour(as_train, judge.held_out.images)}),
        **timed("copies", copied(as_train, np.repeat(np.arange(num), shares), judge)),
        "cpu_seconds": stages,
    }


def usefulness(images: np.ndarray, labels: np.ndarray, judge: Judge) -> dict[str, Any]:
    """Return the F1 on held-out faces of classifiers that saw these images alone."""
    found = []
    for seed in CLASSIFIER_SEEDS:
        net = classifier.fit(images, labels, judge.num_classes, STEPS, seed)
        pred = classifier.logits(net, judge.held_out.images).argmax(axis=1)
        found.append(classifier.f1_by_class(pred, judge.held_out.labels, judge.num_classes))
    return {
        "f1": float(np.mean(found)),
        "f1_by_classifier": np.mean(found, axis=1).tolist(),
        "f1_by_class": np.mean(found, axis=0).tolist(),
    }


def acceptance(images: np.ndarray, labels: np.ndarray, judge: Judge) -> dict[str, Any]:
    """Return the share of images that the teacher takes for their class, mean of the classes."""
    found = classifier.logits(judge.teacher, images)
    taken = found.argmax(axis=1) == labels
    prob = torch.softmax(torch.from_numpy(found / judge.heat), dim=1).numpy()
    own = prob[np.arange(len(labels)), labels]
    shares = [float(taken[labels == each].mean()) for each in range(judge.num_classes)]
    return {
        "accepted": float(np.mean(shares)),
        "accepted_by_class": shares,
        "own_probability": float(
            np.mean([own[labels == each].mean() for each in np.unique(labels)])
        ),
    }


def distances(images: np.ndarray, judge: Judge, seed: int) -> dict[str, dict[str, Any]]:
    """Return Fréchet and kernel distance, precision, recall and coverage in both feature spaces."""
    parts = (images[i : i + 256] for i in range(0, len(images), 256))
    drawn = {
        LITE2: np.concatenate(
            list(features.extract(judge.lite2, parts, len(images), "drawn faces", "cpu"))
        ),
        FACES: judge._faces(images),
    }
    result = {}
    for space, of_images in drawn.items():
        extractor: Any = SimpleNamespace(name=space, kid_subsets=KID_SUBSETS)
        found = evaluate.figures(judge.of_held_out[space], of_images, extractor, seed, "cpu")
        result[space] = {key.removesuffix(f"_{space}"): value for key, value in found.items()}
    return result


def colour(images: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    """Return how far colours at COLOUR_SIDE pixels a side are from held-out faces' ones.

    `frechet` of the 192 numbers in 0..1, `mean` the length of the difference of the mean colours,
    in grey levels of 0..255.
    """
    a, b = _small(held_out), _small(images)
    frechet = formulas.frechet_distance(formulas.moments(a), formulas.moments(b))
    apart = a.reshape(-1, 3).mean(axis=0) - b.reshape(-1, 3).mean(axis=0)
    return {"frechet": frechet, "mean": float(np.linalg.norm(apart) * 255)}


def _small(images: np.ndarray) -> np.ndarray:
    """Return images at COLOUR_SIDE pixels a side, float32 [N, 192] in 0..1."""
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(torch.float32) / 255
    x = functional.adaptive_avg_pool2d(x, (COLOUR_SIDE, COLOUR_SIDE))
    return x.permute(0, 2, 3, 1).flatten(1).numpy()


def copied(images: np.ndarray, labels: np.ndarray, judge: Judge) -> dict[str, Any]:
    """Return the share of images that stand out as copies of train faces, and by class."""
    found = copies.standing_out(images, judge.train.images)
    by_class = [copies.share(found[labels == each], judge.usual) for each in np.unique(labels)]
    return {"copies": copies.share(found, judge.usual), "copies_by_class": by_class}


def digest(path: Path) -> str:
    """Return a digest of a file and of the version of the measures."""
    return xxhash.xxh3_128(VERSION.encode() + path.read_bytes()).hexdigest()[:16]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, least and largest."""
    return float(np.mean(values)), float(min(values)), float(max(values))
