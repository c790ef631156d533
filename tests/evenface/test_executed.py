"""The digest of a command's code leaves out nothing that the command executes."""

import executed
import pandas as pd
import pytest
from classifier_sets import DataSet
from executed import missed
from gan_runs import write_pack

from classifiers.cli import main as classifiers
from evenface.digest import code_at
from facedata.cli import main as facedata
from facekit.storage import tables
from stylegan2.cli import main as stylegan2


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """Leave the process's own settings alone."""
    monkeypatch.setattr("facekit.compute.machine.keep_memory", lambda: True)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)


def test_split(tmp_path):
    table = DataSet(tmp_path).table.drop(columns=["split", "fold"]).assign(official_split=None)
    table["official_split"] = table["official_split"].astype("str")
    table["unit"] = range(len(table))
    tables.write(table, tmp_path / "curated.parquet")
    facts = pd.DataFrame({"image_id": table["image_id"], "pixel_hash": table["image_id"]})
    tables.write(facts, tmp_path / "inspection.parquet")
    arguments = ["--curated", tmp_path / "curated.parquet", "--folds", 4, "--seed", 0]
    arguments += ["--inspection", tmp_path / "inspection.parquet", "--train", 0.7]
    arguments += ["--stratify", '["color"]', "--balance", "joint", "--official", "keep"]
    arguments += ["--splits", tmp_path / "splits.parquet"]
    recorder = executed.run(facedata, "split", arguments)
    assert len(recorder.found) > 20
    assert missed("facedata split", recorder) == []
    assert "facedata.splits.split: assign_splits" in missed("facedata deficits", recorder)


def test_training_of_a_gan(tmp_path):
    arguments = ["--data", write_pack(tmp_path), "--outdir", tmp_path / "gan", "--device", "cpu"]
    arguments += ["--kimg", 0.032, "--tick-kimg", 0.016, "--batch", 8, "--channel-base", 128]
    arguments += ["--channel-max", 8, "--z-dim", 8, "--w-dim", 8, "--seed", 0]
    recorder = executed.run(stylegan2, "train", arguments)
    assert len(recorder.found) > 200
    assert missed("stylegan2 train", recorder) == []


def test_training_and_evaluation_of_a_classifier(tmp_path):
    data = DataSet(tmp_path)
    for name, arguments in (
        ("train", data.train_options(tmp_path / "model", epochs=1)),
        ("evaluate", data.evaluate_options([tmp_path / "model/model.safetensors"], tmp_path)),
    ):
        recorder = executed.run(classifiers, name, arguments[1:])
        assert len(recorder.found) > 150
        assert missed(f"classifiers {name}", recorder) == []


def test_no_command_takes_what_a_package_offers_to_others():
    """Such names are found when they are asked for: the digest cannot follow them."""
    code = code_at(executed.ROOT)
    parts = [part for command in code.commands() for part in code.parts(command)]
    assert [part for part in parts if part.name == "__getattr__"] == []
