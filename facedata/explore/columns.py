"""Columns of the tables that explore a data set; all plots are drawn from them."""

from facekit.splits import SPLITS
from facekit.storage.columns import Column, Table

MADE_BY = "facedata eda"
ATTRIBUTE = Column("attribute", "str", "its name")
LOW = Column("low", "float64", "lower edge of the bin")
HIGH = Column("high", "float64", "upper edge of the bin")
OF_SPLITS = tuple(Column(name, "int64", f"images of {name}") for name in SPLITS)
ATTRIBUTE_A = Column("attribute_a", "str", "the one attribute")
ATTRIBUTE_B = Column("attribute_b", "str", "the other")

CLASSES = Table(
    "eda/classes.csv",
    MADE_BY,
    "A class of an attribute.",
    (
        ATTRIBUTE,
        Column("class", "str", "its name"),
        *OF_SPLITS,
        Column("curated", "int64", "images that stay"),
        Column("share", "float64", "of the labelled ones, 0..1"),
        Column("effective", "float64", "effective number of samples in train"),
        Column("index", "int64", "images before curation"),
    ),
)
NUMBERS = Table(
    "eda/numbers.csv",
    MADE_BY,
    "A bin of a numeric attribute's histogram.",
    (ATTRIBUTE, LOW, HIGH, *OF_SPLITS),
)
MISSING = Table(
    "eda/missing.csv",
    MADE_BY,
    "An attribute.",
    (
        ATTRIBUTE,
        Column("index", "int64", "images without a label before curation"),
        Column("curated", "int64", "of those that stay"),
        Column("share", "float64", "of those that stay, 0..1"),
    ),
)
SIZES = Table(
    "eda/sizes.csv",
    MADE_BY,
    "A bin of a histogram, or a word that is counted.",
    (
        Column("measure", "str", "width, height, width / height, format or problem"),
        Column("low", "float64", "lower edge of the bin; NA: a word"),
        Column("high", "float64", "upper edge of the bin; NA: a word"),
        Column("value", "str", "the format or problem; NA: a bin"),
        Column("count", "int64", "images"),
    ),
)
QUALITY = Table(
    "eda/quality.csv",
    MADE_BY,
    "A bin of a measure's histogram.",
    (
        Column("measure", "str", "a column of `inspection.parquet`"),
        LOW,
        HIGH,
        Column("count", "int64", "images"),
    ),
)
QUALITY_RANGES = Table(
    "eda/quality_ranges.csv",
    MADE_BY,
    "A measure.",
    (
        Column("measure", "str", "a column of `inspection.parquet`"),
        Column("least", "float64", "of all images"),
        Column("low", "float64", "5 % are below"),
        Column("median", "float64", "half are below"),
        Column("high", "float64", "95 % are below"),
        Column("largest", "float64", "of all images"),
    ),
)
OUTLIERS = Table(
    "eda/outliers.csv",
    MADE_BY,
    "An image far from the median in a measure: more than three times as far as the outer 5 %.",
    (
        Column("image_id", "str", "the image"),
        Column("row", "int64", "row in the packed arrays"),
        Column("measure", "str", "a column of `inspection.parquet`"),
        Column("value", "float64", "of the image"),
        Column("distance", "float64", "in units of the outer 5 %'s; negative below the median"),
    ),
)
COOCCURRENCE = Table(
    "eda/cooccurrence.csv",
    MADE_BY,
    "A class of one attribute and a class of another.",
    (
        ATTRIBUTE_A,
        Column("class_a", "str", "a class of it"),
        ATTRIBUTE_B,
        Column("class_b", "str", "a class of it"),
        Column("count", "int64", "images with both"),
        Column("expected", "float64", "how many there would be were they independent"),
        Column("log2_ratio", "float64", "of the two, one image added to either"),
    ),
)
ASSOCIATION = Table(
    "eda/association.csv",
    MADE_BY,
    "Two attributes.",
    (
        ATTRIBUTE_A,
        ATTRIBUTE_B,
        Column("images", "int64", "labelled in both"),
        Column("mutual_information", "float64", "normalized, 2 I / (H + H), 0..1; NA: one class"),
        Column("cramers_v", "float64", "0..1; NA: one class"),
    ),
)
SHIFT = Table(
    "eda/shift.csv",
    MADE_BY,
    "How unlike splits are in an attribute.",
    (
        ATTRIBUTE,
        Column("between", "str", "which splits", ("official splits", "splits")),
        Column("chi_square", "float64", "the statistic"),
        Column("degrees", "int64", "of freedom"),
        Column("p", "float64", "of splits that are alike"),
        Column("cramers_v", "float64", "effect size, 0..1"),
    ),
)
TABLES = (
    *(CLASSES, NUMBERS, MISSING, SIZES, QUALITY, QUALITY_RANGES, OUTLIERS),
    *(COOCCURRENCE, ASSOCIATION, SHIFT),
)
