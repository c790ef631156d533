"""The Fréchet distance in features of EfficientNet-Lite0."""

from pathlib import Path
from typing import TYPE_CHECKING

from stylegan2.train.snapshot_metrics import SNAPSHOT_METRICS

if TYPE_CHECKING:
    import torch

    from facedata.packs.storage import Pack
    from stylegan2.train.select import Measure


@SNAPSHOT_METRICS.register("frechet_efficientnet_lite0")
def frechet_efficientnet_lite0(
    pack: "Pack", num_images: int, seed: int, cache: Path, device: "torch.device"
) -> "Measure":
    """Return what measures generators against a pack."""
    from stylegan2.metrics import features
    from stylegan2.train import select

    extractor = features.load_extractor("efficientnet_lite0", None, device)
    return select.Measure(pack, extractor, num_images, seed, cache)
