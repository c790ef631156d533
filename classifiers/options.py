"""Settings of the commands: how classifiers are trained, measured and compared."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, field_serializer
from pydantic import model_validator as validator

from classifiers.arms import JOIN, REAL, part_names
from classifiers.augmentations import Augmentation, in_order
from classifiers.columns import RESERVED
from classifiers.losses import CROSS_ENTROPY, LOSSES, NUMERIC_LOSSES, Loss
from classifiers.measures import MEASURES, judged
from classifiers.samplers import NO_SAMPLER, SAMPLERS
from facekit.errors import DataError
from facekit.options import (
    Attribute,
    Attributes,
    BelowOne,
    Choice,
    Count,
    IsWhole,
    NotNegative,
    NotNegativeCount,
    OpenShare,
    Options,
    OrNone,
    Percentile,
    Pixels,
    Positive,
    PositiveShare,
    Share,
    Text,
    TwoOrMore,
    option,
    part_of,
    with_parts,
)
from facekit.trackers import TRACKERS

NO_THRESHOLD = "none"
FACENET = "inception_resnet_v1"  # facenet-pytorch's, which timm does not have
FACENET_WEIGHTS = ("vggface2", "casia-webface")
NAMED_WEIGHTS = ("packaged", "imagenet", *FACENET_WEIGHTS, "none")

Passes = Annotated[int, Field(ge=1, le=10), IsWhole]
Resamplings = Annotated[int, Field(ge=100, le=1_000_000), IsWhole]
Size = Annotated[Annotated[tuple[Pixels, ...], Field(min_length=2, max_length=2)] | None, OrNone]
Backbone = Annotated[str, Field(pattern=r"^[a-z0-9_.]+$")]
Precision = Literal["auto", "fp32", "bf16"]
Tta = Literal["none", "flip", "flip_crops"]
ARMS_HELP = (
    f"Ways to treat imbalance: {REAL}, or one or several of {', '.join(part_names())}, joined by"
    f" {JOIN}."
)
# What arms are judged by: also of the rarest class.
Measure = Annotated[str, Choice(judged())]


# --- Heads and their losses


@with_parts((name, cls) for name, cls in LOSSES.items() if cls.model_fields)
class LossOptions(Options):
    """How heads are compared with their labels."""

    kind: Annotated[str, Choice(LOSSES)] = option(
        CROSS_ENTROPY, "Loss of heads with classes; cross_entropy is BCE of binary heads."
    )
    numeric: Annotated[str, Choice(NUMERIC_LOSSES)] = option(
        "smooth_l1", "Loss of numeric heads, in standard deviations of the attribute."
    )
    weights: Literal["none", "inverse", "effective"] = option(
        "none",
        "Weights of classes: none, inverse to their frequency, or by their effective number of"
        " images.",
    )
    beta: Share = option(
        0.999, "Of effective: 0 weighs all classes alike, 1 inversely to their frequency."
    )

    @property
    def chosen(self) -> Loss:
        """The loss of heads with classes, with its options."""
        found = getattr(self, self.kind, None)
        return found if isinstance(found, Loss) else LOSSES[self.kind]()

    def with_own(self, own: "LossOptions | None") -> "LossOptions":
        """Return these with what a head's own options say laid over them."""
        return self if own is None else self.but(**_laid_over(self, own))


def _laid_over(base: Options, own: Options) -> dict[str, Any]:
    """Return the values that options set themselves, by field."""
    found = {}
    for name in own.model_fields_set:
        value = getattr(own, name)
        if isinstance(value, Options):
            value = getattr(base, name).but(**_laid_over(getattr(base, name), value))
        found[name] = value
    return found


class HeadOptions(Options):
    """One output of a classifier."""

    name: Attribute = option(help="Name of the head; column of its predictions.")
    attributes: Annotated[Attributes, Field(min_length=1)] = option(
        help="The attribute, or several whose joint classes are predicted."
    )
    kind: Literal["categorical", "binary", "numeric"] = option(
        "categorical", "Categorical, binary (two classes, one output) or numeric."
    )
    weight: Positive = option(1.0, "Weight of its loss.")
    loss: LossOptions | None = option(
        None, "Keys of classify.loss that are other for this head; may lack."
    )

    @validator(mode="after")
    def _free(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(f"name: a column of predictions is called {self.name} already")
        return self

    @field_serializer("loss", mode="wrap")
    def _said(self, loss: LossOptions | None, handler: SerializerFunctionWrapHandler) -> Any:
        """Return what a head says itself, so that the rest stays the task's."""
        return None if loss is None else loss.model_dump(mode="json", exclude_unset=True)


def _differ(heads: Sequence[HeadOptions]) -> Sequence[HeadOptions]:
    names = [head.name for head in heads]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two heads are called {name}")
    return heads


Heads = Annotated[tuple[HeadOptions, ...], Field(min_length=1), AfterValidator(_differ)]


class TaskOptions(Options):
    """What one classifier predicts."""

    heads: Heads = option(help="One output each.")


class GivenHeadsOptions(Options):
    """What one classifier predicts, where it may follow from the data."""

    heads: Annotated[Heads | None, OrNone] = option(
        None, "One output each; needed with packed images, of a folder those of its attributes."
    )


class VerdictOptions(Options):
    """What arms are judged by."""

    head: Attribute = option(help="One of the task's heads, with classes.")
    measure: Measure = option(
        "macro_f1", "Figure of that head; recall is that of its rarest class."
    )


# --- The network


class ModelOptions(Options):
    """A backbone and where its weights come from."""

    backbone: Backbone = option(
        "tf_efficientnet_lite0", f"Any model of timm, or {FACENET} (facenet-pytorch)."
    )
    weights: Text = option(
        "packaged",
        "packaged (installed), imagenet (timm's), vggface2 or casia-webface (facenet-pytorch's),"
        " none, or a file.",
    )

    @property
    def weights_file(self) -> str | None:
        """The file that weights come from, if it is one."""
        return None if self.weights in NAMED_WEIGHTS else self.weights

    @validator(mode="after")
    def _fitting(self) -> Self:
        own = self.weights in FACENET_WEIGHTS
        if own and self.backbone != FACENET:
            raise ValueError(f"weights: {self.weights} is of {FACENET}, not of {self.backbone}")
        if self.backbone == FACENET and self.weights in ("packaged", "imagenet"):
            raise ValueError(
                f"weights: {FACENET} has no {self.weights}, but {', '.join(FACENET_WEIGHTS)}"
            )
        return self


class LayerOptions(Options):
    """How heads are set on a backbone."""

    hidden: NotNegativeCount = option(
        0, "Width of a hidden layer between backbone and heads; 0 for none."
    )
    batch_norm: bool = option(
        False, "Normalise the hidden layer, or the backbone's features where there is none."
    )
    dropout: BelowOne = option(0.0, "Share of what the last layer sees that is dropped.")
    samples: Count = option(1, "Dropouts of each image in a step (multi-sample dropout).")

    @validator(mode="after")
    def _different(self) -> Self:
        if self.samples > 1 and not self.dropout:
            raise ValueError(f"samples: {self.samples}, but no dropout that would differ")
        return self


class ViewOptions(Options):
    """What of an image the network sees."""

    crop: Size = option(
        None, "[height, width] of the middle of an image that it sees; null for all of it.",
        unit="pixels",
    )  # fmt: skip
    resize: Size = option(
        None, "[height, width] that it is resized to; null leaves it.", unit="pixels"
    )

    def check(self, height: int, width: int) -> None:
        """Check that images of a size hold the crop.

        Raises:
            DataError: it is larger; the message begins with `crop`.
        """
        if self.crop and (self.crop[0] > height or self.crop[1] > width):
            raise DataError(f"crop: {list(self.crop)} is larger than the images, {[height, width]}")


# --- Augmentation


@with_parts(in_order())
class AugmentOptions(Options):
    """How training images are changed by chance, in this order."""

    @property
    def used(self) -> dict[str, Augmentation]:
        """The augmentations that draw or change anything, by name, in the order of acting."""
        found = {name: part_of(self, name, cls) for name, cls in in_order()}
        return {name: one for name, one in found.items() if one.is_used}

    def effective(self) -> dict[str, Any]:
        """Return the values that can change a result; not of what does nothing, as by default."""
        idle = {name for name, cls in in_order() if not cls().is_used} - set(self.used)
        return {name: value for name, value in super().effective().items() if name not in idle}


# Nothing is changed.
STILL = AugmentOptions().but(flip=0.0, affine={"p": 0.0}, color={"p": 0.0})
# For networks that judge labels: faces are roughly aligned already.
LIGHT = STILL.but(
    flip=0.5,
    affine={"p": 1.0, "rotation": 5.0, "scale": 0.05, "shift": 0.05, "shear": 0.0},
    color={"p": 1.0, "brightness": 0.15, "contrast": 0.2, "saturation": 0.0, "hue": 0.0},
)


# --- Optimisation


class OptimizerOptions(Options):
    """How weights follow gradients."""

    name: Literal["sgd", "adam", "adamw"] = option("adamw", "Which one.")
    momentum: BelowOne = option(0.9, "Of sgd; beta1 of the others; a one-cycle sets its own.")
    beta2: BelowOne = option(0.999, "Of adam and adamw.")
    layer_decay: PositiveShare = option(
        1.0, "Factor of the learning rate from each block of the backbone to the one before it."
    )
    clip: NotNegative = option(0.0, "Largest norm of all gradients together; 0 for none.")


class ScheduleOptions(Options):
    """How the learning rate changes."""

    name: Literal["one_cycle", "cosine", "step", "exponential", "plateau", "constant"] = option(
        "one_cycle", "In which way."
    )
    warm_up: BelowOne = option(
        0.25, "Share of the steps in which it rises (linearly; one_cycle: by a cosine)."
    )
    gamma: PositiveShare = option(
        0.1,
        "What it is multiplied by (step: every `step` epochs, exponential: every epoch, plateau:"
        " after `patience` epochs that are not better on val).",
    )
    step: Positive = option(1.0, "From one such step to the next (step).", unit="epochs")
    patience: NotNegativeCount = option(
        2, "Epochs without a better score on val before such a step (plateau)."
    )
    final: Share = option(0.0, "Least share of the largest rate; what cosine ends at.")


class SelectOptions(Options):
    """Which epoch is kept."""

    measure: Annotated[str, Choice(MEASURES)] = option(
        "macro_f1", "Mean over heads that epochs are compared by on val; R2 for numeric heads."
    )
    patience: NotNegativeCount = option(
        0, "Epochs without a better one after which the training ends; 0 for never."
    )


class RecipeOptions(Options):
    """What every training of a network needs."""

    batch: TwoOrMore = option(32, "Images a step, of all processes together.")
    lr: Positive = option(0.0015, "Largest learning rate.")
    weight_decay: NotNegative = option(
        0.01, "Of weight matrices; biases and normalisation have none."
    )
    label_smoothing: BelowOne = option(0.05, "Share of the target given to all classes alike.")
    precision: Precision = option(
        "auto", "Of the arithmetic; auto: bf16 on a GPU that has it, fp32 on a CPU."
    )


@with_parts(TRACKERS.items())
class TrainOptions(RecipeOptions, ModelOptions):
    """How each classifier of a task is trained."""

    epochs: Positive = option(4.0, "Passes over the real train split.")
    exposure: Literal["real", "all"] = option(
        "real",
        "What every arm is shown as often: real images, with what arms add on top, or images in"
        " all.",
    )
    loss: LossOptions = option(LossOptions(), "How heads are compared with their labels.")
    head: LayerOptions = option(LayerOptions(), "How heads are set on the backbone.")
    view: ViewOptions = option(ViewOptions(), "What of an image the network sees.")
    sampler: Annotated[str, Choice([NO_SAMPLER, *SAMPLERS])] = option(
        NO_SAMPLER,
        "How often images are shown: none all alike; multilabel_sampler goes by the classes of all"
        " heads, the others by the first head's.",
    )
    augment: AugmentOptions = option(AugmentOptions(), "How training images are changed by chance.")
    optimizer: OptimizerOptions = option(OptimizerOptions(), "How weights follow gradients.")
    schedule: ScheduleOptions = option(ScheduleOptions(), "How the learning rate changes.")
    ema: BelowOne = option(
        0.0, "Decay of averaged weights, which are then the result, such as 0.999; 0 for none."
    )
    freeze: NotNegative = option(
        0.0, "Time in which the backbone stays as it is and the heads alone learn.", unit="epochs"
    )
    select: SelectOptions = option(SelectOptions(), "Which epoch is kept.")


class JudgeOptions(Options):
    """How labels are judged by out-of-fold predictions."""

    attributes: Literal["all"] | Attributes = option(
        "all", "Whose labels are judged; all but those derived from others, or a list."
    )
    kimg: NotNegative = option(
        6.0,
        "Shown to each fold's network; 0 fits linear models to frozen features (quick, coarse).",
        unit="thousands of images",
    )
    passes: Passes = option(
        1,
        "Rounds over all folds; from the second on, labels that the first contradict are not"
        " learned from.",
    )
    batch: TwoOrMore = option(32, "Images a step.")


class CrossvalOptions(JudgeOptions, RecipeOptions, ModelOptions):
    """How out-of-fold predictions are made."""


# --- Measuring


class IntervalOptions(Options):
    """Confidence intervals by resampling."""

    confidence: OpenShare = option(0.95, "Of the intervals.")
    num_bootstrap: Resamplings = option(1000, "Resamplings of the persons of the test images.")


class FiguresOptions(IntervalOptions):
    """How predictions are measured."""

    threshold: Annotated[str, Choice([NO_THRESHOLD, *MEASURES])] = option(
        "macro_f1",
        "Measure that thresholds of heads with two classes are tuned for on val; none leaves them"
        " at 0.5.",
    )
    small_group: NotNegativeCount = option(
        20, "Subgroups of fewer persons (or single images) are marked: their figures say little."
    )


class LookOptions(Options):
    """How a classifier looks at an image."""

    tta: Tta = option(
        "none",
        "Look at an image once, at its mirror image, too, or also at the corners that the view"
        " leaves out; outputs are the mean.",
    )


class EvaluateOptions(LookOptions, FiguresOptions):
    """How classifiers are measured."""

    batch: Count = option(256, "Images at a time.", changes_result=False)


class PredictOptions(LookOptions):
    """How photographs are predicted."""

    format: Literal["csv", "celeba"] = option(
        "csv", "csv: a row a face; celeba: a line a photo, its name and 40 values -1 or 1."
    )
    align: bool = option(False, "Find all faces, and bring each to where training faces lie.")
    min_probability: Share = option(
        0.9, "Of a face that counts (--align, or where the model's faces were found)."
    )
    batch: Count = option(64, "Faces at a time.", changes_result=False)


class FilterOptions(Options):
    """Which synthetic images are learned from."""

    batch: Count = option(256, "Images at a time.", changes_result=False)
    percentile: Percentile = option(
        10.0,
        "Of the teacher's probabilities of real images of a class that it did not learn from: an"
        " image below is refused; 0 refuses none.",
    )
    min_probability: Share = option(
        0.0, "Teacher's probability of the wanted class below which an image is always refused."
    )
    max_similarity: Share = option(
        0.6,
        "Refused as memorized when nearer to an image of train than this share of its mean distance"
        " to the next nine.",
    )
    on_memorized: Literal["stop", "warn"] = option(
        "stop",
        "What happens where accepted images of a class are nearer to train images than held-out"
        " faces are.",
        changes_result=False,
    )


# --- What no type can say


def check_backbone(name: str) -> None:
    """Check that there is a backbone of that name; of a known one timm need not be imported.

    Raises:
        DataError: there is none; the message names near ones.
    """
    if name == FACENET or name.partition(".")[0] in _declared_models():
        return
    import timm  # slow to import

    if timm.is_model(name):
        return
    from difflib import get_close_matches

    names = [*timm.list_models(), FACENET]
    close = timm.list_models(f"*{name[:12]}*")[:5] or get_close_matches(name, names, 5)
    hint = f"; similar: {', '.join(close)}" if close else ""
    raise DataError(f"backbone {name}: timm {timm.__version__} has no such model{hint}")


def _declared_models() -> set[str]:
    """Return the names of the models that timm's source declares."""
    import re
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        return set()
    folder = Path(spec.origin).parent / "models"
    pattern = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
    return {
        name
        for path in sorted(folder.glob("*.py"))
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }
