"""A set from elsewhere brought to the classes of the data set, without pictures that both have."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from facedata.columns import CURATED, INDEX, INSPECTION, attributes_of
from facedata.duplicates import neighbours
from facedata.options import MatchOptions
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.storage import arrays, tables

log = logging.getLogger(__name__)

MAX_SHOWN = 5  # values or pictures that a message names


@dataclass(frozen=True)
class Pictures:
    """Decoded images of a set.

    Attributes:
        facts: image_id, row, problem, pixel_hash of each.
        thumbs: their gray thumbnails by row, uint8 [N, 32, 32].
    """

    facts: pd.DataFrame
    thumbs: np.ndarray

    @classmethod
    def read(cls, inspection: Path, thumbs: Path) -> "Pictures":
        """Read what `facedata inspect` made."""
        wanted = ["image_id", "row", "problem", "pixel_hash"]
        facts = tables.read(inspection, INSPECTION, wanted)
        rows = facts["row"].dropna().to_numpy(dtype="int64")
        return cls(facts, arrays.read_thumbs(thumbs, rows))

    def of(self, image_ids: pd.Series, source: Path) -> "Pictures":
        """Return those of some images, in their order."""
        return Pictures(tables.rows_of(self.facts, image_ids, source), self.thumbs)

    def looks(self) -> np.ndarray:
        """Return the thumbnails of all images; each must be decoded. uint8 [n, 32, 32]."""
        return self.thumbs[self.facts["row"].to_numpy(dtype=np.int64)]


@dataclass(frozen=True)
class Paths:
    """What a set from elsewhere is matched by.

    Attributes:
        index, inspection, thumbs: of the set.
        own_curated, own_inspection, own_thumbs: of the data set.
    """

    index: Path
    inspection: Path
    thumbs: Path
    own_curated: Path
    own_inspection: Path
    own_thumbs: Path


def match_files(
    paths: Paths, name: str, options: MatchOptions, num_threads: int = 1
) -> pd.DataFrame:
    """Return the images of a set that classifiers of the data set can be measured on.

    Args:
        paths: see there.
        name: of the set, for messages.
        options: how classes are matched, and how many copies are too many.
        num_threads: the result does not depend on it.

    Raises:
        DataError: labels that cannot be matched, or too many pictures that the data set has, too.
    """
    index = tables.read(paths.index, INDEX)
    own = tables.read(paths.own_curated, CURATED)
    pictures = Pictures.read(paths.inspection, paths.thumbs).of(index["image_id"], paths.inspection)
    of_own = Pictures.read(paths.own_inspection, paths.own_thumbs)
    of_own = of_own.of(own["image_id"], paths.own_inspection)
    labels = match_labels(index, own, options.map, name)
    is_labelled = labels.notna().any(axis=1).to_numpy()
    fit = decoded(pictures) & is_labelled
    kept = np.flatnonzero(fit)
    kept = kept[first_of_their_kind(pictures.facts["pixel_hash"].iloc[kept])]
    chosen = Pictures(pictures.facts.iloc[kept], pictures.thumbs)
    copies = copies_of(chosen, of_own, options.max_altered_difference, num_threads)
    refuse_copies(index["image_id"].iloc[kept[copies >= 0]], copies, own, name, options.max_copies)
    kept = kept[copies < 0]
    if not len(kept):
        raise DataError(
            f"external {name}: no image is left to measure on, of {len(index)}:"
            f" {(~is_labelled).sum()} have no label that the data set has, too,"
            f" {(is_labelled & ~fit).sum()} were not decoded, {(copies >= 0).sum()} are copies of"
            " images of the data set"
        )
    log.info(
        "%s: %d of %d images; %d not decoded or without a label, %d copies of images of the data"
        " set, %d copies of each other",
        name, len(kept), len(index), (~fit).sum(), (copies >= 0).sum(),
        fit.sum() - len(kept) - (copies >= 0).sum(),
    )  # fmt: skip
    return _as_curated(index.iloc[kept], labels.iloc[kept], pictures.facts.iloc[kept])


def decoded(pictures: Pictures) -> np.ndarray:
    """Return which images could be decoded, bool [N]."""
    return pictures.facts["row"].notna().to_numpy()


def first_of_their_kind(pixel_hash: pd.Series) -> np.ndarray:
    """Return which images are the first with their pixels, bool [N]."""
    return ~(pixel_hash.duplicated() & pixel_hash.notna()).to_numpy()


def match_labels(
    index: pd.DataFrame, own: pd.DataFrame, renamed: Mapping[str, Mapping[str, str]], name: str
) -> pd.DataFrame:
    """Return labels in the classes of the data set; what cannot be matched is missing.

    Args:
        index: of the set.
        own: curated table of the data set.
        renamed: attribute -> class of the set -> class of the data set.
        name: of the set, for messages.

    Returns:
        The data set's attributes, category or float64 columns, [N]; missing where the set has
        none.

    Raises:
        DataError: `renamed` names what is not there, or less than half of an attribute's labels
            can be matched.
    """
    theirs, ours = attributes_of(index), attributes_of(own)
    unknown = [one for one in renamed if one not in ours or one not in theirs]
    if unknown:
        raise DataError(
            f"external {name}: map: {unknown[0]} is no attribute of both sets; the data set has"
            f" {', '.join(ours)}, this one {', '.join(theirs)}"
        )
    shared = [one for one in ours if one in theirs]
    if not shared:
        raise DataError(
            f"external {name}: has the attributes {', '.join(theirs) or 'none'}, none of"
            f" {', '.join(ours)}"
        )
    found = pd.DataFrame(index=index.index)
    for attribute in ours:
        kind = own[attribute].dtype
        if attribute not in theirs:
            empty = pd.Series([None] * len(index), index=index.index)
            found[attribute] = empty.astype(kind)
        elif isinstance(kind, pd.CategoricalDtype):
            given = renamed.get(attribute, {})
            found[attribute] = _matched(index[attribute], kind, given, f"{name}: {attribute}")
        elif isinstance(index[attribute].dtype, pd.CategoricalDtype):
            raise DataError(f"external {name}: {attribute} has classes, but is a number here")
        else:
            found[attribute] = index[attribute]
    return found


def _matched(
    values: pd.Series, kind: pd.CategoricalDtype, renamed: Mapping[str, str], where: str
) -> pd.Series:
    """Return labels as classes of a kind."""
    classes = list(kind.categories)
    wrong = [one for one in renamed.values() if one not in classes]
    if wrong:
        raise DataError(
            f"external {where}: map: no class {wrong[0]} in the data set, found"
            f" {', '.join(classes)}"
        )
    known = list(values.dtype.categories) if isinstance(values.dtype, pd.CategoricalDtype) else []
    known += [one for one in values.dropna().unique() if one not in known]
    strange = [one for one in renamed if one not in known]
    if strange:
        raise DataError(
            f"external {where}: map: no class {strange[0]} in this set, found"
            f" {', '.join(map(str, known))}"
        )
    texts = values.astype(object).map(lambda one: renamed.get(one, one), na_action="ignore")
    is_known = texts.isin(classes)
    unknown = texts[values.notna() & ~is_known].value_counts()
    if unknown.sum() * 2 > values.notna().sum():
        shown = ", ".join(f"{value} ({count})" for value, count in unknown.head(MAX_SHOWN).items())
        raise DataError(
            f"external {where}: {unknown.sum()} of {values.notna().sum()} labels are none of"
            f" {', '.join(classes)}: {shown}; say in map which class each is"
        )
    if len(unknown):
        shown = ", ".join(f"{value} ({count})" for value, count in unknown.items())
        log.warning("%s: %d labels of other classes are left out: %s", where, unknown.sum(), shown)
    return texts.where(is_known).astype(kind)


def copies_of(
    pictures: Pictures, own: Pictures, max_distance: float, num_threads: int
) -> np.ndarray:
    """Return of each picture the one of the data set that it is a copy of, int64 [n]; -1: none.

    Args:
        pictures: of the set; all decoded.
        own: of the data set, likewise.
        max_distance: of near-copies, see `facedata.duplicates.neighbours`.
        num_threads: the result does not depend on it.
    """
    found = np.full(len(pictures.facts), -1, dtype=np.int64)
    near = neighbours.near_pairs(pictures.looks(), own.looks(), max_distance, num_threads)
    found[near.a] = near.b
    places = pd.Series(np.arange(len(own.facts)), index=own.facts["pixel_hash"])
    same = pictures.facts["pixel_hash"].map(places[~places.index.duplicated()])
    is_same = same.notna().to_numpy()
    found[is_same] = same[is_same].to_numpy(dtype=np.int64)
    return found


def refuse_copies(
    ids: pd.Series, copies: np.ndarray, own: pd.DataFrame, name: str, max_copies: float
) -> None:
    """Stop where more pictures than a share are copies of the data set's.

    Args:
        ids: image_id of those that are copies.
        copies: of `copies_of`, int64 [n].
        own: the data set's images.
        name: of the set.
        max_copies: largest share.

    Raises:
        DataError: more are.
    """
    if len(ids) <= max_copies * len(copies):
        return
    originals = own["image_id"].iloc[copies[copies >= 0]]
    pairs = zip(ids.head(MAX_SHOWN), originals.head(MAX_SHOWN), strict=True)
    shown = ", ".join(f"{one} of {original}" for one, original in pairs)
    raise DataError(
        f"external {name}: {len(ids)} of {len(copies)} pictures are copies of the data set's"
        f" ({shown}{', ...' if len(ids) > MAX_SHOWN else ''}); such a set tells nothing of faces"
        " from elsewhere"
    )


def _as_curated(index: pd.DataFrame, labels: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Return CURATED's columns for images of the set, each its own cluster."""
    table = index[index.columns.intersection(INDEX.names, sort=False)].reset_index(drop=True)
    table["row"] = facts["row"].to_numpy(dtype=np.int64)
    table["cluster"] = np.arange(len(table))
    table["unit"] = units(table)
    table["weight"] = 1.0
    table["flags"] = pd.array([""] * len(table), dtype="str")
    return pd.concat([table, labels.reset_index(drop=True)], axis=1)
