"""Faces: where a detector finds one in each packed image, and which images seem to hold none."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from facenet_pytorch import MTCNN

from facedata import progress

log = logging.getLogger(__name__)

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
COLUMNS = (
    "num_faces",
    "probability",
    *("x0", "y0", "x1", "y1"),
    *(f"{point}_{axis}" for point in LANDMARKS for axis in "xy"),
    "several_faces",
)


@dataclass(frozen=True)
class Thresholds:
    """What counts as a face.

    Attributes:
        min_probability: of a face that counts, 0..1.
        min_face_share: smallest face looked for, as a share of the image's height; small faces
            cost most of the time.
        several_probability: of a second face that makes several, 0..1.
        several_share: its smallest size (root of the box's area) as a share of the main face's.
    """

    min_probability: float
    min_face_share: float
    several_probability: float
    several_share: float


def detect_faces(
    images: np.ndarray,
    rows: np.ndarray,
    thresholds: Thresholds,
    batch: int,
    device: torch.device,
) -> pd.DataFrame:
    """Return what the detector finds in packed images.

    The main face is the largest of those found with `min_probability`; when there is none, the
    candidate with the highest probability.

    Args:
        images: uint8 [M, H, W, 3], may be a memory map: a batch is read at a time.
        rows: the images wanted, int [N].
        thresholds: what counts as a face.
        batch: images at a time.
        device: where the detector runs.

    Returns:
        N rows: num_faces (found with min_probability), probability (of the main face, 0 without
        any), its box x0, y0, x1, y1 and five landmarks in pixels (NaN without any), non_face,
        several_faces.

    Source: MTCNN, arXiv:1604.02878; weights of facenet-pytorch.
    """
    height, width = images.shape[1:3]
    # A smallest face larger than the picture would leave the detector without any scale.
    smallest = min(thresholds.min_face_share * height, height, width)
    detector = MTCNN(min_face_size=smallest, device=device)
    found = np.full((len(rows), len(COLUMNS)), np.nan)
    with progress.bar() as bar:
        task = bar.add_task("faces", total=len(rows))
        for start in range(0, len(rows), batch):
            part = np.ascontiguousarray(images[rows[start : start + batch]])
            for i, face in enumerate(zip(*detector.detect(part, landmarks=True), strict=True)):
                found[start + i] = _main_face(*face, thresholds)
            bar.advance(task, len(part))
    table = pd.DataFrame(found, columns=COLUMNS)
    table = table.astype({"num_faces": "int64", "several_faces": bool})
    table.insert(table.columns.get_loc("several_faces"), "non_face", table["num_faces"] == 0)
    log.info(
        "no face in %d of %d images, several in %d",
        *(table["non_face"].sum(), len(table), table["several_faces"].sum()),
    )
    return table


def _main_face(
    boxes: np.ndarray | None,
    probabilities: np.ndarray,
    points: np.ndarray,
    thresholds: Thresholds,
) -> list[float]:
    """Return one image's row of COLUMNS.

    Args:
        boxes: [n, 4], None when there is no candidate.
        probabilities: [n].
        points: [n, 5, 2].
        thresholds: what counts as a face.
    """
    if boxes is None:
        return [0, 0.0, *[np.nan] * (len(COLUMNS) - 3), False]
    boxes, probabilities = np.asarray(boxes, float), np.asarray(probabilities, float)
    sure = probabilities >= thresholds.min_probability
    sizes = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    main = int(np.argmax(np.where(sure, sizes, -1) if sure.any() else probabilities))
    second = (probabilities >= thresholds.several_probability) & (
        sizes >= thresholds.several_share * sizes[main]
    )
    second[main] = False
    points = np.asarray(points, float)[main].ravel()
    several = bool(sure.any() and second.any())
    return [int(sure.sum()), probabilities[main], *boxes[main], *points, several]
