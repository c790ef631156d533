"""Styles made of others: mixed layer by layer, or on the way from one to the next."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor


def mix(rows: Tensor, columns: Tensor, layers: Sequence[int]) -> Tensor:
    """Return each row's styles with some layers taken from each column's.

    Args:
        rows: float32 [R, num_ws, w_dim].
        columns: float32 [C, num_ws, w_dim].
        layers: in 0..num_ws-1; low ones decide about pose and shape, high ones about colours.

    Returns:
        float32 [R, C, num_ws, w_dim].

    Source: arXiv:1812.04948, section 3.1.
    """
    mixed = rows[:, None].repeat(1, len(columns), 1, 1)
    layers = list(layers)
    mixed[:, :, layers] = columns[None, :, layers]
    return mixed


def loop(keyframes: Tensor, num_frames: int) -> Tensor:
    """Return styles on a smooth closed way through keyframes: a periodic cubic spline.

    Args:
        keyframes: float32 [K, num_ws, w_dim], K at least 2.
        num_frames: styles from one keyframe to the next, the first of which is the keyframe.

    Returns:
        float32 [K * num_frames, num_ws, w_dim]; after the last one the first one follows smoothly.
    """
    points = keyframes.double().numpy()
    points = np.concatenate([points, points[:1]])
    way = CubicSpline(np.arange(len(points)), points, bc_type="periodic")
    times = np.arange(len(keyframes) * num_frames) / num_frames
    return torch.from_numpy(way(times).astype(np.float32))
