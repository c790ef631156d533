"""Columns of the tables that classifiers make, but predictions, which other packages read too."""

from classifiers.measures import MEASURES, meaning
from facedata.columns import OUT_OF_FOLD, PREDICTIONS, PREDICTIONS_OF_HEADS
from facekit.storage.columns import Column, Table, names_of

HEAD = Column("head", "str", "its name")
FOLDER = "round<n>/classifiers/<task>/<arm>/seed<n>"

HISTORY = Table(
    f"{FOLDER}/history.csv",
    "classifiers train",
    "An epoch.",
    (
        Column("epoch", "float64", "times that the real images of train were shown by its end"),
        Column("images", "int64", "images shown by its end"),
        Column("lr", "float64", "step size at its end"),
        Column("loss", "float64", "mean over its images"),
        Column("*.*", "float64", "measures of each head on val, such as `glasses.macro_f1`"),
        Column("score", "float64", "by which the best epoch is chosen"),
        Column("best", "bool", "whether it was"),
    ),
)
MEASURED = Table(
    f"{FOLDER}/attributes.csv",
    "classifiers evaluate",
    "A head with classes; the last row is the mean over them.",
    (
        HEAD,
        Column("support", "float64", "images with a label"),
        Column("accuracy", "float64", meaning("accuracy")),
        Column("low", "float64", "end of its interval"),
        Column("high", "float64", "end of its interval"),
        *(Column(name, "float64", meaning(name)) for name in MEASURES if name != "accuracy"),
        Column("average_precision", "float64", "mean over the classes"),
        Column("ece", "float64", "expected calibration error"),
        Column("ece_calibrated", "float64", "that of calibrated probabilities; NA: no val"),
        Column("temperature", "float64", "that calibrates; NA: no val"),
        Column("threshold", "float64", "fitted to val; NA: none"),
        *(
            Column(f"tuned_{name}", "float64", f"{name} with the threshold; NA: none")
            for name in MEASURES
        ),
    ),
)
SUBGROUPS = Table(
    f"{FOLDER}/subgroups.csv",
    "classifiers evaluate",
    "A measure of a head on a group of images.",
    (
        HEAD,
        Column("attribute", "str", "that groups are made by"),
        Column("class", "str", "of the group"),
        Column("measure", "str", "its name"),
        Column("support", "int64", "images of the group with a label"),
        Column("num_units", "int64", "persons, clusters or single images that these are of"),
        Column("small", "bool", "whether that is few"),
        Column("value", "float64", "of the measure on the group"),
        Column("low", "float64", "end of its interval"),
        Column("high", "float64", "end of its interval"),
        Column("gap", "float64", "to all images"),
        Column("gap_low", "float64", "end of its interval"),
        Column("gap_high", "float64", "end of its interval"),
        Column("gap_to_best", "float64", "to the best group of the attribute"),
        Column("p", "float64", "of no gap to all other images; NA: not tested (as macro_f1)"),
        Column("q", "float64", "p corrected for all groups of all heads (false discoveries)"),
        Column("marked", "bool", "whether q is at most 0.05"),
    ),
)
MISTAKES = Table(
    f"{FOLDER}/mistakes.csv",
    "classifiers evaluate",
    "A label that was missed; of each head the surest mistake is first.",
    (
        HEAD,
        Column("image_id", "str", "the image"),
        Column("true", "str", "its label"),
        Column("predicted", "str", "the class that was predicted"),
        Column("score", "float64", "probability given to the label"),
    ),
)
CONFUSION = Table(
    f"{FOLDER}/confusion.csv",
    "classifiers evaluate",
    "A label and a class that was predicted.",
    (
        HEAD,
        Column("true", "str", "the label"),
        Column("predicted", "str", "the class"),
        Column("count", "int64", "images"),
    ),
)
PHOTOS = Table(
    "predictions.csv",
    "classifiers predict",
    "A photo, or with --align a face on it; CSV or Parquet, wherever it is asked for.",
    (
        Column("file", "str", "name of the photo"),
        Column(
            "face",
            "Int64",
            "its number, from 1, the largest first; NA: none was looked for, or found",
        ),
        Column("x0", "float64", "box of the face, left, pixels of the photo; NA: no face"),
        Column("y0", "float64", "box, top"),
        Column("x1", "float64", "box, right"),
        Column("y1", "float64", "box, bottom"),
        Column("problem", "str", "why nothing was predicted; NA: it was"),
    ),
    f"after `face`, {PREDICTIONS_OF_HEADS}; then `head.threshold` of each head with two classes:"
    " from which probability it is the second one",
)
TABLES = (HISTORY, MEASURED, SUBGROUPS, MISTAKES, CONFUSION, PHOTOS)
# What no head can be called; `row` is where images are looked up.
RESERVED = names_of([PREDICTIONS, OUT_OF_FOLD, PHOTOS]) | {"row"}
