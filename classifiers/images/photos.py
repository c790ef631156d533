"""Photographs of any size and format as thumbnails that a classifier was trained on."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facedata.inspection.align import FaceFinder, cut_face, fit_face
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import fit_images
from facekit.pictures.resample import Pictures
from facekit.storage.walking import Files, also

NO_FACE = "no face found"


@dataclass(frozen=True)
class Photo:
    """What a photograph shows to a classifier.

    Attributes:
        thumbnails: uint8 [n, height, width, 3] of the classifier's geometry, one a face.
        boxes: of the faces in pixels of the upright photo, x0, y0, x1, y1, float64 [n, 4]; None
            where no faces were looked for, or none was found and the photo was fitted without.
        problem: why there is no thumbnail; None where there is one.
    """

    thumbnails: np.ndarray
    boxes: np.ndarray | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Photos:
    """Which photographs there are.

    Attributes:
        paths: of each by the name that it goes by in tables, sorted by name.
        passed_over: what is no part of them, or cannot be read, by why.
    """

    paths: Mapping[str, str]
    passed_over: Mapping[str, Sequence[str]]


def find_photos(images: str) -> Photos:
    """Return the photos of a folder, an archive or a glob, or the one given.

    Args:
        images: a folder or ZIP archive, whose files with a suffix of pictures are taken, those in
            folders below it too; a file; or a glob, in which `**` stands for any folders.

    Raises:
        DataError: there are none.
    """
    path = Path(images).expanduser()
    passed_over: Mapping[str, Sequence[str]] = {}
    if path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file()):
        top = "" if path.is_dir() else path.name
        files = Files(path if path.is_dir() else path.parent)
        prefix = f"{top}/" if top else ""
        found = {one.removeprefix(prefix): files.path(one) for one in files.images(top)}
        passed_over = files.passed_over
    elif path.is_file():
        found = {images: str(path)}
    else:
        found = {str(one): str(one) for one in _matches(path) if one.is_file()}
    if not found:
        expected = "expected a folder, a file or a glob"
        raise DataError(f"{images}: no picture there; {expected}{also(passed_over)}")
    return Photos(dict(sorted(found.items())), passed_over)


def _matches(path: Path) -> list[Path]:
    """Return what a glob finds; folders that are there mean themselves: `photos [1]/*.jpg`."""
    folder = next(one for one in path.parents if one.is_dir())
    pattern = str(path.relative_to(folder))
    # Path.glob would find hidden files, too.
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207
    return [folder / name for name in names]


def whole_photo(path: str, geometry: Geometry) -> Photo:
    """Return a photo fitted whole, as training thumbnails were."""
    pixels = _decode(path)
    if isinstance(pixels, str):
        return _without(geometry, pixels)
    return Photo(fit_images(Pictures([pixels]), geometry)[0])


def framed_photo(path: str, geometry: Geometry, finder: FaceFinder) -> Photo:
    """Return a photo cut out around its main face, as training thumbnails were (`fit: face`).

    Args:
        path: of the photo.
        geometry: of the thumbnails.
        finder: of faces.
    """
    pixels = _decode(path)
    if isinstance(pixels, str):
        return _without(geometry, pixels)
    face = finder.main_face(pixels)
    thumbnail, _ = fit_face(pixels, face, geometry)
    return Photo(thumbnail[None], None if face is None else face.box[None])


def aligned_faces(path: str, geometry: Geometry, framing: np.ndarray, finder: FaceFinder) -> Photo:
    """Return a photo's faces as they lie in training thumbnails.

    Args:
        path: of the photo.
        geometry: of the thumbnails.
        framing: how faces lie in them, [5, 2]; see `facedata.inspection.align`.
        finder: of faces.
    """
    pixels = _decode(path)
    if isinstance(pixels, str):
        return _without(geometry, pixels)
    boxes, points = finder.find(pixels)
    if not len(boxes):
        return _without(geometry, NO_FACE)
    return Photo(np.stack([cut_face(pixels, one, framing, geometry) for one in points]), boxes)


def _decode(path: str) -> np.ndarray | str:
    """Return a photo's pixels, uint8 [H, W, 4], or why there are none."""
    try:
        return decode.decode(decode.read(path), {})
    except decode.Unusable as reason:
        return f"not decodable: {reason}"


def _without(geometry: Geometry, problem: str) -> Photo:
    return Photo(np.zeros((0, geometry.height, geometry.width, 3), np.uint8), None, problem)
