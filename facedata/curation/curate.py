"""Curation: which images stay, under which labels, and why the others do not."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facedata import columns
from facedata.columns import attributes_of
from facedata.duplicates.conflicts import disagreements
from facedata.ingest import ranges
from facedata.ingest.derived import derive
from facedata.ingest.numbers import has_decimal_commas, read_number
from facedata.options import CheckOptions, CurateCommandOptions
from facedata.splits.units import clusters, units
from facekit.errors import DataError
from facekit.splits import SPLITS
from facekit.storage import delimited, tables
from facekit.storage.walking import respelled

log = logging.getLogger(__name__)

REVIEW_COLUMNS = ("image_id", "action", "attribute", "value", "note")
ACTIONS = ("keep", "drop", "relabel")
MISSING = "NA"  # a reviewer's value that takes a label away
FLAGS = ("non_face", "several_faces", "label_conflict", "label_issue", "reviewed")


@dataclass(frozen=True)
class Findings:
    """What the stages before found out.

    Attributes:
        index: all images with their attributes.
        rejected: image_id, table_row, reason, detail of what is not in the index.
        inspection: the index's images in its order: row, problem, width, height, sharpness,
            pixel_hash.
        faces: image_id, probability, non_face, several_faces of the images that decoded.
        duplicates: image_id_a, image_id_b, cluster.
        label_issues: image_id, attribute, suggested, score (float, 0..1) of the labels that are
            probably wrong; None where labels were not judged.
    """

    index: pd.DataFrame
    rejected: pd.DataFrame
    inspection: pd.DataFrame
    faces: pd.DataFrame
    duplicates: pd.DataFrame
    label_issues: pd.DataFrame | None = None


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


def read_findings(
    index: Path,
    rejected: Path,
    inspection: Path,
    faces: Path,
    duplicates: Path,
    label_issues: Path | None = None,
) -> Findings:
    """Read what the stages before found out.

    Raises:
        DataError: a file is broken, or they do not belong together.
    """
    table = tables.read(index, columns.INDEX, ["image_id", "table_row", "official_split"])
    facts = ["image_id", "row", "problem", "width", "height", "sharpness", "pixel_hash"]
    facts = tables.read(inspection, columns.INSPECTION, facts)
    facts = tables.rows_of(facts, table["image_id"], inspection)
    decoded = facts.loc[facts["row"].notna(), "image_id"]
    of_faces = ["image_id", "probability", "non_face", "several_faces"]
    found = tables.read(faces, columns.FACES, of_faces)
    return Findings(
        index=table,
        rejected=tables.read(rejected, columns.REJECTED),
        inspection=facts,
        faces=tables.rows_of(found, decoded, faces),
        duplicates=tables.read(
            duplicates, columns.DUPLICATES, ["image_id_a", "image_id_b", "cluster"]
        ),
        label_issues=None if label_issues is None else read_issues(label_issues, table["image_id"]),
    )


def read_issues(path: Path, image_ids: pd.Series) -> pd.DataFrame:
    """Return the labels of label_issues.csv that are called wrong, in order, scores as numbers.

    Args:
        path: the file.
        image_ids: the images of the index.

    Raises:
        DataError: the file is broken or names another image.
    """
    issues = tables.read(path, columns.LABEL_ISSUES)
    issues = issues[issues["issue"]]
    strange = ~issues["image_id"].isin(image_ids)
    if strange.any():
        image = issues.loc[strange, "image_id"].iloc[0]
        raise DataError(f"{path}: no image {image!r} in the index; make the file again")
    return issues.reset_index(drop=True)


def read_review(
    path: Path,
    index: pd.DataFrame,
    rejected: pd.DataFrame,
    inspection: pd.DataFrame,
    derived: Sequence[Mapping[str, Any]],
) -> Review:
    """Read a reviewer's list: a CSV file with image_id, action, attribute, value, note.

    An image may have several rows: labels of several attributes, and keep or drop.

    Args:
        path: the list.
        index: all images with their attributes.
        rejected: what of the data set is not in the index; may be named, but not kept.
        inspection: rows of the same images as `index`.
        derived: attributes made of others, as in `facedata.ingest.derived`: only their sources
            can be set.

    Raises:
        DataError: a row that cannot be followed: an image, action, attribute or class that does
            not exist, an unreadable image kept, or two rows that contradict each other.
    """
    review = Review()
    unreadable = inspection.loc[inspection["row"].isna(), ["image_id", "problem"]]
    problems = dict(rejected[["image_id", "reason"]].itertuples(index=False))
    problems |= dict.fromkeys(index["image_id"])
    problems |= dict(unreadable.itertuples(index=False))
    attributes = attributes_of(index)
    sources = {item["name"]: " and ".join(sources_of(item)) for item in derived}
    spelled = {respelled(one): one for one in problems} | {one: one for one in problems}

    for line, row in review_rows(path):
        where = f"{path}, line {line}"
        image_id = as_named(row["image_id"], problems)
        image_id = spelled.get(respelled(image_id), image_id)
        action, attribute, value = (row[name].strip() for name in ("action", "attribute", "value"))
        if image_id not in problems:
            raise DataError(f"{where}: no image {image_id!r} in the data set")
        if action not in ACTIONS:
            raise DataError(f"{where}: action {action!r} is none of {', '.join(ACTIONS)}")
        if action == "relabel":
            if attribute not in attributes:
                known = ", ".join(attributes)
                raise DataError(f"{where}: no attribute {attribute!r}, there are {known}")
            if attribute in sources:
                source = sources[attribute]
                raise DataError(f"{where}: {attribute} follows {source}; set {source}")
            if (image_id, attribute) in review.labels:
                raise DataError(f"{where}: {attribute} of {image_id!r} is set twice")
            ends = ranges.read(index, attribute)
            review.labels[image_id, attribute] = _label(where, index[attribute], row["value"], ends)
            continue
        if attribute or value:
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


def review_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and cells, as they stand, of each row of a reviewer's list.

    Raises:
        DataError: not a CSV file with the columns of REVIEW_COLUMNS; as in `delimited.read`.
    """
    heading, found = delimited.read(path, REVIEW_COLUMNS)
    if sorted(heading) != sorted(REVIEW_COLUMNS):
        raise DataError(f"{path}: columns {heading}, expected {', '.join(REVIEW_COLUMNS)}")
    rows = []
    for line, cells in found:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            expected = f"expected {len(heading)} (quote a cell that holds a comma)"
            raise DataError(f"{path}, line {line}: {len(cells)} cells, {expected}")
        rows.append((line, dict(zip(heading, cells, strict=True))))
    return rows


def as_named(text: str, names: Container[str]) -> str:
    """Return a cell as it stands if that is a known name, else without blanks around it."""
    return text if text in names else text.strip()


def sources_of(item: Mapping[str, Any]) -> list[str]:
    """Return the attributes that a derived one is made of."""
    return list(item.get("sources") or [item["source"]])


def _label(where: str, values: pd.Series, text: str, ends: ranges.Range) -> str | float | None:
    """Return a reviewer's value for an attribute's column, a number within its range."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        classes = values.cat.categories
        text = as_named(text, classes)
        if text not in classes and text != MISSING:
            known = ", ".join([*classes, f"or {MISSING} for missing"])
            raise DataError(f"{where}: no class {text!r} of {values.name}, there are {known}")
        return text if text in classes else None
    if text.strip() == MISSING:
        return None
    number = read_number(text.replace(",", ".") if has_decimal_commas([text]) else text)
    if number is None or not np.isfinite(number):
        raise DataError(f"{where}: {text!r} is no number for {values.name} ({MISSING}: missing)")
    if (problem := ranges.outside(number, ends)) is not None:
        raise DataError(f"{where}: {values.name}: {text.strip()} is {problem}")
    return number


def relabel(
    index: pd.DataFrame,
    labels: Mapping[tuple[str, str], str | float | None],
    derived: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the index with other labels.

    Args:
        index: all images with their attributes.
        labels: (image_id, attribute) -> class, number or None for missing; other images are
            passed over.
        derived: attributes made of others, as in `facedata.ingest.derived`: they follow their
            sources.
    """
    index = index.copy()
    position = pd.Series(range(len(index)), index=index["image_id"])
    for (image_id, attribute), value in labels.items():
        if image_id in position.index:  # not if the image was rejected
            column = index.columns.get_loc(attribute)
            index.iloc[position[image_id], column] = np.nan if value is None else value
    return derive(index, derived)


def screen(
    findings: Findings, options: CheckOptions, derived: Sequence[Mapping[str, Any]] = ()
) -> pd.DataFrame:
    """Return the images that the pixels' checks let pass: no label issues, no reviewer.

    Args and columns: as in `curate`.
    """
    checks = CurateCommandOptions(**options.model_dump(include=set(CheckOptions.model_fields)))
    curated, _ = curate(replace(findings, label_issues=None), Review(), checks, derived)
    return curated


def curate(
    findings: Findings,
    review: Review,
    options: CurateCommandOptions,
    derived: Sequence[Mapping[str, Any]] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images that stay, and the decision on every row of the data set.

    An image has the first reason that applies: its problem when it cannot be decoded, non_face,
    several_faces, no_label, label_conflict, duplicate. The reviewer wins: what the list drops goes
    (`reviewer`) and takes no part in its cluster; what it keeps or relabels stays, and the others
    of its cluster are its duplicates. Only a picture that cannot be decoded, and one whose last
    label the reviewer took away, cannot stay.

    A doubtful label drops no image, since it would choose the images of test by what a classifier
    can tell: it has a smaller weight, which counts where images are learned from.

    Args:
        findings: what the stages before found out.
        review: the reviewer's list.
        options: what to do with what was found.
        derived: attributes made of others; they follow their source.

    Returns:
        curated: the index's columns, relabelled; row, cluster (int64; an image without duplicates
        has one of its own), unit (int64: what is linked by groups, clusters and equal pixels,
        also through images that do not stay), weight (float64, 0..1), flags (str: names of FLAGS
        joined by `;`, '' if none), in the index's order.
        decisions: one row each of rejected and index: image_id, table_row (Int64), kept (bool),
        reason (NA if kept), detail, cluster and unit (Int64, NA if rejected), weight, flags, review
        (the reviewer's actions joined by `;`).

    Raises:
        DataError: the tables do not belong together, or no image is left.
    """
    index = relabel(findings.index, review.labels, derived)
    ids, labels = index["image_id"], index[attributes_of(index)]
    relabelled = ids.isin({image_id for image_id, _ in review.labels})
    out = ids.isin(review.dropped)
    exempt = ids.isin(review.kept) | (relabelled & labels.notna().any(axis=1) & ~out)
    drops = _Drops(findings.inspection)

    # What an image by itself tells.
    drops.add(out, "reviewer", ids.map(review.dropped))
    found = findings.faces.set_index("image_id").reindex(ids).set_index(index.index)
    flags = {name: found[name].eq(True) for name in ("non_face", "several_faces")}
    _drop_alone(drops, found, flags, labels, exempt, options)

    # What its cluster tells.
    cluster = clusters(ids, findings.duplicates)
    settled = _settle(
        labels.assign(image_id=ids)[drops.reason.isna()],
        cluster[drops.reason.isna()],
        _best_first(labels, findings.inspection, index["official_split"]),
        exempt,
        options,
        derived,
    )
    flags["label_conflict"] = pd.Series(index.index.isin(settled.conflicts), index=index.index)
    for why, details in (("label_conflict", settled.disputed), ("duplicate", settled.copies)):
        details = pd.Series(details, dtype=object).reindex(index.index)
        drops.add(details.notna(), why, details)
    index = relabel(index, settled.labels, derived)

    # What a classifier tells that did not learn from it.
    score, told = _issues(ids, findings.label_issues, options.max_score, review, derived)
    flags["label_issue"] = score.notna()
    doubted = flags["label_issue"] & ~exempt
    weight = pd.Series(1.0, index=index.index)
    if options.label_issues != "report":
        weight = weight.where(~doubted, score if options.label_issues == "weight" else 0.0)
        drops.tell(doubted & drops.reason.isna(), told)

    flags["reviewed"] = ids.isin(review.kept) | out | relabelled
    decisions = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": index["table_row"],
            "kept": drops.reason.isna(),
            "reason": drops.reason,
            "detail": drops.detail,
            "cluster": cluster,
            "unit": units(
                index.assign(cluster=cluster, pixel_hash=findings.inspection["pixel_hash"])
            ),
            "weight": weight,
            "flags": _joined(flags, FLAGS),
        }
    )
    kept = decisions["kept"]
    counts = ", ".join(f"{name} {number}" for name, number in drops.reason.value_counts().items())
    log.info("%d of %d images stay; dropped: %s", kept.sum(), len(index), counts or "none")
    if not kept.any():
        raise DataError(f"curation leaves no image of {len(index)}: {counts}")
    curated = index.assign(row=findings.inspection["row"].astype("Int64"))
    curated = curated.assign(**decisions[["cluster", "unit", "weight", "flags"]])[kept]
    curated = curated.reset_index(drop=True).astype({"row": "int64"})
    return curated, _every_row(findings.rejected, decisions, review)


class _Drops:
    """Images that are dropped, each for the first reason that is found.

    Attributes:
        reason: of each image; None while it stays.
        detail: on what the reason, or the weight, is based.
    """

    def __init__(self, inspection: pd.DataFrame) -> None:
        """Begin with the images that could not be decoded."""
        undecodable = inspection["row"].isna()
        self.reason = inspection["problem"].astype(object).where(undecodable, None)
        self.detail = pd.Series("", index=inspection.index, dtype=object)

    def add(self, which: pd.Series, why: str, details: str | pd.Series = "") -> None:
        """Drop images but for those that are dropped already."""
        which = which & self.reason.isna()
        self.reason[which] = why
        self.tell(which, details)

    def tell(self, which: pd.Series, details: str | pd.Series) -> None:
        """Say more of images, whether they are dropped or not."""
        self.detail[which] = details if isinstance(details, str) else details[which]


def _drop_alone(
    drops: _Drops,
    faces: pd.DataFrame,
    flags: Mapping[str, pd.Series],
    labels: pd.DataFrame,
    exempt: pd.Series,
    options: CurateCommandOptions,
) -> None:
    """Drop images for what each by itself tells: its faces, and that it has no label."""
    if options.non_faces == "drop":
        surest = "face probability " + faces["probability"].map("{:.3f}".format)
        drops.add(flags["non_face"] & ~exempt, "non_face", surest)
    if options.several_faces == "drop":
        drops.add(flags["several_faces"] & ~exempt, "several_faces")
    if len(labels.columns):  # a data set may have no attributes at all
        drops.add(labels.isna().all(axis=1) & ~exempt, "no_label")


def dropped(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that do not stay: image_id, table_row, reason, detail."""
    return decisions.loc[~decisions["kept"], columns.DROPPED.names].reset_index(drop=True)


@dataclass
class _Settled:
    """What is to be done with the images of clusters; images are positions in the index.

    Attributes:
        conflicts: those whose clusters disagree in a label and are not dropped for it.
        disputed: those that are dropped for it -> the attributes.
        copies: those dropped for a better one -> which.
        labels: (image_id, attribute) -> the label that the others have.
    """

    conflicts: list[int] = field(default_factory=list)
    disputed: dict[int, str] = field(default_factory=dict)
    copies: dict[int, str] = field(default_factory=dict)
    labels: dict[tuple[str, str], str | float | None] = field(default_factory=dict)


def _settle(
    labels: pd.DataFrame,
    cluster: pd.Series,
    rank: pd.Series,
    exempt: pd.Series,
    options: CurateCommandOptions,
    derived: Sequence[Mapping[str, Any]],
) -> _Settled:
    """Return what is to be done with each cluster of several images.

    Args:
        labels: image_id and attributes of the images that are left.
        cluster: of the same images.
        rank: place of each image by quality, the best has the smallest.
        exempt: images that stay.
        options: what to do.
        derived: attributes that follow from others; they have no vote of their own.
    """
    settled = _Settled()
    ids = labels.pop("image_id")
    names = labels.columns.to_numpy()
    voting = np.flatnonzero(~labels.columns.isin([item["name"] for item in derived]))
    codes, values = _codes(labels)
    is_disputed = disagreements(labels, cluster.to_numpy(), options.tolerance, derived).to_numpy()
    order = np.argsort(cluster.to_numpy(), kind="stable")
    ends = np.flatnonzero(np.diff(cluster.to_numpy()[order])) + 1
    for number, rows in enumerate(np.split(order, ends)):
        if len(rows) < 2:  # none at all where nothing is left
            continue
        members = labels.index[rows]
        chosen = members[exempt[members]]
        others = members.difference(chosen)
        disputed = np.flatnonzero(is_disputed[number]).tolist()
        if disputed and options.conflicts != "keep":
            votes = {}
            if options.conflicts == "majority":
                ballots = rows[exempt[members]] if len(chosen) else rows
                votes = {a: _majority(codes[ballots, a]) for a in voting if a in disputed}
            if options.conflicts == "drop" or None in votes.values():
                settled.disputed |= dict.fromkeys(others, ";".join(names[disputed]))
                continue
            for a, winner in votes.items():
                label = values[a][winner]
                settled.labels |= {(ids[at], names[a]): label for at in others}
        if disputed:
            settled.conflicts += list(members)
        if options.duplicate_policy == "keep_best":
            stay = chosen if len(chosen) else members[[rank[members].argmin()]]
            settled.copies |= dict.fromkeys(members.difference(stay), f"of {ids[stay[0]]}")
    return settled


def _codes(labels: pd.DataFrame) -> tuple[np.ndarray, list[pd.Index]]:
    """Return each label's number among its attribute's, int64 [N, attributes], and what it means.

    A missing label is -1.
    """
    factors = [pd.factorize(labels[name]) for name in labels]
    codes = np.empty((len(labels), len(factors)), dtype=np.int64)
    for a, (numbers, _) in enumerate(factors):
        codes[:, a] = numbers
    return codes, [values for _, values in factors]


def _majority(votes: np.ndarray) -> int | None:
    """Return the code that occurs most often; None if there is none, or more than one."""
    counts = np.bincount(votes[votes >= 0])  # missing labels do not vote
    winners = np.flatnonzero(counts == counts.max(initial=1))
    return int(winners[0]) if len(winners) == 1 else None


def _best_first(labels: pd.DataFrame, inspection: pd.DataFrame, official: pd.Series) -> pd.Series:
    """Return the place of each image by what it is worth.

    Those of an official test part come first, then those of val: a copy in train is no loss. Then
    most labels, most pixels, sharpest.
    """
    quality = pd.DataFrame(
        {
            "held_out": official.map({name: i for i, name in enumerate(SPLITS)}).fillna(0),
            "labels": labels.notna().sum(axis=1),
            "pixels": (inspection["width"] * inspection["height"]).astype("Float64"),
            "sharpness": inspection["sharpness"],
        }
    )
    order = quality.sort_values(list(quality), ascending=False, kind="stable").index
    return pd.Series(range(len(order)), index=order)


def _issues(
    ids: pd.Series,
    issues: pd.DataFrame | None,
    max_score: float,
    review: Review,
    derived: Sequence[Mapping[str, Any]],
) -> tuple[pd.Series, pd.Series]:
    """Return each image's smallest score (NaN: no issue that counts) and what the issues say.

    A label that the reviewer set, or that follows from one, is no issue.
    """
    if issues is None:
        nothing = pd.Series(np.nan, index=ids.index)
        return nothing, nothing.astype(object)
    settled = set(review.labels)
    for item in derived:
        settled |= {(one, item["name"]) for one, name in settled if name in sources_of(item)}
    pairs = zip(issues["image_id"], issues["attribute"], strict=True)
    open_issues = np.array([pair not in settled for pair in pairs], dtype=bool)
    issues = issues[open_issues & (issues["score"] < max_score)]
    score = issues["score"].map(" {:.3f}, ".format).astype(str)  # also where there is none
    said = issues["attribute"] + score + issues["suggested"] + "?"
    told = said.groupby(issues["image_id"], sort=False).agg("; ".join)
    smallest = issues.groupby("image_id")["score"].min().clip(0, 1)
    return ids.map(smallest).astype("float64"), ids.map(told).astype(object)


def _every_row(rejected: pd.DataFrame, decisions: pd.DataFrame, review: Review) -> pd.DataFrame:
    """Return the decisions on what was rejected and on the index, with the reviewer's actions."""
    rejected = rejected[columns.DROPPED.names].assign(kept=False, flags="")
    rejected = rejected.fillna({"detail": ""}).reindex(columns=decisions.columns)
    types = dict.fromkeys(("table_row", "cluster", "unit"), "Int64")
    types |= {"kept": "bool", "detail": "str"}
    decisions = pd.concat(
        [rejected.astype(types), decisions.astype(types)], ignore_index=True
    ).astype({"reason": "str", "flags": "str"})
    actions = _actions(review)
    decisions["review"] = pd.Series([actions.get(one, "") for one in decisions["image_id"]])
    _check_rows(decisions)
    return decisions


def _joined(flags: Mapping[str, pd.Series], names: Sequence[str]) -> list[str]:
    """Return the names of each row's true flags, joined by `;`."""
    rows = np.stack([flags[name].to_numpy(dtype=bool) for name in names], axis=1)  # [N, flags]
    return [";".join(np.array(names)[row]) if row.any() else "" for row in rows]


def _actions(review: Review) -> dict[str, str]:
    """Return the reviewer's actions on each image named, joined by `;`."""
    actions: dict[str, list[str]] = {}
    for image_id in sorted(review.kept):
        actions.setdefault(image_id, []).append("keep")
    for image_id in review.dropped:
        actions.setdefault(image_id, []).append("drop")
    for image_id, attribute in review.labels:
        actions.setdefault(image_id, []).append(f"relabel {attribute}")
    return {image_id: ";".join(done) for image_id, done in actions.items()}


def _check_rows(decisions: pd.DataFrame) -> None:
    """Check that no row of the table is counted twice; tables of one run never disagree."""
    rows = decisions[["image_id", "table_row"]].dropna()  # a row may have several images
    if rows.duplicated().any():
        row = rows.loc[rows.duplicated(), "table_row"].iloc[0]
        raise DataError(f"row {row} of the table is both in the index and rejected; ingest again")
