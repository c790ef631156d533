"""Export: a classifier for other programs, as ONNX, with all that comes before and after it."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from classifiers.evaluate.calibration import FILE as CALIBRATION
from classifiers.evaluate.calibration import Calibration, read_beside
from classifiers.models.backbones import Classifier
from classifiers.models.card import card_beside
from classifiers.models.checkpoint import load_classifier
from classifiers.models.heads import columns_of
from facekit import hub
from facekit.compute import onnx_files
from facekit.storage import files

log = logging.getLogger(__name__)

INPUT = "images"
OPSET = 20
SEED = 0  # of the images that it is tried on


class WholeClassifier(nn.Module):
    """A classifier from the bytes of thumbnails to probabilities and values, by head.

    The crop and size of its view, the scale of colours, softmax and units are all inside.
    """

    def __init__(self, classifier: Classifier, calibrations: Mapping[str, Calibration]) -> None:
        """Args: calibrations: by head; their temperatures are inside, too."""
        super().__init__()
        self.classifier = classifier
        self.temperatures = {name: one.temperature for name, one in calibrations.items()}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return each head's probabilities [N, num_classes], or values [N] in its own unit.

        Args:
            images: uint8 [N, height, width, 3], red, green, blue, of the classifier's geometry.
        """
        images = images.permute(0, 3, 1, 2).float() / 255
        outputs = self.classifier(self.classifier.look(images))
        found = []
        heads = self.classifier.heads
        for head, place in zip(heads, columns_of(heads), strict=True):
            part = outputs[:, place]
            if head.kind == "numeric":
                found.append(part[:, 0] * head.std + head.mean)
                continue
            # One logit is that of the second class beside 0.
            logits = part if head.kind == "categorical" else nn.functional.pad(part, (1, 0))
            found.append((logits / self.temperatures.get(head.name, 1.0)).softmax(dim=1))
        return tuple(found)


def export_model(model: Path, out: Path, card: Path) -> float:
    """Write a model of `classifiers train` as ONNX, and its model card.

    Args:
        model: `.safetensors`; what lies beside it (calibration, records, metrics) is told, too.
        out: the ONNX file, see `save_onnx`.
        card: the card, Markdown.

    Returns:
        The largest difference between the two, see `save_onnx`.

    Raises:
        DataError: the model is none, or the difference is too large; then there is no file.
    """
    classifier, meta = load_classifier(model)
    difference = save_onnx(classifier, meta, read_beside([model]), out)
    log.info("%s: differs from the classifier by %.1e at most", out, difference)
    files.write_text(card_beside(model, classifier, meta), card)
    return difference


def publish(model: Path, onnx: Path, card: Path, repository: str, public: bool) -> str:
    """Put a model and its exports into a repository of the Hugging Face Hub; see `hub.publish`.

    Args:
        model: `.safetensors`; its calibration, where there is one beside it, goes along.
        onnx: of `export_model`.
        card: likewise.
        repository: OWNER/NAME.
        public: whether everybody may read a repository that is made.
    """
    paths = {"model.safetensors": model, "model.onnx": onnx}
    calibration = model.parent / CALIBRATION
    if calibration.is_file():
        paths[CALIBRATION] = calibration
    text = card.read_text(encoding="utf-8")
    return hub.publish(repository, paths, text, ["image-classification", "onnx"], public)


def save_onnx(
    classifier: Classifier,
    meta: Mapping[str, Any],
    calibrations: Mapping[str, Calibration],
    path: Path,
) -> float:
    """Write a classifier as ONNX: `images` in, an output for each head by its name.

    Metadata: `labels`, JSON of each head's kind, attributes, classes and threshold; `evenface`,
    JSON of `meta`.

    Args:
        classifier: in evaluation mode, on the CPU.
        meta: of its file.
        calibrations: by head.
        path: there only if it gives what the classifier gives.

    Returns:
        The largest difference between ONNX Runtime and the classifier, relative to the largest
        value (at least 1).

    Raises:
        DataError: that is more than 1e-4.
    """
    whole = WholeClassifier(classifier, calibrations).eval()
    names = [head.name for head in classifier.heads]
    size = (meta["geometry"]["height"], meta["geometry"]["width"])
    for name in ("onnxscript", "onnx_ir", "torch.onnx"):  # they tell of every step
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch's own code
        program = torch.onnx.export(
            whole,
            (_random_images(2, size),),
            input_names=[INPUT],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is where it is not written to a file
    labels = {
        head.name: {
            "kind": head.kind,
            "attributes": list(head.attributes),
            "classes": list(head.classes),
            "threshold": calibrations[head.name].threshold if head.name in calibrations else None,
        }
        for head in classifier.heads
    }
    program.model.metadata_props.update(
        labels=json.dumps(labels), evenface=json.dumps(meta, sort_keys=True)
    )
    with files.replacing(path) as part:
        program.save(part)
        return onnx_files.check(part, _probes(whole, size), path, "classifier")


def _random_images(num: int, size: tuple[int, int]) -> Tensor:
    rng = np.random.default_rng([SEED, num])
    return torch.from_numpy(rng.integers(0, 256, (num, *size, 3), dtype=np.uint8))


def _probes(whole: WholeClassifier, size: tuple[int, int]) -> Iterator[onnx_files.Probe]:
    """Yield random images and what the classifier says of them, for batches of several sizes."""
    for num in onnx_files.BATCHES:
        images = _random_images(num, size)
        with torch.inference_mode():
            expected = [one.numpy() for one in whole(images)]
        yield {INPUT: images.numpy()}, expected
