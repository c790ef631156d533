"""Outputs of a classifier for images, and tables of predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from classifiers.backbones import Classifier
from classifiers.data import ImagePool, to_batch
from classifiers.heads import Head, split_outputs
from facedata import progress


@torch.inference_mode()
def predict(
    classifier: Classifier,
    pool: ImagePool,
    batch: int,
    device: torch.device,
    description: str,
    with_features: bool = False,
) -> dict[str, np.ndarray]:
    """Return a classifier's outputs for all images of a pool, computed in float32.

    Args:
        classifier: on `device`; left in evaluation mode.
        pool: images of the classifier's geometry.
        batch: images at a time.
        device: to compute on.
        description: of the progress bar.
        with_features: also return the pooled features, under the key `features`.

    Returns:
        By head probabilities float64 [N, num_classes], or values float64 [N] in the attribute's
        own unit where numeric; `features` float32 [N, num_features].
    """
    classifier.eval()
    parts: list[np.ndarray] = []
    of_features: list[np.ndarray] = []
    starts = range(0, len(pool), batch)
    for start in progress.track(starts, description):
        numbers = np.arange(start, min(start + batch, len(pool)))
        features = classifier.features(classifier.look(to_batch(pool.take(numbers), device)))
        parts.append(classifier.layer(features).double().cpu().numpy())
        if with_features:
            of_features.append(features.float().cpu().numpy())
    found = split_outputs(classifier.heads, np.concatenate(parts))
    if with_features:
        found["features"] = np.concatenate(of_features)
    return found


def prediction_columns(
    heads: Sequence[Head], outputs: dict[str, np.ndarray]
) -> dict[str, pd.Series]:
    """Return columns of a table of predictions by name.

    For each head with classes `name`, the most probable class (category), and `name:class`, its
    probability; for a numeric head `name`, its value.
    """
    columns: dict[str, pd.Series] = {}
    for head in heads:
        output = outputs[head.name]
        if head.kind == "numeric":
            columns[head.name] = pd.Series(output)
            continue
        codes = output.argmax(axis=1)
        columns[head.name] = pd.Series(pd.Categorical.from_codes(codes, categories=head.classes))
        columns |= {column: pd.Series(output[:, k]) for k, column in enumerate(head.columns)}
    return columns
