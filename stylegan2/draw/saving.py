"""Drawn images on disk: a PNG or JPEG file each, or one NumPy archive of all."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from facekit.pictures.tiles import write_png
from facekit.storage import files

JPEG_QUALITY = 95


def write_jpg(image: np.ndarray, path: Path) -> None:
    """Write uint8 [H, W, 3] as JPEG of quality 95 with all its colours, atomically."""
    with files.replacing(path) as part:
        Image.fromarray(image).save(part, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


WRITERS = {"png": write_png, "jpg": write_jpg}


@contextmanager
def image_files(
    outdir: Path, names: Sequence[str], suffix: str
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that writes images, uint8 [n, H, W, 3], under the next names.

    Args:
        outdir: folder of the files.
        names: of all images, without suffix.
        suffix: of WRITERS.
    """
    rest = iter(names)

    def write(images: np.ndarray) -> None:
        for image in images:
            WRITERS[suffix](image, outdir / f"{next(rest)}.{suffix}")

    yield write


@contextmanager
def image_archive(
    path: Path, num: int, columns: Mapping[str, np.ndarray]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends images, uint8 [n, H, W, 3], to an archive as `numpy.savez`'s.

    Memory stays flat however many images there are.

    Args:
        path: the archive, .npz; there whole after the block, or not at all.
        num: images in all; its array `images` is uint8 [num, H, W, 3].
        columns: further arrays by name.

    Raises:
        ValueError: another number of images was appended.
    """
    written = 0
    with files.replacing(path) as part, zipfile.ZipFile(part, "w", allowZip64=True) as archive:
        for name, values in columns.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
        with archive.open("images.npy", "w", force_zip64=True) as file:

            def append(images: np.ndarray) -> None:
                nonlocal written
                if not written:
                    header = {"descr": "|u1", "fortran_order": False}
                    shape = (num, *images.shape[1:])
                    np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
                file.write(np.ascontiguousarray(images).data)
                written += len(images)

            yield append
        if written != num:
            raise ValueError(f"{written} images, expected {num}")
