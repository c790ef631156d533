"""A stopped training goes on as if it had not been; several processes share one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_sets import AUGMENT, HEADS, OPTIMIZER, SCHEDULE, DataSet, run

from classifiers.images.data import ImagePool
from classifiers.train import loop, state
from facekit.compute.distributed import Group
from facekit.errors import DataError

FULL = {  # all that a state has to keep
    "ema": 0.8,
    "augment": {**AUGMENT, "mix": {"p": 0.5, "mixup": 0.2, "cutmix": 0.5}},
    "head": {"hidden": 16, "batch_norm": True, "dropout": 0.5, "samples": 1},
    "schedule": {**SCHEDULE, "name": "plateau", "patience": 0, "gamma": 0.5, "warm_up": 0.1},
    "label_smoothing": 0.1,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    found = DataSet(tmp_path_factory.mktemp("set"))
    found.model = found.root / "whole"
    run(found.train_options(found.model, **FULL))
    return found


class Stopped(Exception):
    pass


def stop_at(monkeypatch, step):
    """Have the next training end before this step, as by a kill."""
    take_step = loop.Training.take_step

    def stopping(self):
        if self.step == step:
            raise Stopped
        take_step(self)

    monkeypatch.setattr(loop.Training, "take_step", stopping)


FILES = ("model.safetensors", "history.csv", "predictions.parquet")


@pytest.mark.parametrize("step", [7, 13, 23])
def test_a_stopped_training_ends_with_the_same_bytes(data, tmp_path, monkeypatch, step):
    monkeypatch.setattr(state, "SECONDS", 0.0)  # a state after every step
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stopped):
            run(data.train_options(tmp_path, **FULL))
    assert not (tmp_path / "model.safetensors").exists()
    assert (tmp_path / state.NAME).is_file()
    taken = []
    take_step = loop.Training.take_step
    monkeypatch.setattr(
        loop.Training, "take_step", lambda self: (taken.append(self.step), take_step(self))
    )
    run(data.train_options(tmp_path, **FULL))
    assert taken == list(range(step, 24))
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (data.model / name).read_bytes()
    assert not (tmp_path / state.NAME).exists()


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_other_optimizers_go_on_too(data, tmp_path, monkeypatch, name):
    options = {"optimizer": {**OPTIMIZER, "name": name}, "epochs": 2, "lr": 0.001}
    run(data.train_options(tmp_path / "whole", **options))
    with monkeypatch.context() as patch:
        stop_at(patch, 9)
        with pytest.raises(Stopped):
            run(data.train_options(tmp_path / "parts", **options))
    run(data.train_options(tmp_path / "parts", **options))
    for file in FILES:
        whole, parts = (tmp_path / folder / file for folder in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()


def test_changed_options_are_refused_by_name(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stopped):
            run(data.train_options(tmp_path, **FULL))
    output = run(data.train_options(tmp_path, **{**FULL, "ema": 0.9}), code=1)
    assert "ema was 0.8, is 0.9" in output and "--allow-changes" in output
    assert output.count(", is ") == 1
    other = DataSet(tmp_path / "other", seed=5)
    output = run(other.train_options(tmp_path, **FULL), code=1)
    assert "data was" in output
    changed = {**FULL, "label_smoothing": 0.0}
    run([*data.train_options(tmp_path, **changed), "--allow-changes"])
    assert (tmp_path / "model.safetensors").is_file()


def test_a_broken_state_is_refused(data, tmp_path):
    (tmp_path / state.NAME).write_bytes(b"nothing")
    output = run(data.train_options(tmp_path, **FULL), code=1)
    assert "not a state of `classifiers train`" in output


def test_the_digest_knows_labels_and_pixels(data):
    def of(images, target):
        pool = ImagePool([(images, np.arange(len(images)))])
        weights = np.ones(len(images), dtype=np.float32)
        return state.digest(loop.Examples(pool, {"a": target}, weights))

    images, target = data.array[:20], np.arange(20) % 2
    same = of(images, target)
    assert same == of(images.copy(), target.copy())
    assert same != of(images, 1 - target)
    changed = images.copy()
    changed[3, 0, 0, 0] ^= 1
    assert same != of(changed, target)


# --- Several processes


def torchrun(options, num=2):
    """Run `classifiers` as torchrun does; return exit codes and errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(num):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num}
        places |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {key: str(value) for key, value in places.items()}
        environment["PYTHONPATH"] = str(Path(__file__).parents[3])
        code = "import sys; from classifiers.cli import main; main(sys.argv[1:])"
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *map(str, options)],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return [(process.communicate(timeout=300)[1], process.returncode) for process in processes]


def test_two_processes_learn_what_one_does(data, tmp_path):
    """Without batch norm and chance in augmentation they take the same steps."""
    still = {
        **AUGMENT,
        "flip": 0.0,
        "affine": {**AUGMENT["affine"], "p": 0.0},
        "color": {**AUGMENT["color"], "p": 0.0},
    }
    options = {
        "backbone": "test_vit",
        "view": {"crop": None, "resize": [32, 32]},
        "augment": still,
        "epochs": 2,
        "batch": 15,  # shared out unevenly
        "lr": 0.002,
        "heads": [*HEADS, {**HEADS[0], "name": "age", "attributes": ["age"], "kind": "numeric"}],
        "optimizer": {**OPTIMIZER, "name": "sgd", "clip": 1.0},
    }
    run(data.train_options(tmp_path / "one", **options))
    found = torchrun(data.train_options(tmp_path / "two", **options))
    assert [code for _, code in found] == [0, 0], found
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-3, atol=1e-4)
    one, two = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("one", "two"))
    columns = [name for name in one.columns if ":" in name]
    np.testing.assert_allclose(one[columns], two[columns], atol=1e-3)
    assert "arm real" in found[0][0] and "arm real" not in found[1][0]  # the first one tells


def test_more_processes_than_images_are_refused(data, tmp_path):
    found = torchrun(data.train_options(tmp_path, batch=2), num=3)
    assert all(code == 1 for _, code in found)
    assert "fewer images than 3 processes" in found[0][0]


@pytest.mark.parametrize("sizes", [[7], [5, 4], [1, 1, 6]])
@pytest.mark.parametrize("num", [1, 2, 3])
def test_parts_of_processes_are_all_of_the_images(sizes, num):
    parts, start = [], 0
    for size in sizes:
        images = np.arange(start, start + size, dtype=np.uint8)[:, None, None, None]
        parts.append((images.repeat(3, axis=3), np.arange(size)))
        start += size
    pool = ImagePool(parts)
    seen = [loop.part_of(pool, Group(rank, num)) for rank in range(num)]
    taken = [one.take(np.arange(len(one)))[:, 0, 0, 0].tolist() for one in seen]
    for rank, numbers in enumerate(taken):
        assert numbers == list(range(start))[rank::num]


def test_a_state_of_several_processes_can_be_summed(tmp_path):
    keeper = state.StateKeeper(tmp_path, {"a": 1})
    assert not keeper.is_due
    keeper.saved -= state.SECONDS + 1
    assert keeper.is_due
    with pytest.raises(DataError, match="not a state"):
        (tmp_path / state.NAME).write_bytes(torch.zeros(3).numpy().tobytes())
        keeper.restore(None)
