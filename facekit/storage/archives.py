"""Files inside ZIP archives, read where they lie: `faces.zip/0/1.png` is the member `0/1.png`.

Nothing is unpacked: there is no second copy on the disk, and no name in an archive can lead
anywhere. Archives are opened once a process, and reading does not move a shared position in the
file, so that processes that were forked may read the same one.

A file name of bytes that are no UTF-8 is written with escapes, which can stand in any table
(`caf\\udce9.png`); the file is found by that name, too.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from functools import lru_cache

from facekit.errors import DataError
from facekit.storage import kinds

SUFFIX = re.compile(r"\.zip/", re.IGNORECASE)
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of extra fields
ENTRY = [("offset", "u8"), ("packed", "u8"), ("size", "u8"), ("crc", "u4"), ("kind", "u1")]
STORED, DEFLATED, UNREADABLE = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 255
ENCRYPTED, IS_UTF8 = 1, 0x800  # flags of a member
AES = 99  # in the place of a compression
COMPRESSIONS = {6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz"}
ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")  # a byte that is no UTF-8


class Archive:
    """Where the members of an archive lie in its file."""

    def __init__(self, path: str, changed: int) -> None:
        """Read the directory at the archive's end; `changed` is the time of its last change (ns).

        Raises:
            OSError: the file cannot be opened.
            zipfile.BadZipFile: it is no ZIP archive.
        """
        import numpy as np  # not at the top: settings are checked without it

        self.path = path
        self.changed = changed
        self.file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115  closed with this object
        try:
            with zipfile.ZipFile(self.file) as archive:
                infos = archive.infolist()
            members = [(_name(info), info) for info in infos]
            members = [(name, info) for name, info in members if name and name[-1] != "/"]
            named = dict(members)  # of members of one name the last, as who updates archives means
            counts = Counter(name for name, _ in members) if len(named) < len(members) else {}
            self.repeated = [name for name, count in counts.items() if count > 1]
            self.rows = {name: row for row, name in enumerate(named)}
            self.problems = {name: why for name, info in named.items() if (why := _problem(info))}
            entries = map(_entry, named.values())
            self.entries = np.fromiter(entries, dtype=np.dtype(ENTRY), count=len(named))
        except OSError:
            raise
        except Exception as error:  # zipfile raises many kinds for a broken directory
            raise zipfile.BadZipFile(_why_no_archive(path, error)) from None

    def size(self, name: str) -> int | None:
        """Return the bytes of a member, as the directory states them; None if there is none."""
        row = self.rows.get(name)
        return None if row is None else int(self.entries["size"][row])

    def read(self, name: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            FileNotFoundError: there is none.
            OSError: it is damaged, encrypted or compressed by another method than deflate.
        """
        if name not in self.rows:
            raise FileNotFoundError(f"{self.path}: no file {name!r} in it")
        offset, packed, size, crc, kind = self.entries[self.rows[name]].tolist()
        if kind == UNREADABLE:
            raise OSError(f"{self.path}: {name!r} is {self.problems[name]}")
        header = os.pread(self.file.fileno(), LOCAL_HEADER.size, offset)
        if header[:4] != b"PK\3\4" or len(header) < LOCAL_HEADER.size:
            raise OSError(f"{self.path}: {name!r} is not where the archive says")
        _, name_length, extra_length = LOCAL_HEADER.unpack(header)
        start = offset + LOCAL_HEADER.size + name_length + extra_length
        if start + packed > os.fstat(self.file.fileno()).st_size:
            raise OSError(f"{self.path}: {name!r} is damaged (the archive ends before it)")
        data = os.pread(self.file.fileno(), packed, start)
        if kind == DEFLATED:
            try:
                # No more than was stated: a small member cannot fill the memory.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
            except zlib.error as error:
                raise OSError(f"{self.path}: {name!r} is damaged ({error})") from None
        if len(data) != size or zlib.crc32(data) != crc:
            raise OSError(f"{self.path}: {name!r} is damaged (its checksum differs)")
        return data


def _entry(info: zipfile.ZipInfo) -> tuple[int, int, int, int, int]:
    kind = UNREADABLE if _problem(info) else info.compress_type
    return info.header_offset, info.compress_size, info.file_size, info.CRC, kind


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name with slashes: UTF-8 also where the archive does not say so."""
    name = info.filename
    if not info.flag_bits & IS_UTF8 and not name.isascii():
        with suppress(UnicodeError):  # of a code page that nobody knows
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/").removeprefix("./")


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Return why a member cannot be read; None if it can."""
    if info.flag_bits & ENCRYPTED or info.compress_type == AES:
        return "encrypted"
    if info.compress_type in (STORED, DEFLATED):
        return None
    method = COMPRESSIONS.get(info.compress_type, f"method {info.compress_type}")
    return f"compressed by {method}, expected Deflate"


def _why_no_archive(path: str, error: Exception) -> str:
    kind = kinds.of_file(path)
    if kind == kinds.ZIP:
        return f"its end is missing or damaged ({error}); copy or download it again"
    if kind is None:
        return f"{error}"
    return f"it is {kind}; unpack it, or make it a .zip" if "archive" in kind else f"it is {kind}"


def as_written(name: str) -> str:
    """Return a name from the system as it can stand in a table."""
    return name.encode("utf-8", "backslashreplace").decode()


def on_disk(path: str) -> str:
    """Return a path as the system knows it: of bytes that are no UTF-8 where it has escapes."""
    if "\\udc" not in path or os.path.lexists(path):
        return path
    return ESCAPED.sub(lambda match: chr(0xDC00 + int(match[1], 16)), path)


def names(path: str | os.PathLike) -> list[str]:
    """Return the names of the files in an archive, in its order.

    Raises:
        DataError: no such file, or no ZIP archive.
    """
    return list(_opened(path).rows)


def problems(path: str | os.PathLike) -> dict[str, str]:
    """Return the names of the files in an archive that cannot be read, each with why.

    Raises:
        DataError: no such file, or no ZIP archive.
    """
    return _opened(path).problems


def repeated(path: str | os.PathLike) -> list[str]:
    """Return the names that several files in an archive have, of which the last one counts.

    Raises:
        DataError: no such file, or no ZIP archive.
    """
    return _opened(path).repeated


def _opened(path: str | os.PathLike) -> Archive:
    path = on_disk(os.fspath(path))
    try:
        found = os.stat(path)  # noqa: PTH116  text, as all paths here
        return _open(path, found.st_mtime_ns, found.st_size)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable ZIP archive ({error})") from None


def size(path: str | os.PathLike) -> int | None:
    """Return the bytes of a file or of a member of an archive; None if there is none.

    Raises:
        OSError: its archive cannot be read.
    """
    found = stamp(path)
    return None if found is None else found[0]


def stamp(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return the bytes of a file and when it last changed (ns); None if there is none.

    A member of an archive changes with its archive.

    Raises:
        OSError: its archive cannot be read.
    """
    path = on_disk(os.fspath(path))
    archive, name = _find(path)
    if archive is not None:
        num_bytes = archive.size(name)
        return None if num_bytes is None else (num_bytes, archive.changed)
    try:
        found = os.stat(path)  # noqa: PTH116  text, as all paths here
    except (OSError, ValueError):  # also a name that no system allows
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def stamp_or_none(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return what tells a file from what it was before, see `stamp`; None where none can be had."""
    try:
        return stamp(path)
    except OSError:
        return None


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return the bytes of a file or of a member of an archive.

    Raises:
        OSError: it cannot be read; FileNotFoundError if there is none.
    """
    path = on_disk(os.fspath(path))
    archive, name = _find(path)
    if archive is not None:
        return archive.read(name)
    with open(path, "rb") as file:  # noqa: PTH123  text, as all paths here
        return file.read()


def _find(path: str) -> tuple[Archive | None, str]:
    """Return the archive that a path leads into, and the rest of the path."""
    for match in SUFFIX.finditer(path):
        file = path[: match.end() - 1]
        try:
            found = os.stat(file)  # noqa: PTH116  text, as all paths here
        except (OSError, ValueError):
            break
        if stat.S_ISREG(found.st_mode):
            try:
                return _open(file, found.st_mtime_ns, found.st_size), path[match.end() :]
            except zipfile.BadZipFile as error:
                raise OSError(f"{file}: {error}") from None
    return None, path


@lru_cache(maxsize=256)
def _open(path: str, changed: int, num_bytes: int) -> Archive:
    """Open an archive, again only when its file has changed."""
    return Archive(path, changed)
