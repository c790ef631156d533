"""Split: train, val and test in equal shares of every class, without what they could share."""

import logging
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from facedata import columns
from facedata.options import ScarceOptions, SplitOptions, Stratify
from facedata.splits.deal import distribute
from facedata.splits.strata import is_categorical, strata
from facedata.splits.units import units
from facekit.errors import DataError, Mendable
from facekit.splits import PARTS, SPLITS, round_seed
from facekit.storage import tables

log = logging.getLogger(__name__)

TRAIN, VAL, TEST, HELD_BACK = range(len(PARTS))
ROUNDING = 0.1  # of a test part: what units that stay together may have taken from it


class TooFew(Mendable):
    """Images, or units of them, that are too few to be dealt as asked."""


def assign_folds(
    table: pd.DataFrame,
    options: Stratify,
    num_folds: int,
    seed: int,
    kept: np.ndarray | None = None,
) -> pd.arrays.IntegerArray:
    """Assign every image to a fold, units whole, each class in equal shares.

    Args:
        table: cluster, group and attributes, one row an image.
        options: which classes come in equal shares.
        num_folds: >= 2.
        seed: of the shuffle.
        kept: fold of each image that stays where it is, -1 for the others, one for all of a unit.

    Returns:
        fold of each image, Int64 [N], 0 .. num_folds - 1.

    Raises:
        TooFew: a fold would be empty.
        DataError: an attribute cannot be stratified on.
    """
    unit = units(table)
    rng = np.random.default_rng([seed, 1])
    labels = strata(table, options)
    fold = distribute(unit, labels, [1 / num_folds] * num_folds, rng, kept=kept)
    if len(np.unique(fold)) < num_folds:
        raise TooFew(
            f"split: {num_folds} folds of {unit.max() + 1} units that stay together would leave one"
            " empty",
            "a smaller --folds or more images are needed",
        )
    return pd.array(fold, dtype="Int64")


def assign_splits(
    curated: pd.DataFrame,
    options: SplitOptions,
    seed: int,
    number: int = 0,
    before: pd.DataFrame | None = None,
    tested: Container[str] | None = None,
) -> pd.DataFrame:
    """Assign every image to train, val, test or reserve, and those of train to a fold.

    An official split is honoured: official val and test images stay what they are, the others are
    train. A unit that would straddle goes to its most held-out part (test, then val); a part that
    the official split lacks is taken from its train. Test parts of rounds have nothing in common,
    but for an official one that is kept; a round's parts do not depend on how many follow.

    Images that were dealt before keep split and fold, whatever their labels are now; others go
    where the shares of classes come out best. A unit whose images were apart goes whole where most
    of them were, and out of test where a round before has tested it.

    Args:
        curated: image_id, cluster, group, official_split, attributes and, if known, pixel_hash.
        options: how they are dealt; a missing label is a class of its own.
        seed: of the shuffles.
        number: of the round, from 0.
        before: image_id, split, fold as they were dealt before by the same options, also of images
            that are gone; None: all are dealt.
        tested: images that the rounds before test; None: those that they would if all were dealt.

    Returns:
        image_id, split (category of PARTS), fold (Int64, NA outside train).

    Raises:
        TooFew: a split or fold would be empty, or no images are left for a test part of this round.
        DataError: an attribute cannot be stratified on.
    """
    unit, labels = units(curated), strata(curated, options)
    kept, kept_fold = _as_before(curated["image_id"], unit, before)
    in_test = None
    if tested is not None:
        is_tested = [image_id in tested for image_id in curated["image_id"]]
        in_test = _of_units(np.where(is_tested, 1, -1), unit) > 0
    share = options.test
    if options.official == "ignore" or curated["official_split"].isna().all():
        part = _deal(unit, labels, {VAL: share, TEST: share}, seed, number, kept, in_test)
    else:
        part = _official(curated["official_split"], unit)
        lacking = {p: share for p in (VAL, TEST) if not (part == p).any()}
        rest = np.flatnonzero(part == TRAIN)
        if lacking and len(rest):
            in_test = None if in_test is None else in_test[rest]
            of_rest = (unit[rest], labels.iloc[rest])
            part[rest] = _deal(*of_rest, lacking, seed, number, kept[rest], in_test)
    names = PARTS if options.holds_back else SPLITS
    if options.reserve:
        rest = np.flatnonzero(part == TRAIN)
        shares = [1 - options.reserve, options.reserve]
        rng = np.random.default_rng([seed, 2, number])
        stays = np.select([kept[rest] == TRAIN, kept[rest] == HELD_BACK], [0, 1], -1)
        held = distribute(unit[rest], labels.iloc[rest], shares, rng, True, stays)
        part[rest[held == 1]] = HELD_BACK
    if options.scarce:
        spare = _spare(curated, unit, part == TRAIN, options.scarce, seed, number, kept)
        part[spare] = HELD_BACK
    for p, name in enumerate(names):
        if not (part == p).any():
            raise TooFew(
                f"split: {name} would be empty: {len(part)} images in {unit.max() + 1} units that"
                " stay together",
                "more images, fewer strata, --balance each or another --train are needed",
            )

    fold = pd.array([pd.NA] * len(part), dtype="Int64")
    fit = np.flatnonzero(part == TRAIN)
    fold_seed = round_seed(seed, number)
    stays = kept_fold[fit]
    fold[fit] = assign_folds(curated.iloc[fit], options, options.folds, fold_seed, stays)
    counts = ", ".join(f"{name} {(part == p).sum()}" for p, name in enumerate(names))
    log.info("round %d: %s, of %d units", number, counts, unit.max() + 1)
    return pd.DataFrame(
        {
            "image_id": curated["image_id"],
            "split": pd.Categorical.from_codes(part, categories=list(names)),
            "fold": fold,
        }
    )


def tested_in(splits: Iterable[Path]) -> set[str]:
    """Return the images that rounds test.

    Args:
        splits: their splits.parquet.

    Raises:
        DataError: one is none.
    """
    found: set[str] = set()
    for path in splits:
        table = tables.read(path, columns.SPLITS, ["image_id", "split"])
        found.update(table.loc[table["split"] == SPLITS[TEST], "image_id"])
    return found


def _as_before(
    image_ids: pd.Series, unit: np.ndarray, before: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return part and fold of each image as its unit had them, -1 for none, int64 [N] each."""
    if before is None:
        none = np.full(len(unit), -1)
        return none, none
    of_image = before.set_index("image_id").reindex(image_ids)
    part = of_image["split"].astype("object").map({name: p for p, name in enumerate(PARTS)})
    found = (part, of_image["fold"])
    part, fold = (values.fillna(-1).to_numpy(dtype=np.int64) for values in found)
    return _of_units(part, unit), _of_units(fold, unit)


def _of_units(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return for each image what most of its unit's images have, the largest of several; -1: none.

    Args:
        values: of each image, int64 [N]; -1 has no say.
        unit: of each image, int64 [N].
    """
    known = pd.DataFrame({"unit": unit, "value": values})[values >= 0]
    counts = known.groupby(["unit", "value"]).size().reset_index(name="images")
    most = counts.sort_values(["unit", "images", "value"]).drop_duplicates("unit", keep="last")
    of_unit = np.full(int(unit.max()) + 1, -1)
    of_unit[most["unit"]] = most["value"]
    return of_unit[unit]


def _deal(
    unit: np.ndarray,
    labels: pd.DataFrame,
    held: Mapping[int, float],
    seed: int,
    number: int,
    kept: np.ndarray,
    tested: np.ndarray | None,
) -> np.ndarray:
    """Return the part of each image in a round, int64 [N]: TRAIN, or one of those held out.

    Args:
        unit: of each image, int64 [N].
        labels: columns whose classes are to be balanced.
        held: share of each part that is held out.
        seed: of the shuffles.
        number: of the round.
        kept: part that each image had before, int64 [N]; -1: none.
        tested: which images the rounds before test, bool [N], units whole; None: these rounds are
            dealt, too.

    Raises:
        TooFew: the rounds before have tested too many images.
    """
    if tested is None:
        tested = np.zeros(len(unit), dtype=bool)
        none = np.full(len(unit), -1)
        for k in range(number):
            tested |= _deal(unit, labels, held, seed, k, none, tested.copy()) == TEST
    if number == 0:
        parts = [TRAIN, *held]
        shares = [1 - sum(held.values()), *held.values()]
        stays = np.select([kept < 0, *(kept == p for p in held)], [-1, *range(1, len(parts))], 0)
        rng = np.random.default_rng([seed, 0])
        return np.array(parts)[distribute(unit, labels, shares, rng, True, stays)]
    rng = np.random.default_rng([seed, 0, number])
    part = np.full(len(unit), TRAIN)
    for p in sorted(held, reverse=True):  # test first, of what was never tested
        free = np.flatnonzero(~tested if p == TEST else part == TRAIN)
        share = held[p] * len(unit) / max(len(free), 1)
        if share > 1 + ROUNDING and not (kept[free] == p).any():
            raise TooFew(
                f"--round {number}: the rounds before have tested {tested.sum()} of {len(unit)}"
                " images, fewer than a test part are left",
                "fewer rounds or a larger --train are needed",
            )
        share = min(share, 1.0)
        stays = np.where(kept[free] < 0, -1, kept[free] == p)
        shares = [1 - share, share]
        chosen = distribute(unit[free], labels.iloc[free], shares, rng, True, stays)
        part[free[chosen == 1]] = p
    return part


def _spare(
    curated: pd.DataFrame,
    unit: np.ndarray,
    in_train: np.ndarray,
    options: ScarceOptions,
    seed: int,
    number: int,
    kept: np.ndarray,
) -> np.ndarray:
    """Return the images of train that a class can spare, bool [N]: all of some units.

    Args:
        curated: images with their attributes.
        unit: of each, int64 [N].
        in_train: bool [N].
        options: the class, and how many of its images stay.
        seed: of the order of units.
        number: of the round.
        kept: part that each image had before, int64 [N]; -1: none.

    Raises:
        DataError: there is no such class, or train has no more of it than are to stay.
    """
    name, value = options.attribute, options.value
    if name not in curated or not is_categorical(curated[name]):
        raise DataError(f"--scarce: no attribute {name} with classes")
    is_class = (curated[name] == value).to_numpy(dtype=bool, na_value=False) & in_train
    if is_class.sum() <= options.images and (kept < 0).all():
        raise DataError(
            f"--scarce: train has {is_class.sum()} images of {name} {value}; expected more than the"
            f" {options.images} that are to stay"
        )
    place = np.random.default_rng([seed, 3, number]).permutation(unit.max() + 1)
    held = pd.Series(is_class).groupby(unit).sum().to_numpy()  # of the class, by unit
    was = np.full_like(place, -1)
    was[unit] = kept
    order = np.lexsort((place, was != TRAIN))  # what was in train stays there
    before = np.empty_like(held)
    before[order] = held[order].cumsum() - held[order]
    spare = (held > 0) & (before >= options.images) & (was != TRAIN) | (was == HELD_BACK)
    return in_train & spare[unit]


def _official(official: pd.Series, unit: np.ndarray) -> np.ndarray:
    """Return the part of each image by the official split, one for all of a unit, int64 [N]."""
    unknown = official.dropna()[~official.dropna().isin(SPLITS)]
    if len(unknown):
        raise DataError(
            f"official split {unknown.iloc[0]!r} is none of {', '.join(SPLITS)}; ingest again"
        )
    part = official.map({name: p for p, name in enumerate(SPLITS)}).fillna(0).astype("int64")
    return part.groupby(unit).transform("max").to_numpy(copy=True)
