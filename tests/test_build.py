"""Compiling the operators: once, also for several processes, and what happens when it fails."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from stylegan2.ops import build, native
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d

# A user's program: two calls of an operator, and which way they went.
PROGRAM = """
import logging, sys, torch
logging.basicConfig(level=logging.INFO, format="%(message)s")
from stylegan2.ops import native
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d
x, f = torch.arange(16.0).reshape(1, 1, 4, 4), setup_filter([1, 3, 3, 1])
print(float(upsample2d(x, f).sum()), native.is_used(upsample2d(x, f)))
"""
# Stands for a compiler: notes each compilation of cpu.cpp and hands out a library that was compiled
# before.
COMPILER = """#!/bin/sh
out=; previous=
for argument in "$@"; do
  [ "$previous" = -o ] && out=$argument
  previous=$argument
done
[ -z "$out" ] && { echo "c++ (GCC) 12.2.0"; exit 0; }
case "$*" in *" -c "*cpu.cpp*) echo x >> CALLS ;; esac
ACTION
"""


@pytest.fixture
def compiler(tmp_path):
    """Return a function that puts a compiler in place, and the environment that finds it."""
    calls = tmp_path / "calls"
    calls.touch()

    def make(action):
        path = tmp_path / "c++"
        path.write_text(COMPILER.replace("CALLS", str(calls)).replace("ACTION", action))
        path.chmod(0o755)
        environment = {
            **os.environ,
            "CXX": str(path),
            build.CACHE_VARIABLE: str(tmp_path / "cache"),
        }
        environment.pop(native.SWITCH_VARIABLE, None)
        return environment

    make.calls = lambda: len(calls.read_text().split())
    make.folder = tmp_path / "cache" / "operators"
    return make


def start(environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split(), err


def expected():
    with native.composed():
        x, f = torch.arange(16.0).reshape(1, 1, 4, 4), setup_filter([1, 3, 3, 1])
        return float(upsample2d(x, f).sum())


@pytest.fixture(scope="session")
def compiled():
    missing = build.recipe("cpu").missing
    if missing is not None:
        pytest.skip(missing)
    return build.library("cpu")


def test_a_failed_build_is_told_once_and_remembered(compiler):
    environment = compiler("echo 'cpu.cpp:1:1: fatal error: no such header' >&2; exit 1")
    for _ in range(2):
        (total, is_used), err = finish(start(environment))
        assert float(total) == pytest.approx(expected()) and is_used == "False"
        assert err.count("could not be compiled") == 1
        assert "fatal error: no such header" in err and "doctor --rebuild" in err
    assert compiler.calls() == 1


def test_without_a_compiler_everything_goes_on(compiler, tmp_path):
    environment = {**compiler("exit 0"), "CXX": str(tmp_path / "nothing")}
    (total, is_used), err = finish(start(environment))
    assert float(total) == pytest.approx(expected()) and is_used == "False"
    assert err.count("there is no C++ compiler") == 1
    assert not compiler.folder.exists()


def test_a_folder_that_cannot_be_written_is_named(compiler, tmp_path):
    (tmp_path / "file").touch()
    environment = {**compiler("exit 0"), build.CACHE_VARIABLE: str(tmp_path / "file")}
    (_, is_used), err = finish(start(environment))
    assert is_used == "False"
    assert str(tmp_path / "file") in err and build.CACHE_VARIABLE in err


def test_another_compiler_is_another_build(compiler, tmp_path):
    environment = compiler("exit 1")
    finish(start(environment))
    other = tmp_path / "c++"
    other.write_text(other.read_text().replace("12.2.0", "13.1.0"))
    finish(start(environment))
    assert compiler.calls() == 2


def test_two_processes_build_once(compiler, compiled):
    environment = compiler(f'sleep 2; cp {compiled} "$out"')
    both = [start(environment), start(environment)]
    for process in both:
        (total, is_used), _ = finish(process)
        assert float(total) == pytest.approx(expected()) and is_used == "True"
    assert compiler.calls() == 1
    assert not list(compiler.folder.glob("*.building-*"))


def test_a_killed_builder_holds_nobody_up(compiler, compiled):
    environment = compiler("sleep 600; exit 1")
    first = start(environment)
    while compiler.calls() == 0:
        assert first.poll() is None
        time.sleep(0.05)
    (lock,) = compiler.folder.glob("*.lock")
    compiler(f'cp {compiled} "$out"')
    second = start(environment)
    while True:  # it says that it waits
        line = second.stderr.readline()
        assert line, "ended without waiting"
        if str(lock) in line:
            break
    assert second.poll() is None
    # The builder dies; what it started is stopped only to leave nothing behind.
    children = descendants(first.pid)
    first.send_signal(signal.SIGKILL)
    (_, is_used), _ = finish(second)
    assert is_used == "True" and compiler.calls() == 2
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    first.communicate()


def descendants(pid):
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    parents = dict(map(int, line.split()) for line in found.splitlines())
    result = [pid]
    for parent in result:
        result.extend(child for child, its in parents.items() if its == parent)
    return result[1:]
