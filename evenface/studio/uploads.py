"""Photographs that the page sends: held in a folder of this process, each until it was asked of."""

import secrets
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path

from facekit.errors import DataError

MAX_BYTES = 60_000_000  # of one
MAX_HELD = 4  # the oldest goes first


class Uploads:
    """Photographs by keys that are made up here; a name from outside is never a path."""

    def __init__(self) -> None:
        """Make the folder; it goes with the process."""
        self._folder = tempfile.TemporaryDirectory(prefix="evenface-studio-")
        self._held: list[str] = []

    async def put(self, parts: AsyncIterable[bytes]) -> str:
        """Keep a photograph and return its key.

        Raises:
            DataError: it is too large.
        """
        key = secrets.token_hex(16)
        path = Path(self._folder.name) / key
        self._held.append(key)
        while len(self._held) > MAX_HELD:
            (Path(self._folder.name) / self._held.pop(0)).unlink(missing_ok=True)
        with path.open("wb") as file:
            async for part in parts:
                if file.tell() + len(part) > MAX_BYTES:
                    path.unlink()
                    raise DataError(f"expected a photograph of at most {MAX_BYTES // 10**6} MB")
                file.write(part)
        return key

    def take(self, key: str, name: str) -> Path:
        """Return where a photograph lies.

        Raises:
            DataError: it was not taken in, or is not held any more.
        """
        path = Path(self._folder.name) / key
        if key not in self._held or not path.is_file():
            raise DataError(
                f"{name}: not taken; one photograph of at most {MAX_BYTES // 10**6} MB is expected"
            )
        return path
