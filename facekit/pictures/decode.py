"""Decode: from the bytes of a file to a picture, upright, RGB in sRGB; or why there is none."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np
import simplejpeg
import xxhash
from PIL import Image, ImageCms, ImageOps

from facekit.storage import archives

# What is read; no format that runs other programs (EPS) or that holds no photographs.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
# First bytes of formats: a file that has them, but cannot be opened, was cut off.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
MIN_SIDE = 16  # pixels; a smaller picture shows no face
MAX_PIXELS = 64_000_000  # 192 MB as RGB; more is a decompression bomb or no thumbnail
MAX_ASPECT = 16  # longer side to shorter side; a strip shows no face
MAX_BYTES = 400_000_000  # of a file; 64 million pixels of 3 x 16 bits have 384 MB
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # EXIF: the tag, and its values for a quarter turn
TURNED = (2, 3, 4, *LYING)  # those of any turn, or of a mirror
START_OF_SCAN, QUANTIZATION = b"\xda", b"\xdb"  # markers in a JPEG
JPEG_MODES = {"YCbCr": "RGB", "Gray": "L"}  # by colour space
# Steps of luminance in the JPEG standard (annex K.1), which encoders scale by their quality.
STEPS = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101
72 92 95 98 112 100 103 99
"""


class Unusable(Exception):
    """A file that holds no usable picture; its text is the reason word."""


def read(path: str | os.PathLike) -> bytes:
    """Return the bytes of a file, or of a member of a ZIP archive.

    Raises:
        Unusable: with the reason word: missing_file, unreadable_file, empty_file or too_large.
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
    return data


def header(data: bytes, min_side: int = MIN_SIDE) -> dict[str, Any]:
    """Return width and height (upright), format and mode of a picture, its pixels not decoded.

    Raises:
        Unusable: with the reason word: too_large, not_an_image, truncated, too_small or too_narrow.
    """
    facts: dict[str, Any] = {}
    with _calm():
        image = _open(data, facts, min_side)
        with suppress(Exception):  # as in _turn_upright
            if image.getexif().get(ORIENTATION) in LYING:
                facts |= {"width": image.height, "height": image.width}
    return facts


def is_turned(data: bytes) -> bool:
    """Return whether EXIF says that a picture is stored turned or mirrored."""
    if _steps_of_plain_jpeg(data) is not None:
        return False
    with _calm(), suppress(Exception):  # as in _turn_upright
        image = Image.open(io.BytesIO(data), formats=_formats())
        return image.getexif().get(ORIENTATION) in TURNED
    return False


def decode(data: bytes, facts: dict[str, Any], min_side: int = MIN_SIDE) -> np.ndarray:
    """Return the picture in a file of any kind, upright, as RGB in sRGB; uint8 [H, W, 4].

    Rotated by EXIF, colours by ICC profile, transparency over white, 16 bits scaled to 8, the
    first of several frames. The fourth byte of a pixel is 255.

    Args:
        data: the file's bytes.
        facts: gets width, height, format, mode, num_frames, jpeg_quality and pixel_hash, as far as
            they can be known.
        min_side: pixels; a smaller picture is too_small.

    Raises:
        Unusable: with the reason word: too_large, not_an_image, truncated, too_small or too_narrow.
    """
    pixels = _decode_plain_jpeg(data, facts, min_side)
    if pixels is None:
        pixels = _decode_any(data, facts, min_side)
    height, width = pixels.shape[:2]
    digest = xxhash.xxh3_128(f"{width}x{height} ".encode())
    digest.update(pixels.data)
    facts |= {"width": width, "height": height, "pixel_hash": digest.hexdigest()}
    return pixels


def _decode_plain_jpeg(
    data: bytes, facts: dict[str, Any], min_side: int = MIN_SIDE
) -> np.ndarray | None:
    """Return the pixels of a JPEG that has neither profile nor orientation, as most thumbnails.

    They are those that Pillow gives, in two thirds of the time. None for any other file, and
    for a damaged one: Pillow shall say how bad that is.
    """
    steps = _steps_of_plain_jpeg(data)
    if steps is None:
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors not in JPEG_MODES or _problem_of_size(width, height, min_side):
            return None
        pixels = simplejpeg.decode_jpeg(data, "RGBA")
    except ValueError:
        return None
    facts |= {"format": "JPEG", "mode": JPEG_MODES[colors], "num_frames": 1}
    facts["jpeg_quality"] = jpeg_quality(sum(steps))
    return pixels


def _steps_of_plain_jpeg(data: bytes) -> bytes | None:
    """Return the first quantization table of a JPEG, 64 steps; None if it holds more than pixels.

    That is any segment for applications but JFIF's: profile, orientation, colour transform, other
    pictures.
    """
    if not data.startswith(MAGIC[0]):
        return None
    steps = None
    place = 2
    while data[place : place + 1] == b"\xff":
        marker = data[place + 1 : place + 2]
        if marker == START_OF_SCAN:
            return steps
        if b"\xe1" <= marker <= b"\xef":  # APP1 to APP15
            return None
        if marker == QUANTIZATION and steps is None and data[place + 4 : place + 5] == b"\0":
            steps = data[place + 5 : place + 69]
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return None


def _decode_any(data: bytes, facts: dict[str, Any], min_side: int) -> np.ndarray:
    """Return the pixels of a file of any kind; arguments and errors as in `decode`."""
    with _calm():
        image = _open(data, facts, min_side)
        try:
            facts["num_frames"] = getattr(image, "n_frames", 1)
            for steps in list(getattr(image, "quantization", {}).values())[:1]:
                facts["jpeg_quality"] = jpeg_quality(sum(steps))
            image.load()
            _turn_upright(image)
            return np.asarray(to_rgb(image).convert("RGBA"))
        except Exception as error:  # as in _open
            raise Unusable(_why(error, MAGIC[0])) from None


@contextmanager
def _calm() -> Iterator[None]:
    """Within, Pillow warns of nothing: odd metadata do not matter, sizes are checked here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _open(data: bytes, facts: dict[str, Any], min_side: int) -> Image.Image:
    """Return a picture that is not decoded yet; errors as in `decode`."""
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Exception as error:  # decoders raise anything for bytes from anywhere
        raise Unusable(_why(error, data)) from None
    facts |= {"format": image.format, "mode": image.mode}
    facts |= {"width": image.width, "height": image.height}
    if problem := _problem_of_size(*image.size, min_side):
        raise Unusable(problem)
    return image


def _problem_of_size(width: int, height: int, min_side: int) -> str | None:
    """Return the reason word for a picture of this size that is not to be decoded."""
    if width * height > MAX_PIXELS:
        return "too_large"
    if min(width, height) < min_side:
        return "too_small"
    if max(width, height) > MAX_ASPECT * min(width, height):
        return "too_narrow"
    return None


def _why(error: Exception, data: bytes) -> str:
    """Return the reason word for what a decoder raised."""
    is_bomb = isinstance(error, MemoryError | Image.DecompressionBombError)
    if is_bomb or "MAX_TEXT" in str(error):  # Pillow's limits of unpacked metadata in a PNG
        return "too_large"
    is_cut = data.startswith(MAGIC) or data[8:12] in (b"WEBP", b"avif")
    return "truncated" if is_cut else "not_an_image"


@lru_cache(maxsize=256)
def jpeg_quality(sum_of_steps: int) -> int:
    """Return libjpeg's quality, 1 to 100, that is nearest to a table for luminance.

    Args:
        sum_of_steps: of the table's 64 entries.
    """
    steps = np.array(STEPS.split(), dtype=np.int64)
    quality = np.arange(1, 101)[:, None]
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    sums = ((steps * percent + 50) // 100).clip(1, 255).sum(axis=1)
    return int(np.abs(sums - sum_of_steps).argmin()) + 1


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats that this build of Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _turn_upright(image: Image.Image) -> None:
    """Turn the picture as its EXIF orientation says."""
    with suppress(Exception):  # a broken EXIF block says nothing of how to turn it
        ImageOps.exif_transpose(image, in_place=True)


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
    elif image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    transform = _to_srgb(profile, image.mode) if profile or image.mode == "LAB" else None
    if transform is not None:
        picture = ImageCms.applyTransform(image, transform)
        assert picture is not None  # only a picture changed in place is not returned
    else:
        picture = image if image.mode == "RGB" else image.convert("RGB")
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
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            assert profile is not None
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[mode]
            is_srgb = "srgb" in ImageCms.getProfileDescription(source).lower()
            if source.profile.xcolor_space.strip() != space or is_srgb:
                return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # not a profile
        return None
