"""The arm that pastes parts of rare classes' images into others."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

ALPHA = 1.0  # of the Beta distribution of shares: all are as likely


@ARMS.register("cutmix")
class Cutmix(Part):
    """Half of the batches get pasted in partners of which each class has as many, by CutMix.

    Source: Park et al. 2022, arXiv:2112.00412 (context-rich minority oversampling).
    """

    changes = "mixing"
    mixes = True

    def mix(
        self,
        own: "tuple[Tensor, Tensor, Tensor]",
        other: "tuple[Tensor, Tensor, Tensor]",
        rng: "np.random.Generator",
    ) -> "tuple[Tensor, Tensor, Tensor]":
        """Return images, targets and trust mixed with those of their partners."""
        from classifiers.augmentations.mix import mix_pairs

        return mix_pairs("cutmix", ALPHA, own, other, rng)
