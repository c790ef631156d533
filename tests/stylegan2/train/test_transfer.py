"""Runs that begin with the weights of another network."""

import json
import logging

import pytest
import torch
from click.testing import CliRunner
from gan_runs import CPU, TRAIN, make_options, make_pack, write_pack
from official_files import official_pickle

from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.models import checkpoint
from stylegan2.train import loop, session, transfer

GENERATOR = {  # of the networks of gan_runs
    "z_dim": 8,
    "c_dim": 3,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 1},
    "synthesis_kwargs": {"channel_base": 128, "channel_max": 8},
}
DISCRIMINATOR = {
    "c_dim": 3,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 128,
    "channel_max": 8,
}


@pytest.fixture
def snapshot(tmp_path):
    """A snapshot of the original, and its networks."""
    data, networks = official_pickle(GENERATOR, DISCRIMINATOR)
    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    return path, networks


def test_a_snapshot_of_the_original_gives_all_its_weights(snapshot):
    path, networks = snapshot
    run = loop.Training(make_pack(), make_options(), CPU)
    lines = transfer.load(run, transfer.read(path))
    for name, network in (("G", run.G), ("D", run.D), ("G_ema", run.G_ema)):
        for key, expected in networks[name].state_dict().items():
            assert torch.equal(network.state_dict()[key], expected), key
    assert [line for line in lines if "random" in line or "left out" in line] == []
    assert "G: 56 of 56 tensors from network.pkl" in lines


def test_what_does_not_fit_is_named(snapshot):
    path, networks = snapshot
    run = loop.Training(make_pack(), make_options(mapping_layers=2, w_dim=4), CPU)
    drawn = run.G.mapping.fc1.weight.clone()
    lines = transfer.load(run, transfer.read(path))
    told = next(line for line in lines if line.startswith("G: of another shape, random: "))
    assert "mapping.fc0.weight" in told and "synthesis.b4.const" not in told
    assert "G: not in network.pkl, random: mapping.fc1.bias, mapping.fc1.weight" in lines
    assert torch.equal(run.G.mapping.fc1.weight, drawn)
    assert torch.equal(run.G.synthesis.b4.const, networks["G"].synthesis.b4.const)


def test_a_generator_of_our_own_leaves_the_discriminator_as_drawn(tmp_path, snapshot):
    _, networks = snapshot
    run = loop.Training(make_pack(), make_options(), CPU)
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(networks["G_ema"], run.about, path)
    before = {key: x.clone() for key, x in run.D.state_dict().items()}
    lines = transfer.load(run, transfer.read(path))
    assert "D: not in network.safetensors, begins with random weights" in lines
    for key, expected in networks["G_ema"].state_dict().items():
        assert torch.equal(run.G.state_dict()[key], expected)
        assert torch.equal(run.G_ema.state_dict()[key], expected)
    assert all(torch.equal(run.D.state_dict()[key], x) for key, x in before.items())


def test_a_network_with_nothing_in_common_is_refused(snapshot):
    path, _ = snapshot
    source = transfer.read(path)
    renamed = {f"other.{key}": x for key, x in source.tensors["G_ema"].items()}
    source.tensors["G_ema"] = renamed
    run = loop.Training(make_pack(), make_options(), CPU)
    with pytest.raises(DataError, match="none of its 56 tensors has the name and shape"):
        transfer.load(run, source)


def test_sizes_follow_the_source_where_they_are_auto(snapshot):
    path, _ = snapshot
    names = ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max", "sketch")
    given = dict.fromkeys(names, "auto") | {"w_dim": 4, "lr": "auto"}
    found, lines = transfer.sizes(transfer.read(path), given)
    assert found == {
        "z_dim": 8,
        "w_dim": 4,
        "mapping_layers": 1,
        "channel_base": 128,
        "channel_max": 8,
        "sketch": 0,
        "architecture": "resnet",
        "lr": "auto",
    }
    assert "mapping_layers 1 as in network.pkl" in lines and len(lines) == 6
    source = transfer.Source(path, {"z_dim": 512, "w_dim": 512}, {})
    found, _ = transfer.sizes(source, dict.fromkeys(names, "auto"))
    assert found["mapping_layers"] == 8 and found["channel_base"] == 32768  # the original's


def test_frozen_layers_stay_and_the_others_move(caplog):
    caplog.set_level(logging.INFO)
    run = loop.Training(make_pack(), make_options(freezed=3), CPU)
    before = {key: x.clone() for key, x in run.D.state_dict().items()}
    for _ in range(2):
        loop.iterate(run)
    moved = {key for key, x in run.D.state_dict().items() if not torch.equal(x, before[key])}
    frozen = {f"b16.{layer}.weight" for layer in ("fromrgb", "conv0", "conv1")}
    assert not moved & frozen
    assert {"b16.skip.weight", "b8.conv0.weight", "b4.fc.weight"} <= moved
    with pytest.raises(DataError, match=r"--freezed 8: the discriminator has 7 layers"):
        loop.Training(make_pack(), make_options(freezed=8), CPU)


def invoke(folder, **changes):
    values = {**TRAIN, "data": write_pack(folder), "outdir": folder / "gan", "device": "cpu"}
    values |= changes
    words = [str(word) for key, value in values.items() for word in (f"--{key}", value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facekit.compute.machine.keep_memory", lambda: True)
        patch.setattr("torch.set_num_threads", lambda threads: None)
        return CliRunner().invoke(cli.main, ["train", "--mirror", *words])


def test_the_command_takes_sizes_and_tells(tmp_path, snapshot):
    path, _ = snapshot
    sizes = dict.fromkeys(("z-dim", "w-dim", "channel-base", "channel-max"), "auto")
    result = invoke(tmp_path, resume=path, freezed=1, **sizes, **{"ada-kimg": "auto"})
    assert result.exit_code == 0, result.output
    for text in (
        "mapping_layers 1 as in network.pkl",
        "ada_kimg 100 with --resume",
        "D: 46 of 46 tensors from network.pkl",
    ):
        assert text in result.stderr
    options = json.loads((tmp_path / "gan" / "training_options.json").read_text())
    assert options["preset"]["ema_rampup"] is None and options["freezed"] == 1
    assert options["preset"]["channel_base"] == 128 and options["preset"]["ada_kimg"] == 100


def test_a_stopped_run_goes_on_with_its_own_weights(tmp_path, snapshot, monkeypatch):
    path, _ = snapshot
    options = make_options(resume=str(path))
    source = transfer.read(path)
    whole = session.train(make_pack(), options, tmp_path / "whole", CPU, source=source)
    end_tick = session.end_tick

    def stop(*arguments, **named):
        end_tick(*arguments, **named)
        raise RuntimeError("the power went")

    monkeypatch.setattr(session, "end_tick", stop)
    with pytest.raises(RuntimeError):
        session.train(make_pack(), options, tmp_path / "stopped", CPU, source=source)
    monkeypatch.undo()
    path = session.train(make_pack(), options, tmp_path / "stopped", CPU, source=source)
    assert path.read_bytes() == whole.read_bytes()


def test_the_command_refuses_a_file_that_is_not_there(tmp_path):
    result = invoke(tmp_path, resume=tmp_path / "missing.pkl")
    assert result.exit_code == 1 and "missing.pkl: No such file" in result.stderr
