"""The filter of synthetic images: a teacher trained on real images decides which may be used."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from classifiers.images.data import (
    ImagePool,
    check_size,
    open_images,
    read_geometry,
    read_labelled,
    to_batch,
)
from classifiers.images.synthetic import SyntheticImages, by_rank, open_synthetic, read_deficits
from classifiers.models.checkpoint import load_classifier
from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.options import FilterOptions
from classifiers.predict.inference import predict
from facedata.columns import CANDIDATES
from facedata.packs.samples import condition, sample_names
from facekit import progress
from facekit.errors import DataError
from facekit.storage import tables

log = logging.getLogger(__name__)

THUMBNAIL = 8  # px; 12 and 16 tell fewer shifted copies of faces and of avatars
CHUNK = 1024  # images whose distances to all train images are held at a time
NUM_QUERIES = 2000  # train images at most whose nearest distance tells what is usual
REASONS = ("low_probability", "memorized", "surplus")


@dataclass(frozen=True)
class Paths:
    """What the filter reads.

    Attributes:
        teacher: a model that was trained on real images.
        candidates: what was generated, by class.
        images: generated images (.npy).
        train_images: packed images of the teacher.
        curated: images that survived curation.
        splits: split of each image.
        deficits: what each class lacks.
    """

    teacher: Path
    candidates: Path
    images: Path
    train_images: Path
    curated: Path
    splits: Path
    deficits: Path


def filter_candidates(paths: Paths, options: FilterOptions, device: torch.device) -> pd.DataFrame:
    """Return the candidates with what the teacher says of them; see `decide`.

    Raises:
        DataError: the teacher learned from more than real images or predicts nothing of what the
            generator was told, or files do not fit together.
    """
    classifier, meta = load_classifier(paths.teacher)
    if meta["arm"] != "real":
        raise DataError(
            f"{paths.teacher}: trained in the arm {meta['arm']}; the teacher is to be real"
        )
    size = read_geometry(meta["geometry"])
    candidates = tables.read(paths.candidates, CANDIDATES)
    deficits = read_deficits(paths.deficits)
    pool = open_synthetic(paths.images, candidates, size)
    train = read_labelled(paths.curated, paths.splits, ["train"])
    array = open_images(paths.train_images, train)
    check_size(paths.train_images, array.shape, size)
    train_pool = ImagePool([(array, train["row"].to_numpy(dtype=np.int64))])

    outputs = predict(classifier.to(device), pool, options.batch, device, "candidates")
    of_train = appearances(train_pool, options.batch)
    distance = nearest_distances(appearances(pool, options.batch), of_train)
    clusters = train["cluster"].to_numpy(dtype=np.int64)
    min_distance = options.max_similarity * usual_distance(of_train, clusters)
    log.info("memorized: nearer than %.4f to a train image", min_distance)
    probability = teacher_probability(classifier.heads, candidates, outputs)
    decided = decide(
        candidates, deficits, probability, distance, options.min_probability, min_distance
    )
    log_shortfall(decided, deficits)
    return decided


def checked_heads(heads: Sequence[Head], attributes: Sequence[str]) -> list[Head]:
    """Return the teacher's heads that predict what the generator was told, and nothing else.

    Raises:
        DataError: there is none.
    """
    found = [head for head in heads if head.classes and set(head.attributes) <= set(attributes)]
    if not found:
        raise DataError(
            f"the teacher predicts {[head.name for head in heads]}, nothing of the generator's "
            f"condition {list(attributes)}; give a task with such a head first"
        )
    unchecked = set(attributes) - {one for head in found for one in head.attributes}
    if unchecked:
        log.warning("no head of the teacher checks %s", ", ".join(sorted(unchecked)))
    return found


def teacher_probability(
    heads: Sequence[Head], candidates: pd.DataFrame, outputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the teacher's probability of each candidate's class, float64 [N].

    It is the product over the heads that predict attributes of the generator's condition.

    Raises:
        DataError: a candidate's class is none of the teacher's, or no head predicts it.
    """
    product = np.ones(len(candidates))
    for head in checked_heads(heads, condition(candidates)):
        target = head_targets(head, candidates)
        if (target == MISSING).any():
            raise DataError(f"candidates: {head.attributes} has missing values")
        product *= outputs[head.name][np.arange(len(candidates)), target]
    return product


def appearances(pool: ImagePool | SyntheticImages, batch: int) -> np.ndarray:
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


def nearest_distances(
    queries: np.ndarray,
    images: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Return each query's Euclidean distance to the nearest image, float64 [N] in [0, 2].

    A mirrored image counts as the same.

    Args:
        queries: float32 [N, 2, D] of `appearances`.
        images: float32 [M, 2, D] likewise.
        groups: int64 [N] of the queries and [M] of the images; images of a query's own group are
            left out. None leaves out nothing.
    """
    wanted = torch.from_numpy(images[:, 0]).T.contiguous()  # [D, M]
    distances = []
    for start in range(0, len(queries), CHUNK):
        chunk = torch.from_numpy(queries[start : start + CHUNK])
        similarity = torch.maximum(chunk[:, 0] @ wanted, chunk[:, 1] @ wanted)  # [n, M]
        if groups is not None:
            is_own = groups[0][start : start + CHUNK, None] == groups[1]
            similarity[torch.from_numpy(is_own)] = -1.0
        nearest = similarity.amax(dim=1).double()
        distances.append((2 - 2 * nearest).clamp(min=0).sqrt().numpy())
    return np.concatenate(distances) if distances else np.zeros(0)


def usual_distance(images: np.ndarray, clusters: np.ndarray) -> float:
    """Return the median distance of a train image to the nearest one that is no duplicate of it.

    Args:
        images: of train, float32 [M, 2, D]; of more than NUM_QUERIES an evenly spaced part is
            looked at.
        clusters: int64 [M]; duplicates share one.

    Raises:
        DataError: fewer than two images that are no duplicates.
    """
    if len(np.unique(clusters)) < 2:
        raise DataError("train split: fewer than two different images, no distance is usual")
    step = -(-len(images) // NUM_QUERIES)
    groups = (clusters[::step], clusters)
    return float(np.median(nearest_distances(images[::step], images, groups)))


def decide(
    candidates: pd.DataFrame,
    deficits: pd.Series,
    probability: np.ndarray,
    distance: np.ndarray,
    min_probability: float,
    min_distance: float,
) -> pd.DataFrame:
    """Accept the best candidates of each class until its deficit is filled.

    Args:
        candidates: row, class, the attributes of the condition, seed, psi.
        deficits: int64 by class id.
        probability: the teacher's, of each candidate's class, float64 [N].
        distance: to the nearest train image, float64 [N].
        min_probability: below it a candidate is refused (low_probability).
        min_distance: nearer ones are refused (memorized).

    Returns:
        The candidates in their order, with accepted (bool), reason (NA where accepted, else one of
        REASONS), teacher_probability and nearest_distance.
    """
    samples = candidates.reset_index(drop=True).assign(
        teacher_probability=probability, nearest_distance=distance
    )
    reason = pd.Series(pd.NA, index=samples.index, dtype="str")
    reason[distance < min_distance] = "memorized"
    reason[probability < min_probability] = "low_probability"
    passed = by_rank(samples[reason.isna()])
    place = passed.groupby("class").cumcount()
    wanted = passed["class"].map(deficits).fillna(0)
    reason[passed.index[place >= wanted]] = "surplus"
    samples.insert(len(candidates.columns), "accepted", reason.isna())
    samples.insert(len(candidates.columns) + 1, "reason", reason)
    return samples


def log_shortfall(samples: pd.DataFrame, deficits: pd.Series) -> None:
    """Log, class by class, how many candidates were accepted, how many lack and why."""
    names = dict(zip(samples["class"], sample_names(samples), strict=True))
    for one, deficit in deficits.items():
        drawn = samples[samples["class"] == one]
        accepted = int(drawn["accepted"].sum())
        refused = drawn["reason"].value_counts().reindex(REASONS, fill_value=0)
        counts = ", ".join(f"{count} {reason}" for reason, count in refused.items())
        name = names.get(one, f"class {one}")
        log.info("%s: %d of %d candidates accepted (%s)", name, accepted, len(drawn), counts)
        if accepted < deficit:
            log.warning(
                "%s: %d of %d missing images remain unfilled; raise synth.oversample, train the "
                "GAN longer, or lower synth.min_probability",
                name, deficit - accepted, deficit,
            )  # fmt: skip
