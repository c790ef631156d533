"""Geometries: a packed size and how pictures of other sizes are fitted into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from facedata.resample import Pictures, resize, to_rgbx
from facekit.errors import DataError

CHUNK = 64  # images refitted at a time
FITS = ("pad", "crop", "stretch")
Box = tuple[int, int, int, int]  # left, top, right, bottom; pixels [left, right) x [top, bottom)


@dataclass(frozen=True)
class Geometry:
    """A packed size in pixels and the way to fit a picture into it.

    Attributes:
        height: pixels.
        width: pixels.
        fit: `pad` keeps the whole picture, centred between black bars; `crop` fills the size
            and cuts what sticks out, equally on both sides; `stretch` ignores the aspect.
    """

    height: int
    width: int
    fit: str

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"geometry of {self.width}x{self.height} px")
        if self.fit not in FITS:
            raise ValueError(f"fit {self.fit!r} is none of {', '.join(FITS)}")


def read_geometries(settings: Any) -> dict[str, Geometry]:
    """Return geometries by name from plain values, `{name: {height, width, fit}}`.

    Raises:
        DataError: a key is missing, unknown or of a wrong type, or there is no geometry.
    """
    if not isinstance(settings, Mapping) or not settings:
        raise DataError("geometries: expected {name: {height, width, fit}, ...}")
    geometries = {}
    for name, values in settings.items():
        if not isinstance(values, Mapping) or set(values) != {"height", "width", "fit"}:
            raise DataError(f"geometry {name!r}: found {values}, expected height, width and fit")
        if not all(type(values[side]) is int for side in ("height", "width")):
            raise DataError(f"geometry {name!r}: height and width must be whole numbers of pixels")
        try:
            geometries[name] = Geometry(**values)
        except ValueError as error:
            raise DataError(f"geometry {name!r}: {error}") from None
    return geometries


def box_columns(geometry: str) -> list[str]:
    """Return the columns of the inspection with the content box in a geometry (pixels)."""
    return [f"{geometry}_{side}" for side in ("left", "top", "right", "bottom")]


def content_box(width: int, height: int, geometry: Geometry) -> Box:
    """Return where the content of a picture of width x height px lies after fitting."""
    if geometry.fit != "pad":
        return 0, 0, geometry.width, geometry.height
    scale = min(geometry.width / width, geometry.height / height)
    content_width = min(max(round(width * scale), 1), geometry.width)
    content_height = min(max(round(height * scale), 1), geometry.height)
    left = (geometry.width - content_width) // 2
    top = (geometry.height - content_height) // 2
    return left, top, left + content_width, top + content_height


def fit_images(pictures: Pictures, geometry: Geometry) -> tuple[np.ndarray, Box]:
    """Fit RGB pictures of one size into a geometry.

    Args:
        pictures: N pictures.
        geometry: the size to fit them into.

    Returns:
        The pictures as uint8 [N, height, width, 3], Lanczos-filtered with antialiasing and zero
        where padded; and their content box (left, top, right, bottom) in pixels.
    """
    width, height = pictures.width, pictures.height
    box = content_box(width, height, geometry)
    left, top, right, bottom = box

    # Cut what sticks out.
    x_span, y_span = (0.0, float(width)), (0.0, float(height))
    if geometry.fit == "crop":
        scale = max(geometry.width / width, geometry.height / height)
        cut_x = max((width - geometry.width / scale) / 2, 0.0)  # not -1e-15
        cut_y = max((height - geometry.height / scale) / 2, 0.0)
        x_span, y_span = (cut_x, width - cut_x), (cut_y, height - cut_y)

    content = resize(pictures, right - left, bottom - top, "RGB", x_span, y_span)
    if box == (0, 0, geometry.width, geometry.height):
        return content, box
    fitted = np.zeros((len(pictures), geometry.height, geometry.width, 3), dtype=np.uint8)
    fitted[:, top:bottom, left:right] = content
    return fitted, box


def fit_image(picture: Image.Image | np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Box]:
    """Fit one RGB picture into a geometry, as `fit_images`.

    Args:
        picture: PIL image of mode RGB, or uint8 [h, w, 3].
        geometry: the size to fit it into.

    Returns:
        The picture as uint8 [height, width, 3], and its content box.
    """
    fitted, box = fit_images(Pictures([to_rgbx(np.asarray(picture))]), geometry)
    return fitted[0], box


def refit(images: np.ndarray, box: Box, geometry: Geometry) -> np.ndarray:
    """Cut the content box out of packed images and fit it into another geometry.

    Args:
        images: uint8 [N, h, w, 3].
        box: content box of all of them, (left, top, right, bottom) in pixels.
        geometry: the size to fit the content into.

    Returns:
        uint8 [N, height, width, 3].

    Raises:
        ValueError: the box is empty or reaches outside the images.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= images.shape[2] and 0 <= top < bottom <= images.shape[1]):
        raise ValueError(f"content box {tuple(box)} outside images {images.shape[1:3]}")
    fitted = np.zeros((len(images), geometry.height, geometry.width, 3), dtype=np.uint8)
    for start in range(0, len(images), CHUNK):
        pictures = Pictures(to_rgbx(images[start : start + CHUNK, top:bottom, left:right]))
        fitted[start : start + CHUNK], _ = fit_images(pictures, geometry)
    return fitted
