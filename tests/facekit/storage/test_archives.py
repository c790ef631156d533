"""Members of ZIP archives are read as files are, and damage is told from absence."""

import io
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

from facekit.errors import DataError
from facekit.pictures import decode
from facekit.storage import archives


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "faces.ZIP"
    with zipfile.ZipFile(path, "w") as file:
        file.mkdir("empty")
        file.writestr("a/stored.png", b"stored" * 100)
        file.writestr("a/packed.png", b"packed" * 100, zipfile.ZIP_DEFLATED)
        file.writestr("nothing.png", b"")
        file.writestr("unusual.png", b"unusual", zipfile.ZIP_LZMA)
    return path


def test_members_are_read_as_files(archive):
    assert archives.names(archive) == [
        "a/stored.png",
        "a/packed.png",
        "nothing.png",
        "unusual.png",
    ]
    assert archives.read_bytes(archive / "a/stored.png") == b"stored" * 100
    assert archives.read_bytes(f"{archive}/a/packed.png") == b"packed" * 100
    assert archives.read_bytes(archive / "nothing.png") == b""
    assert archives.size(archive / "a/packed.png") == 600


def test_plain_files_are_read_too(tmp_path):
    (tmp_path / "odd.zip").mkdir()  # a folder may be called so
    (tmp_path / "odd.zip/a.png").write_bytes(b"abc")
    assert archives.size(tmp_path / "odd.zip/a.png") == 3
    assert archives.read_bytes(tmp_path / "odd.zip/a.png") == b"abc"


def test_an_archive_in_a_folder_of_such_a_name(archive, tmp_path):
    (tmp_path / "more.zip").mkdir()
    archive.rename(tmp_path / "more.zip/faces.zip")
    assert archives.size(tmp_path / "more.zip/faces.zip/a/stored.png") == 600


@pytest.mark.parametrize("name", ["b.png", "a", "a/", "../faces.ZIP", "a/b\0.png", "x" * 5000])
def test_what_is_not_there_has_no_size(archive, name):
    assert archives.size(f"{archive}/{name}") is None
    assert archives.size(f"{archive.parent}/none.zip/{name}") is None
    with pytest.raises(FileNotFoundError):
        archives.read_bytes(f"{archive}/{name}")


def test_names_that_lead_out_lead_nowhere(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("../secret.png", b"member")
        file.writestr("/etc/passwd", b"member too")
    assert archives.read_bytes(f"{tmp_path}/a.zip/../secret.png") == b"member"
    assert archives.read_bytes(f"{tmp_path}/a.zip//etc/passwd") == b"member too"


def test_damage_is_no_absence(archive):
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"stored" * 3, b"STORED" * 3, 1))
    with pytest.raises(OSError, match=r"faces\.ZIP: 'a/stored.png' is damaged"):
        archives.read_bytes(archive / "a/stored.png")
    with pytest.raises(OSError, match=r"'unusual.png' is compressed by LZMA"):
        archives.read_bytes(archive / "unusual.png")


def test_a_member_is_unpacked_to_its_stated_size_at_most(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(10_000_000))
    stated = (10_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(stated, (5).to_bytes(4, "little")))
    assert archives.size(path / "a.png") == 5
    with pytest.raises(OSError, match="damaged"):
        archives.read_bytes(path / "a.png")


def test_a_changed_archive_is_read_again(archive):
    assert archives.size(archive / "new.png") is None
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("new.png", b"new")
    assert archives.read_bytes(archive / "new.png") == b"new"


def test_what_is_no_archive_says_so(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"not a ZIP archive")
    with pytest.raises(DataError, match=r"a\.zip: not a readable ZIP archive"):
        archives.names(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"b\.zip: no such file"):
        archives.names(tmp_path / "b.zip")
    with pytest.raises(OSError, match=r"a\.zip"):
        archives.size(tmp_path / "a.zip/b.png")


def test_forked_processes_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(500):
            file.writestr(f"{number}.png", os.urandom(50) + str(number).encode())
    paths = [f"{path}/{number}.png" for number in range(500)]
    expected = [archives.read_bytes(path) for path in paths]  # opened before the fork
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(archives.read_bytes, paths, chunksize=5)) == expected


def test_pictures_are_decoded_where_they_lie(archive):
    picture = Image.effect_noise((24, 20), 90).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a/face.png", file.getvalue())
    facts = {}
    found = decode.decode(decode.read(archive / "a/face.png"), facts)
    np.testing.assert_array_equal(found[..., :3], picture)
    assert facts["format"] == "PNG"
    for name, reason in {
        "a/none.png": "missing_file",
        "nothing.png": "empty_file",
        "unusual.png": "unreadable_file",
        "a/stored.png": "not_an_image",
    }.items():
        with pytest.raises(decode.Unusable, match=reason):
            decode.decode(decode.read(archive / name), {})


def test_what_cannot_be_read_has_no_stamp(archive):
    path = f"{archive}/a/packed.png"
    assert archives.stamp_or_none(path) == archives.stamp(path)
    archive.write_bytes(b"no archive at all")
    with pytest.raises(OSError, match=r"."):
        archives.stamp(path)
    assert archives.stamp_or_none(path) is None
