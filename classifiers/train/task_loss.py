"""The loss of a task: that of all its heads, computed together, with missing labels left out.

Targets are one matrix beside the outputs: of a categorical head the shares of its classes, of a
binary one the share of its second class, of a numeric one the standardised value; NaN where the
label is missing. So two images' targets can be mixed by mixing their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from classifiers.losses import EPS, NUMERIC_LOSSES, Compared
from classifiers.models.heads import MISSING, Head, columns_of, num_columns
from classifiers.options import LossOptions
from classifiers.train.class_weights import inverse_effective_number, inverse_frequency


def encode_targets(heads: Sequence[Head], targets: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the targets of all heads as a matrix, float32 [N, D], D as of the heads' outputs.

    Args:
        heads: whose.
        targets: by head, as of `heads.head_targets`.
    """
    num_images = len(targets[heads[0].name])
    matrix = np.full((num_images, num_columns(heads)), np.nan, dtype=np.float32)
    for head, place in zip(heads, columns_of(heads), strict=True):
        target = targets[head.name]
        if head.kind == "numeric":
            matrix[:, place.start] = (target - head.mean) / head.std
            continue
        known = np.flatnonzero(target != MISSING)
        if head.kind == "binary":
            matrix[known, place.start] = target[known]
        else:
            matrix[known, place] = 0
            matrix[known, place.start + target[known]] = 1
    return matrix


def class_weights(loss: LossOptions, counts: np.ndarray) -> np.ndarray | None:
    """Return a head's class weights, float64 [num_classes]; None weighs all images alike."""
    if loss.weights == "inverse":
        return inverse_frequency(counts)
    if loss.weights == "effective":
        return inverse_effective_number(counts, loss.beta)
    return loss.chosen.deferred_weights(counts)


@dataclass(frozen=True)
class _Part:
    """Heads that are compared in one go: a categorical one, or any number of another kind.

    Attributes:
        kind: of its heads.
        loss: of its heads.
        smoothing: share of the target given to all classes alike.
        columns: of the outputs, int64 [D'].
        head_weights: float32 [K].
        class_weights: float32 [C] or [K, 2]; None weighs all alike.
        constants: of the loss, likewise.
    """

    kind: str
    loss: LossOptions
    smoothing: float
    columns: Tensor
    head_weights: Tensor
    class_weights: Tensor | None
    constants: Tensor | None

    def __call__(
        self,
        outputs: Tensor,
        targets: Tensor,
        trust: Tensor | None,
        is_weighted: bool,
        counts: Tensor | None,
    ) -> Tensor:
        """Return the sum over its heads of weight * mean loss; see `TaskLoss`."""
        outputs, targets = outputs[:, self.columns], targets[:, self.columns]
        known = ~targets.isnan()
        target = targets.nan_to_num()
        if self.kind == "categorical":
            known = known[:, :1]
        mass = known.float()  # [N, K]
        if trust is not None:
            mass = mass * trust[:, None]
        if is_weighted and self.class_weights is not None:
            mass = mass * self._image_weights(self.class_weights, target)
        width = known.shape[1]
        counts = known.sum(dim=0) if counts is None else counts[self.columns[:width]]
        if self.kind == "numeric":
            losses = NUMERIC_LOSSES[self.loss.numeric](outputs, target)
            means = (losses * mass).sum(dim=0) / counts.clamp(min=EPS)
        else:
            is_binary = self.kind == "binary"
            compared = Compared(
                is_binary, outputs, target, mass, counts, self.smoothing, self.constants
            )
            means = self.loss.chosen.of_heads(compared)
        return (means * self.head_weights).sum()

    def _image_weights(self, weights: Tensor, target: Tensor) -> Tensor:
        """Return the class weights of the images' targets, [N, K]."""
        if self.kind == "binary":
            return weights[:, 0] * (1 - target) + weights[:, 1] * target
        return (target * weights).sum(dim=1, keepdim=True)


class TaskLoss:
    """The weighted sum of the losses of all heads."""

    def __init__(
        self,
        heads: Sequence[Head],
        losses: Mapping[str, LossOptions],
        counts: Mapping[str, np.ndarray],
        smoothing: float,
        device: torch.device,
    ) -> None:
        """Group the heads.

        Args:
            heads: of the task, in the order of the outputs.
            losses: by head.
            counts: images of train of each class, int64 [num_classes] by head; numeric heads may
                lack.
            smoothing: share of the target given to all classes alike, in [0, 1).
            device: of the outputs.
        """
        groups: dict[Any, list[int]] = {}
        for i, head in enumerate(heads):
            alone = i if head.kind == "categorical" else None
            groups.setdefault((head.kind, losses[head.name], alone), []).append(i)
        self.parts = [
            _make_part(loss, [heads[i] for i in group], [columns_of(heads)[i] for i in group],
                       counts, smoothing, device)
            for (_, loss, _), group in groups.items()
        ]  # fmt: skip

    def __call__(
        self,
        outputs: Tensor,
        targets: Tensor,
        trust: Tensor | None = None,
        progress: float = 0.0,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch.

        Args:
            outputs: float32 [N, D] of the heads.
            targets: float32 [N, D] as of `encode_targets`, NaN where missing.
            trust: how much each image's labels are trusted, float32 [N] in 0..1; None is 1.
            progress: share of the training that is done, for what is deferred.
            counts: labels [D] that sums are divided by; None takes those of the batch. (soft_f1 has
                no such sum.)
        """
        total = torch.zeros((), device=outputs.device)
        for part in self.parts:
            is_weighted = progress >= _start(part.loss)
            total = total + part(outputs, targets, trust, is_weighted, counts)
        return total


def _start(loss: LossOptions) -> float:
    """Return the share of the training from which classes are weighed."""
    return loss.chosen.start if loss.weights == "none" else 0.0


def _make_part(
    loss: LossOptions,
    heads: Sequence[Head],
    places: Sequence[slice],
    counts: Mapping[str, np.ndarray],
    smoothing: float,
    device: torch.device,
) -> _Part:
    weights = constants = None
    if heads[0].kind != "numeric":
        found = [class_weights(loss, counts[head.name]) for head in heads]
        weights = _tensor_or_none(found, device)
        found = [loss.chosen.constants(counts[head.name]) for head in heads]
        constants = _tensor_or_none(found, device)
    if heads[0].kind == "categorical":
        weights, constants = (None if one is None else one[0] for one in (weights, constants))
    columns = np.concatenate([np.arange(place.start, place.stop) for place in places])
    return _Part(
        kind=heads[0].kind,
        loss=loss,
        smoothing=smoothing,
        columns=torch.from_numpy(columns).to(device),
        head_weights=_tensor([head.weight for head in heads], device),
        class_weights=weights,
        constants=constants,
    )


def _tensor_or_none(values: Sequence[np.ndarray | None], device: torch.device) -> Tensor | None:
    """Return values of heads as a tensor; None where they have none."""
    return None if values[0] is None else _tensor(values, device)


def _tensor(values: Sequence[ArrayLike | None], device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32)).to(device)
