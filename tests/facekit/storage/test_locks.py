"""Two processes never write one folder; a lock ends with its process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from facekit.errors import DataError
from facekit.storage import locks

HOLDING = """
import sys, time
from pathlib import Path
from facekit.storage import locks
with locks.alone(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def hold(tmp_path):
    """Return a function that has another process hold a folder for some seconds."""
    started = []

    def start(folder, seconds):
        command = [sys.executable, "-c", HOLDING, str(folder), str(seconds)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=env))
        assert started[-1].stdout.readline() == b"holds\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_folder_that_is_held_is_refused_with_who_holds_it(tmp_path, hold):
    other = hold(tmp_path / "run", 60)
    message = rf"run: process {other.pid} on {locks.HOST} writes there"
    with pytest.raises(DataError, match=message), locks.alone(tmp_path / "run", wait=0):
        raise AssertionError("both write")
    with locks.alone(tmp_path / "another", wait=0):
        pass


def test_a_killed_process_holds_nothing(tmp_path, hold):
    other = hold(tmp_path, 60)
    other.send_signal(signal.SIGKILL)
    other.wait()
    with locks.alone(tmp_path, wait=0):
        assert f"process {os.getpid()} " in (tmp_path / locks.NAME).read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ends_is_waited_for(tmp_path, hold):
    hold(tmp_path, 1)
    begun = time.monotonic()
    with locks.alone(tmp_path, wait=60):
        assert time.monotonic() - begun < 50
    with locks.alone(tmp_path, wait=0):
        pass


def test_what_fails_within_holds_nothing_after(tmp_path):
    with pytest.raises(ValueError, match="within"), locks.alone(tmp_path):
        raise ValueError("within")
    assert list(tmp_path.iterdir()) == []


def test_the_other_processes_of_a_training_do_not_wait_for_the_first(tmp_path, monkeypatch, hold):
    hold(tmp_path, 60)
    monkeypatch.setenv("RANK", "1")
    with locks.alone(tmp_path, wait=0):
        pass
