"""Inspect: one decode of every image gives its facts, its hashes and the packed thumbnails.

No file stops the stage: one that cannot be used is listed with a reason word in `problem`.
"""

import hashlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageCms, ImageOps
from scipy.fft import dct

from facedata import archives, packed, tables
from facedata.errors import DataError
from facedata.geometry import Geometry, fit_image
from facedata.progress import track
from facedata.workers import ordered_map

log = logging.getLogger(__name__)

# What is read; no format that runs other programs (EPS) or that holds no photographs.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
# First bytes of formats: a file that has them, but cannot be opened, was cut off.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
MIN_SIDE = 16  # pixels; a smaller picture shows no face
MAX_PIXELS = 64_000_000  # 192 MB as RGB; more is a decompression bomb or no thumbnail
MAX_BYTES = 1 << 30  # of a file
QUALITY_SIDE = 128  # pixels; quality is measured at this size, to compare pictures of any size
CHUNK = 32  # images a task of a worker
THUMBS = "thumbs"  # beside the geometries: the small gray pictures that duplicates are found by

FACTS = {
    "width": "Int64",
    "height": "Int64",
    "format": "str",
    "mode": "str",
    "num_frames": "Int64",
    "pixel_hash": "str",
    "phash": "UInt64",
    "phash_mirror": "UInt64",
    "sharpness": "float64",
    "brightness": "float64",
    "contrast": "float64",
    "entropy": "float64",
}


class Unusable(Exception):
    """A file that holds no usable picture; its text is the reason word."""


def inspect(
    index: pd.DataFrame,
    root: Path,
    geometries: Mapping[str, Geometry],
    num_workers: int,
    images_dir: Path,
) -> pd.DataFrame:
    """Decode every image of the index once; write the packed thumbnails, return the facts.

    Args:
        index: image_id and path, one row an image.
        root: folder that the paths are relative to.
        geometries: sizes to pack, by name.
        num_workers: processes; the result does not depend on it.
        images_dir: gets `<geometry>.npy`, uint8 [N, H, W, 3], and `thumbs.npy`, uint8 [N, 32, 32]
            (as in `thumbnail`), of the images that decoded, in index order.

    Returns:
        One row an image of the index: image_id, row (in the packed arrays, NA if not decoded),
        problem (reason word, NA if none), and as far as known: width, height (pixels, upright),
        format, mode, num_frames, pixel_hash (32 hex digits, of size and RGB bytes), phash and
        phash_mirror (as in `phash`), sharpness, brightness, contrast, entropy (as in `quality`)
        and the content box of each geometry, such as gan_left, gan_top, gan_right, gan_bottom.

    Raises:
        DataError: no image can be used, or a geometry has the name of the thumbnails.
    """
    if THUMBS in geometries:
        raise DataError(f"geometry {THUMBS!r}: this name is taken; give it another one")
    shapes = {name: (size.height, size.width, 3) for name, size in geometries.items()}
    shapes[THUMBS] = packed.THUMB_SHAPE
    paths = [Path(root) / path for path in index["path"]]
    examine_one = partial(examine, geometries=dict(geometries))
    records = []
    with ExitStack() as stack:
        append = {
            name: stack.enter_context(packed.appending(Path(images_dir) / f"{name}.npy", shape))
            for name, shape in shapes.items()
        }
        found = ordered_map(examine_one, paths, num_workers, CHUNK)
        for facts, images in track(found, "inspect", len(paths)):
            records.append(facts)
            for name, image in images.items():
                append[name](image[None])
        table = _table(index["image_id"], records, list(geometries))
        _check_problems(table, root)
    return table


def _check_problems(table: pd.DataFrame, root: Path) -> None:
    """Log how many images have a problem; stop when these are all of them."""
    counts = table["problem"].value_counts().sort_index()
    text = ", ".join(f"{count} {problem}" for problem, count in counts.items())
    if counts.sum() == len(table):
        raise DataError(
            f"{root}: none of {len(table)} images can be used ({text}); is it the right folder?"
        )
    log.info("%d of %d images decoded", len(table) - counts.sum(), len(table))
    if text:
        log.warning("cannot be used: %s", text)


def _table(
    image_ids: pd.Series, records: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> pd.DataFrame:
    boxes = [column for name in names for column in tables.box_columns(name)]
    dtypes = {"problem": "str"} | FACTS | dict.fromkeys(boxes, "Int64")
    columns = {
        name: pd.array([record.get(name) for record in records], dtype=dtype)
        for name, dtype in dtypes.items()
    }
    table = pd.DataFrame({"image_id": image_ids.reset_index(drop=True), **columns})
    is_decoded = table["problem"].isna()
    row = (is_decoded.cumsum() - 1).astype("Int64").where(is_decoded)
    table.insert(1, "row", row)
    return table


def examine(
    path: Path, geometries: Mapping[str, Geometry]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the facts of a file and its packed pictures.

    The pictures are those of each geometry, uint8 [H, W, 3], and under `thumbs` that of
    `thumbnail`. A file without a usable one has its reason word under `problem`, and no pictures.
    """
    facts: dict[str, Any] = {}
    try:
        picture = decode(path, facts)
    except Unusable as reason:
        return facts | {"problem": str(reason)}, {}

    pixel_hash = hashlib.blake2b(f"{picture.width}x{picture.height} ".encode(), digest_size=16)
    pixel_hash.update(picture.tobytes())
    facts["pixel_hash"] = pixel_hash.hexdigest()
    gray = picture.convert("L")
    thumb = thumbnail(gray)
    facts["phash"], facts["phash_mirror"] = phash(thumb)
    facts |= quality(gray)
    images = {THUMBS: thumb}
    for name, geometry in geometries.items():
        images[name], box = fit_image(picture, geometry)
        facts |= zip(tables.box_columns(name), box, strict=True)
    return facts, images


def decode(path: Path, facts: dict[str, Any]) -> Image.Image:
    """Read a picture of any kind as upright RGB in sRGB.

    Rotated by EXIF, colours by ICC profile, transparency over white, 16 bits scaled to 8, the
    first of several frames.

    Args:
        path: the file, or a member of a ZIP archive; its suffix does not matter.
        facts: gets width, height, format, mode and num_frames, as far as they can be known.

    Raises:
        Unusable: with the reason word: missing_file, unreadable_file, empty_file, too_large,
            not_an_image, truncated or too_small.
    """
    try:
        num_bytes = archives.size(path)
        if num_bytes is None:
            raise Unusable("missing_file")
        if num_bytes > MAX_BYTES:
            raise Unusable("too_large")
        data = archives.read_bytes(path)
    except OSError:
        raise Unusable("unreadable_file") from None
    if not data:
        raise Unusable("empty_file")

    with warnings.catch_warnings():
        # Odd metadata does not matter, and the number of pixels is checked here.
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=_formats())
        except Image.DecompressionBombError:
            raise Unusable("too_large") from None
        except Exception:  # decoders raise anything for bytes from anywhere
            is_cut = data.startswith(MAGIC) or data[8:12] in (b"WEBP", b"avif")
            raise Unusable("truncated" if is_cut else "not_an_image") from None
        facts |= {"format": image.format, "mode": image.mode}
        facts |= {"width": image.width, "height": image.height}
        if image.width * image.height > MAX_PIXELS:
            raise Unusable("too_large")
        if min(image.size) < MIN_SIDE:
            raise Unusable("too_small")
        try:
            facts["num_frames"] = getattr(image, "n_frames", 1)
            image.load()
            picture = to_rgb(_upright(image))
        except MemoryError:
            raise Unusable("too_large") from None
        except Exception:  # as above
            raise Unusable("truncated") from None
    facts |= {"width": picture.width, "height": picture.height}
    return picture


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF orientation says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing of how to turn it
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture of any mode as RGB in sRGB, transparency over white.

    Args:
        image: of any of Pillow's modes, with its `info` (ICC profile, transparency).
    """
    profile = image.info.get("icc_profile")
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_8_bits(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB")
    transform = _to_srgb(profile, image.mode) if profile or image.mode == "LAB" else None
    if transform is None:
        picture = image.convert("RGB")
    else:
        picture = ImageCms.applyTransform(image, transform)
    if alpha is None:
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=alpha)
    return white


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a gray picture of 16 or 32 bits or floats as mode L, scaled, not clipped.

    The white of 16 bits is 65535. Integers of 32 bits and floats do not tell their white: it is
    the least of 1 (floats), 255, 65535 and the largest value that no pixel exceeds.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    if image.mode.startswith("I;16") or image.format in ("PNG", "PPM"):
        white = 65535.0
    else:
        brightest = values.max()
        candidates = [1.0] * (image.mode == "F") + [255.0, 65535.0, brightest]
        white = next(value for value in candidates if value >= brightest)
    return Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))


@lru_cache(maxsize=64)
def _to_srgb(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile (None: Lab) to sRGB; None if there is nothing to do."""
    try:
        if mode == "LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[mode]
            is_srgb = "srgb" in ImageCms.getProfileDescription(source).lower()
            if source.profile.xcolor_space.strip() != space or is_srgb:
                return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # not a profile
        return None


def thumbnail(gray: Image.Image) -> np.ndarray:
    """Return a picture of mode L at 32x32, whole, Lanczos-filtered; uint8 [32, 32]."""
    height, width = packed.THUMB_SHAPE
    return np.asarray(gray.resize((width, height), Image.Resampling.LANCZOS))


def phash(thumb: np.ndarray) -> tuple[int, int]:
    """Return the perceptual hash of a picture and that of its mirror image, 64 bits each.

    The 8x8 lowest frequencies of the cosine transform of the picture at 32x32, row by row, the
    first in the highest bit: 1 where a coefficient exceeds their median.

    Args:
        thumb: the picture as `thumbnail` makes it, uint8 [32, 32].

    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    waves = dct(dct(thumb.astype(np.float64), axis=0, norm="ortho"), axis=1, norm="ortho")[:8, :8]
    waves = waves.round(6)  # what should be 0 in a flat picture is 0
    mirror = waves * (-1) ** np.arange(8)  # mirroring changes the sign of odd waves
    hashes = []
    for coefficients in (waves, mirror):
        bits = coefficients > np.median(coefficients)
        hashes.append(int.from_bytes(np.packbits(bits).tobytes(), "big"))
    return hashes[0], hashes[1]


def quality(gray: Image.Image) -> dict[str, float]:
    """Return figures of a picture, measured with its longer side at no more than 128 px.

    Args:
        gray: PIL image of mode L, any size.

    Returns:
        sharpness: variance of the Laplacian of values in 0..255 (Pech-Pacheco et al., ICPR 2000);
        brightness and contrast: mean and standard deviation of values in 0..1;
        entropy: of the histogram, bits a pixel in 0..8.
    """
    gray = gray.copy()
    gray.thumbnail((QUALITY_SIDE, QUALITY_SIDE), Image.Resampling.BOX, reducing_gap=None)
    values = np.asarray(gray, dtype=np.float64)
    around = np.pad(values, 1, mode="edge")
    neighbours = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    shares = np.asarray(gray.histogram()) / values.size
    shares = shares[shares > 0]
    return {
        "sharpness": float((neighbours - 4 * values).var()),
        "brightness": float(values.mean() / 255),
        "contrast": float(values.std() / 255),
        "entropy": float(-(shares * np.log2(shares)).sum()) + 0.0,
    }
