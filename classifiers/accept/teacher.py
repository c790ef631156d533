"""The teacher: models of folds of train, so that none judges a real image that it learned from."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from classifiers.accept.read import Drawn, Faces
from classifiers.arms import REAL
from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.predict.ensemble import Model, check_unseen, load_models
from classifiers.predict.inference import Images, predict
from classifiers.predict.origin import Origin
from classifiers.predict.predicted import Outputs
from facedata.columns import DEFICITS
from facedata.splits.ids import read_digests
from facekit.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """What the teacher says of images.

    Attributes:
        label: place among the classes of each image's own, int64 [N].
        probability: of each class, float64 [N, num_classes].
    """

    label: np.ndarray
    probability: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """The probability of each image's own class, float64 [N]."""
        return self.probability[np.arange(len(self.label)), self.label]


@dataclass(frozen=True)
class Teacher:
    """Models of the folds of train.

    Attributes:
        models: one a fold.
        batch: images at a time.
        device: where the models are.
    """

    models: list[Model]
    batch: int
    device: torch.device

    @property
    def folds(self) -> list[int]:
        """Of train, one a model: that which it did not learn from."""
        return [model.fold for model in self.models if model.fold is not None]

    @property
    def heads(self) -> list[Head]:
        """What the models predict."""
        return self.models[0].classifier.heads

    def judge_faces(self, train: Faces, classes: pd.DataFrame) -> tuple[np.ndarray, Judged]:
        """Return which faces of train have a class and a fold, and what is said of these.

        Each is judged by the model of its fold.

        Args:
            train: the faces.
            classes: of the generator.

        Returns:
            Their places in the table, int64 [n], and what is said of them.
        """
        fold = train.table["fold"].to_numpy(dtype=np.int64, na_value=MISSING)
        places = np.flatnonzero((train.label != MISSING) & (fold != MISSING))
        outputs = self._predict(fold[places], lambda own: train.pool(places[own]), "train")
        found = class_probability(self.heads, classes, outputs)
        return places, Judged(train.label[places], found)

    def judge_drawn(self, drawn: Drawn, fold: np.ndarray, classes: pd.DataFrame) -> Judged:
        """Return what is said of candidates, of each by the model of the fold dealt to it."""
        outputs = self._predict(fold, drawn.pool, "candidates")
        return Judged(drawn.label, class_probability(self.heads, classes, outputs))

    def _predict(
        self, fold: np.ndarray, pool: Callable[[np.ndarray], Images], what: str
    ) -> Outputs:
        """Return what models say, each of the images of its fold, by head.

        Args:
            fold: of the model that looks at each image, int64 [N].
            pool: gives the images at some places.
            what: they are, for the progress bar.
        """
        parts, order = [], []
        for model in self.models:
            own = np.flatnonzero(fold == model.fold)
            order.append(own)
            name = f"{what}, fold {model.fold}"
            parts.append(predict(model.classifier, pool(own), self.batch, self.device, name))
        back = np.argsort(np.concatenate(order))
        return {one: np.concatenate([part[one] for part in parts])[back] for one in parts[0]}


def load_teacher(paths: Sequence[Path], batch: int, device: torch.device) -> Teacher:
    """Load models of folds of train.

    Args:
        paths: of the models.
        batch: images at a time.
        device: to compute on.

    Raises:
        DataError: one learned from more than real images, or from all of train.
    """
    models = load_models(paths, device)
    for path, model in zip(paths, models, strict=True):
        if model.meta["arm"] != REAL:
            raise DataError(
                f"{path}: trained in the arm {model.meta['arm']}; the teacher is to be {REAL}"
            )
        if model.fold is None:
            raise DataError(
                f"{path}: learned from all of train; give the model of each fold"
                " (`classifiers train --fold`): none may judge a real image that it learned from"
            )
    return Teacher(models, batch, device)


def check_teacher(teacher: Teacher, train: Faces, splits: Path) -> None:
    """Check that a teacher is of a split, and has a model of each of its folds.

    Args:
        teacher: of `load_teacher`.
        train: faces of train.
        splits: split and fold of each image, for messages.

    Raises:
        DataError: a model learned from another split or from its fold, or a fold has no model.
    """
    digests = read_digests(splits)
    for model in teacher.models:
        Origin.of_meta(model.meta, model.path).check_splits(digests, model.path, splits)
    if sorted(teacher.folds) != train.folds:
        raise DataError(
            f"--teacher: models of the folds {sorted(teacher.folds)}, but {splits} has the folds"
            f" {train.folds}; give one of each"
        )
    for model in teacher.models:
        own = (train.table["fold"] == model.fold).fillna(False)
        check_unseen(model, train.table[own], f"fold {model.fold} in {splits}")


def checked_heads(heads: Sequence[Head], attributes: Sequence[str]) -> list[Head]:
    """Return the teacher's heads that predict what the generator was told, and nothing else.

    Raises:
        DataError: there is none.
    """
    found = [head for head in heads if head.classes and set(head.attributes) <= set(attributes)]
    if not found:
        raise DataError(
            f"the teacher predicts {[head.name for head in heads]}, nothing of the generator's "
            f"condition {list(attributes)}; give a task with such a head first"
        )
    unchecked = set(attributes) - {one for head in found for one in head.attributes}
    if unchecked:
        log.warning("no head of the teacher checks %s", ", ".join(sorted(unchecked)))
    return found


def class_probability(heads: Sequence[Head], classes: pd.DataFrame, outputs: Outputs) -> np.ndarray:
    """Return the teacher's probability of each class, float64 [N, num_classes].

    It is the product over the heads that predict attributes of the generator's condition; of an
    attribute without a head all classes are as probable.

    Args:
        heads: of the teacher.
        classes: a row a class, with the attributes of the condition.
        outputs: probabilities by head.

    Raises:
        DataError: a class is none of the teacher's, or no head predicts any.
    """
    attributes = [name for name in classes.columns if name not in DEFICITS.names]
    found = checked_heads(heads, attributes)
    parts = [outputs[head.name][:, head_targets(head, classes)] for head in found]
    return np.prod(parts, axis=0)
