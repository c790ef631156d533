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
        import torch

        if rng.random() >= self.p:
            return images, targets, trust
        alphas = {"mixup": self.mixup, "cutmix": self.cutmix}
        kinds = [name for name, alpha in alphas.items() if alpha]
        kind = kinds[rng.integers(len(kinds))]
        other = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        own = (images, targets, trust)
        return mix_pairs(
            kind, alphas[kind], own, (images[other], targets[other], trust[other]), rng
        )


def mix_pairs(
    kind: str,
    alpha: float,
    own: tuple[Tensor, Tensor, Tensor],
    other: tuple[Tensor, Tensor, Tensor],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images mixed with others, and their targets and trust in the same shares.

    Args:
        kind: `mixup` or `cutmix`.
        alpha: of the Beta distribution that an image's share in its mixture is drawn from.
        own: images float32 [N, C, H, W], targets [N, D] and trust [N] as of `OfBatches.change`.
        other: likewise, what each is mixed with.
        rng: of random numbers.
    """
    import numpy as np
    import torch

    from classifiers.images.boxes import draw_boxes, inside

    images, targets, trust = own
    num_images, _, *size = images.shape
    shares = rng.beta(alpha, alpha, num_images)
    if kind == "cutmix":
        boxes = draw_boxes(1 - shares, np.ones(num_images), size, rng)
        shares = 1 - np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / np.prod(size)
        images = torch.where(inside(boxes, size, images.device), other[0], images)
    share = torch.from_numpy(shares.astype(np.float32)).to(images.device)  # [N]
    if kind == "mixup":
        images = other[0].lerp(images, share.view(-1, 1, 1, 1))
    mixed = torch.where(share[:, None] == 1, targets, other[1].lerp(targets, share[:, None]))
    return images, mixed, other[2].lerp(trust, share)
