"""Adapter `avatars`: a data set that is painted, not read, with faults whose truth is known."""

import math
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facekit.errors import DataError
from facekit.options import IsNumber, IsWhole, NotTooLarge, Pixels, Share, option
from facekit.storage import files

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

IMBALANCED = "hair_color"  # the attribute whose imbalance is a setting
IMBALANCE = SHARES[IMBALANCED]["black"] / SHARES[IMBALANCED]["pastel"]  # of the shares above

IMAGES, PART, MARKER, TRUTH = "images", "images.part", "avatars.json", "truth.csv"  # what is drawn
PICTURE = re.compile(r"[0-9]{6}\.(png|jpg)", re.ASCII)  # in its folders of images
OF_SYSTEMS = (".ds_store", "thumbs.db", "desktop.ini")  # files that a look at a folder leaves there
NUM_NAMED = 3  # files that a message names

Ratio = Annotated[float, Field(ge=1), IsNumber, NotTooLarge]
Style = Literal["plain", "sketch"]


@ADAPTERS.register("avatars")
class Avatars(Adapter):
    """Portraits that are painted, with planted faults: no download, no real person."""

    needs_root: ClassVar[bool] = False

    num_images: Annotated[int, Field(ge=40, le=1_000_000), IsWhole] = option(
        3000, "Pictures to draw, planted faults included."
    )
    height: Pixels = option(108, "Height of the pictures.", unit="px")
    width: Pixels = option(84, "Width of the pictures.", unit="px")
    imbalance: Ratio = option(
        IMBALANCE, "Images of the most frequent hair colour for one of the rarest; 1: all alike."
    )
    difficulty: Share = option(
        0.0,
        "How far pose, light, blur and noise go: coloured lights and shadows make a hair colour"
        " look like another; 0 is easy.",
    )
    style: Style = option(
        "plain", "How portraits are drawn: plain artwork, or a sketch in crayons on paper."
    )

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attributes that are painted, each with its classes."""
        return {name: list(shares) for name, shares in SHARES.items()}

    def shares(self) -> dict[str, dict[str, float]]:
        """Return the share of each class of each attribute; those of an attribute sum to 1."""
        # A power of shares keeps their order and makes any ratio of the first to the last.
        power = math.log(self.imbalance) / math.log(IMBALANCE)
        powers = {name: share**power for name, share in SHARES[IMBALANCED].items()}
        total = sum(powers.values())
        return SHARES | {IMBALANCED: {name: one / total for name, one in powers.items()}}

    def tables(self, root: Path) -> list[Path]:
        """Return none; it draws what it reads.

        Raises:
            DataError: a folder with something in it that was not drawn here.
        """
        if not (root / MARKER).is_file():
            check_own(root)
        return []

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Paint the data set, as `painted.paint`."""
        from facedata.ingest import painted

        return painted.paint(self, root, seed)


def check_own(root: Path) -> None:
    """Check that nothing lies in a folder but what was drawn there.

    Raises:
        DataError: something does; pictures of others are neither replaced nor mixed with ours.
    """
    try:
        names = sorted(path.name for path in root.iterdir()) if root.exists() else []
        is_marked = MARKER in names
        others = [name for name in names if not _is_drawn(root, name, is_marked)]
        for folder in (IMAGES, PART):
            if is_marked and (root / folder).is_dir():
                found = sorted(path.name for path in (root / folder).iterdir())
                others += [f"{folder}/{name}" for name in found if not PICTURE.fullmatch(name)]
    except OSError as error:
        raise DataError(f"{root}: {error.strerror}") from None
    others = [name for name in others if Path(name).name.lower() not in OF_SYSTEMS]
    if others:
        more = f" and {len(others) - NUM_NAMED} more" if len(others) > NUM_NAMED else ""
        raise DataError(
            f"{root}: holds {', '.join(others[:NUM_NAMED])}{more}, which the adapter avatars did"
            " not draw: it draws into an empty folder; for photographs of yours name their layout"
            " in ingest.adapter (table, imagefolder ...), for avatars leave dataset_root out"
        )


def _is_drawn(root: Path, name: str, is_marked: bool) -> bool:
    """Return whether something in a folder was drawn there, or is left of a killed drawing."""
    part = files.PART.fullmatch(name)
    if part is not None and part[1] in (MARKER, TRUTH):
        return True
    is_folder = name in (IMAGES, PART)
    is_ours = is_marked and (is_folder or name in (MARKER, TRUTH))
    return is_ours and (root / name).is_dir() == is_folder
