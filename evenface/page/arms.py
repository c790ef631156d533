"""What the page says of each task: the verdict, arm against arm, and where the best one fails."""

from typing import Any

from evenface.experiment import result
from evenface.page import charts, scores
from evenface.page.run import Run

MAX_MISTAKES = 8  # of a head and arm


def of_task(run: Run, task: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the verdict of a task and the test results of its arms.

    Args:
        run: the run.
        task: of the config, with name and heads; its comparison must be there.
        number: its place among the tasks, which keeps the ids of figures apart.
    """
    name = task["name"]
    comparison = result.read(run.root / "compare" / f"{name}.json")
    folders = [folder / "classifiers" / name for folder in run.rounds]
    arms = scores.find_arms(folders, comparison)
    wrong = _arms_whose_mistakes_are_shown(arms, comparison)
    return {
        "name": name,
        "comparison": comparison,
        "arms": arms,
        "attributes": {head["name"]: head.get("attributes") or [head["name"]]
                       for head in task["heads"]},
        "external": _external(run, name),
        "charts": _charts(comparison),
        "heads": [
            {
                **scores.head_scores(head, arms),
                "mistakes": [_mistakes(run, arm, head) for arm in wrong],
            }
            for head in (one["name"] for one in task["heads"])
        ],
        "reliability": [
            {
                "arm": arm.name,
                "has_ensemble": arm.has_ensemble,
                "figure": figure,
            }
            for place, arm in enumerate(arms)
            if (figure := run.drawing(
                arm.reliability,
                f"task{number}arm{place}",
                f"Accuracy by confidence of arm {arm.name}, task {name}",
            )) is not None
        ],
        "folders": [folder for arm in arms for folder in arm.folders],
    }  # fmt: skip


def _charts(comparison: dict[str, Any]) -> dict[str, charts.Chart | None]:
    return {
        "forest": charts.forest(comparison),
        "classes": charts.by_class(comparison),
        "doses": charts.doses(comparison),
    }


def _external(run: Run, task: str) -> list[dict[str, Any]]:
    """Return what a task's arms do on labelled sets from elsewhere."""
    return [
        {
            "name": path.parents[1].name,
            "comparison": comparison,
            "forest": charts.forest(comparison),
        }
        for path in sorted(run.root.glob(f"external/*/compare/{task}.json"))
        for comparison in [result.read(path)]
    ]


def _arms_whose_mistakes_are_shown(
    arms: list[scores.Arm], comparison: dict[str, Any]
) -> list[scores.Arm]:
    """Return the baseline and the arm that the answer is about."""
    main = comparison["main"]
    return [arm for arm in arms if arm.name == main or arm is arms[0]]


def _mistakes(run: Run, arm: scores.Arm, head: str) -> dict[str, Any]:
    """Return the labels of a head that an arm's classifier is surest are others."""
    mistakes = arm.mistakes[arm.mistakes["head"] == head]
    return {
        "arm": arm.name,
        "count": len(mistakes),
        "surest": run.scored(mistakes.head(MAX_MISTAKES), "true"),
    }
