"""Alignment: faces of a photograph, turned, scaled and cut as the faces of a data set lie.

A framing says how they lie: where the landmarks of faces are in the data set's thumbnails. It is
measured in thumbnails that are there, or a margin around the face declares it.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from facenet_pytorch import MTCNN
from torch.nn import functional

from facedata.columns import LANDMARK_COLUMNS, LANDMARKS
from facedata.inspection.faces import MIN_HEIGHT
from facedata.options import CountedFaces
from facekit.pictures.canvas import Canvas
from facekit.pictures.geometry import Box, fit_images
from facekit.pictures.resample import Pictures, resize

DETECT_SIDE = 640  # px; faces are looked for at this longer side of a photograph at most
SMALLEST = 20  # px, of a face there
MIN_FACES = 10  # fewer say nothing of how faces lie
MIN_SCALE = 1 / 32  # pixels of a photograph that make one of a thumbnail; less shows only squares
MARGIN = 3  # px around a thumbnail that bicubic interpolation looks at
GRID = 32  # places along a side by which it is told what lies outside of a photo
NEARLY = 0.8  # of the size of the largest face: as large, so that the place in the picture counts
# Landmarks of a face that just fills a square, in shares of its side (facedata.columns.LANDMARKS).
# Source: the reference points of arXiv:1801.07698 (ArcFace), of 112 px, as its code has them.
EYES = [38.2946, 51.6963], [73.5318, 51.5014]
NOSE = [56.0252, 71.7366]
MOUTH = [41.5493, 92.3655], [70.7299, 92.2041]
FILLING = np.array([*EYES, NOSE, *MOUTH]) / 112
FITTED = {"pad": "padded whole", "crop": "centre-cropped", "stretch": "stretched whole"}
POINT_COLUMNS = [column.name for column in LANDMARK_COLUMNS]


class Face(NamedTuple):
    """A face in a photograph, in pixels: box (x0, y0, x1, y1), and landmarks, float64 [5, 2]."""

    box: np.ndarray
    points: np.ndarray


def framing_of(canvas: Canvas) -> np.ndarray:
    """Return the declared framing: a face with its margin, in the middle.

    A square of the longer side holds both; what of it the canvas lacks is cut off on both sides, as
    from pictures that are cropped.

    Returns:
        Where landmarks lie, float64 [5, 2] in pixels.
    """
    side = max(canvas.height, canvas.width)
    places = side * (FILLING + canvas.margin) / (1 + 2 * canvas.margin)
    return places + np.array([canvas.width - side, canvas.height - side]) / 2


def measure_framing(faces: pd.DataFrame) -> list[list[float]] | None:
    """Return how the faces of thumbnails lie: the median place of each landmark.

    Args:
        faces: of `faces.detect_faces`; rows without a face do not count.

    Returns:
        [x, y] of the five LANDMARKS in pixels; None where fewer than MIN_FACES, or in fewer than
        half of the thumbnails, were found (drawings).
    """
    found = faces.loc[~faces["non_face"], POINT_COLUMNS]
    if len(found) < max(MIN_FACES, len(faces) / 2):
        return None
    return np.round(found.median().to_numpy(dtype=float).reshape(-1, 2), 3).tolist()


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the turn, scale and shift that takes points to others with the least squared error.

    Args:
        source: [n, 2]; not all at one place.
        target: [n, 2].

    Returns:
        float64 [2, 3]: a point (x, y) goes to `matrix @ (x, y, 1)`.

    Source: Umeyama, IEEE TPAMI 13(4), 1991; in the plane, where complex numbers turn and scale.
    """
    source, target = (np.asarray(one, dtype=float) @ [1, 1j] for one in (source, target))
    from_mean = source - source.mean()
    factor = np.vdot(from_mean, target - target.mean()) / np.vdot(from_mean, from_mean)
    shift = target.mean() - factor * source.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def cut_face(
    photo: np.ndarray, points: np.ndarray, framing: np.ndarray, geometry: Canvas
) -> np.ndarray:
    """Return a face as it would lie in a thumbnail, uint8 [height, width, 3].

    Args:
        photo: uint8 [H, W, 4], as `Pictures` takes it.
        points: landmarks of the face, [5, 2] in pixels of the photo.
        framing: where they belong, [5, 2] in pixels of the thumbnail.
        geometry: of the thumbnail. What lies outside of the photo repeats its border.
    """
    height, width = geometry.height, geometry.width
    to_photo = similarity(framing, points)  # from a place in the thumbnail
    scale = max(np.hypot(*to_photo[:, 0]), MIN_SCALE)

    # Shrink or enlarge what the thumbnail will show to its scale, ...
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ to_photo.T
    limits = np.array(photo.shape[1::-1])
    first = np.floor(corners.min(axis=0) - MARGIN * scale).clip(0, limits - 1).astype(int)
    last = np.ceil(corners.max(axis=0) + MARGIN * scale).clip(first + 1, limits).astype(int)
    size = np.maximum(np.rint((last - first) / scale), 1).astype(int)
    part = Pictures([photo[first[1] : last[1], first[0] : last[0]]])
    spans = [(0.0, float(length)) for length in last - first]
    shrunk = resize(part, size[0], size[1], "RGB", *spans)[0]

    # ... and turn it.
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ to_photo.T  # [height, width, 2]
    grid = 2 * (places - first) / (last - first) - 1  # in halves of the part's sides
    turned = functional.grid_sample(
        torch.from_numpy(shrunk).permute(2, 0, 1)[None].float(),
        torch.from_numpy(grid)[None].float(),
        mode="bicubic",
        padding_mode="border",
        align_corners=False,
    )
    return turned[0].permute(1, 2, 0).round_().clamp_(0, 255).to(torch.uint8).numpy()


def share_outside(
    size: tuple[int, int], points: np.ndarray, framing: np.ndarray, canvas: Canvas
) -> float:
    """Return which share of what `cut_face` gives lies outside of the photo, 0..1.

    Args:
        size: width and height of the photo in pixels.
        points, framing, canvas: as for `cut_face`.
    """
    to_photo = similarity(framing, points)
    shares = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(canvas.width * shares, canvas.height * shares)
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ to_photo.T
    return float(((places < 0) | (places > size)).any(axis=-1).mean())


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return intersection over union of a box with others, all x0, y0, x1, y1; float64 [n]."""
    shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(shared, 0, None).prod(axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return shared / (areas + np.prod(box[2:] - box[:2]) - shared)


class FaceFinder:
    """Finds all faces of photographs of any size, by MTCNN (see `facedata.inspection.faces`)."""

    def __init__(self, min_probability: float, device: torch.device) -> None:
        """Load the detector; a face counts with `min_probability`, 0..1."""
        self.min_probability = min_probability
        self.detector = MTCNN(min_face_size=SMALLEST, device=device)

    def find(self, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the faces of a photo, the largest first.

        Args:
            photo: uint8 [H, W, 4], as `Pictures` takes it.

        Returns:
            Boxes [n, 4] (x0, y0, x1, y1) and landmarks [n, 5, 2], float64, in pixels.
        """
        height, width = photo.shape[:2]
        scale = min(DETECT_SIDE / max(height, width), max(1.0, MIN_HEIGHT / min(height, width)))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        spans = (0.0, float(width)), (0.0, float(height))
        shrunk = resize(Pictures([photo]), *size, "RGB", *spans)[0]
        boxes, probabilities, points = self.detector.detect(shrunk, landmarks=True)
        if boxes is None:
            return np.zeros((0, 4)), np.zeros((0, len(LANDMARKS), 2))
        boxes, points = (np.asarray(one, dtype=float) / scale for one in (boxes, points))
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        sure = np.asarray(probabilities, dtype=float) >= self.min_probability
        order = [i for i in np.argsort(-area, kind="stable") if sure[i]]
        return boxes[order], points[order]

    def main_face(self, photo: np.ndarray) -> Face | None:
        """Return the face that a thumbnail is about, `photo` as in `find`; None: none is found.

        It is the largest by what of it is in the picture; of several that are nearly as large, the
        one nearest to the middle.
        """
        boxes, points = self.find(photo)
        if not len(boxes):
            return None
        size = np.array(photo.shape[1::-1])
        seen = boxes.clip(0, [*size, *size])
        sides = np.sqrt(np.prod(seen[:, 2:] - seen[:, :2], axis=1))
        away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - size / 2, axis=1)
        main = int(np.argmin(np.where(sides >= NEARLY * sides.max(), away, np.inf)))
        return Face(boxes[main], points[main])


def find_near(
    finder: FaceFinder, photo: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Look for faces close up, in the surroundings of a box: those too small for the whole photo.

    Args:
        finder: of faces.
        photo: uint8 [H, W, 4].
        box: x0, y0, x1, y1 in pixels; as much as its size is looked at on each side of it.

    Returns:
        As `FaceFinder.find`, in pixels of the photo; nothing where the box lies outside of it.
    """
    size = box[2:] - box[:2]
    limits = np.array(photo.shape[1::-1])
    first = np.floor(box[:2] - size).clip(0, limits).astype(int)
    last = np.ceil(box[2:] + size).clip(0, limits).astype(int)
    if (size <= 0).any() or (last <= first).any():
        return np.zeros((0, 4)), np.zeros((0, len(LANDMARKS), 2))
    boxes, points = finder.find(photo[first[1] : last[1], first[0] : last[0]])
    return boxes + np.tile(first, 2), points + first


@cache
def finder_here(min_probability: float = CountedFaces().min_probability) -> FaceFinder:
    """Return this process's finder; with one thread, so that no process's result differs."""
    torch.set_num_threads(1)
    return FaceFinder(min_probability, torch.device("cpu"))


def fit_face(photo: np.ndarray, face: Face | None, canvas: Canvas) -> tuple[np.ndarray, Box]:
    """Fit a picture into a canvas with `fit: face`.

    Args:
        photo: uint8 [H, W, 4], as `Pictures` takes it.
        face: its main face; None: it is fitted as the canvas says for such.
        canvas: the size, and what is left around the face.

    Returns:
        uint8 [height, width, 3], and its content box.
    """
    if face is None:
        fitted, box = fit_images(Pictures([photo]), canvas.without_face)
        return fitted[0], box
    whole = (0, 0, canvas.width, canvas.height)
    return cut_face(photo, face.points, framing_of(canvas), canvas), whole


def told_without_face(number: int, total: int, canvases: Sequence[Canvas], noun: str) -> str:
    """Return in words how many of some pictures show no face, and how they were fitted."""
    ways = dict.fromkeys(FITTED[one.no_face] for one in canvases if one.fit == "face")
    return f"{number} of {total} {noun} show no face that is found: {' or '.join(ways)}"
