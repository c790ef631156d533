import os
import subprocess
import sys

import pytest

from facekit.compute import instructions, waiting

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
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "ONEDNN_MAX_CPU_ISA")
    print(*(os.environ.get(name, "-") for name in names))

main(["show"])
"""


def policy(**environment):
    ours = {*waiting.VARIABLES, instructions.VARIABLE}
    kept = {key: x for key, x in os.environ.items() if key not in ours}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_command_has_threads_that_wait_leave_the_core_unless_it_is_said_otherwise():
    assert policy() == f"- {waiting.SPINS} {instructions.BEST}"
    assert policy(OMP_WAIT_POLICY="active") == f"active - {instructions.BEST}"


def test_a_command_goes_without_amx_unless_it_is_said_otherwise():
    assert policy(ONEDNN_MAX_CPU_ISA="DEFAULT").endswith("DEFAULT")


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
