"""The command that runs the pipeline: Snakemake, told where our Snakefile and profile lie."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from evenface.places import PROFILE, SNAKEFILE
from evenface.settings import read_config
from facekit.errors import DataError

OWN_SNAKEFILE = ("-s", "--snakefile")
OWN_PROFILE = ("--profile", "--workflow-profile")
CORES = ("-c", "--cores", "-j", "--jobs", "--executor", "-e")
CONFIG_FILES = ("--configfile", "--configfiles")
CONFIG = ("--config", "-C")


def run(arguments: Sequence[str] = ()) -> int:
    """Run the pipeline in the current folder; return Snakemake's exit code, 0 where all is made.

    Args:
        arguments: for Snakemake, such as `["-n", "--configfile", "mine.yaml"]`.

    Raises:
        DataError: a config is not there or cannot be read, or a setting is named as Snakemake
            does not take it.
    """
    check(arguments)
    # The rules' commands are those of this environment, also where it is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(command(arguments), env={**os.environ, "PATH": path}).returncode


def command(arguments: Sequence[str]) -> list[str]:
    """Return Snakemake's command line for a run in the current folder.

    Args:
        arguments: for Snakemake; what they say wins.
    """
    found = [sys.executable, "-m", "snakemake"]
    if not _says(arguments, OWN_SNAKEFILE):
        found += ["--snakefile", str(SNAKEFILE)]
    if not _says(arguments, OWN_PROFILE):
        found += ["--workflow-profile", str(PROFILE)]
    if not _says(arguments, CORES):
        found += ["--cores", "all"]
    return [*found, *arguments]


def check(arguments: Sequence[str]) -> None:
    """Check the configs and settings of a command line, of which Snakemake would say less.

    Raises:
        DataError: one line: what was found, and what to write.
    """
    for word in _words_of(arguments, CONFIG_FILES):
        path = Path(word)
        if not path.is_file():
            raise DataError(
                f"{path}: no such config; --configfile takes all words behind it, so stages and"
                " files that are to be made stand before it"
            )
        if path.suffix != ".json":
            read_config(path)
    for word in _words_of(arguments, CONFIG):
        key, sign, value = word.partition("=")
        if sign and "." in key:
            for part in reversed(key.split(".")[1:]):
                value = f"{{{part}: {value}}}"
            raise DataError(
                f"{word}: a setting of a section is given as --config '{key.split('.')[0]}={value}'"
            )


def _words_of(arguments: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Yield the words that options of a command line take: all up to the next option."""
    is_taken = False
    for one in arguments:
        if one.startswith("-"):
            name, sign, value = one.partition("=")
            is_taken = name in names
            if is_taken and sign:
                yield value
        elif is_taken:
            yield one


def _says(arguments: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether one of the options is among the arguments, also as `--cores=2` or `-c2`."""
    return any(
        one == name
        or one.startswith(f"{name}=")
        or (len(name) == 2 and one.startswith(name) and not one.startswith("--"))
        for one in arguments
        for name in names
    )
