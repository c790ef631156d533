"""Out-of-fold predictions: what a classifier says of images that it was not fitted to."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from classifiers.heads import MISSING, Head, head_targets
from classifiers.predicting import prediction_columns
from facedata import progress
from facedata.errors import DataError

log = logging.getLogger(__name__)

C = 0.001  # inverse strength of the penalty, for standardised features in the hundreds
MAX_ITERATIONS = 500


def make_model() -> Pipeline:
    """Return the model that is fitted to frozen features."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=MAX_ITERATIONS))


def out_of_fold(
    features: np.ndarray, target: np.ndarray, folds: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return class probabilities of each image by a model fitted to the other folds.

    Args:
        features: float32 [N, D].
        target: class ids int64 [N], MISSING where there is no label (predicted, not fitted to).
        folds: int64 [N].
        num_classes: classes that the other folds do not hold get probability 0.

    Returns:
        float64 [N, num_classes], rows sum to 1.

    Raises:
        DataError: the other folds of some fold hold fewer than two classes.
    """
    prob = np.zeros((len(target), num_classes))
    for fold in np.unique(folds):
        fitted = (folds != fold) & (target != MISSING)
        if len(np.unique(target[fitted])) < 2:
            raise DataError(f"fold {fold}: the others hold fewer than two classes; take less folds")
        model = make_model().fit(features[fitted], target[fitted])
        held_out = np.flatnonzero(folds == fold)
        prob[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return prob


def cross_validate(
    features: np.ndarray, table: pd.DataFrame, heads: Sequence[Head]
) -> pd.DataFrame:
    """Return out-of-fold predictions of the categorical heads.

    Args:
        features: of frozen weights, float32 [N, D].
        table: the train images: image_id, fold (no NA), attributes.
        heads: numeric ones are left out; a label of theirs is not judged.

    Returns:
        image_id, fold, and for each head `name` and `name:class`, one row an image.
    """
    folds = table["fold"].to_numpy(dtype=np.int64)
    categorical = [head for head in heads if head.kind == "categorical"]
    outputs = {}
    for head in progress.track(categorical, "out-of-fold predictions"):
        target = head_targets(head, table)
        outputs[head.name] = out_of_fold(features, target, folds, len(head.classes))
        known = target != MISSING
        right = (outputs[head.name].argmax(axis=1) == target)[known].mean()
        log.info("%s: out-of-fold accuracy %.4f, %d images", head.name, right, known.sum())
    columns = {"image_id": table["image_id"].reset_index(drop=True), "fold": folds}
    return pd.DataFrame({**columns, **prediction_columns(categorical, outputs)})
