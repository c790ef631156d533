"""One decode of every image: facts, hashes, packed thumbnails, and files of every odd kind."""

import io
import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms, ImageFilter
from scipy.fft import dctn

from facedata import inspect, packed, tables
from facedata.cli import main
from facedata.errors import DataError
from facedata.geometry import Geometry, fit_image

DIRTY = Path(__file__).parents[2] / "shared/data/aaf_dirty"
GAN = Geometry(32, 32, "pad")
SIZES = {"gan": GAN, "classifier": Geometry(48, 40, "crop")}


def portrait(seed=0, width=40, height=52):
    """A smooth colour picture without any symmetry."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 226, (7, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def decode(path):
    facts = {}
    picture = inspect.decode(path, facts)
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int), facts


def reason(path):
    with pytest.raises(inspect.Unusable) as raised:
        inspect.decode(path, {})
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
    pixels, facts = decode(tmp_path / name)
    assert np.abs(pixels - np.asarray(portrait())).mean() < 8
    assert (facts["width"], facts["height"], facts["num_frames"]) == (40, 52, 1)


def test_wrong_suffix_is_no_problem(tmp_path):
    portrait().save(tmp_path / "a.jpg", format="PNG")
    pixels, facts = decode(tmp_path / "a.jpg")
    np.testing.assert_array_equal(pixels, portrait())
    assert facts["format"] == "PNG"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = portrait() if orientation == 1 else portrait().transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=98)
    pixels, facts = decode(tmp_path / "a.jpg")
    assert (facts["width"], facts["height"]) == (40, 52)
    assert np.abs(pixels - np.asarray(portrait())).mean() < 3


def test_broken_exif_is_ignored(tmp_path):
    portrait().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\x9c" * 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels, _ = decode(tmp_path / "a.jpg")
    assert pixels.shape == (52, 40, 3)


def test_gray_and_palette_become_rgb(tmp_path):
    for mode in ("1", "L", "P"):
        portrait().convert(mode).save(tmp_path / f"{mode}.png")
        pixels, facts = decode(tmp_path / f"{mode}.png")
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
    pixels, _ = decode(tmp_path / "a.png")
    opaque = np.asarray(portrait().convert(mode).convert("RGB")).astype(int)
    assert (pixels[:10] == 255).all()
    np.testing.assert_array_equal(pixels[10:40], opaque[10:40])
    np.testing.assert_allclose(pixels[40:], (opaque[40:] + 255) / 2, atol=1.5)


def test_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.new("P", (20, 20), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.paste(1, (0, 0, 20, 10))
    image.save(tmp_path / "a.gif", transparency=0)
    pixels, _ = decode(tmp_path / "a.gif")
    assert pixels[5, 5].tolist() == [0, 200, 0]
    assert pixels[15, 5].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    gray = np.asarray(portrait().convert("L"))
    write_png_16(tmp_path / "gray.png", gray.astype(np.uint16) * 257)
    pixels, facts = decode(tmp_path / "gray.png")
    np.testing.assert_array_equal(pixels, np.repeat(gray[:, :, None], 3, axis=2))
    assert facts["mode"] == "I;16"
    write_png_16(tmp_path / "rgb.png", np.asarray(portrait()).astype(np.uint16) * 257)
    pixels, _ = decode(tmp_path / "rgb.png")
    np.testing.assert_array_equal(pixels, portrait())
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "gray.tif")
    pixels, _ = decode(tmp_path / "gray.tif")
    np.testing.assert_array_equal(pixels[:, :, 0], gray)


@pytest.mark.parametrize(("dtype", "scale"), [(np.int32, 257), (np.float32, 1 / 255)])
def test_other_deep_pictures_are_scaled(tmp_path, dtype, scale):
    gray = np.asarray(portrait().convert("L")).copy()
    gray[0, 0] = 255
    Image.fromarray((gray * float(scale)).astype(dtype)).save(tmp_path / "a.tif")
    pixels, _ = decode(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels[:, :, 0], gray)


def test_cmyk_has_the_right_colours(tmp_path):
    image = Image.new("RGB", (32, 32), (200, 30, 60))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels, facts = decode(tmp_path / "a.jpg")
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
    pixels, _ = decode(tmp_path / "a.png")
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
        pixels, _ = decode(tmp_path / "a.png")
        np.testing.assert_array_equal(pixels, picture.convert("RGB"))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_animation_gives_its_first_frame(tmp_path, name):
    frames = [Image.new("RGB", (20, 20), (g, g, g)) for g in (200, 100, 0)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    pixels, facts = decode(tmp_path / name)
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
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("side", [8200, 12000, 60000])
def test_decompression_bombs_are_not_decoded(tmp_path, side, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(tmp_path / "a.png") == "too_large"


def test_any_bytes_give_a_picture_or_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    known = {"truncated", "not_an_image", "too_large", "too_small"}
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
            picture = inspect.decode(path, {})
            outcomes.add("picture")
            assert picture.mode == "RGB"
        except inspect.Unusable as problem:
            outcomes.add(str(problem))
    assert outcomes <= known | {"picture"}
    assert len(outcomes) > 2


def test_pixel_hash_is_of_pixels_not_of_bytes(tmp_path):
    hashes = []
    for name in ("a.png", "b.bmp", "c.tif"):
        portrait().save(tmp_path / name)
        hashes.append(inspect.examine(tmp_path / name, {})[0]["pixel_hash"])
    assert len(set(hashes)) == 1
    assert len(hashes[0]) == 32
    # The same bytes in another shape are another picture.
    Image.fromarray(np.asarray(portrait()).reshape(26, 80, 3)).save(tmp_path / "d.png")
    assert inspect.examine(tmp_path / "d.png", {})[0]["pixel_hash"] != hashes[0]


def hashes(gray):
    return inspect.phash(inspect.thumbnail(gray))


def distance(a, b):
    return (a ^ b).bit_count()


def test_phash_by_definition():
    gray = portrait().convert("L")
    small = np.asarray(gray.resize((32, 32), Image.Resampling.LANCZOS)).astype(float)
    waves = dctn(small, norm="ortho")[:8, :8]
    bits = "".join("1" if wave > np.median(waves) else "0" for wave in waves.flat)
    assert hashes(gray)[0] == int(bits, 2)


def test_phash_mirror_is_the_hash_of_the_mirrored_picture():
    for seed in range(20):
        gray = portrait(seed).convert("L")
        plain, mirror = hashes(gray)
        flipped = hashes(gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        assert distance(flipped[0], mirror) <= 2
        assert distance(flipped[1], plain) <= 2
        assert distance(plain, mirror) > 10


def test_phash_is_near_for_copies_and_far_for_others():
    gray = portrait(1, 120, 160).convert("L")
    base = hashes(gray)[0]
    assert distance(base, hashes(gray.resize((60, 80)))[0]) <= 4
    assert distance(base, hashes(gray.point(lambda v: v * 0.8))[0]) <= 4
    others = [hashes(portrait(seed).convert("L"))[0] for seed in range(2, 12)]
    assert min(distance(base, other) for other in others) > 12


def test_phash_of_a_flat_picture_is_its_first_bit_alone():
    for value in (1, 77, 255):
        assert hashes(Image.new("L", (50, 40), value)) == (1 << 63, 1 << 63)


def test_quality_by_hand():
    values = np.zeros((32, 32), np.uint8)
    values[:, 16:] = 255
    found = inspect.quality(Image.fromarray(values))
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["entropy"] == pytest.approx(1.0)
    # The Laplacian is 255 left and -255 right of the edge, on 32 of 1024 pixels each.
    assert found["sharpness"] == pytest.approx(255**2 * 2 / 32)
    flat = inspect.quality(Image.new("L", (20, 20), 51))
    assert flat == {"sharpness": 0, "brightness": 0.2, "contrast": 0, "entropy": 0}


def test_blur_lowers_sharpness_at_any_size():
    for side in (64, 400):
        noise = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
        sharp = Image.fromarray(noise)
        blurred = sharp.filter(ImageFilter.GaussianBlur(2))
        assert inspect.quality(blurred)["sharpness"] < 0.2 * inspect.quality(sharp)["sharpness"]


@pytest.fixture
def dataset(tmp_path):
    """80 images, of which three cannot be used; and their index."""
    root = tmp_path / "root"
    root.mkdir()
    for i in range(80):
        portrait(i).save(root / f"{i:02}.png")
    (root / "07.png").write_bytes(b"")
    (root / "40.png").write_text("text")
    (root / "79.png").unlink()
    names = [f"{i:02}.png" for i in range(80)]
    index = pd.DataFrame({"image_id": names, "path": names})
    tables.write(index, tmp_path / "index.parquet")
    return tmp_path


def run_inspect(folder, out, workers):
    geometries = {
        name: {"height": size.height, "width": size.width, "fit": size.fit}
        for name, size in SIZES.items()
    }
    arguments = ["inspect", "--index", folder / "index.parquet", "--root", folder / "root"]
    arguments += ["--geometries", json.dumps(geometries), "--workers", workers]
    arguments += ["--inspection", out / "inspection.parquet", "--images", out / "images"]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_command_packs_what_decodes_in_order(dataset):
    done = run_inspect(dataset, dataset, workers=1)
    assert done.exit_code == 0, done.output
    table = tables.read(dataset / "inspection.parquet")
    assert table["image_id"].tolist() == [f"{i:02}.png" for i in range(80)]
    assert table["problem"].dropna().to_dict() == {
        7: "empty_file",
        40: "not_an_image",
        79: "missing_file",
    }
    assert table["row"].dropna().tolist() == list(range(77))
    assert table["row"].isna().tolist() == table["problem"].notna().tolist()
    assert table["phash"].dtype == "UInt64"
    for name, size in SIZES.items():
        images = packed.read_images(dataset / "images" / f"{name}.npy")
        assert images.shape == (77, size.height, size.width, 3)
        for i, row in table["row"].dropna().items():
            expected, box = fit_image(portrait(i), size)
            np.testing.assert_array_equal(images[row], expected)
            assert tuple(table.loc[i, tables.box_columns(name)]) == box
    thumbs = packed.read_thumbs(dataset / "images" / "thumbs.npy")
    assert thumbs.shape == (77, 32, 32)
    for i, row in table["row"].dropna().items():
        gray = portrait(i).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(thumbs[row], gray)
    assert (dataset / "inspection.run.json").exists()


def test_number_of_workers_changes_nothing(dataset):
    for workers in (1, 3):
        done = run_inspect(dataset, dataset / str(workers), workers)
        assert done.exit_code == 0, done.output
    for name in (
        "inspection.parquet",
        "images/gan.npy",
        "images/classifier.npy",
        "images/thumbs.npy",
    ):
        assert (dataset / "1" / name).read_bytes() == (dataset / "3" / name).read_bytes()


def test_hashes_survive_the_table(dataset):
    run_inspect(dataset, dataset, workers=1)
    table = tables.read(dataset / "inspection.parquet")
    expected = hashes(portrait(3).convert("L"))
    assert (int(table["phash"][3]), int(table["phash_mirror"][3])) == expected


def test_each_file_is_decoded_once(dataset, monkeypatch):
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: opened.append(1) or real(*a, **k))
    run_inspect(dataset, dataset, workers=1)
    assert len(opened) == 78  # all but the empty and the missing one


def test_no_usable_image_stops_the_stage(dataset):
    index = tables.read(dataset / "index.parquet")
    with pytest.raises(DataError, match=r"none of 80 images can be used \(80 missing_file"):
        inspect.inspect(index, dataset / "elsewhere", SIZES, 1, dataset / "images")
    assert list((dataset / "images").iterdir()) == []


def test_the_name_of_the_thumbnails_is_taken(dataset):
    index = tables.read(dataset / "index.parquet")
    with pytest.raises(DataError, match="'thumbs': this name is taken"):
        inspect.inspect(index, dataset / "root", {"thumbs": GAN}, 1, dataset / "images")


@pytest.mark.skipif(not DIRTY.is_dir(), reason="data set is not here")
def test_planted_faults_are_all_found():
    truth = pd.read_csv(DIRTY / "truth.csv", dtype=str)
    truth = truth[truth["fault"].eq("broken") & truth["kind"].ne("row_without_file")]
    for file, kind, usable in truth[["file", "kind", "usable"]].itertuples(index=False):
        facts, images = inspect.examine(DIRTY / file, {"gan": GAN})
        if usable == "no":
            expected = {
                "truncated_jpeg": "truncated",
                "zero_bytes": "empty_file",
                "text_named_jpg": "not_an_image",
                "one_by_one": "too_small",
            }
            assert facts["problem"] == expected[kind]
            continue
        assert "problem" not in facts
        assert images["gan"].shape == (32, 32, 3)
        assert facts["height"] == 160  # upright
        assert 0.15 < facts["brightness"] < 0.85  # neither clipped nor dark
        assert 0.1 < facts["contrast"] < 0.4
