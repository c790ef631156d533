"""How far a run is, as Snakemake's log and the reports of a training tell it, unfinished too."""

import json
import math
import os

from evenface.studio.progress import Job, newest_log, read_jobs, read_training, trainings

LOG = """\
Building DAG of jobs...
Job stats:
job              count
-------------  -------
ingest               1
classify_each        2
all                  1
total                4

Select jobs to execute...
Execute 1 jobs...
[Tue Dec  1 01:38:18 2026]
localrule ingest:
    output: results/test/index.parquet
    log: results/test/logs/ingest.log
    jobid: 3
    reason: Missing output files
    resources: tmpdir=/tmp
[Tue Dec  1 01:38:28 2026]
Finished jobid: 3 (Rule: ingest)
1 of 4 steps (25%) done
Execute 2 jobs...
[Tue Dec  1 01:43:20 2026]
rule classify_each:
    log: results/test/logs/classify/real/seed0.log
    jobid: 22
    wildcards: round=0, arm=real, seed=0
[Tue Dec  1 01:43:20 2026]
localrule classify_each:
    jobid: 23
    wildcards: round=0, arm=real, seed=1
"""
FAILURE = """\
[Tue Dec  1 01:44:20 2026]
Error in rule classify_each:
    message: None
    jobid: 22
    log: results/test/logs/classify/real/seed0.log (check log file(s) for error details)
"""
FIRST = Job(
    "classify_each", "round=0, arm=real, seed=0", "results/test/logs/classify/real/seed0.log"
)
SECOND = Job("classify_each", "round=0, arm=real, seed=1")


def write_log(folder, text, name="2026-12-01T013808.1"):
    path = folder / ".snakemake" / "log" / f"{name}.snakemake.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_jobs_are_done_or_begun(tmp_path):
    jobs = read_jobs(write_log(tmp_path, LOG))
    assert jobs.total == {"ingest": 1, "classify_each": 2, "all": 1}
    assert jobs.done == {"ingest": 1, "classify_each": 0, "all": 0}
    assert jobs.running == [FIRST, SECOND]
    assert jobs.failed == []


def test_a_job_fails_and_may_be_tried_again(tmp_path):
    jobs = read_jobs(write_log(tmp_path, LOG + FAILURE))
    assert (jobs.running, jobs.failed) == ([SECOND], [FIRST])
    again = LOG + FAILURE + "rule classify_each:\n    jobid: 22\nFinished jobid: 22 (Rule: c)\n"
    jobs = read_jobs(write_log(tmp_path, again))
    assert (jobs.running, jobs.failed) == ([SECOND], [])
    assert jobs.done["classify_each"] == 1


def test_every_beginning_of_a_log_can_be_read(tmp_path):
    lengths = range(0, len(LOG), 7)
    done = [sum(read_jobs(write_log(tmp_path, LOG[:end])).done.values()) for end in lengths]
    assert done == sorted(done) and done[-1] == 1


def test_a_dry_run_is_no_run(tmp_path):
    assert newest_log(tmp_path) is None
    made = write_log(tmp_path, LOG)
    write_log(tmp_path, "Building DAG of jobs...\nJob stats:\n", "2026-12-02T013808.1")
    assert newest_log(tmp_path) == made


def report(kimg, loss):
    return json.dumps(
        {
            "Progress/kimg": {"num": 1, "mean": kimg, "std": 0},
            "Loss/G/loss": {"num": 8, "mean": loss, "std": 0},
            "Timing/sec_per_kimg": {"num": 1, "mean": 7.5, "std": 0},
        }
    )


def test_a_training_tells_curves_and_its_newest_samples(tmp_path):
    folder = tmp_path / "round0" / "gan" / "base"
    folder.mkdir(parents=True)
    stats = folder / "stats.jsonl"
    stats.write_text("")
    assert trainings(tmp_path) == ["round0/gan/base"]
    empty = read_training(folder)
    assert math.isnan(empty.kimg) and empty.grid is None

    stats.write_text(f"{report(1, 0.5)}\n{report(2, 0.25)}\n{report(3, 0.1)[:40]}")  # cut off
    for age, name in ((20, "fakes-final.png"), (10, "fakes000002.png"), (30, "fakes000001.png")):
        (folder / name).touch()
        os.utime(folder / name, (1000 - age, 1000 - age))
    found = read_training(folder)
    assert (found.kimg, found.seconds_a_kimg) == (2, 7.5)
    assert found.curves["Losses"]["generator"] == [(1, 0.5), (2, 0.25)]
    assert found.curves["Losses"]["discriminator"] == []
    assert found.grid.name == "fakes000002.png"


def test_a_long_curve_has_fewer_points_and_its_last(tmp_path):
    lines = [report(kimg, kimg / 2) for kimg in range(1, 1001)]
    (tmp_path / "stats.jsonl").write_text("".join(f"{line}\n" for line in lines))
    points = read_training(tmp_path).curves["Losses"]["generator"]
    assert len(points) <= 301
    assert points[0] == (1, 0.5) and points[-1] == (1000, 500)
