"""Check of a split: the shares of each class, by how much they differ, and notes in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facedata.columns import DROPPED, INDEX, attributes_of
from facedata.curation.changes import official_losses
from facedata.explore import contingency
from facedata.options import SplitCheckOptions
from facedata.splits import kept
from facedata.splits.kept import Deal
from facedata.splits.strata import (
    JOINT,
    MAX_LONE,
    as_classes,
    holdings,
    is_categorical,
    rare_classes,
    strata,
)
from facedata.splits.units import check_whole, read_images, read_units, units
from facekit.showing import shown
from facekit.splits import SPLITS
from facekit.storage import files, tables

MAX_NOTES = 20  # of one kind


def read_checked(
    curated: Path, inspection: Path, index: Path, duplicates: Path, dropped: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Return curated images and, in words, what an official split has lost by curation.

    Their units are counted anew from all images, so that a check does not rely on what curate and
    split made of them.

    Args:
        curated: curated.parquet.
        inspection: inspection.parquet.
        index: index.parquet.
        duplicates: duplicates.parquet.
        dropped: dropped.csv.

    Raises:
        DataError: a table is wrong, or they do not belong together.
    """
    table = read_images(curated, inspection)
    unit = read_units(index, duplicates, inspection)
    table["unit"] = tables.rows_of(unit, table["image_id"], index)["unit"]
    given = tables.read(index, INDEX, ["image_id", "table_row", "official_split"])
    gone = tables.read(dropped, DROPPED, ["image_id", "table_row", "reason"])
    return table, official_losses(given, table, gone)


def check(
    curated: pd.DataFrame,
    splits: pd.DataFrame,
    options: SplitCheckOptions,
    lost: Sequence[str] = (),
    copies: int | None = None,
    deals: Sequence[Deal] = (),
) -> dict[str, Any]:
    """Return what a reader needs to trust a split, as plain values for JSON.

    Args:
        curated: as for `assign_splits`.
        splits: its result.
        options: that the split was made with.
        lost: in words, what an official split has lost before.
        copies: pairs of images in different parts that show one photograph, as `check_copies` says;
            None: not looked for.
        deals: records of all deals so far, as `kept.record` gives them.

    Returns:
        images and shares (by split); folds (images of each); units; straddling (groups, clusters,
        pixel hashes and units in more than one split or fold: 0); copies; attributes: of each the
        shares of its classes by split (`shares`) and fold (`fold_shares`), of a number those of its
        quarters and its `means`, the p of a chi-square test that class and split, or fold, are
        independent, and the largest deviation: the most by which the share of a class differs
        between two splits, or folds, in percentage points; joint: p and deviation of the joint
        classes (None with balance each); largest_deviation (of all attributes); notes.

    Raises:
        DataError: something straddles.
    """
    straddling = check_whole(curated, splits)
    of_official = lost if options.official == "keep" else ()
    since = [kept.told(deals)] if len(deals) > 1 else []
    labels = strata(curated, options)
    counts = splits["split"].value_counts(sort=False)  # in the order of SPLITS
    attributes = {
        name: _balance(as_classes(curated[name]), splits) for name in attributes_of(curated)
    }
    for name, entry in attributes.items():
        if not is_categorical(curated[name]):
            means = curated[name].groupby(splits["split"], observed=False).mean()
            entry["means"] = {part: _plain(mean) for part, mean in means.items()}
    return {
        "images": {name: int(number) for name, number in counts.items()},
        "shares": {name: round(number / len(splits), 6) for name, number in counts.items()},
        "folds": splits["fold"].value_counts().sort_index().tolist(),
        "units": int(units(curated).max()) + 1,
        "straddling": straddling,
        "copies": copies,
        "largest_deviation": {
            place: max(
                (
                    {"attribute": name, **entry["largest_deviation"][place]}
                    for name, entry in attributes.items()
                ),
                key=lambda deviation: deviation["points"],
                default=None,
            )
            for place in ("split", "fold")
        },
        "attributes": attributes,
        "joint": _differences(*_counts(labels[JOINT], splits)) if JOINT in labels else None,
        "notes": [*since, *_notes(curated, splits, labels, options.official), *of_official],
    }


@shown
def write(
    curated: pd.DataFrame, splits: pd.DataFrame, options: SplitCheckOptions, path: Path
) -> None:
    """Write what `check` returns; beside a split, whose own result it does not change."""
    files.write_json(check(curated, splits, options), path)


def summary(curated: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return images and units of each class by split, then by fold, in the order of the classes.

    Args:
        curated: as for `assign_splits`.
        splits: its result.

    Returns:
        SPLITS_SUMMARY; what a split or fold lacks counts 0.
    """
    unit = pd.Series(units(curated), index=curated.index)
    classes = {"": pd.Series(pd.Categorical([""] * len(curated)), index=curated.index)}
    classes |= {name: as_classes(curated[name]) for name in attributes_of(curated)}
    parts = []
    for name, of_images in classes.items():
        # A unit lies in one split and one fold, so its first image of a class tells where.
        first = ~pd.DataFrame({"unit": unit, "class": of_images}).duplicated()
        by_split, by_fold = zip(
            _counts(of_images, splits), _counts(of_images[first], splits[first]), strict=True
        )
        parts += [_summarised(name, *by_split), _summarised(name, *by_fold, is_fold=True)]
    return pd.concat(parts, ignore_index=True)


def _summarised(
    attribute: str, images: pd.DataFrame, units: pd.DataFrame, is_fold: bool = False
) -> pd.DataFrame:
    """Return counts by class and place [classes, places] as rows; no attribute: of all images."""
    rows = pd.MultiIndex.from_product([images.index, images.columns]).to_frame(index=False)
    missing = pd.Series([None] * len(rows))
    return pd.DataFrame(
        {
            "attribute": attribute or missing.astype("str"),
            "class": rows[0].astype("str") if attribute else missing.astype("str"),
            "split": SPLITS[0] if is_fold else rows[1].astype("str"),
            "fold": (rows[1] if is_fold else missing).astype("Int64"),
            "images": images.to_numpy().ravel(),
            "units": units.to_numpy().ravel(),
        }
    )


def _balance(classes: pd.Series, splits: pd.DataFrame) -> dict[str, Any]:
    """Return the shares of an attribute's classes (without NA) and how much they differ."""
    by_split, by_fold = _counts(classes, splits)
    return {
        "shares": _shares(by_split).round(6).T.to_dict(),
        "fold_shares": _shares(by_fold).round(6).T.to_dict("list"),
        **_differences(by_split, by_fold),
    }


def _counts(classes: pd.Series, splits: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return images by class and split, and by class and fold."""
    split, fold = splits["split"], splits["fold"].astype("category")
    return contingency.count(classes, split), contingency.count(classes, fold)


def _differences(by_split: pd.DataFrame, by_fold: pd.DataFrame) -> dict[str, Any]:
    return {
        "chi_square_p": {
            "split": _plain(contingency.chi_square(by_split)[2]),
            "fold": _plain(contingency.chi_square(by_fold)[2]),
        },
        "largest_deviation": {"split": _deviation(by_split), "fold": _deviation(by_fold)},
    }


def _shares(counts: pd.DataFrame) -> pd.DataFrame:
    return counts / np.maximum(counts.sum(), 1)


def _deviation(counts: pd.DataFrame) -> dict[str, Any]:
    """Return the class whose share differs most between places, and by how much."""
    shares = _shares(counts)
    points = (100 * (shares.max(axis=1) - shares.min(axis=1))).round(4)
    if points.isna().all():  # there are no such places
        return {"class": None, "points": 0.0}
    return {"class": points.idxmax(), "points": float(points.max())}


def _plain(number: float) -> float | None:
    return None if pd.isna(number) else float(number)


def _notes(
    curated: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame, official: str
) -> list[str]:
    """Return in words what could not be shared out, and which classes a split lacks."""
    unit, split = units(curated), splits["split"]
    where = split.groupby(unit).first()  # of each unit
    holds, names = holdings(unit, labels)
    rare = []
    for (column, value), held_by in rare_classes(holds, names):
        places = " and ".join(dict.fromkeys(where[held_by]))
        number = "one unit" if len(held_by) == 1 else "two units"
        rare.append(f"{column} {value}: all in {number}: {places}")
    absent = []
    for name in attributes_of(curated):
        if is_categorical(curated[name]):
            counts = contingency.count(curated[name], split)
            for value, row in counts[counts.sum(axis=1) > 0].iterrows():
                lacking = [part for part in SPLITS if row[part] == 0]
                if lacking:
                    absent.append(f"{name} {value}: no image in {' and '.join(lacking)}")
    notes = _first(rare) + _first(absent)
    if JOINT in labels:
        of_unit = pd.DataFrame({"unit": unit, "joint": labels[JOINT].cat.codes}).drop_duplicates()
        alone = of_unit.loc[~of_unit["joint"].duplicated(keep=False), "unit"]
        num_alone = int(np.isin(unit, alone).sum())
        if num_alone > MAX_LONE * len(unit):
            notes.append(
                f"joint classes: units of {num_alone} of {len(unit)} images are alone in theirs:"
                " attributes keep their shares one by one"
            )
    if "weight" in curated:
        doubtful = split[curated["weight"] < 1].eq(SPLITS[0])
        if len(doubtful):
            notes.append(
                f"doubtful labels: {doubtful.sum()} images of train weigh less, or nothing;"
                f" {(~doubtful).sum()} of others stay as they are"
            )
    given = curated["official_split"]
    if given.notna().any():
        if official == "ignore":
            notes.append("official split: ignored")
        else:
            moved = int((given.notna() & (given != split.astype(str))).sum())
            notes.append(
                f"official split: {moved} images moved, {int(given.isna().sum())} without one"
            )
    return notes


def _first(notes: list[str]) -> list[str]:
    rest = len(notes) - MAX_NOTES
    return notes if rest <= 0 else [*notes[:MAX_NOTES], f"{rest} more like these"]
