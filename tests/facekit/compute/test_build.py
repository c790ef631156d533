"""Compiling the operators: once, also for several processes, and what happens when it fails."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from facekit.compute import build
from stylegan2.ops import native
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d

CPU = native.OPERATORS["cpu"]
# A user's program: two calls of an operator, and which way they went.
PROGRAM = """
import logging, sys, torch
logging.basicConfig(level=logging.INFO, format="%(message)s")
from stylegan2.ops import native
from stylegan2.ops.upfirdn2d import setup_filter, upsample2d
x, f = torch.arange(16.0).reshape(1, 1, 4, 4), setup_filter([1, 3, 3, 1])
print(float(upsample2d(x, f).sum()), native.is_used(upsample2d(x, f)))
"""


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


def test_anew_builds_what_failed_and_what_is_there(compiler, compiled, monkeypatch):
    for name, value in compiler("exit 1").items():
        monkeypatch.setenv(name, value)
    build.recipe.cache_clear()
    try:
        for _ in range(2):
            with pytest.raises(build.BuildError, match="could not be compiled"):
                build.library(CPU)
        assert compiler.calls() == 1
        compiler(f'cp {compiled} "$out"')
        for calls in (2, 3):
            assert build.library(CPU, anew=True).read_bytes() == compiled.read_bytes()
            assert compiler.calls() == calls
        assert build.library(CPU).exists() and compiler.calls() == 3
        compiler("exit 1")
        with pytest.raises(build.BuildError):
            build.library(CPU, anew=True)
        with pytest.raises(build.BuildError):  # what is there no longer passes for its result
            build.library(CPU)
    finally:
        build.recipe.cache_clear()
