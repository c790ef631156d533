"""Stages that are killed, stopped, run twice at once or out of space end as if nothing happened.

Here some stages at some moments; `make drills` drills all of them, and prints a table.
"""

import json
import os
import random
import signal
from pathlib import Path

import pytest
from drills import drills
from projects import TEST, copy_project, snakemake

pytestmark = pytest.mark.slow

WHOLE = os.environ.get("DRILLS")  # a file that gets a line a drill; all are drilled
FAST = ("inspection", "duplicates", "curated", "round0/splits", "round0/packs/train")
ALL = (
    *FAST,
    *("index", "faces", "screened", "oof", "label_issues", "review", "eda", "round0/split_check"),
    *("round0/packs/val", "round0/deficits", "round0/gan/base", "round0/gan/base/metrics"),
    *("round0/synth/base/images", "round0/synth/base/samples", "compare/accessories", "report"),
    *(
        f"round0/classifiers/accessories/{arm}/{files}"
        for arm in ("real", "synth@1.0")
        for files in ("seed0", "seed0/metrics", "ensemble")
    ),
)
STAGES = ALL if WHOLE else FAST
KILLS = 12 if WHOLE else 2  # of a stage at most
SIGNALS = 3 if WHOLE else 1
WITHIN = 20.0  # seconds in which a stopped command ends
BY_CHANCE = 20  # kills of a whole run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project in which the stages have run."""
    folder = copy_project(tmp_path_factory.mktemp("finished"))
    goals = [] if WHOLE else ["results/test/round0/packs/train.parquet"]
    snakemake(*goals, *TEST, cwd=folder)
    return folder


@pytest.fixture
def drill(finished, tmp_path):
    def make(name, folder=tmp_path):
        stages = {one.name: one for one in drills.stages_of(finished / "results/test")}
        found = drills.Drill(stages[name], drills.copy_project(finished, folder / "project"))
        found.prepare()
        return found

    return make


def tell(drill, stage, tries):
    """Add a line to the table of drills."""
    if WHOLE:
        with Path(WHOLE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"drill": drill, "stage": stage, "tries": tries}) + "\n")


def moments(count):
    """Return numbers of changes, evenly spread, the last one among them."""
    num = min(KILLS, count)
    return sorted({count - round(i * count / num) for i in range(num)} - {0})


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_is_killed_is_made_again_in_the_same_bytes(drill, name):
    made = drill(name)
    numbers = moments(made.changes)
    for number in numbers:
        made.kill(number)
    tell("killed before a change of the file system", name, len(numbers))


@pytest.mark.parametrize("name", STAGES if WHOLE else ["inspection"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_stage_that_is_told_to_stop_ends_soon_and_goes_on(drill, name, number):
    made, chance = drill(name), random.Random(name)
    for _ in range(SIGNALS):
        made.stop(number, chance.uniform(0.1, 4.0), WITHIN)
    tell(f"stopped by {number.name}", name, SIGNALS)


@pytest.mark.parametrize("name", STAGES if WHOLE else ["curated"])
def test_two_at_once_make_what_one_makes(drill, name):
    drill(name).both()
    tell("two at once", name, 1)


@pytest.fixture
def disk(tmp_path):
    try:
        found = drills.SmallDisk(tmp_path / "disk")
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f"no file system can be mounted: {error}")
    yield found
    found.close()


@pytest.mark.parametrize("name", STAGES if WHOLE else ["inspection", "curated"])
def test_a_full_disk_is_one_line_and_costs_nothing(drill, disk, name):
    made = drill(name, disk.folder)
    size = sum((made.project / one).stat().st_size for one in made.outputs)
    rooms = [0, size // 2]
    for room in rooms:
        drills.fill(made, disk, room)
    tell("full disk", name, len(rooms))


@pytest.mark.skipif(not WHOLE, reason="takes many minutes: make drills")
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(finished, tmp_path):
    folder, chance, kills = copy_project(tmp_path / "run"), random.Random(1), 0
    while kills < BY_CHANCE:
        code = drills.run_and_kill(folder, TEST, chance.uniform(5, 25))
        if code == 0:
            break
        kills += 1
    assert kills > 3 and drills.run_and_kill(folder, TEST, None) == 0
    expected, found = drills.digests(finished), drills.digests(folder)
    whole = {name for name in expected if not name.endswith((".log", ".jsonl", ".tsv"))}
    assert whole <= found.keys()
    differ = sorted(name for name in whole if found[name] != expected[name])
    assert not differ and not [name for name in found if name.endswith(".part")]
    tell("whole run killed at random", "evenface run", kills)
