"""Cross-entropy of logits that are adjusted by how frequent classes are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from classifiers.losses import LOSSES, Compared
from classifiers.losses.cross_entropy import CrossEntropy
from facekit.options import NotNegative, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@LOSSES.register("logit_adjust")
class LogitAdjust(CrossEntropy):
    """Cross-entropy of logits plus tau log(share of the class); predictions are not adjusted.

    A network that fits the shares by its loss need not do it by its logits: these come to treat all
    classes alike, which is best for the balanced error.

    Source: Menon et al. 2021, arXiv:2007.07314, equation 10.
    """

    tau: NotNegative = option(1.0, "How much of it; 0 is cross-entropy.")

    def categorical(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N]."""
        assert compared.constants is not None
        logits = compared.outputs + self.tau * compared.constants
        return super().categorical(replace(compared, outputs=logits))

    def binary(self, compared: Compared) -> Tensor:
        """Return the losses of the images [N, K]."""
        assert compared.constants is not None
        log_share = compared.constants
        logits = compared.outputs + self.tau * (log_share[:, 1] - log_share[:, 0])
        return super().binary(replace(compared, outputs=logits))

    def constants(self, counts: np.ndarray) -> np.ndarray:
        """Return the logarithm of each class's share [C].

        Args:
            counts: images of each class; a class without any counts as having one.
        """
        import numpy as np

        found = np.maximum(counts, 1)
        return np.log(found / found.sum())
