"""A picture sheet: thumbnails of photographs with what was predicted of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from classifiers.evaluate.calibration import THRESHOLD, UNTUNED
from classifiers.models.heads import Head
from classifiers.predict.of_files import Predictions
from facekit.pictures.lettering import Letters, one_line
from facekit.pictures.tiles import DARK, Sheet, write_png

COLUMNS = 8
MAX_SHOWN = 240  # thumbnails on a sheet
TILE_WIDTH = 150  # px
MAX_HEIGHT = 160  # px, of a thumbnail; larger ones are scaled down, small ones enlarged
MAX_LINES = 8  # of text
LINE = 14  # px
GRAY, RED = "#777777", "#c02020"


def write_sheet(predictions: Predictions, path: Path) -> None:
    """Write the sheet of the thumbnails that were kept of predictions, PNG."""
    write_png(draw_sheet(predictions.heads, predictions.table, predictions.shown), path)


def draw_sheet(
    heads: Sequence[Head], table: pd.DataFrame, shown: Sequence[np.ndarray | None]
) -> np.ndarray:
    """Return the sheet, uint8 [H, W, 3].

    Args:
        heads: of the model.
        table: of `of_files.Predictions`; its first rows are shown.
        shown: their thumbnails, uint8 [height, width, 3]; None where there is none.
    """
    rows = table.head(len(shown)).to_dict("records")
    texts = [[_name(row), *_lines(heads, row)] for row in rows]
    height = MAX_HEIGHT + LINE * max(map(len, texts)) + 6
    sheet = Sheet(-(-len(rows) // COLUMNS), min(len(rows), COLUMNS), (TILE_WIDTH, height))
    letters = Letters((text for lines in texts for text in lines), 11)
    for place, (lines, thumbnail) in enumerate(zip(texts, shown, strict=True)):
        cell = divmod(place, COLUMNS)
        if thumbnail is not None:
            sheet.put(*cell, _fit(thumbnail), (3, 3))
        color = RED if thumbnail is None else DARK
        for line, text in enumerate(lines):
            at = (3, 3 + MAX_HEIGHT + LINE * line)
            sheet.write(*cell, _shorten(text, letters), at, letters, color if line else GRAY)
    return sheet.pixels()


def _name(row: Mapping[str, Any]) -> str:
    number = f" ({row['face']})" if not pd.isna(row["face"]) and row["face"] > 1 else ""
    return f"{row['file']}{number}"


def _lines(heads: Sequence[Head], row: Mapping[str, Any]) -> list[str]:
    """Return what is written of a row: of heads with no and yes, those that are yes alone."""
    if not pd.isna(row["problem"]):
        return [row["problem"]]
    lines = []
    for head in heads:
        value = row[head.name]
        if head.kind == "numeric":
            lines.append(f"{head.name} {value:.3g}")
        elif head.classes != ("no", "yes"):
            lines.append(f"{value} {row[f'{head.name}:{value}']:.0%}{_tuned(head, row)}")
        elif value == "yes":
            lines.append(f"{head.name} {row[f'{head.name}:yes']:.0%}{_tuned(head, row)}")
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"and {len(lines) - MAX_LINES + 1} more"]
    return lines


def _tuned(head: Head, row: Mapping[str, Any]) -> str:
    """Return the threshold of a head's second class where it was tuned, such as ` (from 31%)`."""
    threshold = row.get(f"{head.name}{THRESHOLD}", UNTUNED)
    if threshold == UNTUNED:
        return ""
    second = head.classes[1]
    of = "" if row[head.name] == second else f"{second} "
    return f" ({of}from {threshold:.0%})"


def _fit(thumbnail: np.ndarray) -> Image.Image:
    height, width = thumbnail.shape[:2]
    scale = min(MAX_HEIGHT / height, (TILE_WIDTH - 6) / width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return Image.fromarray(thumbnail).resize(size, Image.Resampling.LANCZOS)


def _shorten(text: str, letters: Letters) -> str:
    """Return a text on one line, or the end of one that is too long for a tile."""
    shown = end = one_line(text)
    while end and letters.width(shown) > TILE_WIDTH - 6:
        end = end[1:]
        shown = f"...{end}"
    return shown
