"""Arrays on disk, one row a picture (uint8) or its features: mapped into memory when read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from facekit.errors import DataError, reason_of
from facekit.storage import files, kinds

THUMB_SHAPE = (32, 32)  # of the gray thumbnails, height and width in pixels


@contextmanager
def appending(
    path: Path, shape: Sequence[int], dtype: np.typing.DTypeLike = np.uint8
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends rows to a new .npy file, whose number need not be known.

    Args:
        path: the file, `.npy`; there whole after the block, or not at all.
        shape: of one row, such as (H, W, 3) of a picture.
        dtype: of the numbers.

    The function yielded takes arrays of this type, [n, *shape]; any n, also 0.
    """
    num_rows = 0
    with files.replacing(Path(path)) as part, part.open("wb") as file:

        def append(rows: np.ndarray) -> None:
            nonlocal num_rows
            _check_rows(rows, shape, path, dtype)
            file.write(np.ascontiguousarray(rows).data)
            num_rows += len(rows)

        _write_header(file, (0, *shape), dtype)
        yield append
        file.seek(0)
        _write_header(file, (num_rows, *shape), dtype)


def create(path: Path, shape: Sequence[int]) -> None:
    """Make a .npy file of zeros, uint8, of the size that it will have; disk is taken when written.

    Args:
        path: the file; replaced if it is there.
        shape: of all of it, such as (N, H, W, 3).
    """
    with files.replacing(path) as part, part.open("wb") as file:
        _write_header(file, shape)
        file.truncate(file.tell() + int(np.prod(shape, dtype=np.int64)))


def write_rows(path: Path, first: int, pictures: np.ndarray) -> None:
    """Write pictures into a file made by `create`, several processes at a time if they like.

    Args:
        path: the file.
        first: row of the first one.
        pictures: uint8 [n, *shape].
    """
    with files.writing(path), Path(path).open("rb+") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
        _check_rows(pictures, shape[1:], path)
        start = file.tell() + first * int(np.prod(shape[1:]))
        file.seek(start)
        file.write(np.ascontiguousarray(pictures).data)
        if hasattr(os, "posix_fadvise"):
            # Start writing to disk now, so that the fsync at the end has little left to wait for.
            file.flush()
            os.posix_fadvise(file.fileno(), start, pictures.size, os.POSIX_FADV_DONTNEED)


def _write_header(
    file: BinaryIO, shape: Sequence[int], dtype: np.typing.DTypeLike = np.uint8
) -> None:
    # numpy pads the header for a growing first axis: its length never changes.
    shape = tuple(int(side) for side in shape)
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _check_rows(
    rows: np.ndarray, shape: Sequence[int], path: Path, dtype: np.typing.DTypeLike = np.uint8
) -> None:
    if rows.dtype != dtype or rows.shape[1:] != tuple(shape):
        found = f"{rows.dtype} {list(rows.shape)}"
        raise ValueError(f"{path}: rows are {found}, not {np.dtype(dtype)} {['n', *shape]}")


def read_images(path: Path, rows: np.ndarray | None = None) -> np.ndarray:
    """Map packed images into memory: uint8 [N, H, W, 3], read only.

    Args:
        path: the file.
        rows: that will be asked for, int; None where that is not known.

    Raises:
        DataError: no such file, not an array of packed images, or fewer than the rows say.
    """
    images = _map_array(path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        found = f"{images.dtype} {list(images.shape)}"
        raise DataError(f"{path}: found {found}, expected uint8 [N, H, W, 3]")
    _check_has(path, images, rows)
    return images


def _check_has(path: Path, array: np.ndarray, rows: np.ndarray | None) -> None:
    """Check that an array has rows that a table names.

    Raises:
        DataError: it has not: the files are of different runs.
    """
    if rows is None or not len(rows):
        return
    if rows.min() < 0 or rows.max() >= len(array):
        raise DataError(
            f"{path}: has {len(array)} images, rows {rows.min()} to {rows.max()} are named; is it"
            " of another run?"
        )


def read_thumbs(path: Path, rows: np.ndarray | None = None) -> np.ndarray:
    """Map the gray thumbnails of whole pictures into memory: uint8 [N, 32, 32], read only.

    Args:
        path: the file.
        rows: as of `read_images`.

    Raises:
        DataError: no such file, not an array of such thumbnails, or fewer than the rows say.
    """
    thumbs = _map_array(path)
    if thumbs.dtype != np.uint8 or thumbs.ndim != 3 or thumbs.shape[1:] != THUMB_SHAPE:
        found = f"{thumbs.dtype} {list(thumbs.shape)}"
        raise DataError(f"{path}: found {found}, expected uint8 {['N', *THUMB_SHAPE]}")
    _check_has(path, thumbs, rows)
    return thumbs


def read_features(path: Path, size: int) -> np.ndarray:
    """Map features of pictures into memory: float32 [N, size], read only.

    Raises:
        DataError: no such file, or not an array of such features.
    """
    features = _map_array(path)
    if features.dtype != np.float32 or features.ndim != 2 or features.shape[1] != size:
        found = f"{features.dtype} {list(features.shape)}"
        raise DataError(f"{path}: found {found}, expected float32 {['N', size]}")
    return features


def _map_array(path: Path) -> np.ndarray:
    try:
        kind = kinds.of_file(path)
        if kind == kinds.ZIP:
            made = f"`stylegan2 pack --source {path} --dest {Path(path).with_suffix('.npy')}`"
            raise DataError(f"{path}: an archive, not a pack (.npy); make one of images by {made}")
        if kind not in (None, kinds.ARRAY):
            raise DataError(f"{path}: {kind}, expected an array (.npy)")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # a damaged header is told in many ways
        raise DataError(f"{path}: not a readable array ({reason_of(error)})") from None
