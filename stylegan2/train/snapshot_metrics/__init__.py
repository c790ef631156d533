"""Figures that snapshots of a run are measured by; each is a file here.

The names are choices of a command line, so these files keep torch inside their functions.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.registry import Registry

if TYPE_CHECKING:
    import torch

    from facedata.packs.storage import Pack
    from stylegan2.train.select import Measure

# From pack, number of generated images, seed, cache of real images' features, and device.
MakeMeasure = Callable[["Pack", int, int, Path, "torch.device"], "Measure"]
SNAPSHOT_METRICS: Registry[MakeMeasure] = Registry("snapshot metric", __name__)
