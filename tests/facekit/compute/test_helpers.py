import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facekit.compute import helpers
from facekit.errors import DataError

SHOW = """
import os
from facekit.compute import helpers
store = helpers.meet()
places = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")]
(store.parent / f"places-{places[0]}").write_text(" ".join([*places, str(store)]))
"""
STAY = """
import time
from facekit.compute import helpers
helpers.meet()
print("busy", flush=True)
time.sleep(60)
"""
FAIL = "print('first'); print('no such file'); print(); raise SystemExit(3)"
# Starts a helper, prints its number, and waits to be killed.
FIRST = f"""
import sys
import time
from facekit.compute import helpers
with helpers.started([sys.executable, "-c", {STAY!r}], 2) as own:
    print(own._processes[1].pid, flush=True)
    time.sleep(60)
"""


def program(text):
    return [sys.executable, "-c", text]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_helpers_are_told_of_each_other_as_torchrun_tells_it():
    with helpers.started(program(SHOW), 3) as own:
        store = own.folder / helpers.STORE
        own.wait()
        found = [(own.folder / f"places-{rank}").read_text() for rank in (1, 2)]
    assert found == [f"1 1 3 {store}", f"2 2 3 {store}"]
    assert not own.folder.exists()


def test_a_helper_that_fails_before_it_is_ready_is_told_in_one_line():
    with pytest.raises(DataError) as caught, helpers.started(program(FAIL), 2):
        pytest.fail("goes on without its helper")
    message = str(caught.value)
    assert "process 1 of 2 ended with exit code 3; it said last: no such file." in message
    assert "\n" not in message


def test_a_killed_helper_is_told_where_the_connection_to_it_is_lost():
    expected = pytest.raises(DataError, match=r"process 1 of 2 was killed by signal 9.*: busy\.")
    with expected, helpers.started(program(STAY), 2) as own:
        assert wait_for(lambda: (own.folder / "output-1").read_text())
        os.kill(own._processes[1].pid, signal.SIGKILL)
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")


def test_another_error_ends_the_helpers_and_stays_what_it_is():
    expected = pytest.raises(RuntimeError, match="of another kind")
    with expected, helpers.started(program(STAY), 2) as own:
        raise RuntimeError("of another kind")
    assert not is_alive(own._processes[1].pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_helper_ends_with_the_process_that_started_it(number):
    first = subprocess.Popen(program(FIRST), stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    pid = int(first.stdout.readline())
    assert is_alive(pid)
    first.send_signal(number)
    first.wait()
    assert wait_for(lambda: not is_alive(pid))
