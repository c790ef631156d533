"""Atomic writes: a file is there whole or not at all."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facekit.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a `.part` path to write to; on success flush it to disk and rename it to `path`.

    Folders are made as needed. If the block raises, the part is removed and `path` stays as it was.
    Whatever writes the part, the file may be read by whom the umask lets: some libraries write for
    the owner alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.touch()
    mode = part.stat().st_mode
    part.unlink()
    try:
        yield part
        part.chmod(stat.S_IMODE(mode))
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None


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
