"""Atomic writes: a file is there whole or not at all; what goes wrong is one line that names it."""

import contextlib
import errno
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facekit.errors import DataError, WriteError

HOST = platform.node().partition(".")[0][:32] or "host"
PART = re.compile(r"(.+)\.(?:(?P<host>[^.]+)-)?(?P<pid>[0-9]{1,10})\.part", re.ASCII | re.DOTALL)
HIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)  # of writes
NOT_REPLACED: dict[str, str] = {}  # real paths of what a command reads: the option of each
LITTLE = 1 << 16  # bytes free on a disk that is full
NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a `.part` path to write to; on success flush it to disk and rename it to `path`.

    Folders are made as needed. If the block raises, the part is removed and `path` stays as it was.
    A link stays one: what it leads to is replaced. Whatever writes the part, the file may be read
    by whom the umask lets: some libraries write for the owner alone.

    Raises:
        DataError: it cannot be written: a full disk, a folder that is read-only or none, or a file
            that is `kept`.
    """
    target = Path(os.path.realpath(path))
    _check_not_kept(path)
    part = target.with_name(f"{target.name}.{HOST}-{os.getpid()}.part")
    with writing(path, part):
        if target.exists() and not target.is_file():
            raise DataError(f"{path}: cannot be written: it is a folder, a device or a pipe")
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        mode = part.stat().st_mode
        part.unlink()
    try:
        with writing(path, part):
            yield part
            part.chmod(stat.S_IMODE(mode))
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def kept(read: Mapping[str, str], outputs: Sequence[Path] = ()) -> Iterator[None]:
    """Let no file be replaced within that a command reads.

    Args:
        read: the option of each, by the file's real path.
        outputs: what is to be written.

    Raises:
        DataError: one of `outputs` is read, which is said before anything is done.
    """
    before = dict(NOT_REPLACED)
    NOT_REPLACED.update(read)
    try:
        for path in outputs:
            _check_not_kept(path)
        yield
    finally:
        NOT_REPLACED.clear()
        NOT_REPLACED.update(before)


def _check_not_kept(path: Path) -> None:
    """Check that a file is not `kept`.

    Raises:
        DataError: it is.
    """
    if (option := NOT_REPLACED.get(os.path.realpath(path))) is not None:
        raise DataError(f"{path}: that is {option}, too, and is left as it is; write elsewhere")


@contextmanager
def writing(path: Path, part: Path | None = None) -> Iterator[None]:
    """Say of what the system does not let be written within that it is `path`.

    Args:
        path: the file that is written.
        part: what is written in its place.

    Raises:
        WriteError: a full disk, a folder that is read-only or none, and the like; what goes wrong
            with other files is left as it is.
    """
    names = {os.fspath(one) for one in (path, part) if one is not None}
    names |= {os.fspath(folder) for one in names for folder in Path(one).parents}
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = _reason(error, names, part)
        if reason is None:
            raise
        raise WriteError(f"{path}: cannot be written: {reason}") from error


def _reason(error: Exception, names: set[str], part: Path | None) -> str | None:
    """Return why a file could not be written; None where it was something else that failed.

    Args:
        error: what was raised; some libraries tell the system's reason in their text alone, and
            some nowhere.
        names: of the file, its part and the folders above.
        part: the part; None where nothing is looked up.
    """
    name, code = getattr(error, "filename", None), getattr(error, "errno", None)
    if name is not None and code is not None:
        if str(name) not in names:
            return None
        return f"{name} is no folder" if code in NO_FOLDER else os.strerror(code)
    found = [one for one in HIDDEN if one == code or os.strerror(one) in str(error)]
    if not found and part is not None and isinstance(error, OSError | RuntimeError):
        with contextlib.suppress(OSError):
            state = os.statvfs(part.parent)
            found = [errno.ENOSPC] if state.f_bavail * state.f_frsize < LITTLE else []
    return os.strerror(found[0]) if found else None


def remove_left(folder: Path, stem: str = "") -> list[Path]:
    """Remove parts that processes of this machine left in a folder when they were killed.

    Args:
        folder: to look into; need not be there.
        stem: what their names begin with.

    Returns:
        What was removed.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".part"))
    except OSError:
        return []
    found = []
    for name in names:
        match = PART.fullmatch(name)
        if match is None or not name.startswith(stem) or match["host"] not in (None, HOST):
            continue
        if not is_alive(int(match["pid"])):
            Path(folder, name).unlink(missing_ok=True)
            found.append(Path(folder, name))
    return found


def named(folder: Path, names: re.Pattern[str]) -> list[Path]:
    """Return what lies in a folder under names that match whole, sorted; nothing without it."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if names.fullmatch(path.name)]


def state_folder(states: Path, name: str) -> Path:
    """Return the folder of what is done of some work; what is done of other work is removed.

    Args:
        states: folder of such folders.
        name: says what the work is, so that work of other settings has another one.
    """
    folder = states / name
    if not folder.is_dir():
        shutil.rmtree(states, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_bytes(data: bytes, path: Path) -> None:
    """Write bytes atomically."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_json(value: Any, path: Path) -> None:
    """Write JSON atomically: indented, keys in the order given, NaN refused (use None)."""
    write_text(json.dumps(value, indent=2, allow_nan=False, default=_plain) + "\n", path)


def parse_json(text: str) -> Any:
    """Return what JSON says that a person has typed.

    Raises:
        ValueError: not JSON, nan or infinite numbers, a key that is there twice, or too deep.
    """
    try:
        found = json.loads(text, object_pairs_hook=_unique)
        json.dumps(found, allow_nan=False)
    except RecursionError:
        raise ValueError("too many lists or objects within one another") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return dict(pairs)


class Facts(dict[str, Any]):
    """An object of a JSON file; that a key is not there is told with the file."""

    def __init__(self, where: object, values: Iterable[tuple[str, Any]]) -> None:
        """Take what an object says, and the file that it is of."""
        super().__init__(values)
        self._where = where

    def __missing__(self, key: str) -> Any:
        """Raise DataError: another version or another program wrote the file."""
        found = ", ".join(map(str, self)) or "nothing"
        raise DataError(f"{self._where}: no {key!r}, found {found}; make the file again")


def read_json(path: Path, kind: type = dict) -> Any:
    """Read a JSON file; its objects are `Facts`.

    Args:
        path: the file.
        kind: of what it holds, dict or list.

    Raises:
        DataError: the file is missing, is no JSON or holds something else.
    """
    try:
        return _parsed(Path(path).read_bytes(), path, kind)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None


def read_json_lines(path: Path) -> list[Facts]:
    """Read a file with a JSON object a line; a last line that is being written is left out.

    Raises:
        DataError: a line is no object.
    """
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last end of a line is none
    rows = enumerate(lines, start=1)
    return [_parsed(line, f"{path}, line {row}", dict) for row, line in rows if line.strip()]


def _parsed(text: bytes, where: object, kind: type) -> Any:
    """Return what a file of JSON says, or a line of it.

    Raises:
        DataError: it is none, or says something else.
    """
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=lambda x: Facts(where, x))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({str(error)[:200]})") from None
    if not isinstance(found, kind):
        expected = "a list" if kind is list else "an object"
        raise DataError(f"{where}: found {str(found)[:50]!r}, expected {expected}")
    return found


def _plain(value: Any) -> Any:
    """Return numpy scalars and paths as plain values for JSON."""
    import numpy as np  # not at the top: commands say their help without it

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")
