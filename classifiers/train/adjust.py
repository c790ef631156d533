"""What arms change of a classifier after its training, by one number for each head."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from classifiers.arms import JOIN
from classifiers.evaluate.confusions import confusion_matrix
from classifiers.losses import EPS
from classifiers.measures import MEASURES
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head, class_counts, columns_of, split_outputs
from classifiers.predict.inference import raw_outputs
from facekit.errors import DataError

if TYPE_CHECKING:
    from classifiers.arms import Arm
    from classifiers.images.examples import Examples

log = logging.getLogger(__name__)

SHIFTS = np.linspace(0, 2, 41)  # of the log shares of classes; 1 is the balanced error's
SCALES = np.linspace(0, 1, 21)  # of norms; 1 makes all alike
BATCH = 256  # images of val at a time


@dataclass(frozen=True)
class Trained:
    """A classifier after its training.

    Attributes:
        classifier: with the weights of its best epoch; what is done, is done in place.
        targets: of the images it learned from, by head, as of `head_targets`.
        val: images to choose by.
        measure: name of the one to choose by.
        device: of the classifier.
    """

    classifier: Classifier
    targets: Mapping[str, np.ndarray]
    val: Examples
    measure: str
    device: torch.device

    @property
    def heads(self) -> list[tuple[Head, slice]]:
        """The heads with classes, and their places in the outputs.

        Raises:
            DataError: there is none.
        """
        heads = self.classifier.heads
        found = [one for one in zip(heads, columns_of(heads), strict=True) if one[0].classes]
        if not found:
            raise DataError("the arm goes by classes, but no head has any")
        return found


def adjust(arm: Arm, trained: Trained) -> dict[str, dict[str, float]]:
    """Have all parts of an arm change a classifier; return what they chose, by part and head."""
    named = zip(arm.name.split(JOIN), arm.parts, strict=False)  # REAL has no parts
    chosen = {name: part.adjust(trained) for name, part in named}
    return {name: values for name, values in chosen.items() if values}


@torch.no_grad()
def shift_logits(trained: Trained) -> dict[str, float]:
    """Subtract tau log(share of the class among the images learned from) from each logit.

    The offsets become part of the biases. Returns tau by head, the least of the best on val.

    Raises:
        DataError: a head's logits are cosines, which no bias shifts; or no head has classes.
    """
    heads, layer = trained.heads, trained.classifier.layer
    offsets = {}
    for head, _ in heads:
        if head.name in layer.cosine:
            raise DataError(
                f"head {head.name}: the arm shifts logits, but those of its loss are cosines"
            )
        count = np.maximum(class_counts(head, trained.targets[head.name]), 1)
        log_share = np.log(count / count.sum())
        is_binary = head.kind == "binary"  # its logit is the second class's beside 0
        offsets[head.name] = log_share[1:] - log_share[:1] if is_binary else log_share
    outputs = _of_val(trained)
    chosen = {}
    for head, place in heads:
        offset = offsets[head.name]
        changed = lambda tau, place=place, offset=offset: outputs[:, place] - tau * offset  # noqa: E731
        chosen[head.name] = _best(trained, head, SHIFTS, changed)
        layer.linear.bias[place] -= _tensor(chosen[head.name] * offset, layer.linear.bias)
    return chosen


@torch.no_grad()
def scale_weights(trained: Trained) -> dict[str, float]:
    """Divide each class's weights, and its bias, by their norm to tau.

    Norms are taken relative to their geometric mean, so that logits keep their size. Binary heads
    have one logit, and stay. Returns tau by head, the least of the best on val.

    Raises:
        DataError: a head's logits are cosines, which have no norm; or no head has a logit a class.
    """
    layer, outputs = trained.classifier.layer, _of_val(trained)
    chosen = {}
    for head, place in trained.heads:
        if head.name in layer.cosine:
            raise DataError(f"head {head.name}: its loss takes cosines, whose weights have no norm")
        if head.kind == "binary":
            continue
        norms = layer.linear.weight[place].double().norm(dim=1).clamp(min=EPS).cpu().numpy()
        norms /= np.exp(np.log(norms).mean())
        changed = lambda tau, place=place, norms=norms: outputs[:, place] / norms**tau  # noqa: E731
        chosen[head.name] = _best(trained, head, SCALES, changed)
        factor = _tensor(norms ** -chosen[head.name], layer.linear.bias)
        layer.linear.weight[place] *= factor[:, None]
        layer.linear.bias[place] *= factor
    if not chosen:
        raise DataError("the arm evens out the weights of classes, but all heads are binary")
    return chosen


def _of_val(trained: Trained) -> np.ndarray:
    """Return the outputs for val, float64 [N, D]."""
    return raw_outputs(trained.classifier, trained.val.pool, BATCH, trained.device, "val")


def _best(
    trained: Trained, head: Head, values: np.ndarray, changed: Callable[[float], np.ndarray]
) -> float:
    """Return the first value whose changed outputs [N, d] of a head score best on val.

    A head without a label on val gets the first value.
    """
    target = trained.val.targets[head.name]
    scores = []
    for value in values:
        prob = split_outputs([head], changed(value))[head.name]
        confusion = confusion_matrix(target, prob.argmax(axis=1), len(head.classes))
        scores.append(float(MEASURES[trained.measure](confusion)))
    best = float(values[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))])
    log.info(
        "%s: %s on val %.4f, was %.4f; tau %g", head.name, trained.measure, max(scores), scores[0],
        best,
    )  # fmt: skip
    return best


def _tensor(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values).to(like.device, like.dtype)
