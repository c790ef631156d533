"""Digests of our commands' code: what a stage is made of; facekit/digests/ finds it.

python -m evenface.digest "stylegan2 train"    # what a command is made of
"""

import atexit
import contextlib
import functools
import hashlib
import json
import sys
from pathlib import Path

from facekit.digests.parts import ROOT, Chosen, Code
from facekit.errors import DataError
from facekit.storage import files

PACKAGES = ("facekit", "facedata", "stylegan2", "classifiers", "evenface")
# Of the folder that is worked in; beside what Snakemake notes itself, and gone with it.
KEPT = Path(".snakemake", "evenface-digests.json")


@functools.cache
def code_at(root: Path = ROOT) -> Code:
    """Return the code of our packages below a folder, as it is when it is first looked at."""
    return Code(root, PACKAGES)


def code_digest(command: str, chosen: Chosen | None = None) -> str:
    """Return 12 hex digits of all that a command is made of; files are read once a process.

    Args:
        command: such as `facedata split`, a function of `facedata/cli.py`.
        chosen: by kind of registry the names that the command is asked for, such as
            {"adapter": "avatars"}; of other registries all members count.

    Raises:
        ValueError: no such command.
    """
    return _kept_of(code_at()).digest(command, chosen)


class Kept:
    """Digests of some code; those that an earlier process found count while no byte differs.

    To find them all takes a second, to read the files that they depend on a fiftieth of it.
    """

    def __init__(self, code: Code, path: Path = KEPT) -> None:
        """Take code, and a file that digests are kept in where its folder is there."""
        self.code, self.path = code, path.absolute()
        self.state = state_of(code.root)
        self.digests: dict[str, str] = {}
        self._is_to_write = False
        with contextlib.suppress(DataError, OSError, KeyError, TypeError):  # none, or damaged
            found = files.read_json(self.path)
            if found["state"] == self.state:
                self.digests = dict(found["digests"])

    def digest(self, command: str, chosen: Chosen | None = None) -> str:
        """Return the digest of a command; see `code_digest`."""
        names = {
            kind: [names] if isinstance(names, str) else sorted(names)
            for kind, names in (chosen or {}).items()
        }
        key = json.dumps([command, names], sort_keys=True)
        if key not in self.digests:
            self.digests[key] = self.code.digest(command, chosen)
            if not self._is_to_write:
                self._is_to_write = True
                atexit.register(self.write)
        return self.digests[key]

    def write(self) -> None:
        """Keep the digests for other processes, unless the code was edited since."""
        if self.path.parent.is_dir() and state_of(self.code.root) == self.state:
            with contextlib.suppress(DataError):  # on a disk that is full or read-only: no loss
                files.write_json({"state": self.state, "digests": self.digests}, self.path)


_kept_of = functools.cache(Kept)


def state_of(root: Path) -> str:
    """Return a digest of all files of our packages below a folder, and of this Python."""
    digest = hashlib.blake2b(sys.version.encode(), digest_size=16)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if "__pycache__" not in path.parts and path.is_file():
                data = path.read_bytes()
                digest.update(f"{path.relative_to(root).as_posix()}\n{len(data)}\n".encode())
                digest.update(data)
    return digest.hexdigest()


def main() -> None:
    """Print what a command is made of."""
    for part in sorted(code_at().parts(sys.argv[1])):
        print(part.kind, part.module, part.name)


if __name__ == "__main__":
    main()
