"""Files inside ZIP archives, read where they lie: `faces.zip/0/1.png` is the member `0/1.png`.

Nothing is unpacked: there is no second copy on the disk, and no name in an archive can lead
anywhere. Archives are opened once a process, and reading does not move a shared position in the
file, so that processes that were forked may read the same one.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from functools import lru_cache

from facekit.errors import DataError

SUFFIX = re.compile(r"\.zip/", re.IGNORECASE)
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of extra fields
ENTRY = [("offset", "u8"), ("packed", "u8"), ("size", "u8"), ("crc", "u4"), ("kind", "u1")]
STORED, DEFLATED, UNREADABLE = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 255


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
        with zipfile.ZipFile(self.file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
        self.rows = {info.filename: row for row, info in enumerate(infos)}
        self.entries = np.fromiter(map(_entry, infos), dtype=np.dtype(ENTRY), count=len(infos))

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
            raise OSError(f"{self.path}: {name!r} is encrypted or compressed by an unusual method")
        header = os.pread(self.file.fileno(), LOCAL_HEADER.size, offset)
        if header[:4] != b"PK\3\4" or len(header) < LOCAL_HEADER.size:
            raise OSError(f"{self.path}: {name!r} is not where the archive says")
        _, name_length, extra_length = LOCAL_HEADER.unpack(header)
        start = offset + LOCAL_HEADER.size + name_length + extra_length
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
    is_readable = info.compress_type in (STORED, DEFLATED) and not info.flag_bits & 1
    kind = info.compress_type if is_readable else UNREADABLE
    return info.header_offset, info.compress_size, info.file_size, info.CRC, kind


def names(path: str | os.PathLike) -> list[str]:
    """Return the names of the files in an archive, in its order.

    Raises:
        DataError: no such file, or no ZIP archive.
    """
    path = os.fspath(path)
    try:
        found = os.stat(path)  # noqa: PTH116  text, as all paths here
        return list(_open(path, found.st_mtime_ns, found.st_size).rows)
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
    path = os.fspath(path)
    archive, name = _find(path)
    if archive is not None:
        num_bytes = archive.size(name)
        return None if num_bytes is None else (num_bytes, archive.changed)
    try:
        found = os.stat(path)  # noqa: PTH116  text, as all paths here
    except (OSError, ValueError):  # also a name that no system allows
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return the bytes of a file or of a member of an archive.

    Raises:
        OSError: it cannot be read; FileNotFoundError if there is none.
    """
    path = os.fspath(path)
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
