"""Ingest: read a data set in its published layout into the tables that all stages share."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facedata.ingest import adapters, maps, ranges
from facedata.ingest.adapters import Adapter, Ingested
from facedata.ingest.adapters.table import Table
from facekit.errors import Mendable
from facekit.storage import walking, workbooks

log = logging.getLogger(__name__)

NUM_SHOWN = 5  # values, files or reasons that a message names
MAX_LENGTH = 40  # characters of a value that a message shows
SET_MISSING = "set missing"  # begins the notes of labels that could not be used
REPAIRED = "repaired"  # likewise of those that were read as something else
# What stays out because somebody wished so, or because it is there already.
INTENDED = (
    *("bad_image", "file_without_row", "repeated_name", "repeated_picture", "repeated_row"),
    *("other_face", "several_faces"),
)


class LeftOut(Mendable):
    """More of a data set, or of its labels, would be left out than is let pass."""


def ingest(
    adapter: str,
    root: Path,
    settings: Mapping[str, Any],
    seed: int,
    cut: Callable[[Ingested], Ingested] | None = None,
) -> Ingested:
    """Read a data set, or draw it, into index, rejected and notes.

    Args:
        adapter: one of `adapters.ADAPTERS`.
        root: folder of the data set.
        settings: the config's `ingest.<adapter>`; what lacks gets its default.
        seed: of what an adapter draws; one that reads ignores it.
        cut: makes rows of faces from rows of photographs, such as `cut.cut_faces`; None: pictures
            are taken as they are.

    Returns:
        The tables; the index carries the ranges of numeric attributes, see `ranges.read`.

    Raises:
        LeftOut: more would be left out than `max_left_out` lets pass.
        DataError: no such adapter, a data set or settings that cannot be used, or an attribute with
            the name of another column.
    """
    reader = adapters.read(adapter, settings)
    reader.check_faces(use_cut=cut is not None)
    found = reader.ingest(Path(root), seed)
    if cut is not None:
        found = cut(found)
    assert found.index["image_id"].is_unique
    assert found.index["path"].is_unique
    assert reader.may_have_official_split() or found.index["official_split"].isna().all()
    ranges.keep(found.index, reader.ranges())
    if reader.needs_root:
        source = next(iter(reader.tables(Path(root))), Path(root))
        hint = f"`ingest.{adapter}.max_left_out` lets more pass"
        _check_files(found, source, reader.max_left_out, hint)
        _check_labels(found, reader, source, hint)
    log.info("%s", summary(found, _unread(reader, Path(root)) if reader.needs_root else []))
    return found


def summary(found: Ingested, unread: Sequence[str] = ()) -> str:
    """Return in a line what was taken and what was not.

    Args:
        found: as it was read.
        unread: names of files that may hold labels and were not read.
    """
    parts = [f"{len(found.index)} images in the index"]
    rejected = found.rejected["reason"].value_counts().sort_index()
    left_out = [f"{count} {reason}" for reason, count in rejected.items()]
    if found.passed_over:
        left_out.append(walking.told(found.passed_over))
    if left_out:
        parts.append(f"left out: {', '.join(left_out)}")
    kinds = found.notes["note"].str.split(":").str[0].rename("kind")
    counts = found.notes.groupby(["attribute", kinds], sort=True).size()
    if len(counts):
        noted = [f"{name} {kind} {count}" for (name, kind), count in counts.items()]
        parts.append(f"labels: {', '.join(noted)}")
    parts += found.said
    if unread:
        parts.append(f"not read: {', '.join(unread)}")
    return "; ".join(parts)


def _unread(reader: Adapter, root: Path) -> list[str]:
    """Return the names of files beside the data set that may hold labels and were not read.

    Likewise of a workbook's sheets.
    """
    read = reader.tables(root)
    sheets = [
        f"{path.name}[{sheet}]"
        for path in read
        if isinstance(reader, Table) and workbooks.is_one(path)
        for sheet in workbooks.other_sheets(path, [reader.file_column, *reader.columns()])
    ]
    names = {path.name for path in read}
    return [*sheets, *(one for one in walking.Files(root).labels("") if one not in names)]


def _check_files(found: Ingested, source: Path, most: float, hint: str) -> None:
    """Raise LeftOut if most rows and files are left out."""
    rejected = found.rejected[~found.rejected["reason"].isin(INTENDED)]
    passed = {why: paths for why, paths in found.passed_over.items() if why not in walking.HARMLESS}
    num_lost = len(rejected) + sum(map(len, passed.values()))
    total = num_lost + len(found.index)
    if num_lost <= most * total:
        return
    reasons = [
        f"{len(rows)} {reason} ({_example(rows)})"
        for reason, rows in rejected.groupby("reason", sort=True)
    ]
    if passed:
        reasons.append(walking.told(passed))
    raise LeftOut(
        f"{source}: {num_lost} of {total} rows and files would be left out: {', '.join(reasons)}",
        hint,
    )


def _example(rows: pd.DataFrame) -> str:
    """Return the first of rejected rows in words."""
    name, detail = rows["image_id"].iloc[0], rows["detail"].iloc[0]
    return f"{name}: {detail}" if detail else name


def _check_labels(found: Ingested, reader: Adapter, source: Path, hint: str) -> None:
    """Raise LeftOut if most labels that an attribute was given could not be used.

    Likewise where all of a class are lost since they are called otherwise: it may be a rare one.
    """
    is_lost = found.notes["note"].str.startswith(SET_MISSING)
    for name, notes in found.notes[is_lost].groupby("attribute", sort=False):
        if name not in found.index:
            continue
        num_lost = len(notes)
        given = num_lost + int(found.index[name].notna().sum())
        counts = notes["given"].value_counts()
        lost = ""
        if num_lost <= reader.max_left_out * given:
            without = _lost_classes(counts.index, found.index[name])
            if not without or reader.max_left_out == 1:
                continue
            lost = f"; no image of {', '.join(without)} is left"
        values = [f"{_shown(value)} {count}" for value, count in counts.head(NUM_SHOWN).items()]
        more = f" and {len(counts) - NUM_SHOWN} others" if len(counts) > NUM_SHOWN else ""
        raise LeftOut(
            f"{source}: {name}: {num_lost} of {given} labels cannot be used: found"
            f" {', '.join(values)}{more}, expected {_expected(found, reader, str(name))}{lost}",
            f"{_map_that_fits(list(counts.index), found, reader, str(name))}{hint}",
        )


def _lost_classes(given: Iterable[str], values: pd.Series) -> list[str]:
    """Return the classes without an image that labels which cannot be used mean by their words."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return []
    there = set(values.dropna().unique())
    return sorted(maps.meant(given, list(values.cat.categories)) - there)


def _map_that_fits(given: list[str], found: Ingested, reader: Adapter, name: str) -> str:
    """Return a map of labels that cannot be used to classes, for people; empty for none."""
    place = reader.place_of_map(name)
    if place is None:
        return ""
    key, column = place
    return maps.told(maps.fitting(given, list(found.index[name].cat.categories), column), key)


def _shown(value: object) -> str:
    """Return a value as a message shows it: invisible characters too, and not too long."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


def _expected(found: Ingested, reader: Adapter, name: str) -> str:
    """Return what labels of an attribute may be, in words."""
    values = found.index[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        classes = list(values.cat.categories)
        more = " ..." if len(classes) > 2 * NUM_SHOWN else ""
        return ", ".join(classes[: 2 * NUM_SHOWN]) + more
    low, high = reader.ranges().get(name, (None, None))
    ends = [f"from {low:g}"] * (low is not None) + [f"to {high:g}"] * (high is not None)
    return " ".join(["numbers", *ends])
