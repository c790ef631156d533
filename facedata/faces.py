"""Faces: where a detector finds one in each packed image, and which images seem to hold none."""

import logging

import numpy as np
import pandas as pd
import torch
from facenet_pytorch import MTCNN

from facedata import progress

log = logging.getLogger(__name__)

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
BOX = ("x0", "y0", "x1", "y1")
COLUMNS = (*BOX, *(f"{point}_{axis}" for point in LANDMARKS for axis in "xy"))


def detect_faces(
    images: np.ndarray,
    rows: np.ndarray,
    min_probability: float,
    min_face_share: float,
    batch: int,
    device: torch.device,
) -> pd.DataFrame:
    """Return what the detector finds in packed images.

    The main face is the largest of those found with `min_probability`; when there is none, the
    candidate with the highest probability.

    Args:
        images: uint8 [M, H, W, 3].
        rows: the images wanted, int [N].
        min_probability: of a face that counts, 0..1.
        min_face_share: smallest face looked for, as a share of the image's height; small faces
            cost most of the time.
        batch: images at a time.
        device: where the detector runs.

    Returns:
        N rows: num_faces (found with min_probability), probability (of the main face, 0 without
        any), its box x0, y0, x1, y1 and five landmarks in pixels (NaN without any), non_face.

    Source: MTCNN, arXiv:1604.02878; weights of facenet-pytorch.
    """
    height, width = images.shape[1:3]
    # A smallest face larger than the picture would leave the detector without any scale.
    smallest = min(min_face_share * height, height, width)
    detector = MTCNN(min_face_size=smallest, device=device)
    found = []
    with progress.bar() as bar:
        task = bar.add_task("faces", total=len(rows))
        for start in range(0, len(rows), batch):
            part = np.ascontiguousarray(images[rows[start : start + batch]])
            for boxes, probabilities, points in zip(
                *detector.detect(part, landmarks=True), strict=True
            ):
                found.append(_main_face(boxes, probabilities, points, min_probability))
            bar.advance(task, len(part))
    table = pd.DataFrame(found, columns=["num_faces", "probability", *COLUMNS])
    non_face = table["num_faces"] == 0
    log.info("no face in %d of %d images", non_face.sum(), len(table))
    return table.assign(non_face=non_face)


def _main_face(
    boxes: np.ndarray | None, probabilities: np.ndarray, points: np.ndarray, min_probability: float
) -> list[float]:
    """Return number of faces, probability, box and landmarks of the main face in one image.

    Args:
        boxes: [n, 4], None when there is no candidate.
        probabilities: [n].
        points: [n, 5, 2].
        min_probability: of a face that counts.
    """
    if boxes is None:
        return [0, 0.0, *[np.nan] * len(COLUMNS)]
    boxes, probabilities = np.asarray(boxes, float), np.asarray(probabilities, float)
    sure = probabilities >= min_probability
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    main = int(np.argmax(np.where(sure, sizes, -1) if sure.any() else probabilities))
    points = np.asarray(points, float)[main].ravel()
    return [int(sure.sum()), probabilities[main], *boxes[main], *points]
