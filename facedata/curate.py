"""Curation: which images stay, under which labels, and why the others do not."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facedata import tables
from facedata.derived import derive
from facedata.errors import DataError

log = logging.getLogger(__name__)

REVIEW_COLUMNS = ("image_id", "action", "attribute", "value", "note")
ACTIONS = ("keep", "drop", "relabel")
MISSING = "NA"  # a reviewer's value that takes a label away


@dataclass(frozen=True)
class Policy:
    """What happens to images that a check flagged.

    Attributes:
        non_faces: `drop` or `keep` pictures without a face.
        duplicates: `keep_best` keeps one image of each cluster, `keep_all` every one.
        conflicts: `drop` all images of a cluster whose labels disagree, or `keep` it as others.
    """

    non_faces: str
    duplicates: str
    conflicts: str


@dataclass(frozen=True)
class Review:
    """A reviewer's list, checked.

    Attributes:
        kept: images that stay, whatever a check says.
        dropped: images that go, with the reviewer's note.
        labels: labels to set: (image_id, attribute) -> class, number, or None for missing.
    """

    kept: set[str] = field(default_factory=set)
    dropped: dict[str, str] = field(default_factory=dict)
    labels: dict[tuple[str, str], str | float | None] = field(default_factory=dict)


def read_review(
    path: Path,
    index: pd.DataFrame,
    rejected: pd.DataFrame,
    inspection: pd.DataFrame,
    derived: Sequence[Mapping[str, Any]],
) -> Review:
    """Read a reviewer's list: a CSV file with image_id, action, attribute, value, note.

    An image may have several rows: labels of several attributes, and keep.

    Args:
        path: the list.
        index: all images with their attributes.
        rejected: what of the data set is not in the index; may be named, but not kept.
        inspection: rows of the same images as `index`.
        derived: attributes made of others, as in `facedata.derived`: only their sources can be set.

    Raises:
        DataError: a row that cannot be followed: an image, action, attribute or class that does
            not exist, an unreadable image kept, or two rows that contradict each other.
    """
    review = Review()
    unreadable = inspection.loc[inspection["row"].isna(), ["image_id", "problem"]]
    problems = dict(rejected[["image_id", "reason"]].itertuples(index=False))
    problems |= dict.fromkeys(index["image_id"])
    problems |= dict(unreadable.itertuples(index=False))
    attributes = tables.attributes(index)
    sources = {
        item["name"]: " and ".join(item.get("sources") or [item["source"]]) for item in derived
    }

    for line, row in _review_rows(path):
        where = f"{path}, line {line}"
        image_id, action = row["image_id"], row["action"]
        if image_id not in problems:
            raise DataError(f"{where}: no image {image_id!r} in the data set")
        if action not in ACTIONS:
            raise DataError(f"{where}: action {action!r} is none of {', '.join(ACTIONS)}")
        if action == "relabel":
            key = image_id, row["attribute"]
            if row["attribute"] not in attributes:
                known = ", ".join(attributes)
                raise DataError(f"{where}: no attribute {row['attribute']!r}, there are {known}")
            if row["attribute"] in sources:
                source = sources[row["attribute"]]
                raise DataError(f"{where}: {row['attribute']} follows {source}; set {source}")
            if key in review.labels:
                raise DataError(f"{where}: {key[1]} of {image_id!r} is set twice")
            review.labels[key] = _label(where, index[row["attribute"]], row["value"])
            continue
        if row["attribute"] or row["value"]:
            raise DataError(f"{where}: {action} takes no attribute and no value")
        if action == "keep" and problems[image_id] is not None:
            raise DataError(f"{where}: {image_id!r} cannot be kept: {problems[image_id]}")
        if image_id in (review.dropped if action == "keep" else review.kept):
            raise DataError(f"{where}: {image_id!r} is to be kept and to be dropped")
        if action == "keep":
            review.kept.add(image_id)
        else:
            review.dropped[image_id] = row["note"]
    return review


def _review_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and stripped cells of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error})") from None
    reader = csv.reader(text.splitlines(keepends=True))
    heading = [name.strip() for name in next(reader, [])]
    if sorted(heading) != sorted(REVIEW_COLUMNS):
        raise DataError(f"{path}: columns {heading}, expected {', '.join(REVIEW_COLUMNS)}")
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            expected = f"expected {len(heading)} (quote a cell that holds a comma)"
            raise DataError(f"{path}, line {reader.line_num}: {len(cells)} cells, {expected}")
        row = dict(zip(heading, (cell.strip() for cell in cells), strict=True))
        rows.append((reader.line_num, row))
    return rows


def _label(where: str, values: pd.Series, text: str) -> str | float | None:
    """Return a reviewer's value for an attribute's column."""
    if text == MISSING:
        return None
    if isinstance(values.dtype, pd.CategoricalDtype):
        if text not in values.cat.categories:
            known = ", ".join([*values.cat.categories, f"or {MISSING} for missing"])
            raise DataError(f"{where}: no class {text!r} of {values.name}, there are {known}")
        return text
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise DataError(f"{where}: {text!r} is no number for {values.name} ({MISSING}: missing)")
    return number


def relabel(
    index: pd.DataFrame, review: Review, derived: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Return the index with the reviewer's labels.

    Args:
        index: all images with their attributes.
        review: the reviewer's list.
        derived: attributes made of others, as in `facedata.derived`: they follow their sources.
    """
    index = index.copy()
    position = pd.Series(range(len(index)), index=index["image_id"])
    for (image_id, attribute), value in review.labels.items():
        if image_id in position.index:  # not if the image was rejected
            column = index.columns.get_loc(attribute)
            index.iloc[position[image_id], column] = np.nan if value is None else value
    return derive(index, derived)


def curate(
    index: pd.DataFrame,
    rejected: pd.DataFrame,
    inspection: pd.DataFrame,
    faces: pd.DataFrame,
    duplicates: pd.DataFrame,
    review: Review,
    policy: Policy,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images that stay, and every row of the table that does not, with its reason.

    An image has the first reason that applies: its problem when it cannot be decoded, non_face,
    no_label, label_conflict, duplicate, reviewer. What the reviewer drops takes no part in its
    cluster; what the reviewer keeps stays, and the others of its cluster are its duplicates.

    Args:
        index: all images with their attributes, relabelled.
        rejected: image_id, table_row, reason, detail of what is not in the index.
        inspection: the index's images in its order: row, problem, width, height, sharpness.
        faces: image_id, non_face, probability of the images that decoded.
        duplicates: image_id_a, image_id_b, cluster.
        review: the reviewer's list.
        policy: what to do with what the checks found.

    Returns:
        curated: the index's columns, row and cluster (int64; an image without duplicates has one of
        its own), in the index's order; and dropped: image_id, table_row (Int64), reason, detail.

    Raises:
        DataError: the tables do not belong together, or no image is left.
    """
    ids = index["image_id"]
    reviewed_in, reviewed_out = ids.isin(review.kept), ids.isin(review.dropped)
    undecodable = inspection["row"].isna()
    reason = inspection["problem"].astype(object).where(undecodable, None)
    detail = pd.Series("", index=index.index, dtype=object)

    def drop(which: pd.Index, why: str, details: str | pd.Series) -> None:
        which = which[reason[which].isna()]
        reason[which] = why
        detail[which] = details if isinstance(details, str) else details[which]

    # What an image by itself tells.
    if policy.non_faces == "drop":
        found = faces.set_index("image_id").reindex(ids).set_index(index.index)
        without = index.index[found["non_face"].eq(True) & ~reviewed_in]
        drop(without, "non_face", "face probability " + found["probability"].map("{:.3f}".format))
    labels = index[tables.attributes(index)]
    drop(index.index[labels.isna().all(axis=1) & ~reviewed_in], "no_label", "")

    # What its cluster tells.
    cluster = _clusters(ids, duplicates)
    rank = _best_first(labels, inspection)
    in_play = reason.isna() & ~reviewed_out & cluster.duplicated(keep=False)
    for _, members in cluster[in_play].groupby(cluster[in_play]):
        at = members.index
        disputed = [name for name in labels if len(labels.loc[at, name].dropna().unique()) > 1]
        chosen = at[reviewed_in[at]]
        if disputed and policy.conflicts == "drop":
            drop(at.difference(chosen), "label_conflict", ";".join(disputed))
        elif policy.duplicates == "keep_best":
            stay = chosen if len(chosen) else [rank[at].idxmin()]
            drop(at.difference(stay), "duplicate", f"of {ids[stay[0]]}")

    drop(index.index[reviewed_out], "reviewer", ids.map(review.dropped))

    kept = reason.isna()
    counts = ", ".join(f"{name} {number}" for name, number in reason.value_counts().items())
    log.info("%d of %d images stay; dropped: %s", kept.sum(), len(index), counts or "none")
    if not kept.any():
        raise DataError(f"curation leaves no image of {len(index)}: {counts}")
    curated = index.assign(row=inspection["row"].astype("Int64"), cluster=cluster)[kept]
    curated = curated.reset_index(drop=True).astype({"row": "int64"})
    gone = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": index["table_row"],
            "reason": reason,
            "detail": detail,
        }
    )[~kept]
    columns = list(gone.columns)
    rejected = rejected[columns].astype({"table_row": "Int64"})
    dropped = pd.concat([rejected, gone], ignore_index=True)
    _check_rows(curated, dropped)
    return curated, dropped.astype({"table_row": "Int64"})


def _clusters(ids: pd.Series, duplicates: pd.DataFrame) -> pd.Series:
    """Return the cluster of each image: those of the pairs, then one of its own for every other."""
    of_image = {}
    for column in ("image_id_a", "image_id_b"):
        of_image |= dict(zip(duplicates[column], duplicates["cluster"], strict=True))
    cluster = ids.map(of_image)
    alone = cluster.isna()
    first = int(duplicates["cluster"].max()) + 1 if len(duplicates) else 0
    cluster[alone] = np.arange(first, first + alone.sum())
    return cluster.astype("int64")


def _best_first(labels: pd.DataFrame, inspection: pd.DataFrame) -> pd.Series:
    """Return the place of each image by quality: most labels, most pixels, sharpest, first."""
    quality = pd.DataFrame(
        {
            "labels": labels.notna().sum(axis=1),
            "pixels": (inspection["width"] * inspection["height"]).astype("Float64"),
            "sharpness": inspection["sharpness"],
        }
    )
    order = quality.sort_values(list(quality), ascending=False, kind="stable").index
    return pd.Series(range(len(order)), index=order)


def _check_rows(curated: pd.DataFrame, dropped: pd.DataFrame) -> None:
    """Check that no row of the table is counted twice; tables of one run never disagree."""
    rows = pd.concat([curated["table_row"], dropped["table_row"]]).dropna()
    if rows.duplicated().any():
        row = rows[rows.duplicated()].iloc[0]
        raise DataError(f"row {row} of the table is both in the index and rejected; ingest again")
