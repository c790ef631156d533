"""The styles of a photograph: what `stylegan2 project` finds, and the files that it leaves."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from facekit.pictures import tiles
from facekit.storage import files
from stylegan2.draw import project, sampling, style_files
from stylegan2.draw.project import Projection
from stylegan2.models.checkpoint import About
from stylegan2.models.networks import Generator
from stylegan2.options import ProjectOptions
from stylegan2.train.data import one_hot

VIDEO_FRAMES = 100  # most frames that show the search

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What was found for a photograph.

    Attributes:
        target: the photograph as the network's images are, uint8 [R, R, 3].
        image: of the styles found, of the same shape.
        ws: these styles, [1, num_ws, w_dim].
        projection: the search.
        figures: how near they are.
    """

    target: np.ndarray
    image: np.ndarray
    ws: Tensor
    projection: Projection
    figures: dict[str, Any]


def find(
    network: Generator,
    about: About,
    photograph: Path,
    options: ProjectOptions,
    *,
    seed: int,
    vgg: Path | None = None,
) -> Found:
    """Find the styles whose image is nearest to a photograph.

    Args:
        network: on the device to work on; its noise maps are overwritten with those found.
        about: what its file says.
        photograph: of any size; the centre is taken, upright.
        options: class, length of the search.
        seed: of its noise.
        vgg: TorchScript VGG16 that measures LPIPS; None: features that come with the package.

    Raises:
        DataError: no picture, no such class, or not such a VGG16.
    """
    device = next(network.parameters()).device
    class_id = sampling.find_class(options.class_name, about)
    c = None if class_id is None else one_hot([class_id], network.c_dim).to(device)
    target = project.read_target(photograph, network, about.content_box)
    distance = project.EfficientNetDistance() if vgg is None else project.VGG(vgg)
    log.info("distance: %s", distance.name)
    found = project.project(
        network, target, distance.to(device), c=c, num_steps=options.num_steps, seed=seed
    )
    ws = found.styles(network.num_ws)
    ((image,),) = sampling.images_of_styles(network, ws, batch=1)
    rms = float(np.sqrt(np.square(image - target.numpy().astype(float)).mean()))
    log.info(
        "distance %.4f (mean style: %.4f), root mean square of pixels %.1f of 255",
        found.distances[-1],
        found.mean_distance,
        rms,
    )
    figures = {
        "distance": distance.name,
        "final": found.distances[-1],
        "mean_style": found.mean_distance,
        "pixels_rms": rms,
        "num_steps": options.num_steps,
    }
    return Found(target.numpy(), image, ws, found, figures)


def write(found: Found, outdir: Path) -> None:
    """Write target.png, proj.png, projected_w.npz and project.json."""
    tiles.write_png(found.target, outdir / "target.png")
    tiles.write_png(found.image, outdir / "proj.png")
    style_files.write(found.ws, found.projection.noise, outdir / "projected_w.npz")
    files.write_json(found.figures, outdir / "project.json")


def frames(found: Found, network: Generator) -> Iterator[np.ndarray]:
    """Yield the search as frames: the photograph beside what was found so far."""
    w = found.projection.w
    shown = w[:: -(-len(w) // VIDEO_FRAMES), None].repeat(1, network.num_ws, 1)
    for (image,) in sampling.images_of_styles(network, shown, batch=1):
        yield np.concatenate([found.target, image], axis=1)
