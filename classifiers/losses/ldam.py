"""Label-distribution-aware margins, with deferred re-weighting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from classifiers.losses import LOSSES, Compared
from classifiers.losses.cross_entropy import CrossEntropy
from facekit.options import Positive, Share, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@LOSSES.register("ldam")
class Ldam(CrossEntropy):
    """Cross-entropy of cosines less a margin that is largest for the rarest class.

    Source: Cao et al. 2019, arXiv:1906.07413.
    """

    max_margin: Share = option(0.5, "Margin of the rarest class.")
    scale: Positive = option(30.0, "Length that logits are stretched to.")
    defer: Share = option(
        0.8,
        "Share of the steps after which classes are weighed by their effective number, unless"
        " weights says otherwise.",
    )
    beta: Share = option(
        0.9999, "Of that effective number: 0 weighs all classes alike, 1 inversely to frequency."
    )

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        assert compared.constants is not None
        logits = compared.outputs - self.scale * compared.constants * compared.target
        return super().categorical(replace(compared, outputs=logits))

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        target, margin = compared.target, compared.constants
        assert margin is not None
        shift = (1 - target) * margin[:, 0] - target * margin[:, 1]
        logits = compared.outputs + self.scale * shift
        return super().binary(replace(compared, outputs=logits))

    def constants(self, counts: np.ndarray) -> np.ndarray:
        """Return the margin of each class [C]: n^(-1/4), the largest max_margin.

        Args:
            counts: images of each class; a class without any counts as having one.
        """
        import numpy as np

        found = np.maximum(counts, 1) ** -0.25
        return self.max_margin * found / found.max()

    @property
    def cosine(self) -> float:
        """Length of the logits of heads that are cosines."""
        return self.scale

    @property
    def start(self) -> float:
        """Share of the training from which classes weigh as `deferred_weights` says."""
        return self.defer

    def deferred_weights(self, counts: np.ndarray) -> np.ndarray:
        """Return weights of classes where the settings give none, float64 [C]."""
        from classifiers.train.class_weights import inverse_effective_number

        return inverse_effective_number(counts, self.beta)
