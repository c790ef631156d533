"""Faces: where a detector finds one in each packed image, and which images seem to hold none."""

import logging

import numpy as np
import pandas as pd
import torch
from facenet_pytorch import MTCNN
from torch.nn import functional

from facedata.columns import FACES
from facedata.options import FacesOptions
from facekit import progress

log = logging.getLogger(__name__)

# Smaller pictures are enlarged to this height in pixels: on real faces of 32 px the detector then
# misses half as many.
MIN_HEIGHT = 128
COLUMNS = [name for name in FACES.names if name not in ("image_id", "non_face")]


def detect_faces(
    images: np.ndarray,
    rows: np.ndarray,
    options: FacesOptions,
    device: torch.device,
) -> pd.DataFrame:
    """Return what the detector finds in packed images.

    The main face is the one of those found with `min_probability` that covers most of the picture;
    when there is none, the candidate with the highest probability.

    Args:
        images: uint8 [M, H, W, 3], may be a memory map: a batch is read at a time.
        rows: the images wanted, int [N].
        options: what counts as a face.
        device: where the detector runs.

    Returns:
        N rows: num_faces (found with min_probability), probability (of the main face, 0 without
        any), its box x0, y0, x1, y1 and five landmarks in pixels (NaN without any), non_face,
        several_faces.

    Source: MTCNN, arXiv:1604.02878; weights of facenet-pytorch.
    """
    height, width = images.shape[1:3]
    scale = max(1.0, MIN_HEIGHT / height)
    # A smallest face larger than the picture would leave the detector without any scale.
    smallest = scale * min(options.min_face_share * height, height, width)
    detector = MTCNN(min_face_size=smallest, device=device)
    found = np.full((len(rows), len(COLUMNS)), np.nan)
    with progress.bar() as bar:
        task = bar.add_task("faces", total=len(rows))
        for start in range(0, len(rows), options.batch):
            part = torch.from_numpy(
                np.ascontiguousarray(images[rows[start : start + options.batch]])
            )
            part = _enlarge(part.to(device), scale)
            for i, (boxes, probabilities, points) in enumerate(
                zip(*detector.detect(part, landmarks=True), strict=True)
            ):
                if boxes is not None:
                    boxes, points = np.asarray(boxes) / scale, np.asarray(points) / scale
                found[start + i] = _main_face(
                    boxes, probabilities, points, (width, height), options
                )
            bar.advance(task, len(part))
    table = pd.DataFrame(found, columns=COLUMNS)
    table = table.astype({"num_faces": "int64", "several_faces": bool})
    table.insert(table.columns.get_loc("several_faces"), "non_face", table["num_faces"] == 0)
    log.info(
        "no face in %d of %d images, several in %d",
        *(table["non_face"].sum(), len(table), table["several_faces"].sum()),
    )
    return table


def _enlarge(part: torch.Tensor, scale: float) -> torch.Tensor:
    """Return pictures (uint8 [n, H, W, 3]) as float32 0..255, `scale` times as large, likewise."""
    part = part.float()
    if scale == 1:
        return part
    size = [round(side * scale) for side in part.shape[1:3]]
    part = functional.interpolate(part.permute(0, 3, 1, 2), size, mode="bicubic")
    return part.clamp(0, 255).permute(0, 2, 3, 1)


def _main_face(
    boxes: np.ndarray | None,
    probabilities: np.ndarray,
    points: np.ndarray,
    size: tuple[int, int],
    options: FacesOptions,
) -> list[float]:
    """Return one image's row of COLUMNS.

    Args:
        boxes: [n, 4] in pixels, may reach beyond the picture; None when there is no candidate.
        probabilities: [n].
        points: [n, 5, 2].
        size: width and height of the picture in pixels.
        options: what counts as a face.
    """
    if boxes is None:
        return [0, 0.0, *[np.nan] * (len(COLUMNS) - 3), False]
    boxes, probabilities = np.asarray(boxes, float), np.asarray(probabilities, float)
    sure = probabilities >= options.min_probability
    # A face counts by what of it is in the picture: one at the edge is not the main one.
    seen = boxes.clip(0, [*size, *size])
    sizes = np.sqrt((seen[:, 2] - seen[:, 0]) * (seen[:, 3] - seen[:, 1]))
    main = int(np.argmax(np.where(sure, sizes, -1) if sure.any() else probabilities))
    second = (probabilities >= options.several_probability) & (
        sizes >= options.several_share * sizes[main]
    )
    second[main] = False
    points = np.asarray(points, float)[main].ravel()
    several = bool(sure.any() and second.any())
    return [int(sure.sum()), probabilities[main], *boxes[main], *points, several]
