"""How far a run is: the jobs of Snakemake's log, and what its generators report."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from evenface.page import generator
from evenface.page.run import natural
from facekit.storage import files

LOGS = Path(".snakemake", "log")
WORKS = "Execute "  # what the log of a run says that makes something, and a dry run's does not
COUNT = re.compile(r"(\S+) +(\d+)")
RULE = re.compile(r"(?:local)?(?:rule|checkpoint) (\w+):")
FIELD = re.compile(r" {4}(jobid|wildcards|log): (.*)")
FINISHED = re.compile(r"Finished jobid: (\d+)")
FAILED = re.compile(r"Error in rule (\w+)")
MAX_POINTS = 300  # of a curve


@dataclass(frozen=True)
class Job:
    """A job of the graph.

    Attributes:
        rule: that makes it.
        wildcards: as Snakemake writes them, such as `round=0, arm=real`; empty where there are
            none.
        log: path of its log, from where the run was started; empty where it has none.
    """

    rule: str
    wildcards: str = ""
    log: str = ""


@dataclass(frozen=True)
class Jobs:
    """The jobs of the run that was started last.

    Attributes:
        total: by rule, jobs to be made.
        done: by rule, jobs made.
        running: in the order in which they began.
        failed: likewise.
        written: when its log was written last, seconds since 1970.
    """

    total: dict[str, int]
    done: dict[str, int]
    running: list[Job]
    failed: list[Job]
    written: float


def newest_log(started_in: Path) -> Path | None:
    """Return Snakemake's log of the newest run that made something, None where there is none."""
    for path in sorted((started_in / LOGS).glob("*.snakemake.log"), reverse=True):
        if WORKS in path.read_text(encoding="utf-8", errors="replace"):
            return path
    return None


def read_jobs(path: Path) -> Jobs:
    """Return what a log of Snakemake says; it may be in the middle of a line."""
    total: dict[str, int] = {}
    started: dict[str, dict[str, str]] = {}
    finished: list[str] = []
    failed: list[str] = []
    fields: dict[str, str] = {}
    is_stats = is_failure = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Job stats:"):
            is_stats, total = True, {}
        elif is_stats:
            count = COUNT.fullmatch(line.strip())
            if count and count[1] not in ("job", "total"):
                total[count[1]] = int(count[2])
            is_stats = line.strip() != "" and not line.startswith("total")
        elif rule := RULE.match(line):
            fields, is_failure = {"rule": rule[1]}, False
        elif FAILED.match(line):
            fields, is_failure = {}, True
        elif field := FIELD.match(line):
            fields[field[1]] = field[2]
            if field[1] == "jobid" and is_failure:
                failed.append(field[2])
            elif field[1] == "jobid":
                started[field[2]] = fields  # the fields below it are added to the same ones
                failed = [number for number in failed if number != field[2]]  # tried again
        elif done := FINISHED.match(line):
            finished.append(done[1])
    done_by_rule = dict.fromkeys(total, 0)
    for number in dict.fromkeys(finished):
        rule_name = started.get(number, {}).get("rule")
        if rule_name is not None:
            done_by_rule[rule_name] = done_by_rule.get(rule_name, 0) + 1
    ended = {*finished, *failed}
    return Jobs(
        total,
        done_by_rule,
        [_job(of) for number, of in started.items() if number not in ended],
        [_job(started[number]) for number in dict.fromkeys(failed)
         if number in started and number not in finished],
        path.stat().st_mtime,
    )  # fmt: skip


def _job(fields: dict[str, str]) -> Job:
    return Job(fields.get("rule", ""), fields.get("wildcards", ""), fields.get("log", ""))


@dataclass(frozen=True)
class Training:
    """How far a generator's training is.

    Attributes:
        kimg: thousands of real images shown; NaN before the first report.
        seconds_a_kimg: of the last report; NaN likewise.
        curves: by title, by what it is: kimg and value of each report, or of some of them.
        grid: newest picture of generated samples, None before the first.
    """

    kimg: float
    seconds_a_kimg: float
    curves: dict[str, dict[str, list[tuple[float, float]]]]
    grid: Path | None


def trainings(results: Path) -> list[str]:
    """Return the folders of generators that are or were trained, within the run's."""
    found = [path.parent.relative_to(results).as_posix() for path in results.rglob("stats.jsonl")]
    return sorted(found, key=natural)


def read_training(folder: Path) -> Training:
    """Return what a training has reported so far."""
    records = files.read_json_lines(folder / "stats.jsonl")
    step = max(1, math.ceil(len(records) / MAX_POINTS))
    some = records[:-1:step] + records[-1:]
    kimg = [generator.stat(one, "Progress/kimg") for one in some]
    curves = {
        title: {
            label: [(x, generator.stat(one, name)) for x, one in zip(kimg, some, strict=True)
                    if not math.isnan(generator.stat(one, name))]
            for name, label in of.items()
        }
        for title, of in generator.CURVES.items()
    }  # fmt: skip
    grids = sorted(folder.glob("fakes*.png"), key=lambda path: path.stat().st_mtime_ns)
    last = records[-1] if records else {}
    return Training(
        kimg=kimg[-1] if kimg else math.nan,
        seconds_a_kimg=generator.stat(last, "Timing/sec_per_kimg"),
        curves=curves,
        grid=grids[-1] if grids else None,
    )
