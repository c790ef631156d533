"""Columns of the tables of a data set, and of those that generator and classifiers hand each other.

Those of one package alone are in its own `columns.py`. Attributes follow in tables with `more`;
none can have the name of a column of such a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.splits import PARTS
from facekit.storage.columns import Column, Table, names_of

if TYPE_CHECKING:
    import pandas as pd

ATTRIBUTES = "attributes: category, classes in the order of the config, or float64"
OF_ATTRIBUTES = ("category", "float64")
PREDICTIONS_OF_HEADS = (
    "for each head with classes `head` (category) and `head:class` (float64, probabilities that sum"
    " to 1), for a numeric head `head` (float64)"
)
KINDS_OF_PAIRS = ("exact", "near", "mirror", "altered")  # of duplicates, the surest first
BOX = ("x0", "y0", "x1", "y1")
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
IMAGE_ID = Column(
    "image_id",
    "str",
    "one image; the file column as it was given, and of a face that was cut out `#` and its number"
    " in the photograph, the largest first",
)
TABLE_ROW = Column("table_row", "Int64", "row of the published table, from 1; NA: none names it")

# --- Ingest and inspection

CUT_COLUMNS = (
    Column(
        "cut_from",
        "str",
        "where faces are cut out: the photograph, below the data set's folder; its faces stay"
        " together",
        optional=True,
    ),
    *(
        Column(
            f"cut_{end}",
            "float64",
            f"likewise: {side} of the face's box, pixels of the upright photograph; it may reach"
            " beyond",
            optional=True,
        )
        for end, side in zip(BOX, ("left", "top", "right", "bottom"), strict=True)
    ),
)
INDEX = Table(
    "index.parquet",
    "facedata ingest",
    "An image.",
    (
        IMAGE_ID,
        TABLE_ROW,
        Column("path", "str", "below the root, also into a ZIP archive: `faces.zip/1.png`"),
        Column("group", "str", "what must stay together, such as a person's pictures; NA: alone"),
        Column("official_split", "str", "of the published data set: train, val, test; NA: none"),
        *CUT_COLUMNS,
    ),
    ATTRIBUTES,
    OF_ATTRIBUTES,
)
REJECTED = Table(
    "rejected.csv",
    "facedata ingest",
    "A row, or a file, that is not in the index.",
    (
        Column("image_id", "str", "as it was given; NA: nothing was"),
        TABLE_ROW,
        Column("reason", "str", "a word"),
        Column("detail", "str", "more about it; NA: nothing"),
    ),
)
NOTES = Table(
    "notes.csv",
    "facedata ingest",
    "A label that was repaired or set missing.",
    (
        IMAGE_ID,
        Column("attribute", "str", "its name"),
        Column("given", "str", "the cell; NA: empty"),
        Column("note", "str", "what was done"),
    ),
)
INSPECTION = Table(
    "inspection.parquet",
    "facedata inspect",
    "An image of the index, in its order.",
    (
        IMAGE_ID,
        Column("row", "Int64", "row in the packed arrays; NA: not decoded"),
        Column("problem", "str", "why it was not decoded; NA: it was"),
        Column("width", "Int64", "pixels, upright"),
        Column("height", "Int64", "pixels, upright"),
        Column("format", "str", "of the file, as it is stored"),
        Column("mode", "str", "of its pixels, as they are stored"),
        Column("num_frames", "Int64", "of the file; the first is used"),
        Column("num_bytes", "Int64", "of the file"),
        Column("jpeg_quality", "Int64", "1..100, by the quantization tables; NA: other formats"),
        Column("pixel_hash", "str", "32 hex digits; differs where sizes or any pixel differ"),
        Column(
            "phash",
            "UInt64",
            "perceptual hash: 64 bits, low cosine waves of the gray thumbnail above their median",
        ),
        Column("phash_mirror", "UInt64", "that of the mirror image"),
        Column("sharpness", "float64", "variance of the Laplacian, gray levels 0..255"),
        Column("brightness", "float64", "mean of gray, 0..1"),
        Column("contrast", "float64", "standard deviation of gray, 0..1"),
        Column(
            "entropy",
            "float64",
            "of the gray levels (every other pixel of every other line), bits a pixel",
        ),
        Column("border_r", "float64", "mean red along the edges, 0..255"),
        Column("border_g", "float64", "mean green there"),
        Column("border_b", "float64", "mean blue there"),
        Column(
            "border_std", "float64", "spread of colour there: black corners, white frames, bars"
        ),
        Column(
            "face_framed",
            "Int64",
            "with `fit: face`: 1 where a face was found and cut out, 0 where none was; NA: not"
            " decoded",
            optional=True,
        ),
        Column("*_left", "Int64", "content box in each geometry, such as `gan_left`, pixels"),
        Column("*_top", "Int64", "likewise"),
        Column("*_right", "Int64", "likewise; exclusive"),
        Column("*_bottom", "Int64", "likewise; exclusive"),
    ),
)
LANDMARK_COLUMNS = tuple(
    Column(f"{point}_{axis}", "float64", f"landmark, pixels along {axis}; NA: no face")
    for point in LANDMARKS
    for axis in "xy"
)
FACES = Table(
    "faces.parquet",
    "facedata faces",
    "An image that decoded, and its main face, in pixels of `images/classifier.npy`.",
    (
        IMAGE_ID,
        Column("num_faces", "int64", "faces found with `faces.min_probability`"),
        Column("probability", "float64", "of the main face, 0..1; 0 without any"),
        Column("x0", "float64", "box, left; may reach beyond the picture; NA: no face"),
        Column("y0", "float64", "box, top"),
        Column("x1", "float64", "box, right"),
        Column("y1", "float64", "box, bottom"),
        *LANDMARK_COLUMNS,
        Column("non_face", "bool", "whether no face was found"),
        Column("several_faces", "bool", "whether there is more than one"),
    ),
)
DUPLICATES = Table(
    "duplicates.parquet",
    "facedata dedup",
    "Two images that show the same picture.",
    (
        Column("image_id_a", "str", "the one"),
        Column("image_id_b", "str", "the other"),
        Column("distance", "int64", "differing bits of their perceptual hashes, 0..64"),
        Column(
            "kind",
            "str",
            "exact, near, mirror, or altered: cropped, turned, captioned, mirrored and cropped",
            KINDS_OF_PAIRS,
        ),
        Column("cluster", "int64", "pairs that touch are of one cluster"),
        Column("conflict", "str", "attributes whose labels disagree, joined by `;`, or empty"),
        Column("difference", "float64", "share of the fine structure that is left unexplained"),
    ),
)

# --- Curation and split

CURATED = Table(
    "curated.parquet",
    "facedata curate",
    "An image that stays; with the labels that count.",
    (
        *INDEX.columns,
        Column("row", "int64", "row in the packed arrays"),
        Column("cluster", "int64", "of duplicates; of an image without any its own"),
        Column(
            "unit",
            "int64",
            "what stays together: linked by groups, clusters and equal pixels, also through images"
            " that were dropped",
        ),
        Column(
            "weight",
            "float64",
            "of its labels where it is learned from: 1, the smallest score of its label issues, or"
            " 0: left out. Val and test take no notice",
        ),
        Column("flags", "str", "what was found, joined by `;`, or empty"),
    ),
    ATTRIBUTES,
    OF_ATTRIBUTES,
)
SCREENED = Table(
    "screened.parquet",
    "facedata screen",
    "An image whose labels are judged.",
    (*CURATED.columns, Column("fold", "Int64", "from 0; groups and clusters stay in one")),
    ATTRIBUTES,
    OF_ATTRIBUTES,
)
LABEL_ISSUES = Table(
    "label_issues.csv",
    "facedata labels",
    "A label that predictions contradict, worst first.",
    (
        IMAGE_ID,
        Column("attribute", "str", "its name"),
        Column("given", "str", "the label"),
        Column("suggested", "str", "the most probable class, or the predicted number"),
        Column(
            "score",
            "float64",
            "0..1, 0 is worst. Classes: the probability of the given one (self-confidence)."
            " Numbers: how probable an error as large as theirs is, by the robust spread of all"
            " errors",
        ),
        Column(
            "issue",
            "bool",
            "whether the label counts as wrong. Classes: by confident learning (cleanlab), each"
            " attribute by itself, also where an image has many. Numbers: 3.5 robust standard"
            " deviations off",
        ),
    ),
)
DROPPED = Table(
    "dropped.csv",
    "facedata curate",
    "A row, or a file, that does not stay.",
    (
        *REJECTED.columns[:2],
        Column("reason", "str", "the first that applies"),
        Column("detail", "str", "more about it; NA: nothing"),
    ),
)
RELABELLED = Table(
    "relabelled.parquet",
    "facedata curate",
    "A label of an image that stays which is not that of the data set, derived ones included.",
    (
        IMAGE_ID,
        Column("attribute", "str", "its name"),
        Column("old", "str", "the label as it came; NA: missing"),
        Column("new", "str", "the label that counts; NA: missing"),
        Column(
            "who",
            "str",
            "reviewer: the reviewer's list; copies: most of the images that show the same picture",
            ("reviewer", "copies"),
        ),
    ),
)
DECISIONS = Table(
    "decisions.parquet",
    "facedata curate",
    "A row of `rejected.csv`, then of the index.",
    (
        *REJECTED.columns[:2],
        Column("kept", "bool", "whether it stays"),
        Column("reason", "str", "why not; NA: it stays"),
        Column("detail", "str", "more about it, or about its weight, or empty"),
        Column("cluster", "Int64", "as in `curated.parquet`; NA: not in the index"),
        Column("unit", "Int64", "as in `curated.parquet`; NA: not in the index"),
        Column("weight", "float64", "as in `curated.parquet`; NA: not in the index"),
        Column("flags", "str", "as in `curated.parquet`"),
        Column("review", "str", "the reviewer's actions, joined by `;`, or empty"),
    ),
)
SPLITS = Table(
    "round<n>/splits.parquet",
    "facedata split",
    "An image of `curated.parquet`, in its order.",
    (
        IMAGE_ID,
        Column(
            "split",
            "category",
            "train, val or test; reserve: held back from all of them (`split.reserve`)",
            PARTS,
        ),
        Column("fold", "Int64", "part of train in cross-validation, from 0; NA: not of train"),
    ),
)
SPLITS_SUMMARY = Table(
    "round<n>/splits_summary.csv",
    "facedata split-check",
    "A class in a split, or in a fold of train; the first rows are of all images.",
    (
        Column("attribute", "str", "its name; NA: all images"),
        Column("class", "str", "of the attribute, of a number its quarter; NA: all images"),
        Column("split", "str", "train, val, test or reserve", PARTS),
        Column("fold", "Int64", "of train, from 0; NA: the whole split"),
        Column("images", "int64", "images of the class there"),
        Column("units", "int64", "persons, clusters or single images that these are of"),
    ),
)

# --- From train to synthetic faces

PACK = Table(
    "round<n>/packs/train.parquet",
    "facedata pack",
    "An image of the pack.",
    (
        Column("row", "int64", "row in the pack's images, 0, 1, 2 ..."),
        IMAGE_ID,
        Column("class", "Int64", "class id; 0 in a pack without classes"),
    ),
    "the attributes that make the classes (category)",
)
DEFICITS = Table(
    "round<n>/deficits.csv",
    "facedata deficits",
    "A class of train.",
    (
        Column("class", "int64", "class id"),
        Column("name", "str", "values of the attributes joined by `/`"),
        Column("count", "int64", "images"),
        Column("deficit", "int64", "images that it lacks; 0 for a class that is no minority"),
    ),
    "after `name`, the attributes that make the classes (text)",
)
CANDIDATES = Table(
    "round<n>/synth/<run>/candidates.parquet",
    "stylegan2 synth",
    "An image that was drawn.",
    (
        Column("row", "int64", "row in the drawn images, 0, 1, 2 ..."),
        Column("class", "int64", "class id"),
        Column("seed", "int64", "of its latent"),
        Column("psi", "float64", "truncation: 1 is none"),
    ),
    "after `class`, the attributes that make the classes (category)",
)
# Why a candidate is refused; the first that applies.
WHY_REFUSED = {
    "memorized": "nearer to one image of train than new faces are",
    "low_probability": "the teacher does not take it for its class",
    "duplicate": "like another one that may stay",
    "surplus": "more than the class lacks",
}
REASONS = tuple(WHY_REFUSED)
SAMPLES = Table(
    "round<n>/synth/<run>/samples.parquet",
    "classifiers filter",
    "An image that was drawn, and what the filter said.",
    (
        *CANDIDATES.columns,
        Column("accepted", "bool", "whether it may join train"),
        Column(
            "reason",
            "str",
            f"why not: {', '.join(REASONS)}; NA: accepted",
            REASONS,
        ),
        Column(
            "rank",
            "Int64",
            "place, by chance, among those of its class that nothing speaks against; NA: refused",
        ),
        Column("fold", "int64", "of the teacher's model that judged it"),
        Column("teacher_probability", "float64", "the teacher's, of the class wanted, 0..1"),
        Column(
            "nearest_distance",
            "float64",
            "to the nearest image of train, as a share of the mean distance to the next nine: 0 is"
            " a copy, new faces have about 0.9",
        ),
    ),
    CANDIDATES.more,
)
DOSES = Table(
    "round<n>/synth/<run>/doses.csv",
    "classifiers filter",
    "A class that lacks images, and how much of that synthetic ones fill.",
    (
        *DEFICITS.columns[:2],
        DEFICITS.columns[3],
        Column("candidates", "int64", "images drawn"),
        Column("accepted", "int64", "of them"),
        *(Column(name, "int64", f"refused: {why}") for name, why in WHY_REFUSED.items()),
        Column("real", "int64", "images of train that the threshold follows from"),
        Column("threshold", "float64", "the teacher's probability below which images are refused"),
        Column("reached", "float64", "accepted, as a share of the deficit; 1: all that lacks"),
    ),
)

# --- Predictions, which several packages read

OUT_OF_FOLD = Table(
    "oof.parquet",
    "classifiers crossval",
    "An image of `screened.parquet`, predicted by a model that did not learn from it.",
    (IMAGE_ID, Column("fold", "int64", "that it is in")),
    PREDICTIONS_OF_HEADS,
)
PREDICTIONS = Table(
    "round<n>/classifiers/<task>/<arm>/seed<n>/test_predictions.parquet",
    "classifiers evaluate",
    "An image of a split. So are the tables of val (`predictions.parquet`), of each image of train"
    " by a model of another fold (`oof_predictions.parquet`, with `fold`), and of ensembles.",
    (
        IMAGE_ID,
        Column("arm", "str", "of the model"),
        Column("seed", "Int64", "of the model; NA: several"),
        Column("round", "int64", "of the model: whose split it learned from"),
        Column("train_ids", "str", "digest of the images of train of that split"),
        Column("val_ids", "str", "digest of those of val"),
        Column("test_ids", "str", "digest of those of test"),
        Column(
            "real_shown",
            "int64",
            "real images that the training was to show (one that stops early shows fewer); of"
            " several models the sum",
        ),
        Column("images_shown", "int64", "images of any kind, likewise"),
    ),
    PREDICTIONS_OF_HEADS,
)

TABLES = (
    *(INDEX, REJECTED, NOTES, INSPECTION, FACES, DUPLICATES, SCREENED, OUT_OF_FOLD, LABEL_ISSUES),
    *(CURATED, DROPPED, RELABELLED, DECISIONS, SPLITS, SPLITS_SUMMARY),
    *(PACK, DEFICITS, CANDIDATES, SAMPLES, DOSES, PREDICTIONS),
)
# Images with an equal value of one of these stay together.
UNIT_COLUMNS = ("group", "cut_from", "cluster", "pixel_hash", "unit")
# What a table of images has beside attributes, also where tables were joined.
FIXED = names_of([CURATED, SCREENED, SPLITS]) | {*UNIT_COLUMNS}
# What no attribute can be called.
RESERVED = FIXED | names_of(one for one in TABLES if one.more)


def attributes_of(table: pd.DataFrame) -> list[str]:
    """Return the names of the attributes in a table of images, in order."""
    return [name for name in table.columns if name not in FIXED]
