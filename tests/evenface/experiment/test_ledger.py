"""The ledger of readings of a test part: appended to, counted, robust."""

import json
import multiprocessing

import pytest
from experiments import FAST, Experiment

from evenface.experiment import ledger
from evenface.options import CompareOptions
from facekit.errors import DataError


def test_readings_and_settings_of_the_same_test_part_are_counted(tmp_path):
    path = tmp_path / "results" / "ledger.jsonl"
    assert ledger.record(path, "hair", ["a", "b"], {"x": 1}).readings == 1
    assert ledger.record(path, "hair", ["c"], {"x": 1}).readings == 1  # another test part
    found = ledger.record(path, "hair", ["b", "d"], {"x": 1})
    assert (found.readings, found.settings) == (2, 1)
    found = ledger.record(path, "hair", ["a"], {"x": 2})
    assert (found.readings, found.settings) == (2, 2)
    found = ledger.record(path, "age", ["a"], {"x": 2})
    assert (found.readings, found.settings) == (3, 3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    told = {"date", "task", "test_ids", "settings", "predicted"}
    assert len(lines) == 5 and set(lines[0]) == told


def test_networks_that_were_trained_otherwise_are_other_settings(tmp_path):
    path = tmp_path / "ledger.jsonl"
    old = {"date": "2026-01-01", "task": "hair", "test_ids": ["a"]}
    old["settings"] = ledger.digest_of_settings({"task": "hair", "x": 1})
    path.write_text(json.dumps(old) + "\n")  # of a version that did not tell what was predicted
    for predicted, readings, settings in (("n0", 2, 1), ("n0", 3, 1), ("n1", 4, 2)):
        found = ledger.record(path, "hair", ["a"], {"x": 1}, predicted)
        assert (found.readings, found.settings) == (readings, settings)
    assert ledger.record(path, "hair", ["a"], {"x": 2}, "n1").settings == 3


@pytest.mark.parametrize(
    "damage", ['{"date": "20', "[1]", "not json", '{"test_ids": 3, "settings": "a"}']
)
def test_a_damaged_line_is_named_and_damages_no_other(tmp_path, damage):
    path = tmp_path / "ledger.jsonl"
    ledger.record(path, "hair", ["a"], {})
    with path.open("a") as file:
        file.write(damage)  # cut off: no end of line
    found = ledger.record(path, "hair", ["a"], {})
    assert (found.readings, found.damaged) == (2, [2])
    assert ledger.record(path, "hair", ["a"], {}).readings == 3
    assert path.read_text().splitlines()[1] == damage


def _read(path):
    for _ in range(20):
        ledger.record(path, "hair", ["a"], {})


def test_processes_lose_no_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_read, args=(path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert ledger.record(path, "hair", ["a"], {}).readings == 41


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        ledger.record(tmp_path, "hair", ["a"], {})


def test_the_verdict_tells_the_count(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "synth@0.5": 0.8})
    path = tmp_path / "ledger.jsonl"
    assert "The test part has been read once." in made.compare(FAST, path).verdict
    assert "read 2 times by the same settings." in made.compare(FAST, path).verdict
    other = CompareOptions(confidence=0.9, num_permutations=100)
    found = made.compare(other, path)
    assert "read 3 times by 2 different settings." in found.verdict
    assert (found.result.ledger.readings, found.result.ledger.settings) == (3, 2)
    assert "has been read" not in made.compare(FAST).verdict
    made.write("synth@0.5", 1, 1)  # the same again
    assert made.compare(FAST, path).result.ledger.settings == 2
    made.arms["synth@0.5"] = 0.85  # as another learning rate might have it
    made.write("synth@0.5", 1, 1)
    found = made.compare(FAST, path).result.ledger
    assert (found.readings, found.settings) == (5, 3)
