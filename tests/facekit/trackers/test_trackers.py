"""Trackers: what they are told, and what they keep, of a training that goes on, too."""

import json
import sys
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facekit import trackers
from facekit.errors import DataError
from facekit.options import Options, with_parts
from facekit.trackers import TRACKERS, Run, Tracked


@with_parts(TRACKERS.items())
class Tracking(Options):
    """Only where figures go."""


def track(folder, figures, step=None, **options):
    """Track a training that reports some figures, the first at 1000 images, each 1000 later."""
    options = Tracking.read({"tensorboard": False, **options}, "options")
    run = Run("trainer", folder, {"lr": 0.1, "heads": ["hair"]}, step)
    with trackers.opened(options, run) as tracked:
        for number, one in enumerate(figures, start=1 + (step or 0) // 1000):
            tracked.log(one, number * 1000)


def test_tensorboard_forgets_what_followed_the_state_that_a_training_goes_on_from(tmp_path):
    track(tmp_path, [{"loss": 3.0}, {"loss": 2.0}], tensorboard=True)
    track(tmp_path, [{"loss": 1.0}], step=1000, tensorboard=True)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    found = [(one.step, one.value) for one in read.Scalars("loss")]
    assert found == [(1000, 3.0), (2000, 1.0)]


def test_mlflow_keeps_one_run_of_a_training_that_goes_on(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a server keeps them in a database
    uri = (tmp_path / "store").as_uri()
    outdir = tmp_path / "gan"
    outdir.mkdir()
    track(outdir, [{"hair.macro_f1": 0.5, "Loss/G": float("nan"), "best": None}], mlflow=uri)
    track(outdir, [{"hair.macro_f1": 0.7}], step=1000, mlflow=uri)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("evenface")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == outdir.as_posix()
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "heads": '["hair"]'}
    assert set(run.data.metrics) == {"hair.macro_f1"}
    history = client.get_metric_history(run.info.run_id, "hair.macro_f1")
    assert [(one.step, one.value) for one in history] == [(1000, 0.5), (2000, 0.7)]


def test_mlflow_says_that_a_training_failed(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    options = Tracking(tensorboard=False, mlflow=uri)
    with (
        pytest.raises(DataError),
        trackers.opened(options, Run("trainer", tmp_path, {})),
    ):
        raise DataError("the loss is nan")
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("evenface")
    assert client.search_runs([experiment.experiment_id])[0].info.status == "FAILED"


def test_wandb_keeps_figures_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    track(tmp_path, [{"loss": 3.0}, {"loss": 2.0}], wandb="faces")
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    known = json.loads((tmp_path / trackers.FILE).read_text())
    assert path.name == f"run-{known['wandb']}.wandb"
    deadline = time.monotonic() + 20  # a process of its own writes the file
    while b"loss" not in path.read_bytes():
        assert time.monotonic() < deadline, path.read_bytes()
        time.sleep(0.1)


def test_a_password_is_not_taken_where_it_would_be_recorded():
    with pytest.raises(DataError, match=r"mlflow: a password.*MLFLOW_TRACKING_PASSWORD"):
        Tracking.read({"mlflow": "https://me:secret@host"}, "gan")


def test_no_tracker_is_told_but_tensorboard_where_nothing_is_said():
    found = {
        name: part.is_used
        for name, cls in TRACKERS.items()
        if (part := trackers.part_of(Tracking(), name, cls)) is not None
    }
    assert found == {"mlflow": False, "tensorboard": True, "wandb": False}


def test_a_tracker_that_fails_ends_no_training(caplog):
    class Down:
        id = None

        def log(self, figures, step):
            raise ConnectionError("no route to host")

        def close(self, failed):
            raise AssertionError("it is left out by then")

    tracked = Tracked({"mlflow": Down()})
    tracked.log({"loss": 1.0}, 1)
    tracked.log({"loss": 1.0}, 2)
    tracked.close(failed=False)
    assert caplog.messages == [
        "mlflow takes no more figures (ConnectionError: no route to host); training goes on"
    ]


@pytest.mark.parametrize(("name", "value"), [("mlflow", "sqlite:///runs.db"), ("wandb", "mine")])
def test_a_tracker_that_is_not_installed_is_said_with_its_extra(tmp_path, monkeypatch, name, value):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError) as told:
        track(tmp_path, [], **{name: value})
    assert str(told.value) == f"--{name}: {name} is not installed; pip install 'evenface[{name}]'"
