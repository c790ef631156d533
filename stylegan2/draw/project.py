"""Find the styles whose image is nearest to a photograph.

Source: arXiv:1912.04958, section 5 and appendix D. The distance of the paper needs a VGG16 file of
the user's (`VGG`); without one, distances are taken in features that come with the package
(`EfficientNetDistance`).
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from facekit import progress
from facekit.compute.weights import packaged_state_dict
from facekit.errors import DataError, reason_of
from facekit.pictures import decode
from facekit.pictures.canvas import Canvas
from facekit.pictures.geometry import fit_images
from facekit.pictures.resample import Pictures
from stylegan2.draw.style_files import noise_maps
from stylegan2.models.networks import Generator

NUM_MEAN_LATENTS, MEAN_SEED = 10_000, 123  # that the spread of w is measured on
LEARNING_RATE, RAMP_UP, RAMP_DOWN = 0.1, 0.05, 0.25
NOISE, NOISE_LENGTH = 0.05, 0.75  # added to w at first, in spreads; share of the steps with noise
NOISE_WEIGHT = 1e5  # of the regulariser that keeps the picture out of the noise maps
MAX_SIZE = 256  # pixels a side; larger images are compared at this size
MIN_FEATURE_SIZE = 128  # pixels a side; smaller images are enlarged for EfficientNet
BACKBONE = "tf_efficientnet_lite0"
PIXEL_WEIGHT = 1.0


class EfficientNetDistance(nn.Module):
    """Distances in ImageNet features of five depths whose weights are installed, and in pixels.

    The squared distance of two images is the mean over depths of |a - b|^2, averaged over places,
    where a and b have unit length at each place; and the mean squared difference of pixels.
    """

    name = "EfficientNet-Lite0 features (packaged weights) and pixels, not LPIPS"

    def __init__(self) -> None:
        super().__init__()
        self.model = timm.create_model(BACKBONE, features_only=True)
        known = self.model.state_dict().keys()
        state = packaged_state_dict(BACKBONE)
        self.model.load_state_dict({key: x for key, x in state.items() if key in known})
        self.eval().requires_grad_(False)

    def forward(self, img: Tensor) -> Tensor:
        """Return vectors whose squared distance is that of the images, [N, size].

        Args:
            img: [N, 3, R, R] in about [-1, 1].
        """
        img = _shrink(img)
        x = img
        if x.shape[-1] < MIN_FEATURE_SIZE:
            x = functional.interpolate(x, [MIN_FEATURE_SIZE] * 2, mode="bilinear")
        maps = self.model(x)
        parts = [img * math.sqrt(PIXEL_WEIGHT / img[0].numel())]
        for x in maps:
            places = x[0, 0].numel() * len(maps)
            parts.append(functional.normalize(x, dim=1) / math.sqrt(places))
        return torch.cat([part.flatten(1) for part in parts], dim=1)


class VGG(nn.Module):
    """The LPIPS distance by a TorchScript VGG16 that takes images of 0..255."""

    def __init__(self, path: Path) -> None:
        """Load the network.

        Raises:
            DataError: not such a file.
        """
        super().__init__()
        self.name = f"LPIPS by {path}"
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", r"`torch\.jit\.load` is deprecated", FutureWarning
                )
                self.model = torch.jit.load(path, map_location="cpu").eval()
            for parameter in self.model.parameters():
                parameter.requires_grad = False
            known = {argument.name for argument in self.model.forward.schema.arguments}
            options = {"resize_images": False, "return_lpips": True}
            self.options = {name: value for name, value in options.items() if name in known}
            with torch.no_grad():
                found = self(torch.zeros([2, 3, 64, 64]))
        except (RuntimeError, AttributeError, TypeError) as error:
            reason = reason_of(str(error).strip().partition("\n")[0])
            raise DataError(
                f"{path}: not a TorchScript network that gives features of images ({reason})"
            ) from None
        if len(found) != 2:
            raise DataError(
                f"{path}: gives {list(found.shape)} of 2 images, expected features of each"
            )

    def forward(self, img: Tensor) -> Tensor:
        """Return vectors whose squared distance is that of the images; as EfficientNetDistance."""
        img = _shrink(img * 127.5 + 127.5)
        return self.model(img, **self.options).flatten(1).to(torch.float32)


Distance = EfficientNetDistance | VGG


@dataclass(frozen=True)
class Projection:
    """What was found.

    Attributes:
        w: style after each step, float32 [num_steps, w_dim]; the last one is the result.
        noise: noise map of each layer (`b8.conv0`), float32 [R, R].
        distances: of the image to the target at each step.
        mean_distance: of the mean style's image.
    """

    w: Tensor
    noise: Mapping[str, Tensor]
    distances: list[float]
    mean_distance: float

    def styles(self, num_ws: int) -> Tensor:
        """Return the result for every layer, [1, num_ws, w_dim]."""
        return self.w[-1:, None].repeat(1, num_ws, 1)


def _shrink(img: Tensor) -> Tensor:
    """Return images of at most MAX_SIZE pixels a side, averaged over areas."""
    if img.shape[-1] <= MAX_SIZE:
        return img
    return functional.interpolate(img, [MAX_SIZE] * 2, mode="area")


def read_target(path: Path, network: Generator, content_box: tuple[int, int, int, int]) -> Tensor:
    """Return a photograph as the network's training images are, uint8 [R, R, 3].

    Turned upright, the centre is cut out and scaled (Lanczos) to the content box, black elsewhere;
    gray for a gray network.

    Raises:
        DataError: no picture of at least 16 pixels a side.
    """
    try:
        picture = decode.decode(decode.read(path), {})
    except decode.Unusable as problem:
        raise DataError(f"{path}: no usable picture ({problem}); expected JPEG, PNG ...") from None
    left, top, right, bottom = content_box
    canvas = Canvas(height=bottom - top, width=right - left, fit="crop")
    fitted, _ = fit_images(Pictures([picture]), canvas)
    side = network.img_resolution
    image = np.zeros([side, side, 3], np.uint8)
    image[top:bottom, left:right] = fitted[0]
    if network.img_channels == 1:
        image[:] = np.asarray(Image.fromarray(image).convert("L"))[:, :, None]
    return torch.from_numpy(image)


def w_statistics(network: Generator, c: Tensor | None) -> tuple[Tensor, float]:
    """Return mean, [w_dim], and spread of the styles: root of the mean squared distance from it.

    Args:
        network: on any device.
        c: label, [1, c_dim]; None for an unconditional network.
    """
    device = next(network.parameters()).device
    latents = np.random.RandomState(MEAN_SEED).randn(NUM_MEAN_LATENTS, network.z_dim)
    z = torch.from_numpy(latents).to(device, torch.float32)
    with torch.no_grad():
        w = network.mapping(z, None if c is None else c.expand(len(z), -1))[:, 0]
    mean = w.mean(dim=0)
    return mean, float((w - mean).square().sum().div(len(w)).sqrt())


def learning_rate(t: float) -> float:
    """Return the learning rate when a share t of the steps is done: up, and down along a cosine."""
    down = 0.5 - 0.5 * math.cos(math.pi * min(1, (1 - t) / RAMP_DOWN))
    return LEARNING_RATE * down * min(1, t / RAMP_UP)


def noise_penalty(noise: Mapping[str, Tensor]) -> Tensor | float:
    """Return how far noise maps [R, R] are from white: correlation of neighbours at all scales."""
    total: Tensor | float = 0.0
    for x in noise.values():
        while True:
            for axis in (0, 1):
                total = total + (x * x.roll(1, axis)).mean().square()
            if len(x) <= 8:
                break
            x = functional.avg_pool2d(x[None, None], 2)[0, 0]
    return total


def project(
    network: Generator,
    target: Tensor,
    distance: Distance,
    *,
    c: Tensor | None = None,
    num_steps: int,
    seed: int,
) -> Projection:
    """Find the style and noise maps whose image is nearest to a target.

    Args:
        network: in eval mode; its noise maps are overwritten with those found.
        target: uint8 [R, R, 3].
        distance: on the network's device.
        c: label, [1, c_dim], whose styles are searched; None for an unconditional network.
        num_steps: of the optimiser.
        seed: of the noise; on a CPU and one number of threads it fixes the result.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    def features_of(ws: Tensor) -> Tensor:
        img = network.synthesis(ws, noise_mode="const", force_fp32=True)  # small gradients
        return distance(img.expand(-1, 3, -1, -1))

    mean, spread = w_statistics(network, c)
    w = mean.clone().requires_grad_(True)
    noise = noise_maps(network)
    for x in noise.values():
        x.copy_(normal(*x.shape)).requires_grad_(True)
    optimizer = torch.optim.Adam([w, *noise.values()], betas=(0.9, 0.999))
    with torch.no_grad():
        wanted = distance(target.to(device, torch.float32).permute(2, 0, 1)[None] / 127.5 - 1)
        first = features_of(mean.expand(1, network.num_ws, -1))
    mean_distance = float((first - wanted).square().sum())

    found, distances = [], []
    for step in progress.track(range(num_steps), "project"):
        t = step / num_steps
        optimizer.param_groups[0]["lr"] = learning_rate(t)
        scale = spread * NOISE * max(0, 1 - t / NOISE_LENGTH) ** 2
        ws = (w + normal(len(w)) * scale).expand(1, network.num_ws, -1)
        away = (features_of(ws) - wanted).square().sum()
        optimizer.zero_grad(set_to_none=True)
        (away + NOISE_WEIGHT * noise_penalty(noise)).backward()
        optimizer.step()
        found.append(w.detach().cpu().clone())
        distances.append(float(away.detach()))
        with torch.no_grad():
            for x in noise.values():
                x.sub_(x.mean()).mul_(x.square().mean().rsqrt())
    for x in noise.values():
        x.requires_grad_(False)
    maps = {name: x.detach().cpu().clone() for name, x in noise.items()}
    return Projection(torch.stack(found), maps, distances, mean_distance)
