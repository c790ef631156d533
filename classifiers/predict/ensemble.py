"""Several models as one: the mean of what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from classifiers.evaluate.evaluate import measure_predictions
from classifiers.evaluate.mean import MeasuredModels
from classifiers.images.data import (
    ImagePool,
    check_apart,
    check_size,
    open_images,
    read_geometry,
    read_labelled,
)
from classifiers.models.backbones import Classifier
from classifiers.models.checkpoint import hash_ids, load_classifier, read_learned
from classifiers.options import EvaluateOptions
from classifiers.predict.inference import predict
from classifiers.predict.origin import Origin, common
from classifiers.predict.predicted import Predicted, mean_outputs, predictions_table
from facedata.splits import ids
from facekit.errors import DataError


@dataclass(frozen=True)
class Model:
    """A classifier of `classifiers train` and what its file says of it."""

    classifier: Classifier
    meta: dict[str, Any]
    path: Path

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
        DataError: files do not fit together, a model learned from images that it is to predict, or
            persons are in two of the splits.
    """
    models = load_models(paths, device)
    train = read_labelled(curated, splits, ["train"])
    held_out = {
        name: read_labelled(curated, splits, [name]) for name in dict.fromkeys([split, "val"])
    }
    origin = read_origin(models, held_out, splits)
    for table in held_out.values():
        check_apart(train, table, str(splits))
    look = Look(images, options.batch, device, options.tta)
    predicted = {name: predict_images(models, table, look) for name, table in held_out.items()}
    out_of_fold = predict_folds(models, train, look)
    heads = models[0].classifier.heads
    val = None if split == "val" else predicted["val"]
    evaluation = measure_predictions(heads, predicted[split], val, options, seed, out_of_fold)
    found = {name: predictions_table(heads, one, origin) for name, one in predicted.items()}
    if out_of_fold is not None:
        found["oof"] = predictions_table(heads, out_of_fold, origin)
        found["oof"].insert(1, "fold", out_of_fold.table["fold"])
    return MeasuredModels(evaluation, found)


def load_models(paths: Sequence[Path], device: torch.device) -> list[Model]:
    """Return models that predict the same of the same images.

    Raises:
        DataError: one is no classifier, is given twice, or differs in heads, geometry or arm
            from the first; or some are of folds and others are not.
    """
    models = []
    for path in paths:
        classifier, meta = load_classifier(path)
        models.append(Model(classifier.to(device), meta, path))
        for what, values in _compared(models[-1]).items():
            first = _compared(models[0])[what]
            if values != first:
                raise DataError(f"{path}: {what} {values}, but {paths[0]} has {first}")
    places = [path.resolve() for path in paths]
    for k, place in enumerate(places):
        if place in places[:k]:
            raise DataError(f"{paths[k]}: given twice; expected each model once")
    folds = [model.fold for model in models if model.fold is not None]
    if len(set(folds)) < len(folds):
        raise DataError(f"models of the folds {folds}; expected each fold once")
    if 0 < len(folds) < len(models):
        whole = next(model.path for model in models if model.fold is None)
        raise DataError(f"{whole}: learned from all of train; expected models of folds alone")
    return models


def read_origin(
    models: Sequence[Model], held_out: Mapping[str, pd.DataFrame], splits: Path
) -> Origin:
    """Return where models come from, which have to belong to a split.

    Args:
        models: of `load_models`.
        held_out: images that no model may have learned from, by the name of their part.
        splits: split of each image.

    Raises:
        DataError: a model learned from some of these images, or by another split; or they are of
            several rounds or budgets.
    """
    digests = ids.read_digests(splits)
    origins = [Origin.of_meta(model.meta, model.path) for model in models]
    for origin, model in zip(origins, models, strict=True):
        for name, table in held_out.items():
            check_unseen(model, table, f"{name} in {splits}")
        origin.check_splits(digests, model.path, splits)
    # Folds differ in size, and so do the budgets of their models.
    same_budget = all(model.fold is None for model in models)
    return common(origins, [model.path for model in models], same_budget)


def check_unseen(model: Model, table: pd.DataFrame, what: str) -> None:
    """Check that a model did not learn from images.

    Args:
        model: whose file tells where it comes from.
        table: of the images.
        what: they are, for the message.

    Raises:
        DataError: it learned from some.
    """
    num = int(np.isin(hash_ids(table["image_id"]), read_learned(model.path)).sum())
    if num:
        raise DataError(
            f"{model.path}: learned from {num} of the {len(table)} images of {what}; expected none"
            " of them, as in the splits that it was trained with"
        )


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

    Raises:
        DataError: a model learned from its fold: the folds were dealt anew since.
    """
    if any(model.fold is None for model in models):
        return None
    own = [np.flatnonzero(train["fold"] == model.fold) for model in models]
    for model, rows in zip(models, own, strict=True):
        check_unseen(model, train.iloc[rows], f"fold {model.fold} of train")
    found = [
        predict_images([model], train.iloc[rows], look).outputs
        for model, rows in zip(models, own, strict=True)
    ]
    rows = np.concatenate(own)
    order = np.argsort(rows)
    outputs = {name: np.concatenate([one[name] for one in found])[order] for name in found[0]}
    return Predicted(train.iloc[rows[order]].reset_index(drop=True), outputs)
