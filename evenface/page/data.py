"""What the page says of the images: how many, what was wrong with them, how they were split."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from evenface.page import charts
from evenface.page.run import Run, counts
from facedata.columns import DUPLICATES, FACES
from facedata.explore.columns import CLASSES, QUALITY_RANGES
from facekit.pictures import inline
from facekit.splits import SPLITS
from facekit.storage import tables

MAX_ISSUES = 20
MAX_PAIRS = 12
MAX_NON_FACES = 20
MEAN_FACES = "mean_faces.png"
WITHOUT_ROW = "file_without_row"  # the reason for dropping a file that no row names


def of_images(run: Run) -> dict[str, Any]:
    """Return how many images there were, which were kept and why the others were not."""
    summary = run.summary
    dropped = dict(summary["dropped"])
    without_row = dropped.pop(WITHOUT_ROW, 0)
    return {
        "table_rows": summary["table_rows"],
        "kept": summary["curated"],
        "dropped": dropped,
        "num_dropped": summary["table_rows"] - summary["curated"],
        "without_row": without_row,
        "notes": None
        if run.notes is None
        else [
            (attribute, note, number)
            for attribute, of_attribute in run.notes.groupby("attribute")
            for note, number in counts(of_attribute["note"].map(_note_kind))
        ],
        "missing": {name: one["missing"] for name, one in summary["attributes"].items()},
    }


def _note_kind(note: str) -> str:
    """Return what was done to a label, without the rows and hints of the one image."""
    return re.sub(r"rows [\d, ]+ disagree", "its rows disagree", note.partition(";")[0])


def of_classes(run: Run) -> dict[str, Any]:
    """Return how often each class of each attribute occurs, by split."""
    wanted = ["attribute", "class", *SPLITS, "curated", "share"]
    found = tables.read(run.root / CLASSES.name, CLASSES, wanted)
    attributes = [
        {
            "name": name,
            "ratio": run.summary["attributes"][name]["imbalance_ratio"],
            "rows": rows.to_dict("records"),
            "chart": charts.class_counts(name, rows.to_dict("records")),
        }
        for name, rows in found.groupby("attribute", sort=False)
    ]
    return {
        "splits": SPLITS,
        "pairs": [attribute for attribute in attributes if len(attribute["rows"]) == 2],
        "attributes": [attribute for attribute in attributes if len(attribute["rows"]) != 2],
    }


def mosaics(run: Run) -> list[dict[str, Any]]:
    """Return the mean faces and the pictures of each attribute's classes."""
    eda, names = run.root / "eda", run.summary["files"]
    mean = [
        {"name": "Means", "picture": inline.picture(eda / name, "Mean face of each class")}
        for name in names
        if name == MEAN_FACES
    ]
    return mean + [
        {
            "name": attribute,
            "picture": inline.picture(eda / name, f"Images by class of {attribute}, a row a class"),
        }
        for name in names
        if name.startswith("mosaic_")
        for attribute in [Path(name).stem.removeprefix("mosaic_")]
    ]


def quality(run: Run) -> dict[str, Any]:
    """Return sizes, formats and quality figures of the images, and why some were not readable."""
    figures = ["least", "low", "median", "high", "largest"]
    measures = tables.read(run.root / QUALITY_RANGES.name, QUALITY_RANGES, ["measure", *figures])
    return {
        "formats": counts(run.inspection["format"]),
        "problems": counts(run.inspection["problem"]),
        "rows": [
            {"name": row["measure"], "figures": [float(row[name]) for name in figures]}
            for row in measures.to_dict("records")
        ],
        "figures": run.figures("sizes", "quality"),
        "outliers": run.picture(
            run.root / "eda" / "outliers.png", "Images far from the usual in a measure, a row each"
        ),
    }


def duplicates(run: Run) -> dict[str, Any] | None:
    """Return the duplicates found and examples of each kind, with conflicts and without."""
    pairs = run.optional(
        DUPLICATES, ["image_id_a", "image_id_b", "distance", "kind", "cluster", "conflict"]
    )
    if pairs is None:
        return None
    pairs = pairs.assign(conflict=pairs["conflict"].fillna("").astype(str))
    conflicts = pairs[pairs["conflict"] != ""]
    ranked = pairs.assign(rank=pairs.groupby([pairs["conflict"] == "", "kind"]).cumcount())
    examples = ranked.sort_values("rank", kind="stable").head(MAX_PAIRS)
    return {
        "num_pairs": len(pairs),
        "num_clusters": pairs["cluster"].nunique(),
        "kinds": [
            {"kind": kind, "pairs": len(group), "conflicts": int((group["conflict"] != "").sum())}
            for kind, group in pairs.groupby("kind", observed=True)
        ],
        "num_conflicts": len(conflicts),
        "examples": [
            {
                "kind": pair["kind"],
                "distance": pair["distance"],
                "conflict": [
                    (name, _value(run.index, a, name), _value(run.index, b, name))
                    for name in pair["conflict"].split(";")
                    if name
                ],
                "ids": (a, b),
                "pictures": [run.thumbnail(one, f"Image {one}") for one in (a, b)],
            }
            for pair in examples.to_dict("records")
            for a, b in [(pair["image_id_a"], pair["image_id_b"])]
        ],
    }


def _value(index: pd.DataFrame, image_id: str, attribute: str) -> str | None:
    """Return an image's label as text; None when image, attribute or label is missing."""
    if image_id not in index.index or attribute not in index:
        return None
    value = index.loc[image_id, attribute]
    if pd.isna(value):
        return None
    return f"{value:g}" if isinstance(value, float) else value


def non_faces(run: Run) -> dict[str, Any] | None:
    """Return the images in which no face was found, the surest first."""
    faces = run.optional(FACES, ["image_id", "probability", "non_face", "several_faces"])
    if faces is None:
        return None
    flagged = faces[faces["non_face"]]
    shown = flagged.sort_values("probability", kind="stable", na_position="first")
    return {
        "checked": len(faces),
        "count": len(flagged),
        "several": int(faces["several_faces"].sum()),
        "examples": [
            {"id": one, "picture": run.thumbnail(one, f"Image {one}, no face found")}
            for one in shown["image_id"].head(MAX_NON_FACES)
        ],
    }


def issues(run: Run) -> dict[str, Any] | None:
    """Return the labels that the classifiers doubt most."""
    if run.issues is None:
        return None
    return {
        "count": len(run.issues),
        "attributes": counts(run.issues["attribute"]),
        "worst": run.scored(run.issues.head(MAX_ISSUES), "given"),
    }
