"""From the nested values of the config and the command line to arguments of dataclasses."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from facekit.errors import DataError
from facekit.options import (
    Attributes,
    BelowOne,
    Count,
    NotNegative,
    NotNegativeCount,
    OpenShare,
    Options,
    Positive,
    Share,
    Text,
    TwoOrMore,
    Whole,
    option,
)

Tta = Literal["none", "flip", "flip_crops"]  # ways to look at an image more than once


def flatten(values: Any, name: str, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments by name from nested values.

    Args:
        values: such as `{kind: focal, focal: {gamma: 2}}`.
        name: of the values, for messages.
        paths: by argument, where its value lies: `{"kind": "kind", "gamma": "focal.gamma"}`.

    Raises:
        DataError: a value is missing, or there is one that no path leads to.
    """
    found = dict(_leaves(values, set(paths.values()), ""))
    missing = sorted(set(paths.values()) - set(found))
    unknown = sorted(set(found) - set(paths.values()))
    if missing or unknown:
        wrong = f"no {missing[0]}" if missing else f"unknown {unknown[0]}"
        raise DataError(f"{name}: {wrong}, expected {', '.join(paths.values())}")
    return {argument: found[path] for argument, path in paths.items()}


def _leaves(values: Any, wanted: set[str], prefix: str):
    """Yield path and value of everything that lies at a wanted path or is no object."""
    if not isinstance(values, Mapping) or prefix.rstrip(".") in wanted:
        yield prefix.rstrip("."), values
        return
    for key, value in values.items():
        yield from _leaves(value, wanted, f"{prefix}{key}.")


class ModelOptions(Options):
    """What a classifier is built of."""

    backbone: Text = option("tf_efficientnet_lite0", "A model of timm, or inception_resnet_v1.")
    weights: Text = option(
        "packaged",
        "packaged (Lite0 to 2 of EfficientNet), imagenet, vggface2, casia-webface, none or a file.",
    )


class RecipeOptions(Options):
    """How weights follow from images, whatever the training is for."""

    batch: TwoOrMore = option(32, "Images a step.")
    lr: Positive = option(0.0015, "Largest learning rate.")
    weight_decay: NotNegative = option(0.01, "Of weight matrices.")
    label_smoothing: BelowOne = option(
        0.05, "Share of the target that is given to all classes alike."
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Of the network's computations; auto: bf16 where the device is fast at it."
    )


class JudgeOptions(Options):
    """Which labels are judged, and by how much training."""

    attributes: Literal["all"] | Attributes = option(
        "all", "Whose labels are judged: all but those derived from others, or a list."
    )
    kimg: NotNegative = option(
        6.0,
        "Thousands of images shown to each fold's network; 0: linear models on frozen features.",
    )
    passes: Count = option(
        1, "Over all folds; from the second on, labels that the first contradict are left out."
    )
    batch: TwoOrMore = option(32, "Images a step.")


class CrossvalOptions(JudgeOptions, ModelOptions, RecipeOptions):
    """How each image's labels are predicted by models that were fitted to the other folds."""


class FiguresOptions(Options):
    """How predictions are measured."""

    threshold: Literal["none", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1"] = option(
        "macro_f1",
        "Measure that thresholds of heads with two classes are tuned for on val; none: all at 0.5.",
    )
    small_group: NotNegativeCount = option(
        20, "Subgroups of fewer persons are marked: their figures say little."
    )
    confidence: OpenShare = option(0.95, "Of the intervals of measures.")
    num_bootstrap: Annotated[Whole, Field(ge=100)] = option(
        1000, "Resamplings of the persons among the images."
    )


class EvaluateOptions(FiguresOptions):
    """How models are measured on images that they did not learn from."""

    batch: Count = option(256, "Images at a time.", changes_result=False)
    tta: Tta = option(
        "none", "Look at mirror images, too, and at the view's corners; outputs are the mean."
    )


class FilterOptions(Options):
    """Which synthetic images may be used."""

    batch: Count = option(256, "Images at a time.", changes_result=False)
    min_probability: Share = option(
        0.5, "Teacher's probability of the wanted class below which an image is refused."
    )
    max_similarity: Share = option(
        0.5, "Refused when nearer to a train image than this share of the usual distance."
    )


class CompareOptions(Options):
    """How arms are compared."""

    baseline: Text = option("real", "The arm that the others are compared with.")
    confidence: OpenShare = option(0.95, "Of the intervals.")
    num_bootstrap: Annotated[Whole, Field(ge=100)] = option(
        2000, "Resamplings of the persons among the test images."
    )


class PredictOptions(Options):
    """How photographs are predicted."""

    format: Literal["csv", "celeba"] = option(
        "csv", "csv: a row a face; celeba: a line a photo, its name and 40 values -1 or 1."
    )
    align: bool = option(False, "Find all faces; bring each to where training faces lie.")
    min_probability: Share = option(0.9, "Of a face that counts, where faces are found.")
    tta: Tta = option(
        "none", "Look at mirror images, too, and at the view's corners; outputs are the mean."
    )
    batch: Count = option(64, "Faces at a time.", changes_result=False)
