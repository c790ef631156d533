"""Adapter `avatars`: a data set that is painted, not read, with faults whose truth is known."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facekit.options import IsWhole, Pixels, option

# Share of each class among painted portraits. What is covered is NA: hair_color under headwear,
# mouth under a moustache.
SHARES = {
    "hair_color": {
        "black": 0.40,
        "brown": 0.28,
        "blonde": 0.17,
        "gray": 0.09,
        "red": 0.04,
        "pastel": 0.02,
    },
    "glasses": {"none": 0.80, "glasses": 0.15, "sunglasses": 0.05},
    "facial_hair": {"none": 0.84, "beard": 0.10, "moustache": 0.06},
    "headwear": {"none": 0.93, "hat": 0.04, "hijab": 0.02, "turban": 0.01},
    "mouth": {"smile": 0.55, "neutral": 0.30, "sad": 0.15},
}


@ADAPTERS.register("avatars")
class Avatars(Adapter):
    """Portraits that are painted, with planted faults: no download, no real person."""

    needs_root: ClassVar[bool] = False

    num_images: Annotated[int, Field(ge=40, le=1_000_000), IsWhole] = option(
        3000, "Pictures to draw, planted faults included."
    )
    height: Pixels = option(108, "Height of the pictures.", unit="px")
    width: Pixels = option(84, "Width of the pictures.", unit="px")

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes that are painted, each with its classes."""
        return {name: list(shares) for name, shares in SHARES.items()}

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Paint the data set, as `painted.paint`."""
        from facedata.ingest import painted

        return painted.paint(self, root, seed)
