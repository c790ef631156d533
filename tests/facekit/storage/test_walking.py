"""The walker: what is taken of folders and archives, what is not, and how that is told."""

import os
import unicodedata
import zipfile

import pytest
from layouts import picture, write, write_zip

from facekit.errors import DataError
from facekit.pictures import decode
from facekit.storage import archives, walking
from facekit.storage.walking import Files

HIDDEN = [
    ".ipynb_checkpoints/1.png",
    "red/.git/2.png",
    "red/@eaDir/3.png",
    "__MACOSX/red/._4.png",
    "red/._5.png",
    "$RECYCLE.BIN/6.png",
    ".Trash-1000/files/7.png",
    "red/Thumbs.db",
]
HIDDEN_TOLD = sorted(
    {"$RECYCLE.BIN", ".Trash-1000", ".ipynb_checkpoints", "__MACOSX"}
    | {"red/.git", "red/@eaDir", "red/._5.png"}
)


@pytest.fixture(params=["folder", "archive"])
def source(request, tmp_path):
    """Return a function that lays files out, and gives them and their top."""

    def lay(names):
        if request.param == "archive":
            write_zip(tmp_path / "d.zip", {name: picture(k) for k, name in enumerate(names)})
            return Files(tmp_path), "d.zip"
        for number, name in enumerate(names):
            write(tmp_path / "d" / name, picture(number))
        return Files(tmp_path), "d"

    return lay


def test_hidden_and_system_names_are_passed_over_and_told(source):
    files, top = source(["red/1.png", "blue/2.png", *HIDDEN])
    assert files.images(top) == [f"{top}/blue/2.png", f"{top}/red/1.png"]
    assert files.folders(top) == ["blue", "red"]
    assert files.passed_over == {"hidden or system": [f"{top}/{name}" for name in HIDDEN_TOLD]}
    assert walking.told(files.passed_over).startswith(f"7 hidden or system ({top}/$RECYCLE.BIN, ")


def test_a_hidden_file_that_is_asked_for_is_there(source):
    files, top = source([".faces/1.png"])
    assert files.is_file(f"{top}/.faces/1.png")
    assert files.images(f"{top}/.faces") == [f"{top}/.faces/1.png"]


def test_links_are_followed_but_not_round_and_round(tmp_path):
    write(tmp_path / "away/black/1.png")
    write(tmp_path / "away/black/deep/2.png")
    (tmp_path / "d/red").mkdir(parents=True)
    (tmp_path / "d/black").symlink_to(tmp_path / "away/black")
    (tmp_path / "d/red/more").symlink_to("../../away/black/deep")
    (tmp_path / "d/red/3.png").symlink_to(tmp_path / "away/black/1.png")
    (tmp_path / "d/up").symlink_to("..")
    (tmp_path / "d/self").symlink_to(".")
    (tmp_path / "away/black/back").symlink_to(tmp_path / "d")
    (tmp_path / "d/gone.png").symlink_to("nowhere.png")
    (tmp_path / "d/round.png").symlink_to("round.png")
    files = Files(tmp_path / "d")
    assert files.images("") == ["black/1.png", "black/deep/2.png", "red/3.png", "red/more/2.png"]
    assert files.passed_over == {
        "linked in circles": ["black/back", "round.png", "self", "up"],
        "linked to nothing": ["gone.png"],
    }


def test_links_among_many_folders_end(tmp_path):
    for one in range(5):
        write(tmp_path / f"{one}/x.png")
    for one in range(5):
        for other in range(5):
            if one != other:
                (tmp_path / f"{one}/to{other}").symlink_to(tmp_path / f"{other}")
    images = Files(tmp_path).images("")
    assert len(images) == len(set(images))
    assert max(path.count("to") for path in images) == walking.MAX_LINKS


def test_names_of_any_bytes_are_written_and_read(tmp_path):
    write(tmp_path / os.fsdecode(b"caf\xe9/1\xff.png"), picture(0))
    files = Files(tmp_path)
    (path,) = files.images("")
    assert path == r"caf\udce9/1\udcff.png"
    assert path.encode()
    assert decode.read(files.path(path)) == picture(0)
    assert archives.stamp(files.path(path))[0] == len(picture(0))
    assert files.is_file(path)


@pytest.mark.parametrize("there", ["NFC", "NFD"])
def test_names_are_found_in_another_unicode_form(source, there):
    name = unicodedata.normalize(there, "ren\xe9e/\xe0.png")
    files, top = source([name, "x.png"])
    for form in ("NFC", "NFD"):
        assert files.find(f"{top}/{unicodedata.normalize(form, name)}") == f"{top}/{name}"
    assert files.find(f"{top}/renee/a.png") is None
    assert files.find(f"{top}/x.png") == f"{top}/x.png"


def test_the_very_name_comes_before_one_in_another_form(tmp_path):
    names = [unicodedata.normalize(form, "\xe9.png") for form in ("NFC", "NFD")]
    for name in names:
        write(tmp_path / name)
    assert [Files(tmp_path).find(name) for name in names] == names


def test_archives_made_elsewhere_have_names_as_others_have(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("red\\1.png", "./red/2.png", "/etc/3.png", "../4.png", "caf\xe9.png"):
            file.writestr(name, b"12")
    # Without the flag for UTF-8, as `zip` writes on a Mac.
    data = bytearray((tmp_path / "a.zip").read_bytes())
    place = data.rindex("caf\xe9.png".encode()) - 46 + 8
    assert data[place : place + 2] == b"\0\x08"
    data[place : place + 2] = b"\0\0"
    (tmp_path / "a.zip").write_bytes(data)
    files = Files(tmp_path)
    assert files.images("a.zip") == ["a.zip/caf\xe9.png", "a.zip/red/1.png", "a.zip/red/2.png"]
    assert files.passed_over == {
        "named out of their archive": ["a.zip/../4.png", "a.zip//etc/3.png"]
    }
    for path in files.images("a.zip"):
        assert archives.read_bytes(files.path(path)) == b"12"


def test_members_that_cannot_be_read_are_told_with_why(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("1.png", picture(0))
        file.writestr("2.png", picture(0), zipfile.ZIP_LZMA)
        file.writestr("3.png", picture(0), zipfile.ZIP_BZIP2)
        file.writestr("4.png", picture(0))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"4.png") - 46 + 8] |= 1  # the flag of encryption
    path.write_bytes(data)
    files = Files(tmp_path)
    assert files.images("a.zip") == ["a.zip/1.png"]
    assert files.passed_over == {
        "compressed by LZMA, expected Deflate": ["a.zip/2.png"],
        "compressed by bzip2, expected Deflate": ["a.zip/3.png"],
        "encrypted": ["a.zip/4.png"],
    }
    with pytest.raises(OSError, match=r"'4\.png' is encrypted"):
        archives.read_bytes(path / "4.png")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "it is a 7z archive; unpack it, or make it a .zip"),
        (b"Rar!\x1a\x07\1\0", "it is a RAR archive; unpack it"),
        (bytes(257) + b"ustar\0", "it is a tar archive; unpack it"),
        (b"\x1f\x8b\x08", "it is a gzip file"),
        (b"<html><body>Quota exceeded", "it is a web page: the download failed"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "it is a pointer of Git LFS; fetch the file by",
        ),
        (b"", "it is an empty file"),
        (b"PK\3\4" + bytes(100), "its end is missing or damaged .* copy or download it again"),
    ],
)
def test_what_is_no_zip_archive_is_called_what_it_is(tmp_path, data, message):
    write(tmp_path / "a.zip", data)
    with pytest.raises(DataError, match=rf"a\.zip: not a readable ZIP archive \({message}"):
        Files(tmp_path).images("a.zip")


def test_damaged_archives_are_told_in_words(tmp_path):
    """Whatever bytes change, there is a DataError, an OSError, or the members that are left."""
    write_zip(tmp_path / "a.zip", {f"{k}/\xe9{k}.png": bytes(20) for k in range(4)})
    data = (tmp_path / "a.zip").read_bytes()
    for place in range(0, len(data), 3):
        for value in (0, 0x7F, 0xFF):
            path = tmp_path / f"{place}-{value}.zip"
            path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            files = Files(tmp_path)
            try:
                for image in files.images(path.name):
                    archives.read_bytes(files.path(image))
            except (DataError, OSError) as error:
                assert str(error)
            path.unlink()


def test_closed_folders_and_archives_that_nobody_looks_into_are_told(tmp_path, monkeypatch):
    write(tmp_path / "d/shut/1.png")
    write(tmp_path / "d/more.tar.gz")
    write_zip(tmp_path / "d/used.zip", {"2.png": b""})
    write_zip(tmp_path / "d/unused.zip", {"3.png": b""})
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files = Files(tmp_path / "d")
    assert files.images("") == []
    assert files.images("used.zip") == ["used.zip/2.png"]
    assert files.passed_over == {
        "archives not looked into": ["more.tar.gz", "unused.zip"],
        "not to be opened": ["shut"],
    }


def test_pipes_and_devices_are_told_and_never_opened(tmp_path):
    write(tmp_path / "red/1.png", picture(0))
    os.mkfifo(tmp_path / "red/pipe.png")
    os.mkfifo(tmp_path / "red/pipe")  # a name that says nothing would be looked into
    (tmp_path / "red/zero.png").symlink_to("/dev/zero")
    (tmp_path / "red/gone.png").symlink_to(tmp_path / "nowhere")
    found = Files(tmp_path)
    assert found.images("") == ["red/1.png"]
    assert found.passed_over == {
        walking.NOWHERE: ["red/gone.png"],
        walking.SPECIAL: ["red/pipe", "red/pipe.png", "red/zero.png"],
    }
