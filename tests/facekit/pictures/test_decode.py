"""Decoding: files of every odd kind give a picture, or the reason why there is none."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from unseen_photos import turned

from facekit.pictures import decode


def portrait(seed=0, width=40, height=52):
    """A smooth colour picture without any symmetry."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 226, (7, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def read(path):
    facts = {}
    pixels = decode.decode(decode.read(path), facts)
    assert (facts["height"], facts["width"], 4) == pixels.shape
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3].astype(int), facts


def reason(path):
    with pytest.raises(decode.Unusable) as raised:
        decode.decode(decode.read(path), {})
    return str(raised.value)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png_16(path, values):
    """Write uint16 [h, w] or [h, w, 3] as a PNG of 16 bits."""
    height, width = values.shape[:2]
    color = 0 if values.ndim == 2 else 2
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.jpg", "a.webp", "a.gif"])
def test_usual_formats_are_read(tmp_path, name):
    portrait().save(tmp_path / name, quality=95)
    pixels, facts = read(tmp_path / name)
    assert np.abs(pixels - np.asarray(portrait())).mean() < 8
    assert (facts["width"], facts["height"], facts["num_frames"]) == (40, 52, 1)


def test_wrong_suffix_is_no_problem(tmp_path):
    portrait().save(tmp_path / "a.jpg", format="PNG")
    pixels, facts = read(tmp_path / "a.jpg")
    np.testing.assert_array_equal(pixels, portrait())
    assert facts["format"] == "PNG"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    (tmp_path / "a.jpg").write_bytes(turned(portrait(), orientation, "JPEG", quality=98))
    pixels, facts = read(tmp_path / "a.jpg")
    assert (facts["width"], facts["height"]) == (40, 52)
    assert np.abs(pixels - np.asarray(portrait())).mean() < 3


def test_broken_exif_is_ignored(tmp_path):
    portrait().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\x9c" * 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels, _ = read(tmp_path / "a.jpg")
    assert pixels.shape == (52, 40, 3)


def test_gray_and_palette_become_rgb(tmp_path):
    for mode in ("1", "L", "P"):
        portrait().convert(mode).save(tmp_path / f"{mode}.png")
        pixels, facts = read(tmp_path / f"{mode}.png")
        np.testing.assert_array_equal(pixels, portrait().convert(mode).convert("RGB"))
        assert facts["mode"] == mode


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    image = portrait().convert(mode)
    alpha = np.zeros((52, 40), np.uint8)
    alpha[10:40] = 255
    alpha[40:] = 128
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "a.png")
    pixels, _ = read(tmp_path / "a.png")
    opaque = np.asarray(portrait().convert(mode).convert("RGB")).astype(int)
    assert (pixels[:10] == 255).all()
    np.testing.assert_array_equal(pixels[10:40], opaque[10:40])
    np.testing.assert_allclose(pixels[40:], (opaque[40:] + 255) / 2, atol=1.5)


def test_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.new("P", (20, 20), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.paste(1, (0, 0, 20, 10))
    image.save(tmp_path / "a.gif", transparency=0)
    pixels, _ = read(tmp_path / "a.gif")
    assert pixels[5, 5].tolist() == [0, 200, 0]
    assert pixels[15, 5].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    gray = np.asarray(portrait().convert("L"))
    write_png_16(tmp_path / "gray.png", gray.astype(np.uint16) * 257)
    pixels, facts = read(tmp_path / "gray.png")
    np.testing.assert_array_equal(pixels, np.repeat(gray[:, :, None], 3, axis=2))
    assert facts["mode"] == "I;16"
    write_png_16(tmp_path / "rgb.png", np.asarray(portrait()).astype(np.uint16) * 257)
    pixels, _ = read(tmp_path / "rgb.png")
    np.testing.assert_array_equal(pixels, portrait())
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "gray.tif")
    pixels, _ = read(tmp_path / "gray.tif")
    np.testing.assert_array_equal(pixels[:, :, 0], gray)


@pytest.mark.parametrize(("dtype", "scale"), [(np.int32, 257), (np.float32, 1 / 255)])
def test_other_deep_pictures_are_scaled(tmp_path, dtype, scale):
    gray = np.asarray(portrait().convert("L")).copy()
    gray[0, 0] = 255
    Image.fromarray((gray * float(scale)).astype(dtype)).save(tmp_path / "a.tif")
    pixels, _ = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels[:, :, 0], gray)


def test_cmyk_has_the_right_colours(tmp_path):
    image = Image.new("RGB", (32, 32), (200, 30, 60))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels, facts = read(tmp_path / "a.jpg")
    assert facts["mode"] == "CMYK"
    assert np.abs(pixels - [200, 30, 60]).max() < 6


def wide_profile():
    """A matrix profile whose primaries are sRGB's with red and green swapped."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.index(b"rXYZ"), data.index(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def test_colour_profile_is_applied(tmp_path):
    Image.new("RGB", (20, 20), (200, 40, 90)).save(tmp_path / "a.png", icc_profile=wide_profile())
    pixels, _ = read(tmp_path / "a.png")
    assert np.abs(pixels - [40, 200, 90]).max() <= 2


def test_srgb_and_useless_profiles_change_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in {
        "srgb": srgb,
        "rubbish": b"rubbish" * 50,
        "other": wide_profile(),
    }.items():
        picture = portrait().convert("L") if name == "other" else portrait()  # RGB's on gray
        picture.save(tmp_path / "a.png", icc_profile=profile)
        pixels, _ = read(tmp_path / "a.png")
        np.testing.assert_array_equal(pixels, picture.convert("RGB"))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_animation_gives_its_first_frame(tmp_path, name):
    frames = [Image.new("RGB", (20, 20), (g, g, g)) for g in (200, 100, 0)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    pixels, facts = read(tmp_path / name)
    assert facts["num_frames"] == 3
    assert np.abs(pixels - 200).max() < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    assert reason(tmp_path / name) == "truncated"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty_file"),
        (b"hello, this is no picture\n" * 20, "not_an_image"),
        (b"<html><body>404</body></html>", "not_an_image"),
        (b"\0" * 1000, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not_an_image"),
        (b"PK\x03\x04" + b"zip" * 50, "not_an_image"),
        (b"\xff\xd8\xff", "truncated"),
    ],
)
def test_files_that_are_no_images(tmp_path, data, expected):
    (tmp_path / "a.jpg").write_bytes(data)
    assert reason(tmp_path / "a.jpg") == expected


def test_missing_files(tmp_path):
    assert reason(tmp_path / "nowhere.jpg") == "missing_file"
    assert reason(tmp_path) == "missing_file"
    assert reason(tmp_path / ("x" * 5000)) == "missing_file"


@pytest.mark.parametrize(
    ("size", "is_small"), [((1, 1), True), ((15, 99), True), ((16, 16), False)]
)
def test_too_small_pictures(tmp_path, size, is_small):
    Image.new("RGB", size).save(tmp_path / "a.png")
    if is_small:
        assert reason(tmp_path / "a.png") == "too_small"
    else:
        read(tmp_path / "a.png")


def png(width, height, before=b"", after=b""):
    """A PNG of black pixels, or its beginning, with other chunks before or after the pixels."""
    pixels = bytes(min((3 * width + 1) * height, 100_000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + before
        + png_chunk(b"IDAT", zlib.compress(pixels))
        + after
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (8200, 8200, "too_large"),
        (60_000, 60_000, "too_large"),
        (2**31 - 1, 2**31 - 1, "too_large"),
        (100_000, 1, "too_small"),
        (100_000, 20, "too_narrow"),
        (20, 321, "too_narrow"),
    ],
)
def test_bombs_and_absurd_sizes_are_not_decoded(tmp_path, width, height, expected, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    (tmp_path / "a.png").write_bytes(png(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(tmp_path / "a.png") == expected


def test_the_narrowest_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20, 320))
    assert read(tmp_path / "a.png")[0].shape == (320, 20, 3)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt", b"many"])
def test_bombs_of_metadata_are_refused(tmp_path, kind):
    name = {b"iCCP": b"a\0\0", b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}.get(kind)
    if kind == b"many":
        text = zlib.compress(bytes(1_000_000))
        chunk = b"".join(png_chunk(b"zTXt", b"%d\0\0" % i + text) for i in range(80))
    else:
        chunk = png_chunk(kind, name + zlib.compress(bytes(50_000_000)))
    for data in [png(64, 64, before=chunk), png(64, 64, after=chunk)]:
        if kind == b"iCCP" and data.index(b"IDAT") < data.index(b"iCCP"):
            continue  # a profile after the pixels is not read
        (tmp_path / "a.png").write_bytes(data)
        assert reason(tmp_path / "a.png") == "too_large"


def test_thousands_of_frames_are_counted_not_decoded(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (100, 20, 20), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.gif").read_bytes()
    start = 13 + 3 * 256  # header and palette
    (tmp_path / "a.gif").write_bytes(data[:start] + data[start:-1] * 50 + b";")
    loads = []
    load = Image.core.gif_decoder if hasattr(Image.core, "gif_decoder") else None
    monkeypatch.setattr(Image.core, "gif_decoder", lambda *values: loads.append(1) or load(*values))
    pixels, facts = read(tmp_path / "a.gif")
    assert facts["num_frames"] == 5000
    assert len(loads) == 1
    np.testing.assert_array_equal(pixels[..., 0], noise[0])


def test_a_file_of_absurd_length_is_not_read(tmp_path, monkeypatch):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(decode.MAX_BYTES + 1)  # takes no disk
    monkeypatch.setattr(decode.archives, "read_bytes", lambda path: pytest.fail("read"))
    assert reason(tmp_path / "a.png") == "too_large"


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 90, 95, 100])
def test_jpeg_quality_is_read_from_the_tables(tmp_path, quality):
    for mode in ("RGB", "L"):
        portrait().convert(mode).save(tmp_path / "a.jpg", quality=quality)
        assert read(tmp_path / "a.jpg")[1]["jpeg_quality"] == quality
    portrait().save(tmp_path / "a.png")
    assert "jpeg_quality" not in read(tmp_path / "a.png")[1]


def test_any_bytes_give_a_picture_or_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    known = {"truncated", "not_an_image", "too_large", "too_small", "too_narrow"}
    path = tmp_path / "a"
    sources = []
    for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
        buffer = io.BytesIO()
        portrait().save(buffer, format=name)
        sources.append(buffer.getvalue())
    outcomes = set()
    for source in sources * 25:
        data = bytearray(source)
        for place in rng.integers(0, min(len(data), 400), rng.integers(1, 12)):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            pixels = decode.decode(decode.read(path), {})
            outcomes.add("picture")
            assert pixels.shape[2] == 4
        except decode.Unusable as problem:
            outcomes.add(str(problem))
    assert outcomes <= known | {"picture"}
    assert len(outcomes) > 2


def natural(width, height):
    """Edges, slopes and noise in colour."""
    rng = np.random.default_rng(width)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x // 7 + y // 5) % 2 * 200], axis=-1)
    return Image.fromarray((pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True, "comment": b"a"}]
)
def test_plain_jpegs_are_decoded_as_by_pillow(tmp_path, mode, options, monkeypatch):
    monkeypatch.setattr(decode, "_decode_any", lambda data, facts: pytest.fail("not plain"))
    for width, height in [(178, 218), (33, 17), (120, 121)]:
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            for quality in (5, 50, 75, 90):
                given = options | {"quality": quality, "subsampling": subsampling}
                natural(width, height).convert(mode).save(tmp_path / "a.jpg", **given)
                expected = Image.open(tmp_path / "a.jpg").convert("RGB")
                pixels, facts = read(tmp_path / "a.jpg")
                np.testing.assert_array_equal(pixels, expected)
                assert (facts["format"], facts["mode"], facts["num_frames"]) == ("JPEG", mode, 1)
                assert facts["jpeg_quality"] == quality


def test_jpegs_that_are_not_plain_are_left_to_pillow(tmp_path, monkeypatch):
    taken = []
    decode_any = decode._decode_any
    monkeypatch.setattr(decode, "_decode_any", lambda *given: taken.append(1) or decode_any(*given))
    exif = Image.Exif()
    exif[0x0112] = 3
    options = [{"exif": exif}, {"icc_profile": wide_profile()}, {"xmp": b"<x/>"}, {}]
    for given in options:
        natural(40, 50).save(tmp_path / "a.jpg", **given)
        read(tmp_path / "a.jpg")
    assert len(taken) == 3
    # A marker in the pixels of a comment or of a table is none.
    natural(40, 50).save(tmp_path / "a.jpg", comment=b"\xff\xda\xff\xe1", exif=exif)
    assert read(tmp_path / "a.jpg")[1]["format"] == "JPEG"
    assert len(taken) == 4
    natural(40, 50).convert("CMYK").save(tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg")[1]["mode"] == "CMYK"
    assert len(taken) == 5
