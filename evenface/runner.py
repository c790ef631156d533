"""The command that runs the pipeline: Snakemake, told where our Snakefile and profile lie."""

import contextlib
import itertools
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil

from evenface import nearby
from evenface.places import DEMO_CONFIG, OWN_CONFIG, PROFILE, PROFILES, SNAKEFILE
from evenface.settings import check_given, read_config
from facekit.errors import DataError
from facekit.storage import locks

OWN_SNAKEFILE = ("-s", "--snakefile")
WORKFLOW_PROFILE = "--workflow-profile"
OWN_PROFILE = ("--profile", WORKFLOW_PROFILE)
CORES = ("-c", "--cores", "-j", "--jobs", "--executor", "-e")
CONFIG_FILES = ("--configfile", "--configfiles")
CONFIG = ("--config", "-C")
DIRECTORY = ("--directory", "-d")
OF_INIT = ("--quick", "--standard", "--thorough")  # budgets, which a config is written for
YAML = (".yaml", ".yml")
LOOKS = (
    *("--dry-run", "--dryrun", "--unlock", "--lint", "--help", "-h", "--version", "-v"),
    *("--summary", "-S", "--detailed-summary", "-D", "--dag", "--rulegraph", "--filegraph"),
    *("--list-rules", "--list", "-l", "--list-target-rules", "--list-input-changes", "--report"),
    *("--list-code-changes", "--list-params-changes", "--archive", "--cleanup-metadata"),
)
# Snakemake, which answers a wrong command line by a line in place of all its options.
SNAKEMAKE = """
import argparse, sys
def error(parser, message):
    parser.exit(2, f"error: {message}; `snakemake --help` lists all options\\n")
argparse.ArgumentParser.error = error
sys.argv[0] = "snakemake"
from snakemake.cli import main
main()
"""
NEEDS_NONE = ("--help", "-h", "--version", "-v")
DRY = re.compile(r"-[A-Za-z]*n[A-Za-z]*", re.ASCII)  # -n among other letters
SNAKEMAKE_LOCKS = Path(".snakemake", "locks")

log = logging.getLogger(__name__)


def run(arguments: Sequence[str] = ()) -> int:
    """Run the pipeline in the current folder; return Snakemake's exit code, 0 where all is made.

    Args:
        arguments: for Snakemake, such as `["-n", "--configfile", "mine.yaml"]`; see `with_config`.

    Where a run was killed, what it had locked is unlocked; one that lives is told of.

    Raises:
        DataError: a config is not there or cannot be read, a setting is named as Snakemake does
            not take it, nothing can be written here, or another run works on the same results.
    """
    arguments = with_config(arguments)
    check(arguments)
    # The rules' commands are those of this environment, also where it is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    start = partial(subprocess.run, env=env)
    if only_looks(arguments):
        return start(command(arguments)).returncode
    folder = Path(next(_words_of(arguments, DIRECTORY), "."))
    results, locked = folder / "results", folder / SNAKEMAKE_LOCKS
    was_held = (results / locks.NAME).exists()
    lock = locks.take(results)
    if any(locked.glob("*")):
        if lock is not None and was_held:
            log.warning("%s: the run that locked this folder was killed; unlocking", folder)
            start(command(["--unlock", *arguments]), stderr=subprocess.DEVNULL)
        else:
            log.warning(
                "%s: locked by a `snakemake` that was not started by `evenface run`; where none"
                " works here, on no machine, `evenface run --unlock` unlocks it", folder,
            )  # fmt: skip
    if lock is None:
        return start(command(arguments)).returncode
    # Snakemake holds the lock, too: it goes on when this process alone is killed.
    with lock:
        code = _wait_for(subprocess.Popen(command(arguments), env=env, pass_fds=[lock.fileno()]))
        if not any(locked.glob("*")):
            (results / locks.NAME).unlink(missing_ok=True)
    return code


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of Snakemake; told to stop, tell it and its jobs, and wait for them.

    Ctrl-C reaches all of them from the terminal; SIGTERM, which comes here alone, is passed on.
    """

    def stop(number: int, frame: object) -> None:
        log.warning("stopping: jobs that run save where they are, and go on from there next time")
        if number == signal.SIGTERM:
            for one in _with_children(process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_children(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started, and they in turn."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def with_config(arguments: Sequence[str]) -> list[str]:
    """Return arguments with the config that they begin with, or that lies here, as Snakemake's.

    Configs may stand first, or behind -n alone: `mine.yaml -n` and `-n mine.yaml` are
    `-n --configfile mine.yaml`. Where no config and no other Snakefile is said, evenface.yaml of
    the current folder is taken, and a line says so.

    Raises:
        DataError: configs stand first and behind --configfile; none is said, and others lie here.
    """
    words = list(arguments)
    first = list(itertools.takewhile(lambda one: _is_config(one) or DRY.fullmatch(one), words))
    given = [one for one in first if _is_config(one)]
    rest = [one for one in first if not _is_config(one)] + words[len(first) :]
    says = _says(rest, CONFIG_FILES)
    if given and says:
        raise DataError(f"{given[0]}: stands first, and --configfile is said, too; name all there")
    if given:
        return [*rest, "--configfile", *given]
    if says or _says(rest, (*OWN_SNAKEFILE, *NEEDS_NONE)):
        return rest
    found = configs_or_own(())
    if not found and not any(one.startswith("dataset=") for one in _words_of(rest, CONFIG)):
        check_named(Path(), "run")
    return [*rest, "--configfile", *map(str, found)] if found else rest


def _is_config(word: str) -> bool:
    return word.lower().endswith(YAML)


def configs_or_own(paths: Sequence[Path]) -> Sequence[Path]:
    """Return configs that are said, else evenface.yaml of the current folder, and say so."""
    if paths or not OWN_CONFIG.is_file():
        return paths
    log.warning("%s is taken, which lies here; --configfile names another", OWN_CONFIG)
    return [OWN_CONFIG]


def check_named(folder: Path, command: str) -> None:
    """Check that the demo is not run by oversight: where a config is named, this is not called.

    Args:
        folder: that the command is started in.
        command: its name, for the message.

    Raises:
        DataError: configs of other data sets lie there, and no results of the demo.
    """
    demo = read_config(DEMO_CONFIG)["dataset"]
    found = [(path, name) for path, name in nearby.configs(folder) if name != demo]
    if found and not (folder / "results" / demo).exists():
        configs = nearby.named([f"{path} ({name})" for path, name in found])
        raise DataError(
            f"no config is named, and here are configs: {configs}; name one, as in `evenface"
            f" {command} {shlex.quote(str(found[0][0]))}`; --config dataset={demo} takes the demo"
        )


def only_looks(arguments: Sequence[str]) -> bool:
    """Tell whether a run makes nothing: a dry run, a list, a graph, help."""
    return _says(arguments, LOOKS) or any(DRY.fullmatch(one) for one in arguments)


def command(arguments: Sequence[str]) -> list[str]:
    """Return Snakemake's command line for a run in the current folder.

    Args:
        arguments: for Snakemake; what they say wins.
    """
    found = [sys.executable, "-c", SNAKEMAKE]
    if not _says(arguments, OWN_SNAKEFILE):
        found += ["--snakefile", str(SNAKEFILE)]
    if not _says(arguments, OWN_PROFILE):
        found += ["--workflow-profile", str(PROFILE)]
    if not _says(arguments, CORES):
        found += ["--cores", "all"]
    return [*found, *_with_profile(arguments)]


def _with_profile(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which the name of one of our profiles, such as slurm, is its folder."""
    sign = f"{WORKFLOW_PROFILE}="
    found = [
        word
        for one in arguments
        for word in ([WORKFLOW_PROFILE, one[len(sign) :]] if one.startswith(sign) else [one])
    ]
    ours = {path.name: str(path) for path in PROFILES.iterdir()}
    for place, before in enumerate(found[:-1], start=1):
        if before == WORKFLOW_PROFILE and not Path(found[place]).exists():
            found[place] = ours.get(found[place], found[place])
    return found


def check(arguments: Sequence[str]) -> None:
    """Check the configs, settings and budgets of a command line, of which Snakemake says less.

    Raises:
        DataError: one line: what was found, and what to write.
    """
    for word in arguments:
        if word in OF_INIT:
            raise DataError(
                f"{word}: a run has the budget of its config; `evenface init PHOTOS {word}` writes"
                " one"
            )
    paths = [Path(word) for word in _words_of(arguments, CONFIG_FILES)]
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"{path}: no such config; --configfile takes all words behind it, so stages and"
                " files that are to be made stand before it"
            )
    given = list(_words_of(arguments, CONFIG))
    for word in given:
        key, sign, value = word.partition("=")
        if sign and "." in key:
            for part in reversed(key.split(".")[1:]):
                value = f"{{{part}: {value}}}"
            raise DataError(
                f"{word}: a setting of a section is given as --config '{key.split('.')[0]}={value}'"
            )
    check_given(paths, given)


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
