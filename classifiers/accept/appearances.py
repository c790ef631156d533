"""What images look like, coarsely, and how near they are to others in that."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from classifiers.images.data import to_batch
from classifiers.predict.inference import Images
from facekit import progress
from facekit.errors import DataError

THUMBNAIL = 8  # px; 12 and 16 tell fewer shifted copies of faces and of avatars
CHUNK = 1024  # images whose distances to all train images are held at a time
NUM_NEIGHBOURS = 10  # of train that are looked at; 50 tell copies no better


def appearances(pool: Images, batch: int) -> np.ndarray:
    """Return what images look like, coarsely: float32 [N, 2, D], of themselves and mirrored.

    Thumbnails of THUMBNAIL px height without their mean, of unit length: what is left under
    changes of light, noise, blur and small shifts. The teacher's own features are no use here: of
    300 noisy copies of train images they told 4 % from new faces, these told all of them.

    Args:
        pool: images of one geometry.
        batch: images at a time.
    """
    parts = []
    for start in progress.track(range(0, len(pool), batch), "appearances"):
        numbers = np.arange(start, min(start + batch, len(pool)))
        images = to_batch(pool.take(numbers), torch.device("cpu"))
        width = max(round(images.shape[3] * THUMBNAIL / images.shape[2]), 1)
        small = F.adaptive_avg_pool2d(images, (THUMBNAIL, width))
        both = torch.stack([small, small.flip(3)], dim=1).flatten(2)  # [n, 2, D]
        parts.append(F.normalize(both - both.mean(dim=2, keepdim=True), dim=2).numpy())
    return np.concatenate(parts) if parts else np.zeros([0, 2, 0], np.float32)


@dataclass(frozen=True)
class Nearness:
    """How near images are to those of train.

    Attributes:
        nearest: Euclidean distance to the nearest image of train, float64 [N] in [0, 2].
        usual: mean distance to the next nearest ones, up to NUM_NEIGHBOURS in all, float64 [N].
    """

    nearest: np.ndarray
    usual: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """The one as a share of the other, in [0, 1]: about 0.9 for new faces, 0 for a copy.

        Where faces are alike, and for a face that is like many, all of these distances are small;
        to one alone only a copy is near.

        Source: arXiv:2301.13188, section 5.1.
        """
        return self.nearest / np.maximum(self.usual, np.finfo(np.float64).tiny)


def nearness(
    queries: np.ndarray,
    train: np.ndarray,
    units: tuple[np.ndarray, np.ndarray] | None = None,
) -> Nearness:
    """Return how near images are to those of train; a mirrored image counts as the same.

    Args:
        queries: float32 [N, 2, D] of `appearances`.
        train: float32 [M, 2, D] likewise.
        units: int64 [N] of the queries and [M] of train; images of a query's own unit are left out.
            None leaves out nothing.

    Raises:
        DataError: fewer than two images of train.
    """
    if len(train) < 2:
        raise DataError(f"train split: {len(train)} images, no distance to others is usual")
    num = min(NUM_NEIGHBOURS, len(train))
    wanted = torch.from_numpy(train[:, 0]).T.contiguous()  # [D, M]
    found = [np.zeros([0, num])]
    for start in range(0, len(queries), CHUNK):
        chunk = torch.from_numpy(queries[start : start + CHUNK])
        similarity = torch.maximum(chunk[:, 0] @ wanted, chunk[:, 1] @ wanted)  # [n, M]
        if units is not None:
            is_own = units[0][start : start + CHUNK, None] == units[1]
            similarity[torch.from_numpy(is_own)] = -1.0
        nearest = similarity.topk(num, dim=1).values.double()
        found.append((2 - 2 * nearest).clamp(min=0).sqrt().numpy())
    distances = np.concatenate(found)
    return Nearness(distances[:, 0], distances[:, 1:].mean(axis=1))
