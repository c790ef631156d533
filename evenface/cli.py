"""Command line of the product: a whole run from anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import click

from facekit import commands


@click.group(cls=commands.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Tell whether synthetic faces of rare classes make a classifier better, and by how much."""


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SNAKEMAKE OPTIONS]")
def run(arguments: tuple[str, ...]) -> None:
    """Run the whole pipeline in this folder: results go to ./results, inputs are in ./resources.

    It is Snakemake with the pipeline's own Snakefile and profile; all its options work. What is not
    said has these values: all cores, one job at a time on the GPU.

    \b
    evenface run -n
    evenface run --configfile mine.yaml --config seed=1
    """
    from evenface import runner

    # The rules' commands are those of this environment, also where it is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(runner.command(arguments), env={**os.environ, "PATH": path})
    sys.exit(done.returncode)


@main.command()
@click.argument("key", required=False, default="")
@click.option(
    "--configfile",
    "paths",
    type=commands.IN_FILE,
    multiple=True,
    help="Config that is laid over the demo's; several are laid over each other in this order.",
)
def settings(key: str, paths: tuple[Path, ...]) -> None:
    """Print what a config comes to, and where each value is from.

    \b
    evenface settings gan --configfile config/aaf.yaml
    evenface settings classify.augment.flip
    """
    from evenface import listing

    for line in listing.lines(paths, key):
        click.echo(line)


if __name__ == "__main__":
    main()
