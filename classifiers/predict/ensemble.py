"""Several models as one: the mean of what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from classifiers.evaluate.evaluate import measure_predictions
from classifiers.evaluate.mean import MeasuredModels, only
from classifiers.images.data import (
    ImagePool,
    check_size,
    open_images,
    read_geometry,
    read_labelled,
)
from classifiers.models.backbones import Classifier
from classifiers.models.checkpoint import load_classifier
from classifiers.options import EvaluateOptions
from classifiers.predict.inference import predict
from classifiers.predict.predicted import Predicted, mean_outputs, predictions_table
from facekit.errors import DataError


@dataclass(frozen=True)
class Model:
    """A classifier of `classifiers train` and what its file says of it."""

    classifier: Classifier
    meta: dict[str, Any]

    @property
    def fold(self) -> int | None:
        """The fold of train that it did not learn from; None if it learnt from all of train."""
        return self.meta.get("fold")


@dataclass(frozen=True)
class Look:
    """How models look at images.

    Attributes:
        images: packed images (.npy).
        batch: images at a time.
        device: to compute on, where the models are.
        tta: see `inference.looks`.
    """

    images: Path
    batch: int
    device: torch.device
    tta: str


def evaluate_models(
    paths: Sequence[Path],
    images: Path,
    curated: Path,
    splits: Path,
    split: str,
    options: EvaluateOptions,
    seed: int,
    device: torch.device,
) -> MeasuredModels:
    """Predict the images of a split by models, in the mean, and measure that.

    Temperatures and thresholds are fitted to val, and to nothing else; where val is measured, to
    nothing. Models of folds also predict the images of train, each its own fold.

    Args:
        paths: of models of `classifiers train`.
        images: packed images (.npy).
        curated: images that survived curation, with their labels.
        splits: split and fold of each.
        split: to measure on, train, val or test.
        options: how to look at images and how to measure.
        seed: of the resamplings.
        device: to compute on.

    Raises:
        DataError: files do not fit together, or persons are both in val and in the split.
    """
    models = load_models(paths, device)
    look = Look(images, options.batch, device, options.tta)
    predicted = {
        name: predict_images(models, read_labelled(curated, splits, [name]), look)
        for name in dict.fromkeys(["val", split])
    }
    out_of_fold = predict_folds(models, read_labelled(curated, splits, ["train"]), look)
    heads, arm = models[0].classifier.heads, models[0].meta["arm"]
    val = None if split == "val" else predicted["val"]
    evaluation = measure_predictions(heads, predicted[split], val, options, seed, out_of_fold)
    of_models = only([model.meta["seed"] for model in models])
    found = {name: predictions_table(heads, one, arm, of_models) for name, one in predicted.items()}
    if out_of_fold is not None:
        found["oof"] = predictions_table(heads, out_of_fold, arm, of_models)
        found["oof"].insert(1, "fold", out_of_fold.table["fold"])
    return MeasuredModels(evaluation, found)


def load_models(paths: Sequence[Path], device: torch.device) -> list[Model]:
    """Return models that predict the same of the same images.

    Raises:
        DataError: one is no classifier, or differs in heads, geometry or arm from the first.
    """
    models = []
    for path in paths:
        classifier, meta = load_classifier(path)
        models.append(Model(classifier.to(device), meta))
        for what, values in _compared(models[-1]).items():
            first = _compared(models[0])[what]
            if values != first:
                raise DataError(f"{path}: {what} {values}, but {paths[0]} has {first}")
    folds = [model.fold for model in models if model.fold is not None]
    if len(set(folds)) < len(folds):
        raise DataError(f"--model: folds {folds}, expected each of them once")
    return models


def _compared(model: Model) -> dict[str, Any]:
    heads = [(head.name, head.kind, head.classes) for head in model.classifier.heads]
    return {"heads": heads, "geometry": model.meta["geometry"], "arm": model.meta["arm"]}


def predict_images(models: Sequence[Model], table: pd.DataFrame, look: Look) -> Predicted:
    """Return what models say, in the mean, of the images of a table (`row` in the packed images).

    Raises:
        DataError: the packed images are of another size, or fewer than the table names.
    """
    array = open_images(look.images, table)
    check_size(look.images, array.shape, read_geometry(models[0].meta["geometry"]))
    pool = ImagePool([(array, table["row"].to_numpy(dtype=np.int64))])
    outputs = [
        predict(model.classifier, pool, look.batch, look.device, f"model {number}", look.tta)
        for number, model in enumerate(models, start=1)
    ]
    return Predicted(table, mean_outputs(outputs))


def predict_folds(models: Sequence[Model], train: pd.DataFrame, look: Look) -> Predicted | None:
    """Return what each model says of the fold of train that it did not learn from.

    Args:
        models: of folds; None is returned if one learnt from all of train.
        train: the train split with `fold`.
        look: how.

    Returns:
        The images of the models' folds, in the order of the table.
    """
    if any(model.fold is None for model in models):
        return None
    own = [np.flatnonzero(train["fold"] == model.fold) for model in models]
    found = [
        predict_images([model], train.iloc[rows], look).outputs
        for model, rows in zip(models, own, strict=True)
    ]
    rows = np.concatenate(own)
    order = np.argsort(rows)
    outputs = {name: np.concatenate([one[name] for one in found])[order] for name in found[0]}
    return Predicted(train.iloc[rows[order]].reset_index(drop=True), outputs)
