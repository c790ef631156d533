"""`stylegan2 train` on a CPU, in processes that it starts itself."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from gan_runs import CPU, SMALL, TRAIN, make_pack, write_pack

from facekit.errors import DataError
from stylegan2.models import checkpoint, presets
from stylegan2.options import TrainOptions
from stylegan2.train import session

PROGRAM = [sys.executable, "-c", "from stylegan2.cli import main; main()"]
LONG = {"kimg": 80, "tick-kimg": 0.016}  # until it is stopped


def command(folder, **changes):
    """Return a run of 4 iterations in 2 rounds of 4 images; by itself in 2 processes."""
    values = {**TRAIN, "data": folder / "train.npy", "device": "cpu", "batch-gpu": 4, "threads": 2}
    values |= {"ada-kimg": 0.1} | changes
    return [*PROGRAM, "train", *(str(x) for key, x in values.items() for x in (f"--{key}", x))]


def environment():
    root = Path(__file__).parents[3]
    return {**os.environ, "PYTHONPATH": str(root)}


def train(folder, *words, **changes):
    done = subprocess.run(
        [*command(folder, **changes), *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def begin(folder, **changes):
    """Start a run, and return it after its first state and with the number of its helper."""
    process = subprocess.Popen(
        command(folder, **LONG, **changes), env=environment(), stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 200
    while not list(changes["outdir"].glob("state-*")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, [int(pid) for pid in children]


def are_gone(pids):
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def figures(outdir):
    return [json.loads(line) for line in (outdir / "stats.jsonl").read_text().splitlines()]


def assert_same_to_rounding(one, other):
    name = "network-final.safetensors"
    found, expected = (checkpoint.load_generator(x / name)[0].state_dict() for x in (one, other))
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-3, msg=key)
    for line, wanted in zip(figures(one), figures(other), strict=True):
        assert set(line) == set(wanted)
        for key in wanted:
            if key.startswith(("Loss/", "Progress/")):
                assert line[key]["num"] == wanted[key]["num"], key
                assert line[key]["mean"] == pytest.approx(wanted[key]["mean"], rel=1e-3, abs=1e-3)


def test_by_itself_a_run_takes_two_processes_and_gives_what_one_gives(tmp_path):
    write_pack(tmp_path)
    told = train(tmp_path, outdir=tmp_path / "two")
    assert "on cpu with 2 processes of 1 thread in float32" in told
    assert told.count("tick 1  kimg") == 1  # the first one speaks alone
    assert train(tmp_path, outdir=tmp_path / "one", threads=1).count("with 1 thread in") == 1
    assert_same_to_rounding(tmp_path / "two", tmp_path / "one")
    assert figures(tmp_path / "two")[0]["Resources/cores"]["num"] == 2  # each says what it had
    # Finished is finished, whatever the number of processes.
    again = train(tmp_path, outdir=tmp_path / "two", processes=1)
    assert "this run is finished" in again


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_stopped_run_leaves_no_process_and_goes_on_with_another_number(tmp_path):
    write_pack(tmp_path)
    outdir = tmp_path / "gan"
    process, helper = begin(tmp_path, outdir=outdir)
    assert len(helper) == 1
    process.send_signal(signal.SIGTERM)  # to the first alone, as a scheduler does
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and are_gone(helper)
    assert told.splitlines()[-1] == "error: stopped by the user"
    assert "Traceback" not in told
    stopped = float(re.search(r"stopped at ([\d.]+) kimg", told).group(1))
    kimg = stopped + 0.016
    told = train(tmp_path, "--allow-changes", outdir=outdir, kimg=kimg, processes=1)
    changed = [line for line in told.splitlines() if "changed since" in line]
    assert len(changed) == 1 and "kimg was" in changed[0]  # nothing of processes or rounds
    assert f"going on from {outdir}/state-" in told


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
@pytest.mark.parametrize("which", ["helper", "first"])
def test_a_killed_process_ends_the_run_and_its_state_is_kept(tmp_path, which):
    write_pack(tmp_path)
    outdir = tmp_path / "gan"
    process, helper = begin(tmp_path, outdir=outdir)
    os.kill(helper[0] if which == "helper" else process.pid, signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert are_gone(helper)
    if which == "helper":
        assert process.returncode == 1 and "Traceback" not in told
        assert told.splitlines()[-1].startswith("error: process 1 of 2 was killed by signal 9")
    assert list(outdir.glob("state-*"))


def number(threads, device=CPU, folder=Path("none"), **given):
    options = TrainOptions(**{**SMALL, "batch": 32, **given})
    return session.num_processes(make_pack(), options, 0, folder, device, threads)


def test_as_many_processes_as_share_the_rounds_equally():
    assert number(threads=2) == 2 and number(threads=1) == 1 and number(threads=8) == 2
    assert number(threads=8, batch_gpu=4) == 8 and number(threads=7, batch_gpu=4) == 4
    assert number(threads=8, batch_gpu=4, processes=3) == 2
    assert number(threads=2, processes=8) == 2 and number(threads=2, processes=1) == 1
    assert number(threads=2, batch_gpu=32) == 1
    assert number(threads=2, device=torch.device("cuda")) == 1


def test_processes_of_torchrun_are_counted_and_none_is_started(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert number(threads=1) == 4


@pytest.mark.parametrize(
    ("name", "given", "size"),
    [
        ("cifar", {}, 32),  # of 64
        ("cifar", {"batch": 32}, 16),
        ("cifar", {"batch": 16}, 16),  # rounds of 8 would take longer
        ("cifar", {"batch": 33}, 33),
        ("cifar", {"batch": 16, "batch_gpu": 16}, 16),
        ("auto", {}, 16),  # of 32
        ("paper256", {}, 8),
    ],
)
def test_a_batch_goes_in_two_rounds_on_a_cpu_where_nothing_is_said(name, given, size):
    assert presets.resolve(name, 32, num_rounds=2, **given)[0].batch_gpu == size


def test_the_plan_is_the_same_for_any_number_of_processes():
    plans = [
        session.make_plan(make_pack(), TrainOptions(batch=32, processes=n), 0, CPU)[0]
        for n in ("auto", 1, 2)
    ]
    assert plans[0].preset == plans[1].preset == plans[2].preset
    assert plans[0].options.effective() == plans[2].options.effective()
    with pytest.raises(DataError, match="not a multiple"):
        presets.resolve("cifar", 32, num_rounds=2, batch=16, batch_gpu=5)
