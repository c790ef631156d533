"""Snakemake's own time: nothing to do, a plan of many jobs, and `--help` of each command.

    python benchmarks/snakemake_time.py
    python benchmarks/snakemake_time.py --against FOLDER

Outputs of all jobs are empty files in a temporary folder, noted by `snakemake --touch` as if they
had been made. FOLDER is another state of this repository (`git worktree add`), timed in turn with
this one. Seconds are of processors: other work on the machine hardly changes them.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click

from evenface.digest import PACKAGES
from facekit import commands
from facekit.paths import IN_DIR

ROOT = Path(__file__).parents[1]
ARMS = [
    *("real", "weighted_sampler", "weighted_loss", "focal", "ldam", "logit_adjust", "crt"),
    *("copy@1.0", "synth@0.5", "synth@1.0"),
]
LARGE = ("--config", "rounds=3", f"seeds={[*range(5)]}", f"arms={ARMS}")
SIZE = f"3 rounds × {len(ARMS)} arms × 5 seeds"


def seconds(words: Sequence[str], root: Path, folder: Path) -> tuple[float, str]:
    """Return the processors' seconds of a command with the packages of a clone, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise click.ClickException(f"{' '.join(words)}\n{done.stderr[-4000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, done.stdout + done.stderr


class Clone:
    """A clone of the repository, and folders in which its pipeline has run or has not."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder

    def snakemake(self, name: str, *words: str) -> tuple[float, str]:
        """Run Snakemake in a folder of that name; return its seconds and what it said."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        given = ["--configfile", str(self.root / "config/test.yaml"), "--cores", "1"]
        given += ["--snakefile", str(self.root / "Snakefile")]
        return seconds([sys.executable, "-m", "snakemake", *given, *words], self.root, folder)

    def make(self, name: str, *words: str) -> None:
        """Make all files of a run, empty, and have Snakemake take them for made."""
        _, said = self.snakemake(name, "--summary", *words)
        for line in said.splitlines():
            path = self.folder / name / line.partition("\t")[0]
            if line.startswith("results/"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        self.snakemake(name, "--touch", "--quiet", "all", *words)

    def nothing(self, name: str, *words: str) -> float:
        """Return the seconds of a run that has nothing to do."""
        used, said = self.snakemake(name, *words)
        assert "Nothing to be done" in said, said
        return used

    def plan(self, *words: str) -> float:
        """Return the seconds of a dry run of everything."""
        used, said = self.snakemake("fresh", "-n", *words)
        assert "rule page" in said, said
        return used

    def help_of(self, package: str, command: str) -> float:
        """Return the seconds of a command's help."""
        start = f"from {package}.cli import main; main()"
        words = [sys.executable, "-c", start, command, "--help"]
        return seconds(words, self.root, self.folder)[0]


def commands_of(package: str) -> list[str]:
    """Return the names of a package's commands; none where it has no program."""
    is_program = (ROOT / package / "cli.py").is_file()
    return [*import_module(f"{package}.cli").main.commands] if is_program else []


@click.command()
@click.option("--against", type=IN_DIR, default=None, help="Another state of the repository.")
@commands.value("--turns", commands.AtLeast(1), "Runs of each; medians are shown.", 3)
def main(against: Path | None, turns: int) -> None:
    """Print a table of processors' seconds."""
    helps = [(package, name) for package in PACKAGES for name in commands_of(package)]
    with tempfile.TemporaryDirectory() as folder:
        roots = [ROOT] if against is None else [against.resolve(), ROOT]
        clones = [Clone(root, Path(folder, str(number))) for number, root in enumerate(roots)]
        for clone in clones:
            clone.make("small")
            clone.make("large", *LARGE)
        what: dict[str, Callable[[Clone], float]] = {
            "config/test.yaml, nothing to do": lambda clone: clone.nothing("small"),
            f"{SIZE}, nothing to do": lambda clone: clone.nothing("large", *LARGE),
            f"{SIZE}, all planned (`-n`)": lambda clone: clone.plan(*LARGE),
            "`--help` that takes longest": lambda clone: max(clone.help_of(*one) for one in helps),
        }
        click.echo(f"| CPU s | {'before | now | ratio' if against else 'now'} |")
        click.echo("| --- |" + " ---: |" * (3 if against else 1))
        for name, measure in what.items():
            found = [[measure(clone) for clone in clones] for _ in range(turns)]
            medians = [statistics.median(one) for one in zip(*found, strict=True)]
            cells = [f"{one:.2f}" for one in medians]
            if against:
                cells.append(f"{medians[1] / medians[0]:.2f}")
            click.echo(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
