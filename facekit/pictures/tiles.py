"""Sheets of pictures: cells in rows, with text before a row or in a cell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facekit.errors import DataError
from facekit.pictures.lettering import Letters, one_line
from facekit.storage import files

INK, PAPER = (0, 0, 0), (255, 255, 255)
DARK = "#222222"
MAX_BYTES = 2**31  # of a sheet, whose pictures are held at once


class Sheet:
    """White paper with cells of one size, in rows and columns that count from 0.

    Attributes:
        cell: width and height of a cell in pixels.
        margin: white pixels before each row.
        paper: the picture so far.
        pen: that draws on it.
    """

    def __init__(
        self, num_rows: int, num_columns: int, cell: tuple[int, int], margin: int = 0
    ) -> None:
        """Take white paper of a size."""
        self.cell, self.margin = cell, margin
        size = (margin + num_columns * cell[0], num_rows * cell[1])
        self.paper = Image.new("RGB", size, PAPER)
        self.pen = ImageDraw.Draw(self.paper)

    def put(
        self, row: int, column: int, picture: Image.Image, at: tuple[int, int] = (0, 0)
    ) -> None:
        """Put a picture in a cell, `at` pixels right of its corner and below it."""
        self.paper.paste(picture, self._place(row, column, at))

    def write(
        self,
        row: int,
        column: int,
        text: str,
        at: tuple[int, int],
        letters: Letters,
        fill: str = DARK,
    ) -> None:
        """Write text, of one line or several, as `put` does with pictures."""
        place = self._place(row, column, at)
        self.pen.text(place, letters.shown(text), fill=fill, font=letters.font)

    def label(
        self,
        row: int,
        text: str,
        at: tuple[int, int],
        letters: Letters,
    ) -> None:
        """Write text in the margin, `at` pixels from the paper's edge and below the row's begin."""
        place = (at[0], row * self.cell[1] + at[1])
        self.pen.text(place, letters.shown(text), fill=DARK, font=letters.font)

    def pixels(self) -> np.ndarray:
        """Return the sheet, uint8 [H, W, 3]."""
        return np.array(self.paper)

    def _place(self, row: int, column: int, at: tuple[int, int]) -> tuple[int, int]:
        return self.margin + column * self.cell[0] + at[0], row * self.cell[1] + at[1]


def check_size(num_images: int, side: int, option: str) -> None:
    """Check, before the work, that so many square images are not too many for a sheet.

    Raises:
        DataError: they are; it names the option that asks for them.
    """
    most = MAX_BYTES // (3 * side * side)
    if num_images > most:
        raise DataError(
            f"{option}: {num_images:,} images of {side} px, a sheet holds {most:,} of these"
        )


def tile(images: np.ndarray, num_columns: int) -> np.ndarray:
    """Return images side by side, row by row.

    Args:
        images: uint8 [N, H, W, 3], N at least 1.
        num_columns: images in a row; the last row is filled up with white.

    Returns:
        uint8 [rows * H, num_columns * W, 3].
    """
    num, height, width, _ = images.shape
    sheet = Sheet(-(-num // num_columns), num_columns, (width, height))
    for place, image in enumerate(images):
        sheet.put(*divmod(place, num_columns), Image.fromarray(image))
    return sheet.pixels()


def label_rows(sheet: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return a sheet with a margin on the left that names its rows.

    Args:
        sheet: uint8 [len(names) * H, W, 3].
        names: one a row, from the top.
    """
    row_height = len(sheet) // len(names)
    names = [one_line(name) for name in names]
    letters = Letters(names, size=min(max(row_height // 3, 10), 24))
    margin = 8 + max(letters.width(name) for name in names)
    page = Image.new("RGB", [margin + sheet.shape[1], len(sheet)], PAPER)
    page.paste(Image.fromarray(sheet), (margin, 0))
    pen = ImageDraw.Draw(page)
    for i, name in enumerate(names):
        place = (4, (i + 0.5) * row_height)
        pen.text(place, letters.shown(name), fill=INK, font=letters.font, anchor="lm")
    return np.asarray(page)


def enlarge(images: np.ndarray, min_side: int) -> np.ndarray:
    """Return images whose pixels are repeated until a side has at least `min_side` pixels."""
    times = -(-min_side // images.shape[1])
    return images.repeat(times, axis=1).repeat(times, axis=2)


def write_png(image: np.ndarray, path: Path) -> None:
    """Write uint8 [H, W, 3] as PNG, atomically; the same pixels give the same bytes."""
    with files.replacing(path) as part:
        Image.fromarray(image).save(part, format="PNG")
