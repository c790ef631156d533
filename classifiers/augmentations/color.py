"""Changes of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from classifiers.augmentations import AUGMENTATIONS, OfValues
from facekit.options import IsNumber, Share, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

GRAY = (0.2989, 0.587, 0.114)  # of red, green, blue; torchvision's
Turns = Annotated[float, Field(ge=0, le=0.5), IsNumber]


@AUGMENTATIONS.register("color")
class Color(OfValues):
    """Other colours."""

    order = 1  # before erase, whose noise keeps its own colours

    p: Share = option(1.0, "Probability for an image.")
    brightness: Share = option(0.2, "The factor lies between 1 - value and 1 + value.")
    contrast: Share = option(0.2, "Likewise.")
    saturation: Share = option(0.0, "Likewise.")
    hue: Turns = option(0.0, "Largest turn of the hue, either way.", unit="turns")

    @property
    def is_used(self) -> bool:
        """Whether it draws or changes anything."""
        return bool(self.p)

    def change(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return images some of which have other colours."""
        import numpy as np
        import torch

        chosen = rng.random(len(images)) < self.p
        draw = lambda largest: torch.from_numpy(  # noqa: E731
            (chosen * rng.uniform(-largest, largest, len(images))).astype(np.float32)
        ).to(images.device)
        brightness, contrast, saturation = (
            1 + draw(one) for one in (self.brightness, self.contrast, self.saturation)
        )
        hue = draw(self.hue) if self.hue else None
        return adjust_colors(images, brightness, contrast, saturation, hue)


def adjust_colors(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor | None
) -> Tensor:
    """Return images [N, 3, H, W] in [0, 1] with other colours, clamped to [0, 1].

    As torchvision's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue, one after
    the other, but clamped once.

    Args:
        images: float32.
        brightness, contrast, saturation: factors [N]; 1 changes nothing.
        hue: turns [N]; None changes nothing.
    """
    import torch
    from torchvision.transforms.v2.functional import adjust_hue

    weights = torch.tensor(GRAY, device=images.device).view(1, 3, 1, 1)
    brightness, contrast, saturation = (
        one.view(-1, 1, 1, 1) for one in (brightness, contrast, saturation)
    )
    gray = (images * weights).sum(dim=1, keepdim=True)  # [N, 1, H, W]
    offset = (1 - contrast) * brightness * gray.mean(dim=(2, 3), keepdim=True)
    factor = brightness * contrast
    if not torch.equal(saturation, torch.ones_like(saturation)):
        offset = offset + (1 - saturation) * factor * gray
        factor = factor * saturation
    images = torch.addcmul(offset, images, factor).clamp_(0, 1)
    if hue is None:
        return images
    turned = [adjust_hue(one, turn) for one, turn in zip(images, hue.tolist(), strict=True)]
    return torch.stack(turned)
