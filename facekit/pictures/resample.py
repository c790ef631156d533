"""Resampling: many pictures of one size at a time, Lanczos filters as matrix products.

Pictures that are to become much smaller are first averaged over squares of pixels; a filter over
what is left costs little, and the difference to one over all pixels is below what JPEG changes.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

LOBES = 3  # of the filter on each side
GAP = 1.8  # squares are averaged as long as this many times the wanted size is left
BAND = 8  # lines made by one matrix product: the whole matrix is nearly empty
GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # luma of ITU-R BT.601, as Pillow's L
STRIP = 1 << 20  # bytes halved at a time: what is worked on stays in the processor's cache
# Every other byte of eight: with zeros between them, bytes can be added eight bits up.
EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)

Span = tuple[float, float]  # start and end along an axis, in pixels


class Pictures:
    """Pictures of one size, and their averages over squares, which several results share.

    Attributes:
        width: pixels.
        height: pixels.
    """

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        """Take pictures as uint8 [height, width, 4]: red, green, blue, and a byte not looked at."""
        self.height, self.width = pictures[0].shape[:2]
        self._pictures = list(pictures)
        self._means: dict[tuple[int, str], np.ndarray] = {}

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._pictures)

    def pixels(self) -> np.ndarray:
        """Return red, green, blue of all pixels, uint8 [N, height, width, 3]."""
        found = np.empty((len(self), self.height, self.width, 3), dtype=np.uint8)
        for picture, out in zip(self._pictures, found, strict=True):
            for channel in range(3):
                out[..., channel] = picture[..., channel]
        return found

    def means(self, factor: int, mode: str) -> np.ndarray:
        """Return the means of squares of factor x factor pixels.

        A picture of an odd size is continued by its last row or column.

        Args:
            factor: side of a square, a power of two.
            mode: RGB, or L for gray.

        Returns:
            float32 [N, channels, height, width], 0..255, the sides rounded up; not to be written
            to.
        """
        if (factor, mode) not in self._means:
            if mode == "L":
                colors = self.means(factor, "RGB")
                flat = colors.reshape(*colors.shape[:2], -1)
                found = (GRAY @ flat).reshape(len(self), 1, *colors.shape[2:])
            elif factor == 1:
                found = np.empty((len(self), 3, self.height, self.width), dtype=np.float32)
                for picture, out in zip(self._pictures, found, strict=True):
                    out[...] = picture[..., :3].transpose(2, 0, 1)
            elif factor == 2:
                shape = (len(self), 3, -(-self.height // 2), -(-self.width // 2))
                found = np.empty(shape, dtype=np.float32)
                for picture, out in zip(self._pictures, found, strict=True):
                    halve_pixels(picture, out)
            else:
                found = halve(self.means(factor // 2, "RGB"))
            self._means[factor, mode] = found
        return self._means[factor, mode]


def to_rgbx(pixels: np.ndarray) -> np.ndarray:
    """Return RGB pixels, uint8 [..., 3], as `Pictures` takes them: uint8 [..., 4]."""
    found = np.empty((*pixels.shape[:-1], 4), dtype=np.uint8)
    found[..., :3] = pixels
    return found


def halve_pixels(picture: np.ndarray, out: np.ndarray) -> None:
    """Write the means of squares of 2x2 pixels.

    Args:
        picture: uint8 [H, W, 4], as `Pictures` takes it.
        out: float32 [3, height, width], gets means 0..255, a plane a colour.
    """
    rows = max(STRIP // (2 * picture[0].size), 1)  # of the result
    for top in range(0, out.shape[1], rows):
        _halve_strip(picture[2 * top : 2 * (top + rows)], out[:, top : top + rows])


def _halve_strip(picture: np.ndarray, out: np.ndarray) -> None:
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    # Words hold two pixels of a row: their colours are added four at a time, not one by one.
    words = picture.reshape(len(picture), -1).view("<u8")
    upper, lower = words[0::2], words[1::2]
    even = upper & EVEN_BYTES  # red and blue of both pixels
    even += lower & EVEN_BYTES
    odd = (upper >> 8) & EVEN_BYTES  # green of both
    odd += (lower >> 8) & EVEN_BYTES
    even += even >> 32
    odd += odd >> 32  # sums over four pixels: in the lower half of the words, 16 bits each
    shape = (*even.shape, 4)
    even, odd = even.view("<u2").reshape(shape), odd.view("<u2").reshape(shape)
    for mean, total in zip(out, (even[..., 0], odd[..., 0], even[..., 1]), strict=True):
        np.multiply(total, np.float32(0.25), out=mean)


def halve(means: np.ndarray) -> np.ndarray:
    """Return the means of squares of 2x2 values, float32 [..., height / 2, width / 2]."""
    height, width = means.shape[-2:]
    if height % 2 or width % 2:
        edges = [(0, 0)] * (means.ndim - 2) + [(0, height % 2), (0, width % 2)]
        means = np.pad(means, edges, "edge")
    rows = means[..., 0::2, :] + means[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) / 4


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
    whole = (0, pictures.width), (0, pictures.height), (pictures.width, pictures.height)
    if mode == "RGB" and whole == (x_span, y_span, (width, height)):
        return pictures.pixels()
    scale = min((x_span[1] - x_span[0]) / width, (y_span[1] - y_span[0]) / height)
    factor = halvings(scale / GAP)
    values = pictures.means(factor, mode)  # [N, channels, rows, columns]
    rows, columns = values.shape[2:]
    top, bottom, left, right = (edge / factor for edge in (*y_span, *x_span))
    if (left, top, right, bottom) != (0, 0, columns, rows) or (columns, rows) != (width, height):
        values = _filter_rows(values, bands(rows, height, top, bottom), height)
        values = _filter_columns(values, bands(columns, width, left, right), width)
    values = values + np.float32(0.5)  # rounds: what follows cuts off
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
