"""Copies of the project in which Snakemake runs, for tests of the whole of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from evenface.workflow import EACH

ROOT = Path(__file__).parents[1]
PARTS = (
    "Snakefile",
    "workflow",
    "config",
    "profiles",
    "facekit",
    "facedata",
    "stylegan2",
    "classifiers",
    "evenface",
)
TEST = ("--configfile", "config/test.yaml")


def copy_project(folder):
    """Copy what Snakemake reads, so that a test may edit it and leaves no results behind."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


# The environment's commands are found also where it is not activated.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = os.environ | {"PATH": PATH}
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "2")


def run(*command, cwd, check=True):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return done


def snakemake(*arguments, cwd, check=True):
    return run(*SNAKEMAKE, *arguments, cwd=cwd, check=check)


def planned(done):
    """Return the stages that a dry run would run; a stage may be several jobs of one rule."""
    lines = (done.stdout + done.stderr).splitlines()
    return {
        line.split()[1].rstrip(":").removesuffix(EACH)
        for line in lines
        if line.startswith(("rule ", "localrule ", "checkpoint "))
    }
