"""Copies of train images, and of each other, by an independent search that compares pixels."""

import numpy as np
import torch
import torch.nn.functional as F

from classifiers.images.data import to_batch
from classifiers.predict.inference import Images
from facedata.duplicates.neighbours import near_pairs
from facedata.options import Altered
from facekit import progress
from facekit.storage.arrays import THUMB_SHAPE

GRAY = (0.299, 0.587, 0.114)  # of red, green and blue
# What counts as the same picture, here as among real ones.
MAX_DIFFERENCE = float(Altered.model_fields["max_altered_difference"].default)


def thumbnails(pool: Images, batch: int) -> np.ndarray:
    """Return images as `near_pairs` compares them, gray, float32 [N, *THUMB_SHAPE] in 0..255."""
    parts = [np.zeros([0, *THUMB_SHAPE], np.float32)]
    for start in progress.track(range(0, len(pool), batch), "thumbnails"):
        numbers = np.arange(start, min(start + batch, len(pool)))
        images = 255 * to_batch(pool.take(numbers), torch.device("cpu"))
        gray = torch.einsum("nchw,c->nhw", images, torch.tensor(GRAY))[:, None]
        small = F.interpolate(gray, list(THUMB_SHAPE), mode="bicubic", antialias=True)
        parts.append(small[:, 0].numpy())
    return np.concatenate(parts)


def copies(images: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return whether each image shows the same picture as one of train, bool [N].

    Args:
        images: of `thumbnails`, [N, ...].
        train: likewise, [M, ...].
    """
    found = np.zeros(len(images), dtype=bool)
    if len(images) and len(train):
        found[near_pairs(images, train, MAX_DIFFERENCE, torch.get_num_threads()).a] = True
    return found


def doubles(images: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return which images go so that of those of a class that are alike one stays, bool [N].

    Args:
        images: of `thumbnails`, [N, ...]; the first of those that are alike stays.
        label: class of each, int64 [N].
    """
    goes = np.zeros(len(images), dtype=bool)
    for one in np.unique(label):
        left = np.flatnonzero(label == one)
        while len(left) > 1:  # again, since of a large cluster not all pairs are found at once
            pairs = near_pairs(images[left], None, MAX_DIFFERENCE, torch.get_num_threads())
            if not len(pairs):
                break
            later = np.zeros(len(left), dtype=bool)
            for i, j in zip(pairs.a, pairs.b, strict=True):  # by i, and i < j
                later[j] |= not later[i]
            goes[left[later]] = True
            left = left[~later]
    return goes
