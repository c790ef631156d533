"""stylegan2 pack: folders and archives become packs and come back; what is odd is told before."""

import io
import json
import logging
import os
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from gan_runs import make_pack
from PIL import Image

from facedata.packs import storage
from facekit.errors import DataError
from facekit.pictures import decode
from stylegan2 import cli
from stylegan2.exchange import folders


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """So few files are not worth a second one."""
    monkeypatch.setattr(folders.workers, "num_cores", lambda: 1)


def invoke(*words):
    return CliRunner().invoke(cli.main, ["pack", *map(str, words)])


def run(*words):
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result.stderr


def refused(*words):
    result = invoke(*words)
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def picture(width=16, height=16, seed=0, mode="RGB"):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, [height, width, 3], dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def png(image):
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def write(root, members, is_zip):
    """Write a source: a folder, or an archive, of bytes or pictures by name."""
    if is_zip:
        with zipfile.ZipFile(root.with_suffix(".zip"), "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data if isinstance(data, bytes) else png(data))
        return root.with_suffix(".zip")
    for name, data in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data if isinstance(data, bytes) else png(data))
    return root


def labels(*pairs, **more):
    return json.dumps({"labels": [list(pair) for pair in pairs] or None, **more}).encode()


# Packs and archives.


def test_a_pack_comes_back_from_its_archive(tmp_path):
    pack = make_pack()
    names = pack.attributes, pack.classes, pack.content_box
    storage.write_pack(tmp_path / "a.npy", pack.images, pack.table, *names)
    run("--source", tmp_path / "a.npy", "--dest", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("dataset.json"))["labels"][4] == [
            "00000/img00000004.png",
            1,
        ]
    run("--source", tmp_path / "a.zip", "--dest", tmp_path / "b.npy", "--attribute", "hair")
    again = storage.read_pack(tmp_path / "b.npy")
    np.testing.assert_array_equal(again.images, pack.images)
    assert again.labels.tolist() == pack.labels.tolist()
    assert (again.attributes, again.classes, again.content_box) == names
    assert again.table["hair"].astype(str).tolist() == pack.table["hair"].astype(str).tolist()
    assert (tmp_path / "b.run.json").exists() and not (tmp_path / "b.left_out.csv").exists()
    run("--source", tmp_path / "b.npy", "--dest", tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()


def test_class_numbers_are_kept_also_of_classes_without_images(tmp_path):
    source = write(
        tmp_path / "faces",
        {
            "a.png": picture(),
            "b.png": picture(seed=1),
            "dataset.json": labels(("a.png", 4), ("b.png", 1)),
        },
        True,
    )
    log = run("--source", source, "--dest", tmp_path / "x.npy")
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.labels.tolist() == [4, 1]
    assert pack.class_names == ["class0", "class1", "class2", "class3", "class4"]
    assert "classes (dataset.json): 0 class0, 1 class1, 0 class2, 0 class3, 1 class4" in log


@pytest.mark.parametrize("is_zip", [False, True])
def test_folders_are_classes_if_told_so(tmp_path, is_zip):
    members = {
        "red/x/1.png": picture(seed=1),
        "black/2.png": picture(seed=2),
        "red/3.png": picture(),
    }
    source = write(tmp_path / "faces", members, is_zip)
    words = ["--source", source, "--labels", "folders", "--attribute", "hair"]
    log = run(*words, "--dest", tmp_path / "x.npy")
    assert "classes (folders): 1 black, 2 red" in log
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.table["image_id"].tolist() == ["black/2.png", "red/3.png", "red/x/1.png"]
    assert pack.labels.tolist() == [0, 1, 1] and pack.attributes == ["hair"]
    np.testing.assert_array_equal(pack.images[2], np.asarray(members["red/x/1.png"]))
    # Straight to an archive.
    run(*words, "--dest", tmp_path / "x.zip")
    run("--source", tmp_path / "x.npy", "--dest", tmp_path / "y.zip")
    assert (tmp_path / "x.zip").read_bytes() == (tmp_path / "y.zip").read_bytes()
    # Without being told, there are no classes.
    log = run("--source", source, "--dest", tmp_path / "z.npy")
    assert "classes: none" in log and storage.read_pack(tmp_path / "z.npy").classes == []


# Odd pictures.


def test_every_kind_of_picture_becomes_upright_rgb(tmp_path):
    transparent = picture(seed=4, mode="RGBA")
    transparent.putalpha(Image.fromarray(np.full([16, 16], 0, np.uint8)))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.new("RGB", [32, 16])
    lying.paste((250, 0, 0), [0, 0, 16, 16])
    lying.save(turned, "PNG", exif=exif)  # upright 16 x 32, red above
    members = {
        "1gray.png": picture(mode="L"),
        "2palette.png": picture(mode="P"),
        "3rgba.png": transparent,
        "4wide.png": picture(32, 16),
        "5turned.png": turned.getvalue(),
        "6large.png": picture(64, 64),
        "7small.png": picture(8, 8),
        "8plain.png": picture(seed=7),
        "notes.txt": b"no picture",
    }
    source = write(tmp_path / "faces", members, False)
    error = refused("--source", source, "--dest", tmp_path / "x.npy")
    assert "4 of 16x16" in error and "say which by --resolution" in error
    log = run("--source", source, "--dest", tmp_path / "x.npy", "--resolution", 16)
    assert "8 images: 8 PNG" in log
    for text in (
        "1 L (gray, become RGB)",
        "1 P (palette, become RGB)",
        "1 RGBA (alpha, over white)",
    ):
        assert text in log
    assert "-> 16x16 px; 1 enlarged, 2 not square, padded with black" in log
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.images.shape == (8, 16, 16, 3)
    gray, palette, white, wide, upright, _, _, plain = pack.images
    assert (gray == np.asarray(members["1gray.png"])[:, :, None]).all()
    np.testing.assert_array_equal(palette, np.asarray(members["2palette.png"].convert("RGB")))
    assert (white == 255).all()
    assert (wide[:4] == 0).all() and (wide[12:] == 0).all() and wide[4:12].min(axis=(0, 1)).all()
    assert (upright[:, :4] == 0).all() and upright[:6, 4:12, 0].min() > 200
    assert upright[10:].max() < 50
    np.testing.assert_array_equal(plain, np.asarray(members["8plain.png"]))
    assert pack.content_box == (0, 0, 16, 16)  # of most

    run("--source", source, "--dest", tmp_path / "y.npy", "--resolution", 16, "--fit", "crop")
    cut = storage.read_pack(tmp_path / "y.npy").images[4]
    assert cut[:6, :, 0].min() > 200 and cut[10:].max() < 50


def test_padding_is_remembered(tmp_path):
    members = {f"{i}.png": picture(24, 32, i) for i in range(3)}
    source = write(tmp_path / "faces", members, True)
    run("--source", source, "--dest", tmp_path / "x.npy", "--resolution", 16)
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.content_box == (2, 0, 14, 16)
    assert (pack.images[:, :, :2] == 0).all() and (pack.images[:, :, 14:] == 0).all()


@pytest.mark.parametrize("is_zip", [False, True])
def test_unusable_files_are_named_before_anything_is_written(tmp_path, is_zip):
    data = png(picture(64, 64))
    members = {
        "a/good.png": picture(64, 64),
        "a/cut.png": data[: len(data) // 2],  # its header is whole
        "a/empty.jpg": b"",
        "a/text.png": b"text",
        "a/tiny.png": picture(7, 7),
    }
    source = write(tmp_path / "faces", members, is_zip)
    dest = tmp_path / "x.npy"
    error = refused("--source", source, "--dest", dest)
    for text in ("a/empty.jpg: empty_file", "a/text.png: not_an_image", "a/tiny.png: too_small"):
        assert text in error
    assert "3 (" in error and "of 5 files cannot be used" in error and "--skip" in error
    assert not list(tmp_path.glob("x.*"))

    # One that is found when decoding.
    whole = {name: members[name] for name in ("a/good.png", "a/cut.png")}
    error = refused("--source", write(tmp_path / "cut", whole, is_zip), "--dest", dest)
    assert "a/cut.png: truncated" in error and not list(tmp_path.glob("x.*"))

    run("--source", source, "--dest", dest, "--skip")
    assert storage.read_pack(dest).table["image_id"].tolist() == ["a/good.png"]
    rows = (tmp_path / "x.left_out.csv").read_text().splitlines()
    assert rows[0] == "image_id,reason,detail" and len(rows) == 5
    assert "a/cut.png,truncated," in rows


def test_nothing_usable_is_an_error_also_when_skipping(tmp_path):
    source = write(tmp_path / "faces", {"a.png": b"text"}, False)
    for words in ([], ["--skip"], ["--skip", "--resolution", 16]):
        error = refused("--source", source, "--dest", tmp_path / "x.npy", *words)
        assert "no usable image: 1 (a.png: not_an_image)" in error


# Odd labels.


def test_partial_labels_are_told_and_left_out(tmp_path):
    members = {f"{i}.png": picture(seed=i) for i in range(4)}
    members["dataset.json"] = labels(
        ("0.png", 1), ("2.png", 0), ("gone.png", 1), classes=["x", "y"]
    )
    source = write(tmp_path / "faces", members, True)
    log = run("--source", source, "--dest", tmp_path / "x.npy")
    assert "left out, images without a label: 2 (1.png, 3.png)" in log
    assert "left out, labels without their image: 1 (gone.png)" in log
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.table["image_id"].tolist() == ["0.png", "2.png"]
    assert pack.labels.tolist() == [1, 0] and pack.class_names == ["x", "y"]
    rows = (tmp_path / "x.left_out.csv").read_text()
    assert all(name in rows for name in ("1.png,", "3.png,", "gone.png,"))
    run("--source", source, "--dest", tmp_path / "all.npy", "--labels", "none")
    assert len(storage.read_pack(tmp_path / "all.npy").images) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "not readable as JSON"),
        (b'{"labels": [["0.png", 1], ["0.png", 2]]}', "expected another file"),
        (b'{"labels": [["0.png", 0.5]]}', "expected a class number"),
        (b'{"labels": [["1.png", 0]]}', "none of 1 labels is of an image that is there"),
    ],
)
def test_broken_labels_name_their_file(tmp_path, text, message):
    source = write(tmp_path / "faces", {"0.png": picture(), "dataset.json": text}, False)
    error = refused("--source", source, "--dest", tmp_path / "x.npy")
    assert "dataset.json" in error and message in error


def test_images_outside_folders_have_no_class(tmp_path):
    source = write(tmp_path / "faces", {"a/0.png": picture(), "1.png": picture()}, False)
    error = refused("--source", source, "--dest", tmp_path / "x.npy", "--labels", "folders")
    assert "1.png lies in no folder" in error


# Words.


def test_a_dry_run_tells_and_writes_nothing(tmp_path):
    source = write(tmp_path / "faces", {"a.png": picture()}, False)
    log = run("--source", source, "--dest", tmp_path / "out" / "x.npy", "--dry-run")
    assert "1 images: 1 PNG" in log and "colours: all RGB" in log
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_wrong_words_are_refused(tmp_path):
    pack = make_pack()
    storage.write_pack(
        tmp_path / "a.npy", pack.images, pack.table, ["hair"], pack.classes, (0, 0, 16, 16)
    )
    source = write(tmp_path / "faces", {"a.png": picture(24, 24)}, False)
    dest = tmp_path / "x.npy"
    for words, text in [
        (["--source", source, "--dest", tmp_path / "x.tar"], "expected a pack (.npy), or a .zip"),
        (["--source", tmp_path / "a.npy", "--dest", dest], "expected a pack (.npy), or a .zip"),
        (
            ["--source", tmp_path / "a.npy", "--dest", tmp_path / "x.zip", "--resolution", 8],
            "keeps",
        ),
        (["--source", source, "--dest", dest], "1 of 24x24 px; networks make squares"),
        (["--source", tmp_path / "a.json", "--dest", dest], "not a readable ZIP archive"),
    ]:
        assert text in refused(*words)
    for words, text in [
        (["--attribute", "row"], "'--attribute': a pack has a column row; take another name"),
        (["--resolution", 24], "'--resolution': 24: networks make squares of 8, 16, 32"),
    ]:
        result = invoke("--source", source, "--dest", dest, *words)
        assert result.exit_code == 2 and text in result.stderr
    (tmp_path / "empty").mkdir()
    assert "no images" in refused("--source", tmp_path / "empty", "--dest", dest)


def test_headers_are_what_decoding_finds(caplog):
    caplog.set_level(logging.WARNING)
    lying = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(40, 20).save(lying, "JPEG", exif=exif)
    for data in (png(picture(40, 20)), lying.getvalue(), png(picture(20, 30, mode="P"))):
        facts = {}
        decode.decode(data, facts)
        found = decode.header(data)
        assert found == {name: facts[name] for name in found}
        assert set(found) == {"width", "height", "format", "mode"}
    with pytest.raises(decode.Unusable, match="too_small"):
        decode.header(png(picture(8, 8)))
    assert decode.header(png(picture(8, 8)), 8)["width"] == 8


# What is not packed, and is told.


def test_the_last_line_counts_what_is_left_out(tmp_path):
    members = {
        "red/1.png": picture(),
        "red/.ipynb_checkpoints/1.png": picture(),
        "__MACOSX/red/._1.png": b"\0\5\x16\7",
        "blond/2.png": b"no picture",
    }
    source = write(tmp_path / "faces", members, is_zip=True)
    with zipfile.ZipFile(source, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("black/3.png", png(picture()))
        archive.writestr("labels.csv", "file,hair", zipfile.ZIP_STORED)
    log = run("--source", source, "--labels", "folders", "--skip", "--dest", tmp_path / "x.npy")
    assert log.splitlines()[-1].endswith(
        "x.npy: 1 images packed; left out: 1 compressed by LZMA, expected Deflate, 2 hidden or"
        " system, 1 not_an_image; not read: labels.csv"
    )
    assert storage.read_pack(tmp_path / "x.npy").class_names == ["blond", "red"]
    assert (
        "passed over: 1 compressed by LZMA, expected Deflate (faces.zip/black/3.png), 2 hid" in log
    )


def test_linked_classes_are_packed(tmp_path):
    away = write(tmp_path / "away", {"black/1.png": picture(), "blond/2.png": picture()}, False)
    source = write(tmp_path / "faces", {"red/3.png": picture()}, is_zip=False)
    for name in ("black", "blond"):
        (source / name).symlink_to(away / name)
    run("--source", source, "--labels", "folders", "--dest", tmp_path / "x.npy")
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.class_names == ["black", "blond", "red"] and pack.labels.tolist() == [0, 1, 2]


def test_names_that_are_no_utf_8_are_packed_with_escapes(tmp_path):
    source = write(tmp_path / "faces", {"red/1.png": picture(seed=1)}, is_zip=False)
    (source / "red/1.png").rename(source / "red" / os.fsdecode(b"caf\xe9.png"))
    run("--source", source, "--labels", "folders", "--dest", tmp_path / "x.npy")
    pack = storage.read_pack(tmp_path / "x.npy")
    assert pack.table["image_id"].tolist() == [r"red/caf\udce9.png"]
    np.testing.assert_array_equal(pack.images[0], np.asarray(picture(seed=1)))


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["1.png", "2.png", "3.png"]])
def test_an_archive_that_is_mostly_not_read_is_refused_with_why(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for name in names:
            archive.writestr(name, png(picture()))
        if len(names) > 2:
            archive.writestr("4.png", png(picture()), zipfile.ZIP_STORED)
    line = refused("--source", tmp_path / "faces.zip", "--dest", tmp_path / "x.npy")
    assert f"{len(names)} compressed by bzip2, expected Deflate (faces.zip/1.png, " in line
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize("suffix", [".zip", ".npz", ".npy"])
def test_an_archive_is_no_pack(tmp_path, suffix):
    path = tmp_path / f"d{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", png(picture()))
    expected = rf"d\{suffix}: an archive, not a pack .*`stylegan2 pack --source .* --dest .*d\.npy`"
    with pytest.raises(DataError, match=expected):
        storage.read_pack(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="a Parquet table, expected an array"):
        storage.read_pack(path)
