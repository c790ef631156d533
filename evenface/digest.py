"""Digests of our commands' code: what a stage is made of; facekit/digests/ finds it.

python -m evenface.digest "stylegan2 train"    # what a command is made of
"""

import functools
import sys
from pathlib import Path

from facekit.digests.parts import ROOT, Chosen, Code

PACKAGES = ("facekit", "facedata", "stylegan2", "classifiers", "evenface")


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
    return code_at().digest(command, chosen)


def main() -> None:
    """Print what a command is made of."""
    for part in sorted(code_at().parts(sys.argv[1])):
        print(part.kind, part.module, part.name)


if __name__ == "__main__":
    main()
