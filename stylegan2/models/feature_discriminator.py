"""A second discriminator, which looks at frozen features of an ImageNet network instead of pixels.

What the features know of edges, eyes and hair need not be learned from a few thousand faces, so
that a generator has the structure of a face after a tenth of the images. Colours they know badly:
it stands beside the discriminator of pixels, never alone.

Source: arXiv:2111.01007 (projected GANs: frozen features, fixed random projections, one small head
a scale, hinge loss), arXiv:2006.10738 (what moves the images alike is shown to both kinds).
"""

from typing import cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from facekit.compute.weights import packaged_state_dict
from stylegan2.models.draws import DRAWS, Draws
from stylegan2.ops.checks import check_shape

BACKBONE = "tf_efficientnet_lite0"
STAGES = (1, 2, 4)  # of the backbone whose results are looked at: 1/4, 1/8 and 1/16 of the side
PROJECTED = 64  # channels that a fixed random 1x1 convolution mixes a stage's features to
WIDTH = 64  # channels of a head
SLOPE = 0.2  # of its leaky ReLUs
SMALLEST = 4  # pixels a side at which a head stops to halve its maps
SHIFT = 1 / 8  # of the side, by which images are moved at most
HOLE = 2 / 5  # of the side: the square that is blanked
MIN_RESOLUTION = 32  # pixels; a smaller image leaves the last stage less than 2x2


class FrozenFeatures(nn.Module):
    """The first stages of EfficientNet-Lite0, its batch norms folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        model = timm.create_model(BACKBONE)
        model.load_state_dict(packaged_state_dict(BACKBONE))
        model.eval()
        self.stem = _folded(model, "conv_stem", "bn1")
        self.stages = nn.ModuleList()
        for stage in list(model.get_submodule("blocks").children())[: max(STAGES) + 1]:
            for block in stage.children():
                names = [
                    name for name in ("conv_pw", "conv_dw", "conv_pwl") if hasattr(block, name)
                ]
                if "conv_pwl" not in names:  # the first stage has no expansion: depthwise first
                    names = ["conv_dw", "conv_pw"]
                for i, name in enumerate(names):
                    _fold(block, name, f"bn{i + 1}")
            self.stages.append(stage)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def forward(self, img: Tensor) -> list[Tensor]:
        """Return a feature map of each of `STAGES`, of images [N, 3, R, R] in [-1, 1]."""
        x = self.stem(img.contiguous(memory_format=torch.channels_last))
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in STAGES:
                maps.append(x)
        return maps


def _fold(block: nn.Module, conv: str, norm: str) -> None:
    """Replace a convolution by itself and its batch norm; the activation stays where the norm was.

    timm's norms carry their activation.
    """
    bn = getattr(block, norm)
    setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), bn))
    setattr(block, norm, bn.act)


def _folded(model: nn.Module, conv: str, norm: str) -> nn.Sequential:
    """Return a convolution, its batch norm folded in, and the norm's activation."""
    _fold(model, conv, norm)
    return nn.Sequential(getattr(model, conv), getattr(model, norm))


class Head(nn.Module):
    """Judges feature maps of one scale, with regard to the class."""

    def __init__(self, resolution: int, c_dim: int) -> None:
        """Draw the weights.

        Args:
            resolution: of the maps, pixels a side.
            c_dim: size of the labels, 0 for none.
        """
        super().__init__()
        layers: list[nn.Module] = []
        channels = PROJECTED
        while resolution > SMALLEST:
            layers += [_conv(channels, 4, stride=2), nn.LeakyReLU(SLOPE)]
            channels, resolution = WIDTH, resolution // 2
        layers += [_conv(channels, 3), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Conv2d(WIDTH, 1, 1))
        self.embed = spectral_norm(nn.Linear(c_dim, WIDTH, bias=False)) if c_dim else None

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return a logit a place, [N, P], and what was looked at, pooled, [N, WIDTH].

        Args:
            x: maps, [N, PROJECTED, R, R].
            c: labels, [N, c_dim], if conditional.
        """
        x = self.body(x)
        y = self.out(x)
        if self.embed is not None:
            assert c is not None
            y = y + (x * self.embed(c)[:, :, None, None]).sum(dim=1, keepdim=True)
        return y.flatten(1), x.mean(dim=[2, 3])


def _conv(channels: int, size: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(channels, WIDTH, size, stride, padding=1))


class FeatureDiscriminator(nn.Module):
    """From images and labels to logits of many places at three scales; larger means more real.

    Only `trained` trains: heads, and where there are classes what tells them from what the heads
    look at (arXiv:1610.09585). `frozen` and `projections` never change and are in no saved file.
    """

    def __init__(self, c_dim: int, img_resolution: int) -> None:
        """Draw the heads and the projections.

        Args:
            c_dim: size of the labels, 0 for none.
            img_resolution: side of the images, at least MIN_RESOLUTION.

        Raises:
            ValueError: smaller images.
            DataError: the package with the backbone's weights is not installed.
        """
        super().__init__()
        if img_resolution < MIN_RESOLUTION:
            raise ValueError(
                f"img_resolution: {img_resolution}, the features need {MIN_RESOLUTION} px or more"
            )
        self.img_resolution = img_resolution
        self.frozen = FrozenFeatures()
        with torch.no_grad():
            maps = self.frozen(torch.zeros([1, 3, img_resolution, img_resolution]))
        projections = [nn.Conv2d(x.shape[1], PROJECTED, 1, bias=False) for x in maps]
        for projection in projections:
            nn.init.kaiming_normal_(projection.weight)
        self.projections = nn.ModuleList(projections).requires_grad_(False)
        self.trained = nn.ModuleDict(
            {"heads": nn.ModuleList(Head(x.shape[2], c_dim) for x in maps)}
        )
        if c_dim:
            self.trained["classes"] = nn.Linear(WIDTH * len(maps), c_dim)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, img: Tensor, c: Tensor | None = None, draws: Draws = DRAWS
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits, [N, L], and those of the class an image shows, [N, c_dim], if any.

        Args:
            img: [N, 3, R, R], about in [-1, 1]; moved and blanked in part before it is looked at.
            c: labels, [N, c_dim], if conditional.
            draws: where random numbers come from.
        """
        side = self.img_resolution
        check_shape("img", img, [None, 3, side, side])
        return self.judge(self.see(self.disturbed(img, draws)), c)

    def disturbed(self, img: Tensor, draws: Draws) -> Tensor:
        """Return images [N, C, R, R] moved, and blanked in part."""
        return blank(shift(img, draws), draws)

    def see(self, img: Tensor) -> list[Tensor]:
        """Return what the heads look at, a map [N, PROJECTED, R', R'] each, of images as given."""
        maps = self.frozen(img)
        return [project(x) for project, x in zip(self.projections, maps, strict=True)]

    def judge(self, maps: list[Tensor], c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the logits of what `see` returned, as `forward` does."""
        judged, seen = zip(
            *(head(x, c) for head, x in zip(self.heads, maps, strict=True)), strict=True
        )
        classes = None
        if "classes" in self.trained:
            classes = self.trained["classes"](torch.cat(seen, dim=1))
        return torch.cat(judged, dim=1), classes

    @property
    def heads(self) -> nn.ModuleList:
        """The judges of each scale."""
        return cast(nn.ModuleList, self.trained["heads"])


def shift(img: Tensor, draws: Draws = DRAWS) -> Tensor:
    """Return images [N, C, R, R] moved by whole pixels, up to `SHIFT` of the side; -1 comes in."""
    num, _, side, _ = img.shape
    most = round(SHIFT * side)
    moved = draws.uniform("shift", [2, num, 1], img.device) * (2 * most + 1)
    y, x = moved.to(torch.int64) + torch.arange(side, device=img.device)  # [N, R] each
    padded = functional.pad(img, [most] * 4, value=-1.0)
    rows = torch.arange(num, device=img.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[rows, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def blank(img: Tensor, draws: Draws = DRAWS) -> Tensor:
    """Return images [N, C, R, R] with a square of `HOLE` of the side, at any place, set to 0."""
    num, _, side, _ = img.shape
    places = torch.arange(side, device=img.device) + 0.5
    centres = draws.uniform("blank", [2, num, 1], img.device) * side
    y, x = (places - centres).abs() < HOLE * side / 2  # [N, R] each
    return img.masked_fill((y[:, :, None] & x[:, None, :])[:, None], 0.0)
