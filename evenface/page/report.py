"""The page that a person reads: what a run found, in one HTML file without outside parts.

It reads the files of `results/<dataset>/` and computes nothing new: verdicts, counts and metrics
are those of the stages. A stage that was not run leaves one plain line in place of its section.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenface import nearby
from evenface.experiment import result
from evenface.options import PageOptions
from evenface.page import RECORD, again, answer, arms, data, document, generator, scores, trust
from evenface.page.run import Run
from facekit.errors import DataError
from facekit.storage import files

CONTENTS = (
    ("verdict", "Answer"),
    ("data", "Data"),
    ("wrong", "What was wrong"),
    ("split", "Split"),
    ("gan", "Generator"),
    ("synth", "Synthetic images"),
    ("arms", "Which arm won"),
    ("failures", "Where it fails"),
    ("elsewhere", "Faces from elsewhere"),
    ("provenance", "Cost, and again"),
    ("glossary", "Words"),
    ("limits", "Limits"),
)


def make_page(
    results: Path,
    dataset: str,
    tasks: Sequence[dict[str, Any]],
    num_rounds: int = 1,
    command: str | None = None,
) -> str:
    """Return the page of a run as HTML text.

    Args:
        results: the run's folder, `results/<dataset>`.
        dataset: its name, for the title.
        tasks: the config's tasks, each with name and heads; their comparisons must be there.
        num_rounds: of the run; what lies there of later ones is of earlier settings.
        command: that makes the run again, as it is typed.

    Raises:
        DataError: a file that every run makes is missing or cannot be read.
    """
    run = Run(results, num_rounds)
    shown = of_tasks(run, tasks)
    elsewhere = any(task["external"] for task in shown)
    return document.render(
        "report.html.j2",
        [part for part in CONTENTS if part[0] != "elsewhere" or elsewhere],
        dataset=dataset,
        MEASURES=scores.MEASURES,
        rules=trust.RULES,
        level_words=trust.WORDS,
        tasks=shown,
        elsewhere=elsewhere,
        kinds=sorted(scores.kinds_of([head for task in shown for head in task["heads"]])),
        data=data.of_images(run),
        classes=data.of_classes(run),
        checks=run.split_checks,
        check=run.split_checks[0] if run.split_checks else None,
        mosaics=data.mosaics(run),
        numbers=run.figures("numbers"),
        together=run.figures("cooccurrence", "association"),
        shift=run.figures("shift"),
        quality=data.quality(run),
        duplicates=data.duplicates(run),
        non_faces=data.non_faces(run),
        issues=data.issues(run),
        review="review.html" if (results / "review.html").exists() else None,
        gans=generator.gans(run),
        synths=generator.synths(run),
        again=command,
        provenance=again.provenance(run, [one for task in shown for one in task["folders"]]),
    )


def of_tasks(run: Run, tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each task with its verdict, its lights, its figures and what to do next."""
    return [
        {
            **found,
            "figures": answer.key_figures(found["comparison"]),
            "next": answer.next_steps(found["comparison"]),
            "surest": answer.surest(found["comparison"]),
            "lights": trust.lights(run, found),
        }
        for number, task in enumerate(tasks)
        for found in [arms.of_task(run, task, number)]
    ]


def only_run(folder: Path) -> Path:
    """Return the only run in a folder of results that was compared.

    Raises:
        DataError: there is none, or there are several.
    """
    lacking = "expected the results of a run, found none with a comparison"
    return nearby.only_run(folder, "*/compare/*.json", lacking)


def known_tasks(results: Path) -> PageOptions:
    """Return tasks and number of rounds of a run, by the record of its page or by its files.

    Raises:
        DataError: no task of it was compared, or a file is none of ours.
    """
    values = _recorded(results)
    if values.get("tasks"):
        known = {"tasks": values["tasks"], "rounds": values.get("rounds") or 1}
        return PageOptions.read(known, str(results / RECORD))
    paths = sorted((results / "compare").glob("*.json"))
    found = [result.read(path) for path in paths if not path.name.endswith(".run.json")]
    if not found:
        raise DataError(
            f"{results}: no task was compared there (compare/*.json); expected the folder of a run,"
            " such as results/avatars"
        )
    tasks = [{"name": one["task"], "heads": [{"name": one["head"]}]} for one in found]
    known = {"tasks": tasks, "rounds": len(found[0]["rounds"])}
    return PageOptions.read(known, str(results / "compare"))


def known_command(results: Path) -> str | None:
    """Return what makes a run again, as the page made last says it; None where it does not."""
    said = _recorded(results).get("again")
    return said if isinstance(said, str) else None


def _recorded(results: Path) -> Mapping[str, Any]:
    """Return what the page of a run was made with last; nothing where there is no page."""
    path = results / RECORD
    if not path.exists():
        return {}
    record = files.read_json(path)
    values = record.get("values") if isinstance(record, Mapping) else None
    if not isinstance(values, Mapping):
        raise DataError(f"{path}: no record of a page; remove it, and `evenface page` writes one")
    return values
