"""Settings of the commands of evenface."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from classifiers.options import Resamplings
from facekit.options import (
    Attribute,
    Attributes,
    Count,
    Name,
    OpenShare,
    Options,
    OrNone,
    Text,
    TextOrNone,
    option,
)

Rounds = Annotated[Count, Field(le=100)]


class CompareOptions(Options):
    """How arms are compared."""

    baseline: Text = option("real", "The arm that the others are compared with.")
    primary: TextOrNone = option(
        None,
        "The arm whose comparison is declared beforehand; null: the first with synthetic images,"
        " else the first other one. All others are exploratory.",
    )
    dose: Literal["declared", "val"] = option(
        "val",
        "Where no arm is declared and several have synthetic images in other doses: the answer is"
        " about the first of them (declared) or about the one that is best on val.",
    )
    confidence: OpenShare = option(0.95, "Of the intervals.")
    num_permutations: Resamplings = option(2000, "Of the arms' names, for the permutation p.")


class ShownHead(Options):
    """A head that the page shows; what else a config says of it is passed over."""

    model_config = ConfigDict(extra="ignore")

    name: Attribute = option(help="Name of the head.")
    attributes: Attributes = option((), "What it predicts; none: the attribute of its name.")


class ShownTask(Options):
    """A task that the page shows; what else a config says of it is passed over."""

    model_config = ConfigDict(extra="ignore")

    name: Name = option(help="Name of the task, whose comparison is there.")
    heads: Annotated[tuple[ShownHead, ...], Field(min_length=1)] = option(help="Its heads.")


class PageOptions(Options):
    """What the page shows of a run."""

    tasks: Annotated[tuple[ShownTask, ...], Field(min_length=1)] | None = option(
        None,
        "Tasks: a list of {name, heads}; those of the page made last, or compared, by default.",
    )
    rounds: Annotated[Rounds | None, OrNone] = option(
        None, "Rounds of the run; like --tasks by default."
    )
