"""Mixtures of two images and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.augmentations import AUGMENTATIONS, OfBatches
from facekit.options import NotNegative, Share, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@AUGMENTATIONS.register("mix")
class Mix(OfBatches):
    """Mixtures of two images and their labels.

    Source: arXiv:1710.09412 (MixUp), arXiv:1905.04899 (CutMix), with a share for each image.
    """

    p: Share = option(1.0, "Probability that a batch is mixed.")
    mixup: NotNegative = option(0.0, "Alpha of MixUp's Beta distribution; 0 for none.")
    cutmix: NotNegative = option(0.0, "Alpha of CutMix's; with both either is as likely.")

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything."""
        return bool(self.mixup or self.cutmix)

    def change(
        self, images: Tensor, targets: Tensor, trust: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a batch whose images are mixed in pairs, with the targets in the same shares.

        Args:
            images: float32 [N, C, H, W].
            targets: float32 [N, D], NaN where missing; a mixture of a missing one is missing.
            trust: float32 [N].
            rng: of random numbers.
        """
        import numpy as np
        import torch

        from classifiers.images.boxes import draw_boxes, inside

        if rng.random() >= self.p:
            return images, targets, trust
        alphas = {"mixup": self.mixup, "cutmix": self.cutmix}
        kinds = [name for name, alpha in alphas.items() if alpha]
        kind = kinds[rng.integers(len(kinds))]
        num_images, _, *size = images.shape
        other = torch.from_numpy(rng.permutation(num_images)).to(images.device)
        share = rng.beta(alphas[kind], alphas[kind], num_images)  # of an image's own in the mixture
        if kind == "cutmix":
            boxes = draw_boxes(1 - share, np.ones(num_images), size, rng)
            share = 1 - np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / np.prod(size)
            images = torch.where(inside(boxes, size, images.device), images[other], images)
        own = torch.from_numpy(share.astype(np.float32)).to(images.device)  # [N]
        if kind == "mixup":
            images = images[other].lerp(images, own.view(-1, 1, 1, 1))
        mixed = torch.where(own[:, None] == 1, targets, targets[other].lerp(targets, own[:, None]))
        return images, mixed, trust[other].lerp(trust, own)
