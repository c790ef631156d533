"""Geometries: a packed size and how pictures of other sizes are fitted into it."""

import numpy as np
from PIL import Image

from facekit.pictures.canvas import Canvas
from facekit.pictures.resample import Pictures, resize, to_rgbx

CHUNK = 64  # images refitted at a time
Box = tuple[int, int, int, int]  # left, top, right, bottom; pixels [left, right) x [top, bottom)


def box_columns(geometry: str) -> list[str]:
    """Return the columns of the inspection with the content box in a geometry (pixels)."""
    return [f"{geometry}_{side}" for side in ("left", "top", "right", "bottom")]


def content_box(width: int, height: int, geometry: Canvas) -> Box:
    """Return where the content of a picture of width x height px lies after fitting."""
    if geometry.fit != "pad":
        return 0, 0, geometry.width, geometry.height
    scale = min(geometry.width / width, geometry.height / height)
    content_width = min(max(round(width * scale), 1), geometry.width)
    content_height = min(max(round(height * scale), 1), geometry.height)
    left = (geometry.width - content_width) // 2
    top = (geometry.height - content_height) // 2
    return left, top, left + content_width, top + content_height


def fit_images(pictures: Pictures, geometry: Canvas) -> tuple[np.ndarray, Box]:
    """Fit RGB pictures of one size into a geometry.

    Args:
        pictures: N pictures.
        geometry: the size to fit them into. With `fit: face` the pictures show their faces as they
            are to lie, such as those that were drawn; `facedata.inspection.align` finds faces.

    Returns:
        The pictures as uint8 [N, height, width, 3], Lanczos-filtered with antialiasing and zero
        where padded; and their content box (left, top, right, bottom) in pixels.
    """
    width, height = pictures.width, pictures.height
    box = content_box(width, height, geometry)
    left, top, right, bottom = box

    # Cut what sticks out.
    x_span, y_span = (0.0, float(width)), (0.0, float(height))
    if geometry.fit in ("crop", "face"):
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


def fit_image(picture: Image.Image | np.ndarray, geometry: Canvas) -> tuple[np.ndarray, Box]:
    """Fit one RGB picture into a geometry, as `fit_images`.

    Args:
        picture: PIL image of mode RGB, or uint8 [h, w, 3].
        geometry: the size to fit it into.

    Returns:
        The picture as uint8 [height, width, 3], and its content box.
    """
    fitted, box = fit_images(Pictures([to_rgbx(np.asarray(picture))]), geometry)
    return fitted[0], box


def refit(images: np.ndarray, box: Box, geometry: Canvas) -> np.ndarray:
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
        cut = images[start : start + CHUNK, top:bottom, left:right]
        pictures = Pictures(list(to_rgbx(cut)))
        fitted[start : start + CHUNK], _ = fit_images(pictures, geometry)
    return fitted
