"""Resampling: many pictures of one size at a time, Lanczos filters as matrix products.

Pictures that are to become much smaller are first averaged over squares of pixels; a filter over
what is left costs little, and the difference to one over all pixels is below what JPEG changes.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

LOBES = 3  # of the filter on each side
GAP = 1.8  # squares are averaged as long as this many times the wanted size is left
BAND = 8  # lines made by one matrix product: the whole matrix is nearly empty

Span = tuple[float, float]  # start and end along an axis, in pixels


class Pictures:
    """Pictures of one size, and their averages over squares, which several results share.

    Attributes:
        width: pixels.
        height: pixels.
    """

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        """Take PIL images of mode RGB and one size."""
        self.width, self.height = pictures[0].size
        self._pictures = {(1, "RGB"): list(pictures)}  # by factor and mode
        self._pixels = {}

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._pictures[1, "RGB"])

    def pixels(self, factor: int, mode: str) -> np.ndarray:
        """Return the means of squares of factor x factor pixels (fewer at the far edges).

        Args:
            factor: side of a square.
            mode: RGB, or L for gray.

        Returns:
            uint8 [N, height, width, channels], the sides rounded up; not to be written to.
        """
        if (factor, mode) not in self._pixels:
            pixels = np.stack([np.asarray(picture) for picture in self._reduced(factor, mode)])
            self._pixels[factor, mode] = pixels.reshape(*pixels.shape[:3], -1)
        return self._pixels[factor, mode]

    def histograms(self, factor: int) -> np.ndarray:
        """Return how many of the gray means of squares are 0, 1, ... 255, int64 [N, 256]."""
        return np.array([picture.histogram() for picture in self._reduced(factor, "L")])

    def _reduced(self, factor: int, mode: str) -> list[Image.Image]:
        if (factor, mode) not in self._pictures:
            if mode == "L":
                pictures = [picture.convert("L") for picture in self._reduced(factor, "RGB")]
            else:
                pictures = [picture.reduce(factor) for picture in self._pictures[1, "RGB"]]
            self._pictures[factor, mode] = pictures
        return self._pictures[factor, mode]


def resize(
    pictures: Pictures, width: int, height: int, mode: str, x_span: Span, y_span: Span
) -> np.ndarray:
    """Return what lies in a box of each picture at another size, Lanczos-filtered, antialiased.

    Args:
        pictures: N pictures.
        width: of the result, pixels.
        height: of the result, pixels.
        mode: RGB, or L for gray.
        x_span: left and right of the box in the pictures, pixels.
        y_span: top and bottom.

    Returns:
        uint8 [N, height, width, channels].
    """
    scale = min((x_span[1] - x_span[0]) / width, (y_span[1] - y_span[0]) / height)
    factor = halvings(scale / GAP)
    pixels = pictures.pixels(factor, mode)
    num_pictures, rows, columns, channels = pixels.shape
    top, bottom, left, right = (edge / factor for edge in (*y_span, *x_span))
    if (left, top, right, bottom) == (0, 0, width, height) and factor == 1:
        return pixels

    values = pixels.reshape(num_pictures, rows, columns * channels).astype(np.float32)
    values = _filter_rows(values, bands(rows, height, top, bottom), height)
    values = values.reshape(num_pictures, height, columns, channels)
    values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))  # [N, channels, height, columns]
    values = _filter_columns(values, bands(columns, width, left, right), width)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return values.transpose(0, 2, 3, 1).astype(np.uint8)


def halvings(ratio: float) -> int:
    """Return the largest power of two up to `ratio`, at least 1."""
    return 1 << max(int(ratio), 1).bit_length() - 1


@lru_cache(maxsize=512)
def bands(
    num_in: int, num_out: int, start: float, end: float
) -> list[tuple[slice, slice, np.ndarray]]:
    """Return the filter from `num_in` values at 0.5, 1.5, ... to `num_out` values in a span.

    Args:
        num_in: values that are there.
        num_out: values wanted.
        start: beginning of the span that they divide evenly, 0 <= start.
        end: of the span, start < end <= num_in.

    Returns:
        For each band of values wanted: its slice, the slice of the values that it reads, and the
        weights, float32 [wanted, read].
    """
    scale = (end - start) / num_out
    width = max(scale, 1.0)  # of a lobe; when shrinking, as wide as a new pixel: antialiasing
    centres = start + (np.arange(num_out) + 0.5) * scale
    positions = (np.arange(num_in) + 0.5 - centres[:, None]) / width
    weights = np.where(
        np.abs(positions) < LOBES, np.sinc(positions) * np.sinc(positions / LOBES), 0
    )
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    found = []
    for first in range(0, num_out, BAND):
        band = weights[first : first + BAND]
        used = np.flatnonzero(band.any(axis=0))
        read = slice(int(used[0]), int(used[-1]) + 1)
        wanted = slice(first, first + len(band))
        found.append((wanted, read, np.ascontiguousarray(band[:, read])))
    return found


def _filter_rows(values: np.ndarray, bands: list, height: int) -> np.ndarray:
    """Return [..., height, columns] from [..., rows, columns]."""
    found = np.empty((*values.shape[:-2], height, values.shape[-1]), dtype=np.float32)
    for wanted, read, weights in bands:
        np.matmul(weights, values[..., read, :], out=found[..., wanted, :])
    return found


def _filter_columns(values: np.ndarray, bands: list, width: int) -> np.ndarray:
    """Return [..., rows, width] from [..., rows, columns]."""
    found = np.empty((*values.shape[:-1], width), dtype=np.float32)
    for wanted, read, weights in bands:
        np.matmul(values[..., read], weights.T, out=found[..., wanted])
    return found
