"""Outputs of a classifier for images, and tables of predictions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from classifiers.backbones import Classifier
from classifiers.calibration import Calibration, choose, scale
from classifiers.data import ImagePool, to_batch
from classifiers.heads import Head, num_columns, split_outputs
from facedata import progress
from facedata.workers import threaded_map

NUM_READERS = 2  # threads that read images ahead


@torch.inference_mode()
def raw_outputs(
    classifier: Classifier,
    pool: ImagePool,
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
    starts = range(0, len(pool), batch)
    numbers = (np.arange(start, min(start + batch, len(pool))) for start in starts)
    images = threaded_map(pool.take, numbers, NUM_READERS)
    for pixels in progress.track(images, description, len(starts)):
        features = classifier.features(classifier.look(to_batch(pixels, device)))
        parts.append(classifier.layer(features).double().cpu().numpy())
        if of_features is not None:
            of_features.append(features.float().cpu().numpy())
    return np.concatenate(parts)


def predict(
    classifier: Classifier, pool: ImagePool, batch: int, device: torch.device, description: str
) -> dict[str, np.ndarray]:
    """Return a classifier's outputs for all images of a pool; arguments as of `raw_outputs`.

    Returns:
        By head probabilities float64 [N, num_classes], or values float64 [N] in the attribute's
        own unit where numeric.
    """
    outputs = raw_outputs(classifier, pool, batch, device, description)
    return split_outputs(classifier.heads, outputs)


def prediction_columns(
    heads: Sequence[Head],
    outputs: Mapping[str, np.ndarray],
    calibrations: Mapping[str, Calibration] | None = None,
) -> dict[str, pd.Series]:
    """Return columns of a table of predictions by name.

    For each head with classes `name`, the most probable class (category), and `name:class`, its
    probability; for a numeric head `name`, its value.

    Args:
        heads: that were predicted.
        outputs: by head as of `predict`.
        calibrations: by head; temperatures and thresholds to apply; None for none.
    """
    columns: dict[str, pd.Series] = {}
    for head in heads:
        output = outputs[head.name]
        if head.kind == "numeric":
            columns[head.name] = pd.Series(output)
            continue
        calibration = (calibrations or {}).get(head.name)
        if calibration is not None:
            output = scale(output, calibration.temperature)
        codes = choose(output, calibration and calibration.threshold)
        columns[head.name] = pd.Series(pd.Categorical.from_codes(codes, categories=head.classes))
        columns |= {column: pd.Series(output[:, k]) for k, column in enumerate(head.columns)}
    return columns
