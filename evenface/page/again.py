"""What the page says of how a run was made: commands, cost, versions, how to do it again."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenface.page import charts
from evenface.page.run import Run, natural

# The order in which the stages run; records are listed so.
STAGES = (
    "facedata ingest",
    "facedata inspect",
    "facedata faces",
    "facedata dedup",
    "facedata screen",
    "classifiers crossval",
    "facedata labels",
    "facedata curate",
    "facedata review",
    "facedata match",
    "facedata split",
    "facedata eda",
    "facedata pack",
    "facedata deficits",
    "stylegan2 train",
    "stylegan2 metrics",
    "stylegan2 synth",
    "classifiers train",
    "classifiers filter",
    "classifiers evaluate",
    "classifiers ensemble",
    "evenface compare",
)
DATE = re.compile(r'"date": "(\d{4}-\d\d-\d\d)')  # of a line of the ledger
PAGE = "evenface page"  # the record of an earlier page is not told


def provenance(run: Run, folders: Sequence[Path]) -> dict[str, Any]:
    """Return the run records of all stages in the order in which the stages run.

    Args:
        run: the run.
        folders: of the classifiers that were compared; others are of earlier settings.
    """
    earlier = set(run.root.glob("round*/classifiers/*/*/seed*")) - set(folders)
    earlier |= set(run.root.glob("round*")) - set(run.rounds)
    records: list[dict[str, Any]] = []
    for name, record in run.records.items():
        command = command_of(record)
        stage = " ".join(command[:2])
        if stage == PAGE or earlier.intersection((run.root / name).parents):
            continue
        records.append(
            {
                "path": name,
                "stage": stage,
                "command": shlex.join(command),
                **{
                    key: record.get(key)
                    for key in ("seconds", "peak_memory_mib", "device", "commit", "versions")
                },
            }
        )
    records.sort(key=lambda one: (_place_of(one["stage"]), natural(one["path"])))
    seconds: dict[str, float] = {}
    versions: dict[str, set[str]] = {}
    for record in records:
        seconds[record["stage"]] = seconds.get(record["stage"], 0) + (record["seconds"] or 0)
        for name, version in (record["versions"] or {}).items():
            versions.setdefault(name, set()).add(str(version))
    return {
        "records": records,
        "seconds": sum(seconds.values()),
        "costs": charts.costs(seconds),
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "commits": sorted({str(r["commit"]) for r in records if r["commit"]}),
        "devices": sorted({str(r["device"]) for r in records if r["device"]}),
        "date": last_reading(run),
    }


def _place_of(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def place_of_option(key: tuple[str, str]) -> tuple[int, str, str]:
    """Return what sorts stages and their options in the order in which they run."""
    return (_place_of(key[0]), *key)


def command_of(record: dict[str, Any]) -> list[str]:
    """Return the command line of a record, its program without the folder."""
    command = [str(part) for part in record.get("command", [])]
    return [Path(command[0]).name, *command[1:]] if command else []


def last_reading(run: Run) -> str | None:
    """Return the day on which test was read last, None where no ledger tells."""
    path = run.root / "ledger.jsonl"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return max(DATE.findall(text), default=None)  # lines of it may be damaged
