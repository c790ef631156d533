"""A run that is stopped, at any moment, goes on as if it had not been."""

import dataclasses
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gan_runs import CPU, TRAIN, make_options, make_pack, write_pack
from safetensors import safe_open
from safetensors.torch import save_file

from facekit.compute import states
from facekit.errors import DataError
from facekit.trackers import TRACKERS, Tracked
from stylegan2 import cli
from stylegan2.models import presets
from stylegan2.options import TrainOptions
from stylegan2.train import loop, session, state
from stylegan2.train.data import EndlessOrder
from stylegan2.train.reporting import Reporter

OPTIONS = {"kimg": 0.24, "tick_kimg": 0.04, "ada_kimg": 0.2}  # 30 iterations, 6 ticks


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO)


def losses(outdir):
    """Return stats.jsonl without what depends on the clock and the machine."""
    lines = [json.loads(line) for line in (outdir / "stats.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key.startswith(("Loss/", "Progress/"))}
        for line in lines
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was not stopped."""
    outdir = tmp_path_factory.mktemp("whole")
    session.train(make_pack(), make_options(**OPTIONS), outdir, CPU)
    return outdir


def stop_at(monkeypatch, iteration, how):
    """Have the next run stopped before an iteration by calling `how`."""
    original = loop.iterate

    def iterate(run):
        if run.iteration == iteration:
            monkeypatch.setattr(loop, "iterate", original)
            how()
        original(run)

    monkeypatch.setattr(loop, "iterate", iterate)


def crash():
    raise RuntimeError("the power went")


@pytest.mark.parametrize("iteration", [2, 5, 17, 29])
def test_a_run_that_crashed_goes_on_exactly(whole, tmp_path, monkeypatch, iteration):
    stop_at(monkeypatch, iteration, crash)
    with pytest.raises(RuntimeError, match="the power went"):
        session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    assert len(list(tmp_path.glob("state-*"))) == min(iteration // 5, 2)
    (tmp_path / "stats.jsonl").unlink()  # as Snakemake does with outputs of a failed job
    path = session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    assert path.read_bytes() == (whole / path.name).read_bytes()
    assert losses(tmp_path) == losses(whole)
    assert ("going on from" in (tmp_path / "log.txt").read_text()) == (iteration >= 5)
    for sheet in whole.glob("*.png"):
        assert (tmp_path / sheet.name).read_bytes() == sheet.read_bytes()
    assert not list(tmp_path.glob("state-*"))


def test_ctrl_c_keeps_the_iteration_that_it_comes_in(whole, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    stop_at(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    assert signal.getsignal(signal.SIGTERM) is before
    assert state.latest(tmp_path).name == "state-0000000064.safetensors"
    path = session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    assert path.read_bytes() == (whole / path.name).read_bytes()
    assert losses(tmp_path) == losses(whole)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """The folder of a run that crashed in its second tick."""
    stop_at(monkeypatch, 7, crash)
    with pytest.raises(RuntimeError):
        session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    return tmp_path


def test_other_options_or_images_are_refused_by_name(stopped):
    options = make_options(**OPTIONS, gamma=3.0, mirror=False)
    with pytest.raises(DataError, match=r"gamma was .*, is 3\.0; mirror was True, is False"):
        session.train(make_pack(), options, stopped, CPU)
    with pytest.raises(DataError, match=r"images was \w{32}, is \w{32}\. .*--allow-changes"):
        session.train(make_pack(seed=1), make_options(**OPTIONS), stopped, CPU)
    labels = make_pack()
    labels.table["class"] = labels.table["class"].to_numpy()[::-1].copy()
    with pytest.raises(DataError, match="images was"):
        session.train(labels, make_options(**OPTIONS), stopped, CPU)


def test_changes_take_effect_where_they_are_allowed(stopped):
    options = make_options(**{**OPTIONS, "kimg": 0.08}, lr=1e-9, aug="fixed", p=0.25)
    run = loop.Training(make_pack(), options, CPU)
    state.restore(run, state.latest(stopped), allow_changes=True)
    assert run.cur_nimg == 40 and run.phases[0].optimizer.param_groups[0]["lr"] < 1e-9
    session.train(make_pack(), options, stopped, CPU, allow_changes=True)
    log = (stopped / "log.txt").read_text()
    assert "changed since: lr was 0.0025, is 1e-09" in log and "changed since: aug was ada" in log
    assert losses(stopped)[-1]["Progress/augment"]["mean"] == 0.25


def test_a_run_that_diverged_goes_on_from_its_last_good_state(tmp_path, monkeypatch):
    original = loop.check_losses

    def diverge(run):
        if run.iteration == 7:
            run.statistics.add({"Loss/G/loss": float("nan")})
        original(run)

    monkeypatch.setattr(loop, "check_losses", diverge)
    with pytest.raises(DataError, match=r"Loss/G/loss is not finite; .* --allow-changes"):
        session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU)
    monkeypatch.undo()
    assert state.latest(tmp_path).name == "state-0000000040.safetensors"
    session.train(make_pack(), make_options(**OPTIONS, lr=1e-4), tmp_path, CPU, allow_changes=True)
    assert (tmp_path / "network-final.safetensors").exists()


def test_networks_of_another_size_are_refused_even_then(stopped):
    options = make_options(**OPTIONS, w_dim=4)
    with pytest.raises(DataError, match=r"does not fit this run \(.*size mismatch"):
        session.train(make_pack(), options, stopped, CPU, allow_changes=True)


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95", b"\x10" + b"\0" * 40])
def test_a_file_that_is_no_state_is_refused(tmp_path, data):
    path = tmp_path / "state-0000000040.safetensors"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{path.name}: not a state of `stylegan2 train`"):
        session.train(make_pack(), make_options(), tmp_path, CPU)


def test_an_order_goes_on():
    order = EndlessOrder(11, seed=5)
    [next(order) for _ in range(37)]
    saved = json.loads(json.dumps(order.state_dict()))
    other = EndlessOrder(11, seed=6)
    other.load_state_dict(saved)
    assert [next(order) for _ in range(50)] == [next(other) for _ in range(50)]
    with pytest.raises(ValueError, match="an order of 11 images, not 12"):
        EndlessOrder(12, seed=5).load_state_dict(saved)


def test_settings_name_every_option():
    names = {*TrainOptions.model_fields} - {"keep", "cfg", "network", "processes", *TRACKERS}
    names |= {field.name for field in dataclasses.fields(presets.Preset)}
    assert state.settings(make_options(), "digest").keys() == names | {"seed", "images"}


def test_what_cannot_change_the_result_blocks_no_resume(whole, stopped):
    path = session.train(make_pack(), make_options(**OPTIONS, keep=1), stopped, CPU)
    assert path.read_bytes() == (whole / path.name).read_bytes()
    assert len(list(stopped.glob("network-snapshot-*"))) == 1


def test_an_option_that_a_state_does_not_know_had_its_default():
    now = state.settings(make_options(), "digest")
    before = {name: value for name, value in now.items() if name != "patience"}
    assert state.differences(before, now) == []
    other = {**now, "patience": 2}
    assert state.differences(before, other) == ["patience was 0, is 2"]
    rebuilding = {**before, "rebuild_weight": 2.0}
    del before["rebuild_weight"]
    assert state.differences(before, rebuilding) == ["rebuild_weight was 0.0, is 2.0"]
    assert state.differences(before, {**rebuilding, "rebuild_weight": 0.0}) == []


def test_a_state_of_an_older_version_is_refused_with_what_to_do(stopped):
    path = state.latest(stopped)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[states.KEY])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    header["format"] = "stylegan2-state-1"
    save_file(tensors, path, metadata={states.KEY: json.dumps(header)})
    with pytest.raises(DataError, match=r"format stylegan2-state-1, .* to begin anew"):
        session.train(make_pack(), make_options(**OPTIONS), stopped, CPU)


def test_a_state_that_lacks_something_is_refused(stopped):
    path = state.latest(stopped)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[states.KEY])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for name in ("settings", "clock", "counters", "order", "statistics"):
        without = {key: value for key, value in header.items() if key != name}
        for changed in (without, {**header, name: None}, {**header, name: "a text"}):
            save_file(tensors, path, metadata={states.KEY: json.dumps(changed)})
            with pytest.raises(DataError, match=f"{path.name}: does not fit this run"):
                session.train(make_pack(), make_options(**OPTIONS), stopped, CPU)


@pytest.mark.slow
def test_a_run_killed_at_ten_random_moments_ends_in_the_same_weights(tmp_path):
    values = {**TRAIN, "kimg": 1.6, "tick-kimg": 0.016, "ada-kimg": 1, "device": "cpu"}
    values["data"] = write_pack(tmp_path)

    def start(outdir):
        words = [word for key, value in values.items() for word in (f"--{key}", str(value))]
        code = "from stylegan2.cli import main; main()"
        command = [sys.executable, "-c", code, "train", "--mirror", "--outdir", str(outdir), *words]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    rng = random.Random(0)
    outdir = tmp_path / "killed"
    log = outdir / "log.txt"
    reached = []
    for _ in range(10):
        size = log.stat().st_size if log.exists() else 0
        process = start(outdir)
        while process.poll() is None and not (log.exists() and log.stat().st_size > size):
            time.sleep(0.01)
        num_states = rng.randrange(4)  # written before the kill, however fast the machine is
        seen = {state.latest(outdir)}
        while process.poll() is None and len(seen) <= num_states:
            seen.add(state.latest(outdir))
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        assert process.wait() == -signal.SIGKILL  # still at work
        latest = state.latest(outdir)
        reached.append(latest.name if latest else "")
    assert reached == sorted(reached) and len(set(reached)) > 5
    assert start(outdir).wait() == 0
    assert start(tmp_path / "whole").wait() == 0
    name = "network-final.safetensors"
    assert (outdir / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert losses(outdir) == losses(tmp_path / "whole")


def test_the_command_refuses_changes_unless_they_are_allowed(tmp_path, monkeypatch):
    data = write_pack(tmp_path)
    monkeypatch.setattr("facekit.compute.machine.keep_memory", lambda: True)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)

    def invoke(*flags, **changes):
        values = {**TRAIN, "data": data, "outdir": tmp_path / "gan", "device": "cpu", **changes}
        words = [str(word) for key, value in values.items() for word in (f"--{key}", value)]
        return CliRunner().invoke(cli.main, ["train", "--mirror", *flags, *words])

    stop_at(monkeypatch, 3, crash)
    assert isinstance(invoke().exception, RuntimeError)
    refused = invoke(gamma=1)
    assert refused.exit_code == 1 and "gamma was 0.0064, is 1.0." in refused.stderr
    allowed = invoke("--allow-changes", gamma=1)
    assert allowed.exit_code == 0, allowed.output
    assert "changed since: gamma was 0.0064, is 1.0" in allowed.stderr


def test_a_state_holds_no_alias_of_the_run(tmp_path):
    run = loop.Training(make_pack(), make_options(), CPU)
    clock = {"seconds": 1.0, "tick_seconds": 0.5, "tick_nimg": 0, "nimg": 0}
    path = state.save(run, tmp_path, clock, b"{}\n")
    with torch.no_grad():
        run.G.mapping.w_avg.fill_(9)
    found, stats, changes = state.restore(run, path, allow_changes=False)
    assert (found, stats, changes) == (clock, b"{}\n", [])
    np.testing.assert_array_equal(run.G.mapping.w_avg, 0)


def test_lines_of_a_run_are_kept_where_somebody_removes_their_file(tmp_path):
    with Reporter(tmp_path, Tracked({}), stats=b'{"tick": 1}\n') as reporter:
        reporter.lines.write("{}\n")
        reporter.lines.flush()
        reporter.path.unlink()
        assert reporter.told() == b'{"tick": 1}\n{}\n'
