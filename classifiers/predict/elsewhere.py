"""Models measured on a labelled set from elsewhere, which no round's split knows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from classifiers.evaluate.evaluate import measure_predictions
from classifiers.evaluate.mean import MeasuredModels
from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.options import EvaluateOptions
from classifiers.predict.ensemble import Look, load_models, predict_images
from classifiers.predict.origin import Origin, common
from classifiers.predict.predicted import Predicted, predictions_table
from facedata.columns import CURATED
from facedata.splits import ids
from facekit.errors import DataError
from facekit.storage import tables


def evaluate_elsewhere(
    paths: Sequence[Path],
    images: Path,
    matched: Path,
    options: EvaluateOptions,
    seed: int,
    device: torch.device,
) -> MeasuredModels:
    """Predict all images of a set by models, in the mean, and measure that.

    Nothing is fitted to the set, and nothing of it to val: thresholds are 0.5.

    Args:
        paths: of models of `classifiers train`.
        images: packed images (.npy) of the set.
        matched: its images with labels in the models' classes, of `facedata match`.
        options: how to look at images and how to measure.
        seed: of the resamplings.
        device: to compute on.

    Returns:
        Measures of the heads that the set has labels of, and predictions under `test`, whose
        `test_ids` are those of the set.

    Raises:
        DataError: files do not fit together, or the set has no label that a head predicts.
    """
    models = load_models(paths, device)
    table = tables.read(matched, CURATED, ["image_id", "row"])
    heads = [head for head in models[0].classifier.heads if _has_labels(head, table)]
    if not heads:
        names = ", ".join(head.name for head in models[0].classifier.heads)
        raise DataError(f"{matched}: no image has a label of {names}")
    origins = [Origin.of_meta(model.meta, model.path) for model in models]
    same_budget = all(model.fold is None for model in models)
    origin = common(origins, [model.path for model in models], same_budget)
    origin = replace(origin, test_ids=ids.digest_of_ids(table["image_id"]))
    predicted = predict_images(models, table, Look(images, options.batch, device, options.tta))
    predicted = Predicted(table, {head.name: predicted.outputs[head.name] for head in heads})
    evaluation = measure_predictions(heads, predicted, None, options, seed)
    return MeasuredModels(evaluation, {"test": predictions_table(heads, predicted, origin)})


def _has_labels(head: Head, table: pd.DataFrame) -> bool:
    lacking = [name for name in head.attributes if name not in table]
    return not lacking and bool((head_targets(head, table) != MISSING).any())
