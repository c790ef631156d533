"""Losses of heads with classes, each a file with its options, and of numeric heads.

Modules of this folder are imported for names and options alone, so they import torch and numpy
inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facekit.options import Options
from facekit.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CROSS_ENTROPY = "cross_entropy"
EPS = 1e-8


@dataclass(frozen=True)
class Compared:
    """Outputs of one categorical head, or of K binary heads, beside their labels.

    Attributes:
        is_binary: which of the two.
        outputs: logits of the classes, float32 [N, C]; of binary heads' second classes [N, K].
        target: shares of the classes likewise, without NaN, not yet smoothed.
        mass: how much each image counts, float32 [N, 1] or [N, K]; 0 where the label is missing.
        counts: labels that sums are divided by, float32 [1] or [K].
        smoothing: share of the target given to all classes alike, in [0, 1).
        constants: of the loss for these heads, float32 [C] or [K, 2]; None for most.
    """

    is_binary: bool
    outputs: Tensor
    target: Tensor
    mass: Tensor
    counts: Tensor
    smoothing: float
    constants: Tensor | None

    @property
    def share(self) -> Tensor:
        """The smoothed target."""
        num_classes = 2 if self.is_binary else self.outputs.shape[1]
        return smooth(self.target, self.smoothing, num_classes)


class Loss(Options):
    """How heads with classes are compared with their labels.

    A loss of single images has `categorical` and `binary`; one of whole batches `of_heads`.
    """

    def of_heads(self, compared: Compared) -> Tensor:
        """Return the mean loss of each head, [1] or [K]."""
        if compared.is_binary:
            losses = self.binary(compared)
        else:
            losses = self.categorical(compared)[:, None]
        # A batch of doubted labels does not count as much as one of trusted ones; so divide by
        # the images, not by their weights.
        return (losses * compared.mass).sum(dim=0) / compared.counts.clamp(min=EPS)

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        raise NotImplementedError

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        raise NotImplementedError

    def constants(self, counts: np.ndarray) -> np.ndarray | None:
        """Return what is computed once for a head, float64 [C], by its classes' images [C]."""
        return None

    @property
    def cosine(self) -> float:
        """Length of the logits of heads that are cosines; 0: they are linear."""
        return 0.0

    @property
    def start(self) -> float:
        """Share of the training from which classes weigh as `deferred_weights` says."""
        return 0.0

    def deferred_weights(self, counts: np.ndarray) -> np.ndarray | None:
        """Return weights of classes where the settings give none, float64 [C]; None: all alike."""
        return None


# By name. The options of those that have any are `classify.loss.NAME` of the config.
LOSSES: Registry[type[Loss]] = Registry("loss", __name__)
# Of numeric heads: standardised outputs and targets [N, K] -> losses of the images likewise.
NUMERIC_LOSSES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("numeric loss", __name__)


def smooth(target: Tensor, share: float, num_classes: int) -> Tensor:
    """Return targets of which `share` is given to all classes alike."""
    return target * (1 - share) + share / num_classes


def power(prob: Tensor, exponent: float) -> Tensor:
    """Return a power of a probability, kept off 0, where gradients and logarithms are infinite."""
    return prob.clamp(min=EPS) ** exponent
