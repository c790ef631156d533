"""Which arm is better, and whether synthetic faces help: from predictions to a verdict.

The verdict is one file of plain values (`result.Result`), from which sentence, table and figure
are made. How differences are measured, and how often that is wrong: docs/statistics.md.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from classifiers.evaluate.figures import STYLE, draw_intervals
from classifiers.models.heads import Head, read_heads
from classifiers.options import HeadOptions
from evenface.experiment import ledger, result
from evenface.experiment.drawn import read_drawn
from evenface.experiment.judging import Judge, Terms
from evenface.experiment.result import Result
from evenface.experiment.roles import CONTROLS, kind_of
from evenface.experiment.runs import (
    Runs,
    check_budgets,
    check_val,
    digest_of_predictions,
    line_up,
    read_predictions,
)
from evenface.experiment.words import percent
from evenface.options import CompareOptions
from facedata.columns import CURATED
from facekit.errors import DataError
from facekit.pictures.figures import save_svg
from facekit.storage import files, tables

log = logging.getLogger(__name__)

Interval = tuple[float, float, float]  # a value and the ends of its interval

Pair = tuple[str, str]  # an arm and what it is compared with


@dataclass(frozen=True)
class Evidence:
    """Files that a verdict rests on.

    Attributes:
        predictions: of test, of every arm, round and seed.
        curated: labels, and what may join images into units.
        val_predictions: of val, likewise; without them it is not known which arm is the best.
        doses: what the filter accepted, `doses.csv` of each round.
        facts: what it found, `filter.json` of each round.
        test_labels_before: labels that curation changed, `relabelled.parquet`.
        deficits: what classes lack, `deficits.csv` of each round.
        val_curated: labels of val where test is a set from elsewhere, which `curated` is of.
    """

    predictions: Sequence[Path]
    curated: Path
    val_predictions: Sequence[Path] = ()
    doses: Sequence[Path] = ()
    facts: Sequence[Path] = ()
    test_labels_before: Path | None = None
    deficits: Sequence[Path] = ()
    val_curated: Path | None = None


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        task: its name.
        heads: of the task.
        head: that arms are compared by, one with classes.
        measure: of that head, one of `classifiers.measures`.
        is_exploratory: another task has the comparison that was declared.
        num_tasks: tasks of the run, over which exploratory comparisons are corrected.
    """

    task: str
    heads: Sequence[HeadOptions]
    head: str
    measure: str
    is_exploratory: bool = False
    num_tasks: int = 1


@dataclass(frozen=True)
class Comparison:
    """What was found of the arms of a task.

    Attributes:
        result: all of it.
    """

    result: Result

    @property
    def verdict(self) -> str:
        """The verdict in words; the first line is the answer."""
        return self.result.verdict

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON has it; the schema is `evenface.experiment.result.SCHEMA`."""
        return self.result.model_dump(mode="json")

    def table(self) -> pd.DataFrame:
        """Return a row an arm, with a column a class for recall and F1."""
        return pd.DataFrame([_row(one) for one in self.result.arms])

    def draw(self, path: Path) -> None:
        """Write the arms' figures and differences with their intervals as SVG."""
        _draw(self.result, path)

    def write(self, json_path: Path, csv_path: Path, svg_path: Path, verdict: Path) -> None:
        """Write everything, the table, the figure and the verdict."""
        files.write_json(self.plain(), json_path)
        tables.write(self.table(), csv_path, tables.FOR_PEOPLE)
        self.draw(svg_path)
        files.write_text(f"{self.verdict}\n", verdict)
        log.info("%s", self.verdict)


def compare_files(
    evidence: Evidence,
    question: Question,
    options: CompareOptions,
    seed: int,
    ledger_path: Path | None = None,
) -> Comparison:
    """Compare the arms of a task, round by round and seed by seed.

    Args:
        evidence: files to read.
        question: what is asked.
        options: how to compare.
        seed: of the permutations.
        ledger_path: file to which a line is added, since test was read; None keeps no ledger.

    Raises:
        DataError: the head is none of the task's or has no classes, files do not fit together
            (see `runs`), arms had unequal budgets, or the primary arm is none.
    """
    curated = tables.read(evidence.curated, CURATED, ["image_id"])
    head = _judged(question, curated, evidence.curated)
    found = read_predictions(evidence.predictions, head, "test")
    runs = line_up(found, curated, head, options.baseline)
    for arm in runs.arms[1:]:
        check_budgets(runs, arm, runs.baseline)
    main = _main_arm(runs, options.primary)
    terms = Terms(
        question.measure, main, question.is_exploratory, question.num_tasks, options, seed
    )
    drawn = read_drawn(evidence.doses, evidence.facts, evidence.deficits, len(runs.rounds))
    judge = Judge(runs, head, curated, terms, drawn)
    if evidence.val_predictions:
        of_val = curated
        if evidence.val_curated is not None:
            of_val = tables.read(evidence.val_curated, CURATED, ["image_id"])
        val = line_up(
            read_predictions(evidence.val_predictions, head, "val"),
            of_val, head, options.baseline, "val",
        )  # fmt: skip
        check_val(val, runs, is_elsewhere=evidence.val_curated is not None)
        judge.read_val(val)
    before = None
    if evidence.test_labels_before is not None:
        before = judge.before(found, evidence.test_labels_before)
    readings = None
    if ledger_path is not None:
        readings = ledger.record(
            ledger_path,
            question.task,
            [one.origin.test_ids for one in runs.rounds],
            {
                "head": question.head,
                "measure": question.measure,
                "options": options.plain(),
                "is_exploratory": question.is_exploratory,
                "runs": [[arm, one.number, one.seeds] for arm in runs.arms for one in runs.rounds],
            },
            digest_of_predictions(found),
        )
    return Comparison(judge.conclude(question.task, before, readings))


def _judged(question: Question, curated: pd.DataFrame, path: Path) -> Head:
    by_name = {one.name: one for one in read_heads(question.heads, curated, str(path))}
    head = by_name.get(question.head)
    if head is None or head.kind == "numeric":
        names = [name for name, one in by_name.items() if one.classes]
        raise DataError(
            f"head {question.head}: expected one of the task's heads with classes, {names}"
        )
    return head


def _main_arm(runs: Runs, primary: str | None) -> str | None:
    """Return the arm that the answer is about: as declared, or the first with synthetic images.

    Without any the first one; a control is none, unless it was declared.
    """
    others = runs.arms[1:]
    if primary is not None:
        if primary not in others:
            raise DataError(f"primary arm {primary}: expected one of the arms compared, {others}")
        return primary
    kinds = {arm: kind_of(arm, runs.baseline) for arm in others}
    synthetic = [arm for arm in others if kinds[arm] == "synthetic"]
    treatments = [arm for arm in others if kinds[arm] not in CONTROLS]
    return next(iter([*synthetic, *treatments]), None)


# --- table and figure -------------------------------------------------------------------------


GAP_COLUMNS = {  # of the table, and what they are of a comparison
    "role": "role",
    "difference": "difference",
    "difference_low": "low",
    "difference_high": "high",
    **{name: name for name in ("p", "corrected_p", "permutation_p", "detectable")},
    **{name: name for name in ("claim", "verdict")},
}


def _row(one: result.Arm) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": one.arm, "kind": one.kind}
    row |= {"mean": one.mean, "low": one.low, "high": one.high}
    row |= {"dose": one.dose.nominal if one.dose else None}
    row |= {"dose_reached": one.dose.reached if one.dose else None}
    for name, of_gap in GAP_COLUMNS.items():
        row[name] = getattr(one.difference, of_gap) if one.difference else None
    row["helps"] = one.help.answer if one.help else None
    for name, figures in one.classes.items():
        row |= {f"recall:{name}": figures.recall, f"f1:{name}": figures.f1}
    return row


def _draw(found: Result, path: Path) -> None:
    labels: list[str] = []
    values: list[Interval | None] = []
    differences: list[Interval | None] = []
    verdicts: list[str] = []
    for one in found.arms:
        labels.append(one.label)
        values.append((one.mean, one.low, one.high))
        gap = one.difference
        differences.append((gap.difference, gap.low, gap.high) if gap else None)
        verdicts.append(gap.verdict if gap else "")
        for other in one.help.against if one.help else []:
            labels.append(f"{one.arm} − {other.against}")
            values.append(None)
            differences.append((other.difference, other.low, other.high))
            verdicts.append(other.verdict)
    panels = [
        (f"{found.measured}, {percent(found.confidence)} interval", values),
        (f"difference to {found.baseline}, or as named", differences),
    ]
    save_svg(draw_intervals(labels, panels, verdicts), path, STYLE)
