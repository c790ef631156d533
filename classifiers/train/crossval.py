"""Out-of-fold predictions: what a classifier says of images that it was not fitted to."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from classifiers.images.augment import View
from classifiers.images.data import ImagePool, open_images
from classifiers.images.examples import Examples
from classifiers.models.backbones import Classifier, build_classifier
from classifiers.models.heads import MISSING, Head, head_targets, read_heads
from classifiers.options import (
    LIGHT,
    CrossvalOptions,
    HeadOptions,
    ModelOptions,
    RecipeOptions,
    TrainOptions,
)
from classifiers.predict.inference import predict, raw_outputs
from classifiers.predict.predicted import Outputs, prediction_columns
from classifiers.train import loop
from facedata.columns import SCREENED, attributes_of
from facedata.curation import labels
from facedata.packs.storage import read_images
from facekit import progress
from facekit.compute.workers import ordered_map
from facekit.errors import DataError
from facekit.storage import tables

log = logging.getLogger(__name__)

C = 0.001  # inverse strength of the penalty, for standardised features in the hundreds
MAX_ITERATIONS = 500
PREDICT_BATCH = 64  # images at a time: several networks share the memory


def predict_out_of_fold(
    images: Path,
    screened: Path,
    options: CrossvalOptions,
    seed: int,
    device: torch.device,
    num_workers: int,
) -> pd.DataFrame:
    """Predict each image's labels by models that were fitted to the other folds.

    Args:
        images: packed images (.npy).
        screened: table of image_id, row, fold and the attributes to judge.
        options: what is judged, and how the models are trained; without kimg linear models are
            fitted to frozen features.
        seed: of weights, order and augmentation.
        device: to compute on.
        num_workers: folds at a time, on the CPU; the result does not depend on it.

    Returns:
        image_id, fold and each head's predictions, see `predictions_table`; no more columns where
        no attribute can be judged.

    Raises:
        DataError: files do not fit together, an attribute is none of the table's, the folds are too
            few for one, or the loss is no longer finite.
    """
    table = tables.read(screened, SCREENED, ["image_id", "row", "fold"])
    array = open_images(images, table)
    names = attributes_of(table) if options.attributes == "all" else options.attributes
    settings = attribute_heads(table, names)
    if not settings:
        log.warning("%s: no attribute whose labels could be judged", screened)
        return predictions_table(table, [], {}, {})
    heads = read_heads(settings, table, str(screened))
    targets = all_targets(table, heads)
    view = View(array.shape[1:3], array.shape[1:3])
    build = partial(build_classifier, options.backbone, options.weights, heads, view)
    if options.kimg:
        num_fitted = len(table) * (1 - 1 / table["fold"].nunique())
        recipe = recipe_of(options, 1000 * options.kimg / num_fitted)
        outputs = trained_outputs(
            images, table, heads, targets, build, recipe, seed, options.passes, device, num_workers
        )
    else:
        pool = ImagePool([(array, table["row"].to_numpy(dtype=np.int64))])
        features = pooled_features(build(seed).to(device), pool, device)
        folds = table["fold"].to_numpy(dtype=np.int64)
        outputs = frozen_outputs(features, targets, folds, heads)
    return predictions_table(table, heads, targets, outputs)


def recipe_of(options: CrossvalOptions, epochs: float) -> TrainOptions:
    """Return how each fold's network is trained: as classifiers are by default, but lightly."""
    shared = {*RecipeOptions.model_fields, *ModelOptions.model_fields}
    values = {name: getattr(options, name) for name in shared}
    return TrainOptions(epochs=epochs, augment=LIGHT, **values)


def pooled_features(classifier: Classifier, pool: ImagePool, device: torch.device) -> np.ndarray:
    """Return what a classifier's backbone makes of images, float32 [N, num_features]."""
    parts: list[np.ndarray] = []
    raw_outputs(classifier, pool, loop.VAL_BATCH, device, "features", parts)
    return np.concatenate(parts)


def attribute_heads(table: pd.DataFrame, attributes: Sequence[str]) -> list[HeadOptions]:
    """Return one head an attribute.

    Attributes of which fewer than two classes or values occur are left out: nothing could be
    learned of them.
    """
    found = []
    for name in attributes:
        if name not in table.columns:
            raise DataError(f"--attributes: no attribute {name!r} in the table")
        if table[name].nunique() < 2:
            log.warning("%s: fewer than two values, its labels are not judged", name)
            continue
        has_classes = isinstance(table[name].dtype, pd.CategoricalDtype)
        kind: Literal["categorical", "numeric"] = "categorical" if has_classes else "numeric"
        found.append(HeadOptions(name=name, attributes=(name,), kind=kind))
    return found


def make_model(kind: str) -> Pipeline:
    """Return the model that is fitted to frozen features, for a kind of head."""
    if kind == "numeric":
        return make_pipeline(StandardScaler(), Ridge(alpha=1 / C))
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=MAX_ITERATIONS))


def fit_frozen(
    features: np.ndarray, targets: Mapping[str, np.ndarray], folds: np.ndarray, head: Head
) -> np.ndarray:
    """Return a head's output for each image, of a linear model fitted to the other folds.

    Args:
        features: float32 [N, D].
        targets: by head, as of `head_targets`; images without a label are not fitted to.
        folds: int64 [N].
        head: classes that the other folds do not hold get probability 0.

    Returns:
        Probabilities float64 [N, num_classes], rows sum to 1; or values float64 [N].

    Raises:
        DataError: the other folds of some fold hold fewer than two classes.
    """
    target = targets[head.name]
    is_known = ~np.isnan(target) if head.kind == "numeric" else target != MISSING
    shape = (len(target), len(head.classes)) if head.classes else len(target)
    outputs = np.zeros(shape)
    for fold in np.unique(folds):
        fitted, held_out = (folds != fold) & is_known, np.flatnonzero(folds == fold)
        if len(np.unique(target[fitted])) < 2:
            raise DataError(
                f"{head.name}: without fold {fold} fewer than two classes are left; fewer folds"
                " are needed"
            )
        model = make_model(head.kind).fit(features[fitted], target[fitted])
        if head.kind == "numeric":
            outputs[held_out] = model.predict(features[held_out])
        else:
            outputs[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return outputs


def fit_folds(
    images: Path,
    rows: np.ndarray,
    targets: Mapping[str, np.ndarray],
    folds: np.ndarray,
    build: Callable[[int], Classifier],
    recipe: TrainOptions,
    seed: int,
    device: torch.device,
    num_workers: int,
    description: str,
) -> Outputs:
    """Return the outputs for each image of a classifier trained on the other folds.

    Each image is seen as it is and mirrored; the two outputs are averaged. Several small networks,
    each on a core of its own, take half the time of one after the other on all cores.

    Args:
        images: packed images (.npy).
        rows: the images wanted, int64 [N].
        targets: by head, as of `head_targets`.
        folds: int64 [N].
        build: returns a new classifier for a seed; of a module's top level, or a partial of one.
        recipe: how each is trained.
        seed: of the first fold; the others follow.
        device: to compute on.
        num_workers: folds at a time, on the CPU; the result does not depend on it.
        description: of the progress.

    Raises:
        DataError: the loss is no longer finite, or a worker died.
    """
    outputs: Outputs = {}
    names = np.unique(folds)
    num_workers = min(num_workers, len(names)) if device.type == "cpu" else 1
    fit_one = partial(_fit_fold, images, rows, targets, folds, build, recipe, seed, device)
    found = ordered_map(fit_one, range(len(names)), num_workers, chunk=1)
    for place, (of_fold, mean_loss) in enumerate(progress.track(found, description, len(names))):
        log.info("%s, fold %d/%d: loss %.3f", description, place + 1, len(names), mean_loss)
        for name, values in of_fold.items():
            whole = outputs.setdefault(name, np.zeros((len(rows), *values.shape[1:])))
            whole[folds == names[place]] = values
    return outputs


def _fit_fold(
    images: Path,
    rows: np.ndarray,
    targets: Mapping[str, np.ndarray],
    folds: np.ndarray,
    build: Callable[[int], Classifier],
    recipe: TrainOptions,
    seed: int,
    device: torch.device,
    place: int,
) -> tuple[Outputs, float]:
    """Return the outputs for the images of one fold, in order, and the mean loss on the others."""
    if device.type == "cpu":
        torch.set_num_threads(1)
    seed += place
    is_held_out = folds == np.unique(folds)[place]
    array = read_images(images)
    examples = Examples(
        ImagePool([(array, rows[~is_held_out])]),
        {name: target[~is_held_out] for name, target in targets.items()},
        np.ones(np.count_nonzero(~is_held_out), dtype=np.float32),
    )
    classifier = build(seed).to(device)
    found = fit(classifier, examples, recipe, seed, device)
    held_out = ImagePool([(array, rows[is_held_out])])
    return predict(classifier, held_out, PREDICT_BATCH, device, "held out", tta="flip"), found


def fit(
    classifier: Classifier,
    examples: Examples,
    recipe: TrainOptions,
    seed: int,
    device: torch.device,
) -> float:
    """Train a classifier in place for all epochs of a recipe; return the mean loss.

    Raises:
        DataError: the loss is no longer finite.
    """
    losses = {head.name: recipe.loss for head in classifier.heads}
    run = loop.Training(classifier, examples, losses, len(examples.pool), recipe, seed, device)
    loop.show_steps(run, len(run.batches), "images shown")
    mean = float(run.loss_sum) / run.num_summed
    if not np.isfinite(mean):
        raise DataError(f"the loss is {mean} after {run.num_summed:.0f} images; lower --lr")
    return mean


def without_doubted(
    targets: Mapping[str, np.ndarray], outputs: Outputs, heads: Sequence[Head]
) -> dict[str, np.ndarray]:
    """Return targets in which the labels that the outputs contradict are missing.

    Args:
        targets: by head, as of `head_targets`.
        outputs: by head, out of fold.
        heads: all of them.
    """
    kept = {}
    for head in heads:
        target, output = targets[head.name].copy(), outputs[head.name]
        is_numeric = head.kind == "numeric"
        known = np.flatnonzero(~np.isnan(target) if is_numeric else target != MISSING)
        judge = labels.judge_numbers if is_numeric else labels.judge_classes
        is_issue, _ = judge(target[known], output[known])
        target[known[is_issue]] = np.nan if is_numeric else MISSING
        log.info("%s: %d of %d labels are left out", head.name, is_issue.sum(), len(known))
        kept[head.name] = target
    return kept


def predictions_table(
    table: pd.DataFrame, heads: Sequence[Head], targets: Mapping[str, np.ndarray], outputs: Outputs
) -> pd.DataFrame:
    """Return image_id, fold and each head's predictions; log how well they fit the labels."""
    for head in heads:
        target, output = targets[head.name], outputs[head.name]
        if head.kind == "numeric":
            error = np.nanmedian(np.abs(output - target))
            log.info("%s: median out-of-fold error %.4g", head.name, error)
        else:
            right = (output.argmax(axis=1) == target)[target != MISSING].mean()
            log.info("%s: out-of-fold accuracy %.4f", head.name, right)
    columns = {
        "image_id": table["image_id"].reset_index(drop=True),
        "fold": table["fold"].to_numpy(dtype=np.int64),
    }
    return pd.DataFrame({**columns, **prediction_columns(heads, outputs)})


def all_targets(table: pd.DataFrame, heads: Sequence[Head]) -> dict[str, np.ndarray]:
    """Return the targets of all heads by name."""
    return {head.name: head_targets(head, table) for head in heads}


def frozen_outputs(
    features: np.ndarray,
    targets: Mapping[str, np.ndarray],
    folds: np.ndarray,
    heads: Sequence[Head],
) -> Outputs:
    """Return the outputs of linear models on frozen features; see `fit_frozen`."""
    return {
        head.name: fit_frozen(features, targets, folds, head)
        for head in progress.track(heads, "out-of-fold predictions")
    }


def trained_outputs(
    images: Path,
    table: pd.DataFrame,
    heads: Sequence[Head],
    targets: Mapping[str, np.ndarray],
    build: Callable[[int], Classifier],
    recipe: TrainOptions,
    seed: int,
    num_passes: int,
    device: torch.device,
    num_workers: int,
) -> Outputs:
    """Return out-of-fold outputs of trained classifiers, averaged over the passes.

    From the second pass on, labels that the outputs so far contradict are not learned from, so
    that wrong ones spoil less.

    Args:
        images: packed images (.npy).
        table: row and fold of the images wanted.
        heads: what to predict.
        targets: by head, as of `head_targets`.
        build: as in `fit_folds`.
        recipe: how each is trained.
        seed: of the first fold of the first pass; the others follow.
        num_passes: over all folds, >= 1.
        device: to compute on.
        num_workers: as in `fit_folds`.
    """
    rows, folds = (table[name].to_numpy(dtype=np.int64) for name in ("row", "fold"))
    total: Outputs = {}
    for number in range(num_passes):
        known = targets
        if number:
            mean = {name: values / number for name, values in total.items()}
            known = without_doubted(targets, mean, heads)
        first = seed + number * len(np.unique(folds))
        what = f"pass {number + 1}/{num_passes}"
        found = fit_folds(
            images, rows, known, folds, build, recipe, first, device, num_workers, what
        )
        total = {name: total.get(name, 0) + values for name, values in found.items()}
    return {name: values / num_passes for name, values in total.items()}
