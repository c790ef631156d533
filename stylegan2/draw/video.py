"""Moving images: GIF by Pillow, MP4 (H.264) by PyAV, which is an optional extra."""

import importlib.util
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from facekit.errors import DataError
from facekit.storage import files

MP4_CRF = 16  # of x264: 0 is lossless, 23 its default


def check_path(path: Path) -> None:
    """Check, before the work, that a moving image of this name can be written.

    Raises:
        DataError: it ends neither in .gif nor in .mp4, or PyAV is not installed for the latter.
    """
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise DataError(f"{path}: a moving image ends in .gif or .mp4")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise DataError(f"{path}: MP4 needs `pip install av`; or write a .gif")


def write(frames: Iterable[np.ndarray], path: Path, fps: int) -> None:
    """Write a moving image that repeats for ever (GIF) or once (MP4), atomically.

    The same frames give the same bytes.

    Args:
        frames: uint8 [H, W, 3], at least one, all of one size.
        path: as in `check_path`.
        fps: frames a second; a GIF shows each for a whole number of 1/100 s, at least 2.
    """
    with files.replacing(path) as part:
        (_write_gif if path.suffix.lower() == ".gif" else _write_mp4)(iter(frames), part, fps)


def _write_gif(frames: Iterator[np.ndarray], path: Path, fps: int) -> None:
    images = map(Image.fromarray, frames)
    next(images).save(
        path,
        format="GIF",
        save_all=True,
        append_images=images,
        duration=10 * max(round(100 / fps), 2),
        loop=0,
    )


def _write_mp4(frames: Iterator[np.ndarray], path: Path, fps: int) -> None:
    import av

    first = next(frames)
    height, width = first.shape[:2]
    even = [(0, height % 2), (0, width % 2), (0, 0)]  # the colours are stored at half the size
    options = {"crf": str(MP4_CRF), "threads": "1"}  # several threads make other bytes
    with av.open(path, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = height + even[0][1], width + even[1][1]
        stream.pix_fmt = "yuv420p"
        for frame in itertools.chain([first], frames):
            image = np.ascontiguousarray(np.pad(frame, even, mode="edge"))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
