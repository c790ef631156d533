"""A folder of photographs as `init` sees it: pictures, tables, sizes; nothing in it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facedata.ingest.name_rows import pictures
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.storage.walking import Files, also, join

NUM_SIZED = 64  # pictures whose sizes are looked at
STEP, MIN_SIDE = 8, 32  # pixels, of the sides of a classifier's images
TABLE_SUFFIXES = (".csv", ".tsv", ".xls", ".xlsx", ".xlsm", ".parquet")


@dataclass(frozen=True)
class Sizes:
    """Sizes of pictures in pixels, upright: medians, the narrowest and the widest."""

    height: int
    width: int
    least: tuple[int, int]
    most: tuple[int, int]

    def __str__(self) -> str:
        """Return them as a line for people: width x height."""
        text = f"{self.width} x {self.height} px"
        if self.least == self.most:
            return text
        ends = [f"{width} x {height}" for height, width in (self.least, self.most)]
        return f"mostly {text} ({ends[0]} to {ends[1]})"

    def within(self, longest: int) -> tuple[int, int]:
        """Return height and width of images of this aspect, in steps of 8 px, and no larger.

        Args:
            longest: side that they may have, in pixels.
        """
        scale = min(1.0, longest / max(self.height, self.width))
        height, width = (
            max(round(side * scale / STEP) * STEP, MIN_SIDE) for side in (self.height, self.width)
        )
        return height, width


class Folder:
    """A folder of photographs, or of archives of some."""

    def __init__(self, photos: Path) -> None:
        """Look into a folder; one that holds but one folder is passed through.

        Raises:
            DataError: there is no such folder, or it holds no pictures.
        """
        if not photos.is_dir():
            found = "a file" if photos.exists() else "nothing"
            raise DataError(f"{photos}: {found}, expected a folder of photographs")
        self.root = photos.resolve()
        self.files = Files(self.root)
        while not self._has_files and len(inner := self.files.folders("")) == 1:
            self.root = self.root / inner[0]
            self.files = Files(self.root)
        if not self.images:
            raise DataError(f"{photos}: no photographs{also(self.files.passed_over)}")

    @property
    def _has_files(self) -> bool:
        return bool(self.files.names(""))

    @cached_property
    def images(self) -> list[str]:
        """Paths of all pictures, also in archives, relative to the root."""
        return pictures(self.files)

    @cached_property
    def tables(self) -> list[str]:
        """Paths of files that may be tables, in the folder and those right in it."""
        folders = ["", *self.files.folders("")]
        return [
            join(folder, name)
            for folder in folders
            for name in sorted(self.files.names(folder))
            if name.lower().endswith(TABLE_SUFFIXES)
        ]

    @cached_property
    def classes(self) -> dict[str, int]:
        """The folders at the top that hold pictures, and how many."""
        return self.below("")

    def below(self, folder: str) -> dict[str, int]:
        """Return the folders in a folder that hold pictures, at any depth, and how many."""
        found = {name: self.files.images(join(folder, name)) for name in self.files.folders(folder)}
        return {name: len(paths) for name, paths in found.items() if paths}


def sizes(root: Path, paths: Sequence[str]) -> Sizes:
    """Return the sizes of some pictures, evenly chosen.

    Args:
        root: folder of the data set.
        paths: of the pictures, relative to it.

    Raises:
        DataError: none of them can be opened.
    """
    import numpy as np

    step = max(len(paths) // NUM_SIZED, 1)
    found = []
    for path in paths[::step][:NUM_SIZED]:
        try:
            facts = decode.header(decode.read(f"{root}/{path}"))
        except decode.Unusable:
            continue
        found.append((facts["height"], facts["width"]))
    if not found:
        raise DataError(f"{root}: none of {len(paths)} photographs can be opened")
    height, width = np.median(found, axis=0).astype(int).tolist()
    by_width = sorted(found, key=lambda one: one[::-1])
    return Sizes(height, width, by_width[0], by_width[-1])
