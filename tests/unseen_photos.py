"""Photographs as users have them, made by code from the one of a face that matplotlib ships."""

import io

import matplotlib
import numpy as np
from layouts import write
from PIL import Image

from facekit.pictures import decode

ORIENTATION = 0x0112  # EXIF
# What undoes each orientation, applied when a photo is stored.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def portrait(height=200):
    """Return a photograph of one face (the public domain portrait of Grace Hopper), RGB."""
    path = f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg"
    with Image.open(path) as image:
        return image.convert("RGB").resize((round(height * 512 / 600), height))


def encoded(image, kind="JPEG", **options):
    """Return the bytes of a picture's file."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def turned(image, orientation, kind="PNG", **options):
    """Return the bytes of a picture that is stored turned, with the EXIF word that undoes it."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    how = STORED[orientation]
    return encoded(image if how is None else image.transpose(how), kind, exif=exif, **options)


def noise(seed, width, height):
    """Return a picture without a face."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def with_faces():
    """Return files by name that each show one face."""
    face = portrait()
    gray = np.asarray(face.convert("L"))
    found = {f"exif{number}.png": turned(face, number) for number in STORED}
    found |= {
        "plain.jpg": encoded(face),
        "gray.jpg": encoded(face.convert("L")),
        "cmyk.jpg": encoded(face.convert("CMYK")),
        "alpha.png": encoded(face.convert("RGBA"), "PNG"),
        "palette.gif": encoded(face.convert("P"), "GIF"),
        "wide.webp": encoded(face.resize((300, 200)), "WEBP"),
        "sixteen.png": encoded(Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        "sixteen.tif": encoded(Image.fromarray(gray.astype(np.uint16) * 257), "TIFF"),
        "no suffix at all.JPEG": encoded(face.rotate(12, expand=True)),
    }
    for number, height in enumerate(np.linspace(64, 400, 60)):
        found[f"size{number:02}.jpg"] = encoded(portrait(round(height)))
    return found


def without_faces():
    """Return files by name that show no face, and may be decoded."""
    found = {f"noise{seed:02}.png": encoded(noise(seed, 90, 70), "PNG") for seed in range(51)}
    for level in range(0, 250, 10):
        found[f"flat{level:03}.jpg"] = encoded(Image.new("RGB", (64 + level, 80), (level,) * 3))
    return found | {"strip.png": encoded(noise(0, 320, 20), "PNG")}


def undecodable():
    """Return (bytes, reason word) by name of files that hold nothing to look at."""
    good = encoded(portrait())
    found = {
        "empty.jpg": (b"", "empty_file"),
        "text.jpg": (b"no picture\n", "not_an_image"),
        "one.png": (encoded(noise(0, 1, 1), "PNG"), "too_small"),
        "tiny.gif": (encoded(noise(0, 3, 9), "GIF"), "too_small"),
        "line.png": (encoded(noise(0, 900, 20), "PNG"), "too_narrow"),
        "bomb.png": (encoded(Image.new("1", (9000, 9000)), "PNG"), "too_large"),
    }
    assert decode.MAX_PIXELS < 40_000**2
    for number, share in enumerate(np.linspace(0.02, 0.5, 39)):
        found[f"cut{number:02}.jpg"] = (good[: round(share * len(good))], "truncated")
    return found


def write_photos(root):
    """Write 200 of them, in two folders; return the number of each kind."""
    faces, others, broken = with_faces(), without_faces(), undecodable()
    huge = portrait().resize((7000, 8200))  # 57 million pixels
    faces["huge.jpg"] = encoded(huge)
    for name, data in faces.items():
        write(root / name, data)
    for name, data in others.items():
        write(root / "others" / name, data)
    for name, (data, _) in broken.items():
        write(root / "broken" / name, data)
    return len(faces), len(others), len(broken)
