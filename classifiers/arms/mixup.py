"""The arm that mixes images with such of rare classes."""

from typing import TYPE_CHECKING

from classifiers.arms import ARMS, Part

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

ALPHA = 1.0  # of the Beta distribution of shares: all are as likely


@ARMS.register("mixup")
class Mixup(Part):
    """Half of the batches are mixed with partners of which each class has as many, by MixUp.

    Source: as `cutmix`, with the mixture of arXiv:1710.09412.
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

        return mix_pairs("mixup", ALPHA, own, other, rng)
