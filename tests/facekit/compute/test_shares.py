import os
import time

import pytest

from facekit.compute import shares
from facekit.compute.shares import Share


def fake_thread(folder, name, waited):
    (folder / name).mkdir()
    (folder / name / "schedstat").write_text(f"900000000 {waited} 7\n")


def test_a_share_is_that_of_the_time_since_the_last_look(tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "TASKS", tmp_path)
    clock = {"wall": 100.0, "cpu": 10.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["wall"])
    monkeypatch.setattr(time, "process_time", lambda: clock["cpu"])
    fake_thread(tmp_path, "1", waited=2_000_000_000)
    share = Share()
    clock.update(wall=104.0, cpu=15.0)  # five seconds of computing in four: two threads
    fake_thread(tmp_path, "2", waited=3_000_000_000)  # a new one, kept waiting for three
    assert share.take() == pytest.approx((1.25, 0.75))
    clock.update(wall=106.0)
    (tmp_path / "2" / "schedstat").unlink()
    assert share.take() == (0, 0)  # not told any more


def test_where_the_system_does_not_tell_nothing_was_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(shares, "TASKS", tmp_path / "none")
    assert Share().take()[1] == 0


@pytest.mark.skipif(not shares.TASKS.exists(), reason="no /proc")
def test_two_processes_on_one_core_wait_for_each_other():
    """A child computes on the core of this process, which is then kept waiting."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    child = os.fork()
    if child == 0:
        while True:
            pass
    try:
        share = Share()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        ran, waited = share.take()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.sched_setaffinity(0, before)
    assert ran < 0.9 and waited > 0.1
    assert ran + waited == pytest.approx(1, abs=0.2)
