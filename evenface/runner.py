"""The command that runs the pipeline: Snakemake, told where our Snakefile and profile lie."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from evenface.places import PROFILE, SNAKEFILE

OWN_SNAKEFILE = ("-s", "--snakefile")
OWN_PROFILE = ("--profile", "--workflow-profile")
CORES = ("-c", "--cores", "-j", "--jobs", "--executor", "-e")


def run(arguments: Sequence[str] = ()) -> int:
    """Run the pipeline in the current folder; return Snakemake's exit code, 0 where all is made.

    Args:
        arguments: for Snakemake, such as `["-n", "--configfile", "mine.yaml"]`.
    """
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


def _says(arguments: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether one of the options is among the arguments, also as `--cores=2` or `-c2`."""
    return any(
        one == name
        or one.startswith(f"{name}=")
        or (len(name) == 2 and one.startswith(name) and not one.startswith("--"))
        for one in arguments
        for name in names
    )
