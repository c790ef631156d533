"""Two runs side by side: answers, arms, what differs in settings, data, versions and cost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenface.page import again, document, report, trust
from evenface.page.run import Run

CONTENTS = (
    ("verdict", "Answers"),
    ("arms", "Arms"),
    ("settings", "Settings that differ"),
    ("made", "Data, cost, versions"),
)
WIDEST = 300  # characters of a setting


def make_page(first: Path, second: Path) -> str:
    """Return the page of two runs as HTML text.

    Args:
        first: a run's folder, `results/<dataset>`.
        second: another.

    Raises:
        DataError: one is no folder of a run, or a file that every run makes is missing.
    """
    runs = [_Side(first), _Side(second)]
    names = list(dict.fromkeys(task for run in runs for task in run.tasks))
    return document.render(
        "beside.html.j2",
        CONTENTS,
        names=[run.name for run in runs],
        tasks=[_task(name, runs) for name in names],
        settings=_differing([run.settings() for run in runs]),
        facts=_facts(runs),
        rules=trust.RULES,
        level_words=trust.WORDS,
    )


class _Side:
    """One of the runs, by what the other is compared with."""

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        known = report.known_tasks(root).plain()
        self.run = Run(root, known["rounds"])
        self.tasks = {task["name"]: task for task in report.of_tasks(self.run, known["tasks"])}
        folders = [folder for task in self.tasks.values() for folder in task["folders"]]
        self.provenance = again.provenance(self.run, folders)

    def settings(self) -> dict[tuple[str, str], str]:
        """Return the values of each stage's options, by stage and option; paths without its name.

        What rounds, arms or seeds have differently stands one after the other.
        """
        found: dict[tuple[str, str], set[str]] = {}
        own = f"results/{self.run.root.name}"
        for path, record in self.run.records.items():
            stage = " ".join(again.command_of(record)[:2])
            if stage == again.PAGE or path not in self.of_now:
                continue
            for option, value in (record.get("values") or {}).items():
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                found.setdefault((stage, option), set()).add(text.replace(own, "results/…"))
        return {key: _short(", ".join(sorted(values))) for key, values in found.items()}

    @property
    def of_now(self) -> set[str]:
        """Paths of the records that are not of earlier settings."""
        return {record["path"] for record in self.provenance["records"]}


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[:WIDEST]} …"


def _differing(
    settings: Sequence[Mapping[tuple[str, str], str]],
) -> list[tuple[str, str, list[str | None]]]:
    """Return stage, option and both values where these differ; None where there is none."""
    keys = sorted({key for one in settings for key in one}, key=again.place_of_option)
    found = [(stage, option, [one.get((stage, option)) for one in settings])
             for stage, option in keys]  # fmt: skip
    return [one for one in found if one[2][0] != one[2][1]]


def _task(name: str, runs: Sequence[_Side]) -> dict[str, Any]:
    """Return a task of both runs, and its arms beside each other."""
    sides = [run.tasks.get(name) for run in runs]
    by_arm = [
        {arm["arm"]: arm for arm in side["comparison"]["arms"]} if side else {} for side in sides
    ]
    arms = list(dict.fromkeys(arm for of_run in by_arm for arm in of_run))
    test = [
        sorted(one["test_ids"] for one in side["comparison"]["rounds"]) if side else None
        for side in sides
    ]
    return {
        "name": name,
        "sides": sides,
        "measured": [side["comparison"]["measured"] if side else None for side in sides],
        "arms": [(arm, [of_run.get(arm) for of_run in by_arm]) for arm in arms],
        "same_test": test[0] == test[1],
    }


def _facts(runs: Sequence[_Side]) -> list[tuple[str, list[Any]]]:
    """Return what was there and what was spent, by its name, of both runs."""
    summaries = [run.run.summary for run in runs]
    made = [run.provenance for run in runs]
    return [
        ("Rows in the table", [one["table_rows"] for one in summaries]),
        ("Images kept", [one["curated"] for one in summaries]),
        ("Rounds", [len(run.run.rounds) for run in runs]),
        ("Time of work", [document.duration(one["seconds"]) for one in made]),
        ("Code", [", ".join(one["commits"]) or "–" for one in made]),
        ("Device", [", ".join(one["devices"]) or "–" for one in made]),
        ("Test was read last", [one["date"] or "–" for one in made]),
        (
            "Versions",
            [", ".join(f"{name} {of}" for name, of in one["versions"].items()) for one in made],
        ),
    ]
