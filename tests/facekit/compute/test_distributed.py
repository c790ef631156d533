"""Processes that share the batches of a run follow the run of one process."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from gan_runs import CPU, make_options, make_pack

from facekit.compute import distributed
from facekit.errors import DataError
from stylegan2.models import checkpoint, presets
from stylegan2.train import loop, session

# A batch of 8 in rounds of 4: two rounds in one process, or one in each of two.
OPTIONS = {"kimg": 0.16, "batch_gpu": 4, "tick_kimg": 0.08, "ada_kimg": 0.1}
NUM_ITERATIONS = 20
SCRIPT = """
    import sys
    from pathlib import Path
    import torch
    from gan_runs import make_options, make_pack
    from facekit.compute import distributed
    from stylegan2.train import loop, session
    torch.set_num_threads(1)
    stop_at = {stop_at}
    iterate = loop.iterate
    def stopping(run):
        if run.iteration == stop_at and run.group.rank == 1:
            raise RuntimeError("a process died")
        iterate(run)
    loop.iterate = stopping
    with distributed.joined(torch.device("cpu")) as (group, device):
        options = make_options(**{options})
        session.train(make_pack(), options, Path({outdir!r}), device, group=group)
"""


def start(outdir, stop_at=-1, num=2):
    """Run two processes as torchrun does; return their exit codes and errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = SCRIPT.format(stop_at=stop_at, options=OPTIONS, outdir=str(outdir))
    processes = []
    for rank in range(num):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            **{key: str(value) for key, value in places.items()},
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(text)],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], errors


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    outdir = tmp_path_factory.mktemp("alone")
    session.train(make_pack(), make_options(**OPTIONS), outdir, CPU)
    return outdir


def assert_follows(outdir, alone):
    """Compare networks and figures with those of one process, up to rounding."""
    name = "network-final.safetensors"
    found, expected = (checkpoint.load_generator(x / name)[0] for x in (outdir, alone))
    for key, tensor in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], tensor, rtol=1e-3, atol=1e-3, msg=key)
    lines, others = (
        [json.loads(line) for line in (x / "stats.jsonl").read_text().splitlines()]
        for x in (outdir, alone)
    )
    assert len(lines) == len(others) == 2
    for line, other in zip(lines, others, strict=True):
        for key in other:
            if key.startswith(("Loss/", "Progress/")):
                assert line[key]["num"] == other[key]["num"], key
                assert line[key]["mean"] == pytest.approx(other[key]["mean"], rel=1e-3, abs=1e-3)


def test_two_processes_follow_one(alone, tmp_path):
    codes, errors = start(tmp_path)
    assert codes == [0, 0], errors
    assert_follows(tmp_path, alone)
    assert sorted(x.name for x in tmp_path.iterdir() if "tfevents" not in x.name) == sorted(
        x.name for x in alone.iterdir() if "tfevents" not in x.name
    )


def test_two_processes_go_on_where_they_were_stopped(alone, tmp_path):
    codes, _ = start(tmp_path, stop_at=13)
    assert 0 not in codes
    assert [x.name for x in tmp_path.glob("state-*")] == ["state-0000000080.safetensors"]
    codes, errors = start(tmp_path)
    assert codes == [0, 0], errors
    assert_follows(tmp_path, alone)


def test_random_numbers_depend_on_what_they_are_for():
    run = loop.Training(make_pack(), make_options(), CPU)
    draw = lambda *what: run.draws(*what).normal("x", [4], "cpu")  # noqa: E731
    assert torch.equal(draw(0, 1), draw(0, 1))
    first = [draw(0, 0), draw(0, 1), draw(1, 0), draw(4)]
    run.iteration += 1
    first.append(draw(0, 0))
    assert len(torch.cat(first).unique()) == 20


def test_alone_nothing_is_exchanged():
    group = distributed.ALONE
    x = torch.arange(3.0)
    assert group.is_lead and group.gather(x)[0] is x
    assert group.sum([1.5, 2]) == [1.5, 2] and group.any(True) and not group.any(False)
    with distributed.joined(CPU) as (found, device):
        assert found is group and device is CPU


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(DataError, match="not a multiple of the 3 GPUs"):
        presets.resolve("auto", 16, num_gpus=3, batch=8)
    with pytest.raises(DataError, match="2 GPUs, rounds of 3: the batch is not a multiple"):
        presets.resolve("auto", 16, num_gpus=2, batch=8, batch_gpu=3)
