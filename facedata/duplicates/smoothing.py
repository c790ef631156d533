"""Matrices that smooth, and that read a line of values between its places."""

import numpy as np


def blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Return a Gaussian blur that leaves ramps as they are, also at the ends; float32 [size, size].

    Each row is the weighted least-squares line through the values around it, read at its place.
    """
    offsets = np.arange(size) - np.arange(size)[:, None]
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    zeroth, first, second = (np.sum(weights * offsets**k, axis=1, keepdims=True) for k in range(3))
    rows = weights * (second - first * offsets) / (zeroth * second - first**2)
    return rows.astype(np.float32)


def interpolation(positions: np.ndarray, size: int) -> np.ndarray:
    """Return the weights that read a line of `size` values, [..., size] for each of positions.

    Args:
        positions: -1 (the first value) to 1 (the last), [...]; beyond, the value at the end counts.
        size: number of values.
    """
    pixels = np.clip((positions + 1) * (size - 1) / 2, 0, size - 1)[..., None]
    return np.maximum(1 - np.abs(pixels - np.arange(size, dtype=np.float32)), 0)
