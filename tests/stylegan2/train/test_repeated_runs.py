"""A finished run that is repeated, and the network that a run ends with."""

import dataclasses
import json
import subprocess

import pytest
from click.testing import CliRunner
from gan_runs import CPU, TRAIN, make_options, make_pack, write_pack

from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.options import TrainOptions
from stylegan2.train import loop, session

METRIC = "frechet_efficientnet_lite0"
NAMES = [f"network-{name}.safetensors" for name in ("best", "chosen", "final")]


class Fixed:
    """A measure that gives values in turn."""

    name = "figure"

    def __init__(self, *values):
        self.values = list(values)

    def prepare(self, device):
        pass

    def __call__(self, network):
        return self.values.pop(0)


def train(outdir, *values, **changes):
    """Run two ticks, each of them measured if there are values for it."""
    plan = make_options(metric=METRIC if values else None, **changes)
    measure = Fixed(*values) if values else None
    session.train(make_pack(), plan, outdir, CPU, measure=measure)
    return plan


def networks(outdir):
    return {path.name: path.read_bytes() for path in outdir.glob("network-*")}


# The network that a run ends with.


@pytest.mark.parametrize(
    ("network", "values", "expected"),
    [
        ("auto", (), "final"),
        ("auto", (2, 3), "best"),
        ("final", (2, 3), "final"),
        ("best", (2, 3), "best"),
    ],
)
def test_the_chosen_network_is_always_there(tmp_path, network, values, expected):
    train(tmp_path, *values, network=network)
    found = networks(tmp_path)
    assert found["network-chosen.safetensors"] == found[f"network-{expected}.safetensors"]
    assert ("network-best.safetensors" in found) == bool(values)
    if values:
        assert found["network-best.safetensors"] != found["network-final.safetensors"]


def test_the_best_of_nothing_measured_is_refused():
    with pytest.raises(DataError, match="gan: network: best is not known, metric is none"):
        TrainOptions.read({"network": "best"}, "gan")


# Repeated runs.


def test_networks_of_a_finished_run_stay_until_there_are_new_ones(tmp_path, monkeypatch):
    train(tmp_path, 2, 3)
    before = networks(tmp_path)
    assert set(NAMES) < set(before)

    def crash(run):
        raise RuntimeError("the power went")

    monkeypatch.setattr(loop, "iterate", crash)
    with pytest.raises(RuntimeError):
        train(tmp_path, gamma=3.0)
    assert networks(tmp_path) == before
    monkeypatch.undo()
    assert not session.is_finished(make_pack(), make_options(gamma=3.0), tmp_path)
    train(tmp_path, gamma=3.0)
    after = networks(tmp_path)
    assert "network-best.safetensors" not in after
    assert after["network-final.safetensors"] != before["network-final.safetensors"]


def test_snapshots_of_an_earlier_run_go_at_the_end_and_count_for_nothing(tmp_path):
    earlier = tmp_path / "network-snapshot-000099.safetensors"
    earlier.write_bytes(b"of an earlier run")
    train(tmp_path, keep=1)
    found = sorted(path.name for path in tmp_path.glob("network-snapshot-*"))
    assert found == ["network-snapshot-000000.safetensors"]


def test_a_run_is_finished_for_its_own_settings_and_images_alone(tmp_path):
    plan = train(tmp_path)
    assert session.is_finished(make_pack(), plan, tmp_path)
    assert session.is_finished(make_pack(), make_options(keep=2), tmp_path)
    assert not session.is_finished(make_pack(), make_options(gamma=3.0), tmp_path)
    assert not session.is_finished(make_pack(), dataclasses.replace(plan, seed=4), tmp_path)
    assert not session.is_finished(make_pack(seed=1), plan, tmp_path)
    (tmp_path / "network-final.safetensors").unlink()
    assert not session.is_finished(make_pack(), plan, tmp_path)


def test_the_command_says_that_a_run_is_finished_and_does_nothing(tmp_path, monkeypatch):
    data, outdir = write_pack(tmp_path), tmp_path / "gan"
    monkeypatch.setattr("facekit.compute.machine.keep_memory", lambda: True)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)

    def invoke(**changes):
        values = {**TRAIN, "data": data, "outdir": outdir, "device": "cpu", **changes}
        words = [str(word) for key, value in values.items() for word in (f"--{key}", value)]
        return CliRunner().invoke(cli.main, ["train", *words])

    def files():
        return {path.name: path.stat().st_mtime_ns for path in outdir.iterdir()}

    first = invoke(metric=METRIC)
    assert first.exit_code == 0, first.output
    record = json.loads((outdir / "run.json").read_text())
    assert record["values"]["network"] == "auto" and record["values"]["kimg"] == 0.032
    before = files()
    again = invoke(metric=METRIC, keep=7)
    assert again.exit_code == 0, again.output
    assert f"{outdir}: this run is finished, nothing is left to do" in again.stderr
    assert files() == before
    # Only which network is chosen: nothing is trained for it.
    assert invoke(metric=METRIC, network="final").exit_code == 0
    found = networks(outdir)
    assert found["network-chosen.safetensors"] == found["network-final.safetensors"]
    changed = {name for name, time in files().items() if time != before[name]}
    assert changed <= {"network-chosen.safetensors"}


# Several processes.


@pytest.mark.slow
def test_two_processes_train_without_path_length_penalty(tmp_path):
    """Of `cifar`: a phase in which no parameter has a gradient."""
    values = {**TRAIN, "cfg": "cifar", "data": write_pack(tmp_path), "outdir": tmp_path / "gan"}
    values["device"] = "cpu"
    words = [str(word) for key, value in values.items() for word in (f"--{key}", value)]
    done = subprocess.run(
        ["torchrun", "--nproc-per-node", "2", "--no-python", "stylegan2", "train", *words],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "gan" / "network-chosen.safetensors").exists()
