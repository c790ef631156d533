import os
import subprocess
import sys

import pytest

from facekit.compute import waiting

# A command group as each package has one, of one command that shows what torch was loaded with.
PROGRAM = """
import os
import sys
from facekit import commands
assert "torch" not in sys.modules

@commands.group
def main():
    pass

@main.command()
def show():
    assert "torch" not in sys.modules
    print(*(os.environ.get(name, "-") for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")))

main(["show"])
"""


def policy(**environment):
    kept = {key: x for key, x in os.environ.items() if key not in waiting.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_command_has_threads_that_wait_leave_the_core_unless_it_is_said_otherwise():
    assert policy() == f"- {waiting.SPINS}"
    assert policy(OMP_WAIT_POLICY="active") == "active -"


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_nothing_is_set_where_the_environment_says_how_long_threads_spin(name, monkeypatch):
    for each in waiting.VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "1000")
    waiting.yield_cores()
    assert {each for each in waiting.VARIABLES if each in os.environ} == {name}


@pytest.mark.parametrize("package", ["facedata", "stylegan2", "classifiers", "evenface"])
def test_the_commands_of_every_package_go_through_it(package):
    from facekit import commands

    module = __import__(f"{package}.cli", fromlist=["main"])
    assert isinstance(module.main, commands.Group)
