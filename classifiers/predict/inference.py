"""Outputs of a classifier for images."""

from collections.abc import Iterator
from typing import Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from classifiers.images.augment import corners
from classifiers.images.data import to_batch
from classifiers.models.backbones import Classifier
from classifiers.models.heads import num_columns, split_outputs
from classifiers.options import Tta
from classifiers.predict.predicted import Outputs, mean_outputs
from facekit import progress
from facekit.compute.workers import threaded_map
from facekit.errors import DataError

NUM_READERS = 2  # threads that read images ahead
TTA = get_args(Tta)


class Images(Protocol):
    """Images under one numbering, such as `data.ImagePool`."""

    def __len__(self) -> int:
        """Return how many there are."""

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of these numbers, uint8 [n, H, W, 3]."""


def batches(pool: Images, batch: int, device: torch.device, description: str) -> Iterator[Tensor]:
    """Yield the images of a pool in order, float32 [n, 3, H, W], behind a progress bar."""
    starts = range(0, len(pool), batch)
    numbers = (np.arange(start, min(start + batch, len(pool))) for start in starts)
    images = threaded_map(pool.take, numbers, NUM_READERS)
    for pixels in progress.track(images, description, len(starts)):
        yield to_batch(pixels, device)


@torch.inference_mode()
def raw_outputs(
    classifier: Classifier,
    pool: Images,
    batch: int,
    device: torch.device,
    description: str,
    of_features: list[np.ndarray] | None = None,
) -> np.ndarray:
    """Return a classifier's outputs for all images of a pool, computed in float32.

    Args:
        classifier: on `device`; left in evaluation mode.
        pool: images of the classifier's geometry.
        batch: images at a time.
        device: to compute on.
        description: of the progress bar.
        of_features: the pooled features of each batch are added to this list, float32
            [n, num_features].

    Returns:
        float64 [N, D], see `heads.columns_of`.
    """
    classifier.eval()
    parts = [np.zeros((0, num_columns(classifier.heads)))]
    for images in batches(pool, batch, device, description):
        features = classifier.features(classifier.look(images))
        parts.append(classifier.layer(features).double().cpu().numpy())
        if of_features is not None:
            of_features.append(features.float().cpu().numpy())
    return np.concatenate(parts)


def looks(classifier: Classifier, images: Tensor, tta: str) -> list[Tensor]:
    """Return what a classifier sees of images, once or several times.

    Args:
        classifier: whose view it is.
        images: of its geometry, [n, 3, H, W].
        tta: `none`, `flip` (the mirror image, too) or `flip_crops` (where the view is a part of the
            image also its four corners, all of them mirrored, too).

    Raises:
        DataError: another word.
    """
    if tta not in TTA:
        raise DataError(f"tta {tta!r}: expected one of {TTA}")
    found = [classifier.look(images)]
    if tta == "flip_crops":
        found += corners(images, classifier.view)
    return found if tta == "none" else [*found, *(one.flip(3) for one in found)]


def look_outputs(classifier: Classifier, images: Tensor, tta: str) -> Outputs:
    """Return the mean of what a classifier says each time that it looks at images; see `looks`."""
    outputs = (classifier(one).double().cpu().numpy() for one in looks(classifier, images, tta))
    return mean_outputs([split_outputs(classifier.heads, one) for one in outputs])


@torch.inference_mode()
def predict(
    classifier: Classifier,
    pool: Images,
    batch: int,
    device: torch.device,
    description: str,
    tta: str = "none",
) -> Outputs:
    """Return what a classifier says of all images of a pool; arguments as of `raw_outputs`.

    Args:
        classifier, pool, batch, device, description: see there.
        tta: how often it looks at each image, see `looks`; the outputs are the mean.

    Returns:
        By head probabilities float64 [N, num_classes], or values float64 [N] in the attribute's
        own unit where numeric.
    """
    classifier.eval()
    heads = classifier.heads
    parts = [split_outputs(heads, np.zeros((0, num_columns(heads))))]
    for images in batches(pool, batch, device, description):
        parts.append(look_outputs(classifier, images, tta))
    return {head.name: np.concatenate([part[head.name] for part in parts]) for head in heads}
