"""Likeness: which images lie near each other, for a person who compares them.

What is compared was found before: the pictures' colours at a glance, and what classifiers that did
not learn from an image say of all its attributes. Of the demo's avatars the four nearest by colours
share the hair's colour in 54 % of the cases, by both in 72 %; of all pairs 23 % do.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA

SIDE = 16  # px; pictures are compared at this size
NUM_COMPONENTS = 64  # principal ones that are kept of colours
NUMBER = 0.7  # spread of a predicted number: about that of two classes that occur equally often
CHUNK = 512  # images compared with all at a time
EDGE = 0.005  # share of the images on each side that may lie beyond the map; they are at its edge


def vectors(pictures: Iterable[np.ndarray], said: np.ndarray) -> np.ndarray:
    """Return vectors that point in like directions where images are alike, float32 [N, D].

    Args:
        pictures: uint8 [h, w, 3] each, N at least 1.
        said: of each, as in `what_is_said`, [N, P]; P may be 0.

    Returns:
        Of length 1, or of length 0 where an image is as the mean of all.
    """
    glances = np.stack([_glance(picture) for picture in pictures])
    parts = [_of_one_spread(_components(glances)), _of_one_spread(said)]
    found = np.concatenate(parts, axis=1)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(length > 0, length, 1)).astype(np.float32)


def _glance(picture: np.ndarray) -> np.ndarray:
    """Return a picture's colours without its brightness and contrast, float64 [SIDE * SIDE * 3]."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64).ravel()
    small -= small.mean()
    return small / np.maximum(np.linalg.norm(small), 1.0)


def _components(values: np.ndarray) -> np.ndarray:
    """Return the first principal components, their spreads brought nearer to each other."""
    found = _principal(values, NUM_COMPONENTS)
    spread = found.std(axis=0)
    return found / np.sqrt(np.where(spread > 0, spread, 1))


def _principal(values: np.ndarray, number: int) -> np.ndarray:
    """Return the first principal components, [N, k], k up to `number`; 0 where all are equal."""
    number = min(number, *values.shape)
    if not np.ptp(values, axis=0).any():
        return np.zeros((len(values), number))
    return PCA(number, svd_solver="covariance_eigh").fit_transform(values)


def _of_one_spread(values: np.ndarray) -> np.ndarray:
    """Return values less their mean, with a mean square length of 1 (0 where all are equal)."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / spread if spread > 0 else centred


def what_is_said(table: pd.DataFrame, labels: pd.DataFrame) -> np.ndarray:
    """Return predictions as numbers that lie near each other where they say alike, [N, P].

    Args:
        table: predictions of N images as in `oof.parquet`, NA where there is none.
        labels: attributes of any images, for their names and classes.

    Returns:
        float64; images without predictions have the mean.
    """
    parts = [np.zeros((len(table), 0))]
    for name in labels:
        has_classes = isinstance(labels[name].dtype, pd.CategoricalDtype)
        names = (
            [f"{name}:{value}" for value in labels[name].cat.categories] if has_classes else [name]
        )
        columns = [column for column in names if column in table]
        values = table[columns].to_numpy(dtype=np.float64, na_value=np.nan)
        known = ~np.isnan(values).any(axis=1)
        if not columns or not known.any():
            continue
        if has_classes:
            values = np.sqrt(values)  # whose distance is that of Hellinger
        else:
            spread = values[known].std()
            values = NUMBER * (values / spread if spread > 0 else values)
        parts.append(np.where(known[:, None], values, values[known].mean(axis=0)))
    return np.concatenate(parts, axis=1)


def nearest(
    found: np.ndarray,
    which: Sequence[int],
    clusters: np.ndarray,
    is_wanted: np.ndarray,
    number: int,
) -> list[list[int]]:
    """Return the images most like some, the most alike first.

    Args:
        found: vectors of all, [N, D].
        which: the images asked about.
        clusters: copies of one picture have one number, int [N]; they are not named.
        is_wanted: whether an image may be named, bool [N].
        number: how many at most.
    """
    lists: list[list[int]] = []
    others = np.flatnonzero(is_wanted)
    number = min(number, len(others))
    for start in range(0, len(which), CHUNK):
        chunk = np.asarray(which[start : start + CHUNK], dtype=np.int64)
        alike = found[chunk] @ found[others].T
        alike[clusters[chunk][:, None] == clusters[others]] = -np.inf
        places = np.argsort(-alike, axis=1, kind="stable")[:, :number]
        for row, best in enumerate(places):
            lists.append(others[best[alike[row, best] > -np.inf]].tolist())
    return lists


def on_map(found: np.ndarray) -> np.ndarray:
    """Return a place in the plane of each image, like ones near each other; [N, 2] in 0..1.

    Args:
        found: vectors, [N, D].
    """
    components = _principal(np.asarray(found, dtype=np.float64), 2)
    places = np.zeros((len(found), 2))
    places[:, : components.shape[1]] = components
    low, high = np.quantile(places, (EDGE, 1 - EDGE), axis=0)
    size = np.where(high > low, high - low, 1)
    return np.where(high > low, ((places - low) / size).clip(0, 1), 0.5)
