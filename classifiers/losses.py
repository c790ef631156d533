"""Losses over heads, with missing labels left out."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifiers.heads import MISSING, Head


def inverse_frequency(counts: np.ndarray) -> np.ndarray:
    """Return class weights inverse to the classes' frequencies, float64 [num_classes].

    Over the images counted their mean is 1, so that a loss keeps its size; classes without an
    image get 0.

    Args:
        counts: images of each class, int64 [num_classes].
    """
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (np.count_nonzero(present) * counts[present])
    return weights


def head_loss(
    head: Head,
    output: Tensor,
    target: Tensor,
    label_smoothing: float,
    weights: Tensor | None,
    image_weights: Tensor | None = None,
) -> Tensor:
    """Return one head's mean loss over the images that have its label; 0 if none has.

    Args:
        head: cross-entropy where categorical, smooth L1 of the standardised value where numeric.
        output: logits float32 [N, num_classes], or [N, 1] where numeric.
        target: class ids int64 [N] with MISSING, or float32 [N] in the attribute's unit with NaN.
        label_smoothing: share of the target given to all classes alike, in [0, 1).
        weights: of the classes, float32 [num_classes]; None weighs all alike.
        image_weights: how much each image's labels are trusted, float32 [N] in 0..1; None is 1.
    """
    if head.kind == "numeric":
        known = ~torch.isnan(target)
        wanted = (torch.nan_to_num(target) - head.mean) / head.std
        losses = F.smooth_l1_loss(output[:, 0], wanted, reduction="none")
    else:
        known = target != MISSING
        losses = F.cross_entropy(
            output, target.clamp(min=0), label_smoothing=label_smoothing, reduction="none"
        )
        if weights is not None:
            # One weight an image, not torch's, which would divide by the batch's weights.
            losses = losses * weights[target.clamp(min=0)]
    counted = known if image_weights is None else known * image_weights
    # A batch of doubted labels does not count as much as one of trusted ones.
    return (losses * counted).sum() / known.sum().clamp(min=1)


def task_loss(
    heads: Sequence[Head],
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    label_smoothing: float,
    weights: Mapping[str, Tensor],
    image_weights: Tensor | None = None,
) -> Tensor:
    """Return the weighted sum of the heads' losses; see `head_loss`."""
    losses = [
        head.weight
        * head_loss(
            head,
            outputs[head.name],
            targets[head.name],
            label_smoothing,
            weights.get(head.name),
            image_weights,
        )
        for head in heads
    ]
    return torch.stack(losses).sum()
