"""Settings of the commands of evenface."""

from typing import Literal

from classifiers.options import Resamplings
from facekit.options import OpenShare, Options, Text, TextOrNone, option


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
