"""Networks of a smaller resolution, cut out of larger ones.

The skip architecture's image is a sum: each block adds its part to the enlarged sum of those below.
The blocks up to a resolution are therefore a generator of that resolution. A discriminator is cut
from the other side, and needs a layer that reads its smaller images.

Source: arXiv:1912.04958, section 4.1 and figure 7.
"""

import math
from typing import Any

import torch
from torch import Tensor

from facekit.errors import DataError
from stylegan2.models.layers import block_resolutions
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.ops.bias_act import ACTIVATIONS
from stylegan2.ops.upfirdn2d import downsample2d, setup_filter

NUM_FITTED = 16  # generated images that a discriminator's new first layer is fitted to
FIT_BATCH = 2  # of them at a time: at 1024 pixels an image's features take a gigabyte
MAX_POINTS = 32768  # pixels of all of them that are looked at
NUM_STEPS = 20  # of the fit, each a linear one; it settles in about ten
SLOPE = 0.2  # of leaky ReLU below 0


def cut_generator(
    arguments: dict[str, Any], tensors: dict[str, Tensor], resolution: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return arguments and tensors of the generator that the blocks up to `resolution` are.

    It computes in the same types, block by block, and draws what the larger network has drawn at
    that resolution before the blocks above enlarge it and add to it.

    Args:
        arguments: that the generator was constructed with.
        tensors: its parameters and buffers by name; left unchanged.
        resolution: pixels a side, a power of two from 8 to that of the generator.

    Raises:
        DataError: no such resolution, or an architecture whose low blocks draw no image.
    """
    whole = arguments["img_resolution"]
    num_less = _num_less(whole, resolution)
    synthesis = dict(arguments.get("synthesis_kwargs") or {})
    architecture = synthesis.get("architecture", "skip")
    if num_less and architecture != "skip":
        raise DataError(
            f"a synthesis network of architecture {architecture} cannot be cut from {whole} to"
            f" {resolution} px: only its last block draws an image; take one of architecture skip"
        )
    if "num_fp16_res" in synthesis:  # is counted from the largest resolution
        synthesis["num_fp16_res"] = max(synthesis["num_fp16_res"] - num_less, 0)
    arguments = {**arguments, "img_resolution": resolution, "synthesis_kwargs": synthesis}
    above = _names(whole, resolution, "synthesis.")
    return arguments, {key: x for key, x in tensors.items() if not key.startswith(above)}


def cut_discriminator(
    arguments: dict[str, Any], tensors: dict[str, Tensor], resolution: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return arguments and tensors of a discriminator without the blocks above `resolution`.

    The skip architecture reads images at every resolution. In the others only the first block does,
    so that the cut one lacks the layer `fromrgb` of its first block; see `fit_fromrgb`.

    Args:
        arguments, tensors, resolution: as for `cut_generator`.

    Raises:
        DataError: no such resolution.
    """
    whole = arguments["img_resolution"]
    num_less = _num_less(whole, resolution)
    arguments = {**arguments, "img_resolution": resolution}
    if "num_fp16_res" in arguments:
        arguments["num_fp16_res"] = max(arguments["num_fp16_res"] - num_less, 0)
    above = _names(whole, resolution, "")
    return arguments, {key: x for key, x in tensors.items() if not key.startswith(above)}


def _num_less(whole: int, resolution: int) -> int:
    """Return how many resolutions are cut off."""
    if resolution not in block_resolutions(whole)[1:]:
        sizes = ", ".join(map(str, block_resolutions(whole)[1:]))
        raise DataError(f"{resolution} px: a network of {whole} px can be cut to {sizes} px")
    return int(math.log2(whole // resolution))


def _names(whole: int, resolution: int, prefix: str) -> tuple[str, ...]:
    """Return how names of tensors above a resolution begin."""
    return tuple(f"{prefix}b{r}." for r in block_resolutions(whole) if r > resolution)


@torch.no_grad()
def fit_fromrgb(
    G: Generator, D: Discriminator, resolution: int, seed: int = 0
) -> tuple[Tensor, Tensor, float]:
    """Return a first layer for a discriminator that is cut to `resolution`.

    To the first block that is left, an image at its resolution should look as the whole image did
    through the blocks above: weight and bias are the least squares fit of `fromrgb` to those
    features, pixel by pixel, over images of the whole generator and what they are when made
    smaller. An activation with a bend makes that a sequence of linear fits.

    Args:
        G, D: the whole networks, in eval mode, on the CPU.
        resolution: of the cut, below that of D.
        seed: of the latents.

    Returns:
        Weight, [C, img_channels, 1, 1], bias, [C], and the share of the features' variance that
        they explain.
    """
    pixels, features = _sights(G, D, resolution, torch.Generator().manual_seed(seed))
    ones = torch.ones([len(pixels), 1], dtype=torch.float64)
    inputs = torch.cat([pixels.double(), ones], dim=1)  # [P, img_channels + 1]
    wanted = features.double() / ACTIVATIONS["lrelu"].gain  # [P, C]
    ridge = 1e-6 * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    products = (inputs[:, :, None] * inputs[:, None, :]).flatten(1)  # [P, k * k]

    slopes = torch.ones_like(wanted)
    best, least = None, math.inf
    for _ in range(NUM_STEPS):
        # Linear fit, channel by channel, with each pixel on its side of the bend.
        left = (products.T @ slopes.square()).T.reshape(-1, *ridge.shape) + ridge  # [C, k, k]
        right = (inputs.T @ (slopes * wanted)).T[:, :, None]  # [C, k, 1]
        factors = torch.linalg.solve(left, right)[:, :, 0]  # [C, k]
        y = inputs @ factors.T
        slopes = torch.where(y > 0, 1.0, SLOPE).double()
        loss = (slopes * y - wanted).square().sum().item()
        if loss < least:
            best, least = factors, loss
    assert best is not None
    num = pixels.shape[1]
    weight = best[:, :num] * math.sqrt(num)  # the layer scales it by 1 / sqrt(img_channels)
    total = (wanted - wanted.mean(dim=0)).square().sum().item()
    explained = 1 - least / total if total > 0 else 0.0
    return weight[:, :, None, None].float(), best[:, num].float(), explained


def _sights(
    G: Generator, D: Discriminator, resolution: int, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return pixels of small images, [P, img_channels], and what D makes of the whole, [P, C]."""
    smaller = setup_filter((1, 3, 3, 1))
    num_points = MAX_POINTS // NUM_FITTED
    pixels, features = [], []
    for start in range(0, NUM_FITTED, FIT_BATCH):
        z = torch.randn([FIT_BATCH, G.z_dim], generator=draws)
        c = None
        if G.c_dim:
            c = torch.eye(G.c_dim)[torch.arange(start, start + FIT_BATCH) % G.c_dim]
        whole = G(z, c, noise_mode="const", force_fp32=True)
        x: Tensor | None = None
        img: Tensor | None = whole
        for r in D.block_resolutions:
            if r == resolution:
                break
            x, img = getattr(D, f"b{r}")(x, img, force_fp32=True)
        assert x is not None
        while whole.shape[-1] > resolution:
            whole = downsample2d(whole, smaller)
        for one, sight in zip(whole, x, strict=True):
            at = torch.randperm(resolution**2, generator=draws)[:num_points]
            pixels.append(one.flatten(1)[:, at].T)
            features.append(sight.flatten(1)[:, at].T)
    return torch.cat(pixels), torch.cat(features)
