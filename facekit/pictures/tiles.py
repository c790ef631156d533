"""Sheets of images: rows and columns, with a name before each row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facekit.storage import files

INK, PAPER = (0, 0, 0), (255, 255, 255)


def tile(images: np.ndarray, num_columns: int) -> np.ndarray:
    """Return images side by side, row by row.

    Args:
        images: uint8 [N, H, W, 3], N at least 1.
        num_columns: images in a row; the last row is filled up with white.

    Returns:
        uint8 [rows * H, num_columns * W, 3].
    """
    num, height, width, channels = images.shape
    num_rows = -(-num // num_columns)
    cells = np.full([num_rows * num_columns, height, width, channels], 255, np.uint8)
    cells[:num] = images
    cells = cells.reshape(num_rows, num_columns, height, width, channels).swapaxes(1, 2)
    return cells.reshape(num_rows * height, num_columns * width, channels)


def label_rows(sheet: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return a sheet with a margin on the left that names its rows.

    Args:
        sheet: uint8 [len(names) * H, W, 3].
        names: one a row, from the top.
    """
    row_height = len(sheet) // len(names)
    font = ImageFont.load_default(size=min(max(row_height // 3, 10), 24))
    margin = 8 + max(int(font.getlength(name)) for name in names)
    page = Image.new("RGB", [margin + sheet.shape[1], len(sheet)], PAPER)
    page.paste(Image.fromarray(sheet), (margin, 0))
    pen = ImageDraw.Draw(page)
    for i, name in enumerate(names):
        pen.text((4, (i + 0.5) * row_height), name, fill=INK, font=font, anchor="lm")
    return np.asarray(page)


def enlarge(images: np.ndarray, min_side: int) -> np.ndarray:
    """Return images whose pixels are repeated until a side has at least `min_side` pixels."""
    times = -(-min_side // images.shape[1])
    return images.repeat(times, axis=1).repeat(times, axis=2)


def write_png(image: np.ndarray, path: Path) -> None:
    """Write uint8 [H, W, 3] as PNG, atomically; the same pixels give the same bytes."""
    with files.replacing(path) as part:
        Image.fromarray(image).save(part, format="PNG")
