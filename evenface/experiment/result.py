"""The verdict as a file: everything that a comparison found, and the JSON schema of it.

`python -m evenface.experiment.result` writes the schema, `verdict.schema.json` beside this module,
anew; a test fails where it is not current.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evenface.experiment.differences import Claim, Verdict
from evenface.experiment.multiplicity import Role
from evenface.experiment.roles import Kind
from facekit.errors import DataError, place_of
from facekit.storage.files import read_json, write_text

SCHEMA = Path(__file__).with_name("verdict.schema.json")
VERSION: Literal[1] = 1  # of the schema; raised where a key changes its meaning or goes

Answer = Literal["helps", "does_not_help", "cannot_be_told"]
P = Annotated[float | None, Field(ge=0, le=1)]


class Model(BaseModel):
    """An object of the file; no other keys, nothing changes once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dose(Model):
    """Share of the deficit that synthetic images filled."""

    nominal: float = Field(description="As the arm's name has it, 0..1.")
    reached: float | None = Field(description="Really, mean over rounds; null: not recorded.")
    low: float | None = Field(description="In the round that reached least.")
    high: float | None = Field(description="In the round that reached most.")


class Variances(Model):
    """Variance of the difference by its source; null: was not repeated."""

    images: float | None
    seeds: float | None
    rounds: float | None


class Contrast(Model):
    """One arm minus another, paired within round and seed."""

    arm: str
    against: str
    role: Role = Field(description="primary: declared before the run.")
    difference: float = Field(description="Mean over rounds and seeds.")
    low: float = Field(description="End of the interval.")
    high: float = Field(description="End of the interval.")
    p: P = Field(description="Two-sided, by the interval; null: nothing varied.")
    corrected_p: P = Field(
        description="Of an exploratory one Holm's, over arms and tasks, of controls and of others."
    )
    permutation_p: P = Field(description="Of these networks on other images.")
    verdict: Verdict
    claim: Claim
    detectable: float | None = Field(
        description="True difference found in 4 of 5 such runs; of an exploratory one by what its p"
        " would have to be if it were the smallest."
    )
    df: float | None = Field(description="Degrees of freedom (Satterthwaite); null: infinite.")
    variances: Variances
    by_round: list[list[float]] = Field(description="Differences of each round's seeds.")


class Help(Model):
    """Whether synthetic images help: better than the baseline and all opponents."""

    answer: Answer
    against: list[Contrast] = Field(description="Opponents beside the baseline.")
    missing: list[str] = Field(description="Opponents that were not run, in words.")
    not_beaten: list[str] = Field(description="Opponents that it was not found to be better than.")
    p: P = Field(description="Largest of the comparisons' p; 1 where the arm is not above.")
    corrected_p: P = Field(description="Holm's over the synthetic arms that are exploratory.")


class ClassFigures(Model):
    """Of one class: mean over rounds and seeds."""

    recall: float | None
    f1: float | None


class Arm(Model):
    """An arm and its comparison with the baseline."""

    arm: str
    kind: Kind
    label: str = Field(description="Its name, with the dose where that was not reached.")
    dose: Dose | None
    mean: float = Field(description="Of the measure, over rounds and seeds.")
    low: float = Field(description="End of its interval.")
    high: float = Field(description="End of its interval.")
    by_round: list[list[float]]
    val: float | None = Field(description="Mean of the measure on val; null: not given.")
    classes: dict[str, ClassFigures]
    withheld: list[str] = Field(description="Why nothing is said of this arm.")
    mislabelled: Annotated[float | None, Field(ge=0, le=1)] = Field(
        description="Of `shuffled@`: share of the labels judged that are wrong; null: not known."
    )
    difference: Contrast | None = Field(description="To the baseline; null of itself.")
    help: Help | None = Field(description="Of arms with synthetic images.")


class Round(Model):
    """What a round was compared on."""

    round: int
    seeds: list[int]
    num_images: int = Field(description="Of its test part with a label.")
    num_units: int = Field(description="Persons, clusters or single images that these are.")
    support: dict[str, int] = Field(description="Test images by class.")
    train_ids: str
    val_ids: str
    test_ids: str


class Explored(Model):
    """An exploratory difference to the baseline, one of many that are looked through."""

    arm: str
    figure: str = Field(description="recall, f1; brier, log_loss, calibration_error.")
    of_class: str | None
    support: int = Field(description="Test images of the class (of the rarest) in a round.")
    difference: float
    low: float
    high: float
    p: P
    q: P = Field(description="p corrected for all that were looked through (false discovery).")
    is_marked: bool = Field(description="q is at most 1 - confidence.")


class Worth(Model):
    """What an arm does for a class, in photographs more of it that would do as much."""

    arm: str
    of_class: str
    count: int = Field(description="Images of the class in train, mean over rounds.")
    photographs: float | None = Field(description="null: more photographs may not help either.")
    low: float | None = Field(description="End of its interval.")
    high: float | None = Field(description="End of its interval.")
    is_more: bool = Field(description="The upper end is as far as the learning curve tells.")


class WonBack(Model):
    """Share of what the images that were held back give (arm `withheld`) that an arm gives, too."""

    arm: str
    share: float | None = Field(description="null: they were not seen to give anything.")
    low: float | None = Field(description="End of its interval.")
    high: float | None = Field(description="End of its interval.")


class Gain(Model):
    """What F1 of a class gains by something that can be done."""

    what: str = Field(description="leave it, reweight, synthesise, or collect so many more.")
    arm: str | None = Field(description="That does it best.")
    gain: float
    low: float = Field(description="End of its interval.")
    high: float = Field(description="End of its interval.")


class Advice(Model):
    """What can be done for a class that lacks images, the surest gain first."""

    of_class: str
    count: int = Field(description="Images of the class in train, mean over rounds.")
    options: list[Gain]


class Before(Model):
    """The comparison by the labels that test images had before they were reviewed."""

    num_changed: int = Field(description="Test images whose label was changed.")
    differences: list[Contrast]


class Readings(Model):
    """How often this test part has been read, this time included."""

    readings: int
    settings: int = Field(description="Different settings by which it was, trainings included.")
    damaged: list[int] = Field(description="Lines of the ledger that could not be read.")


class Result(Model):
    """What a comparison of the arms of a task found."""

    version: Literal[1] = VERSION
    task: str
    head: str
    measure: str
    measured: str = Field(description="The measure in words.")
    baseline: str
    confidence: float
    answer: Answer
    sentence: str = Field(description="The answer, one short sentence.")
    verdict: str = Field(description="All of it in words.")
    main: str | None = Field(description="The arm that the answer is about.")
    num_doses: int = Field(description="Of which val chose the main arm's; 1: it was not chosen.")
    role: Role = Field(description="Of the main arm's comparison.")
    best: str | None = Field(description="Arm without synthetic images that is best on val.")
    surest: str | None = Field(
        description="Arm, no control, found better than the baseline whose interval begins highest."
    )
    same_test: bool = Field(description="Several rounds have the same test part.")
    num_tasks: int = Field(description="Tasks that exploratory comparisons are corrected for.")
    num_images: int = Field(description="Test images with a label, of all rounds.")
    num_units: int
    withheld: list[str] = Field(description="Why the verdict is withheld.")
    doubts: list[str] = Field(description="What controls say against the experiment.")
    rounds: list[Round]
    arms: list[Arm] = Field(description="The baseline first.")
    classes: list[Explored]
    scores: list[Explored]
    worth: list[Worth] = Field(
        description="By class; empty without an arm `part@`, or where nothing is claimed."
    )
    won_back: list[WonBack] = Field(
        description="Empty without an arm `withheld`, or where nothing is claimed."
    )
    advice: list[Advice] = Field(
        description="By class that lacks images, where counts are given and something is claimed."
    )
    before: Before | None
    ledger: Readings | None


def read(path: Path) -> dict[str, Any]:
    """Return the result that a file holds, as plain values.

    Raises:
        DataError: none, or that of another version.
    """
    found: dict[str, Any] = read_json(path)
    try:
        Result.model_validate(found)
    except ValidationError as error:
        place = place_of(error)
        about = f" ({place} is missing, or another)" if place else ""
        raise DataError(
            f"{path}: no comparison of this version of `evenface compare`{about};"
            " `evenface run` makes it again"
        ) from None
    return found


def schema() -> str:
    """Return the JSON schema of a result, as text."""
    found: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Result.model_json_schema(mode="serialization"),
        "title": "A verdict of `evenface compare`",
    }
    return json.dumps(found, indent=2) + "\n"


if __name__ == "__main__":
    write_text(schema(), SCHEMA)
