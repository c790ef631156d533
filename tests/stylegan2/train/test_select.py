"""The best snapshot of a run is measured, kept, and waited for."""

import json
import logging

import numpy as np
import pytest
from gan_runs import CPU, make_options, make_pack

from stylegan2.metrics import evaluate, features
from stylegan2.models import checkpoint
from stylegan2.options import TrainOptions
from stylegan2.train import loop, select, session


class Fixed:
    """Gives values in turn, and takes note of the networks."""

    name = "figure"

    def __init__(self, values):
        self.values = list(values)
        self.networks = []

    def prepare(self, device):
        self.device = device

    def __call__(self, network):
        self.networks.append(network.synthesis.b4.const.clone())
        return self.values[len(self.networks) - 1]


METRIC = "frechet_efficientnet_lite0"
OPTIONS = {"kimg": 0.064, "tick_kimg": 0.016, "metric": METRIC, "metric_images": 4}


def test_the_best_network_is_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    measure = Fixed([9, 4, 6, 5])
    session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU, measure=measure)
    network, about = checkpoint.load_generator(tmp_path / "network-best.safetensors")
    assert about.kimg == 0.032
    assert np.array_equal(network.synthesis.b4.const, measure.networks[1])
    found = json.loads((tmp_path / "metric-figure.json").read_text())
    assert [entry["value"] for entry in found] == [9, 4, 6, 5]
    assert [entry["kimg"] for entry in found] == [0.016, 0.032, 0.048, 0.064]
    assert "figure 6.000, best 4.000 at 0.0 kimg" in caplog.text


def test_a_run_ends_when_patience_does(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    options = make_options(**OPTIONS, patience=2)
    path = session.train(make_pack(), options, tmp_path, CPU, measure=Fixed([3, 4, 3, 1]))
    assert checkpoint.load_generator(path)[1].kimg == 0.048
    assert "no better network in 2 measurements" in caplog.text
    assert not list(tmp_path.glob("state-*"))


def test_a_stopped_run_remembers_its_best(tmp_path, monkeypatch):
    iterate = loop.iterate

    def stop(run):
        if run.iteration == 5:
            raise RuntimeError("the power went")
        iterate(run)

    monkeypatch.setattr(loop, "iterate", stop)
    with pytest.raises(RuntimeError):
        session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU, measure=Fixed([3, 5]))
    monkeypatch.undo()
    session.train(make_pack(), make_options(**OPTIONS), tmp_path, CPU, measure=Fixed([4, 6]))
    found = json.loads((tmp_path / "metric-figure.json").read_text())
    assert [entry["value"] for entry in found] == [3, 5, 4, 6]
    assert checkpoint.load_generator(tmp_path / "network-best.safetensors")[1].kimg == 0.016


def test_the_figure_is_that_of_the_command(tmp_path):
    pack = make_pack()
    run = loop.Training(pack, make_options(), CPU)
    extractor = features.load_extractor("efficientnet_lite0", None, CPU)
    options = TrainOptions(metric=METRIC, metric_images=12)
    measure = select.make_measure(pack, options, 3, tmp_path / "train", CPU)
    value = measure(run.G_ema)
    assert measure.name == METRIC
    assert measure(run.G_ema) == value  # the same latents
    whole, _ = evaluate.compare(
        run.G_ema, run.about, pack, extractor, 12, 12, 0, tmp_path / "train"
    )
    assert value == pytest.approx(whole[measure.name], rel=0.2)  # other latents


def test_what_counts_as_best():
    entries = [{"value": value} for value in (3, 2, 2, 5)]
    assert [select.is_best(entries[: n + 1]) for n in range(4)] == [True, True, False, False]
    assert [select.num_since_best(entries[:n]) for n in range(5)] == [0, 0, 0, 1, 2]
