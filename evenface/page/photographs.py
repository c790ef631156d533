"""Whole photographs of images that were cut out of them, with the face's box."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image, ImageDraw

from facedata import columns
from facekit.pictures import decode, inline

SIZE = (400, 300)  # px; what a photograph is fitted into
MOST = 100  # photographs on a page, of some 25 KB each
LINES = ((5, "black"), (2.5, "white"))  # px, of the box: seen on any ground

log = logging.getLogger(__name__)


class Photographs:
    """The photographs that a page offers, until there are MOST of them."""

    def __init__(self, index: pd.DataFrame, root: Path | None) -> None:
        """Take images by image_id, with `cut_*` columns if there are photographs; none: no root."""
        names = [column.name for column in columns.CUT_COLUMNS]
        if not set(names) <= set(index.columns):
            root = None
        elif root is not None and not root.is_dir():
            log.warning("%s: no such folder (any more), whole photographs are not shown", root)
            root = None
        self._root = root
        self._cut = index[[] if root is None else names]
        self._shown: dict[str, Markup | None] = {}

    def picture(self, image_id: str) -> Markup | None:
        """Return the photograph of an image with the box; None where there is none to be shown."""
        if self._root is None or image_id not in self._cut.index:
            return None
        if image_id not in self._shown:
            if len(self._shown) == MOST:
                return None
            path, *box = self._cut.loc[image_id]
            self._shown[image_id] = _picture(self._root / path, image_id, np.array(box, float))
        return self._shown[image_id]


def _picture(path: Path, image_id: str, box: np.ndarray) -> Markup | None:
    """Return a photograph with a box (left, top, right, bottom); None where it cannot be read."""
    try:
        pixels = decode.decode(decode.read(path), {})[..., :3]
    except decode.Unusable as problem:
        log.warning("%s: not shown (%s)", path, problem)
        return None
    photograph = Image.fromarray(np.ascontiguousarray(pixels))
    scale = min(1.0, *np.divide(SIZE, photograph.size))
    size = tuple(max(round(side * scale), 1) for side in photograph.size)
    photograph = photograph.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(photograph)
    for width, color in LINES:
        around = box * scale + np.array([-1, -1, 1, 1]) * width / 2
        draw.rectangle(around.tolist(), outline=color, width=round(width))
    text = inline.webp(np.asarray(photograph), size[1])
    return Markup(
        '<img src="data:image/webp;base64,{}" alt="{}" width="{}" height="{}" loading="lazy">'
    ).format(text, f"The photograph of {image_id}, a box around the face", *size)
