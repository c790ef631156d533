"""The command that runs the pipeline: Snakemake, told where our Snakefile and profile lie."""

import sys
from collections.abc import Sequence

from evenface.places import PROFILE, SNAKEFILE

OWN_SNAKEFILE = ("-s", "--snakefile")
OWN_PROFILE = ("--profile", "--workflow-profile")
CORES = ("-c", "--cores", "-j", "--jobs", "--executor", "-e")


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
