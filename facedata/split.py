"""Split: train, val and test in equal shares of every stratum, without what they could share."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats
from scipy.sparse.csgraph import connected_components

from facedata import tables
from facedata.errors import DataError

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
MISSING = "(missing)"  # a stratum of its own
MAX_PASSES = 20  # over the units whose part is free; it settles after two or three


def units(curated: pd.DataFrame) -> np.ndarray:
    """Return the unit of each image: what shares a cluster or a group stays together, int64 [N].

    Groups and clusters are united where they overlap; either column may be missing. Units are
    numbered by first image.
    """
    num_images = len(curated)
    links = [np.empty((2, 0), dtype=np.int64)]
    for name in curated.columns.intersection(["cluster", "group"]):
        codes = pd.factorize(curated[name])[0]  # -1 where missing
        known = np.flatnonzero(codes >= 0)
        first = pd.Series(known).groupby(codes[known]).transform("first").to_numpy()
        links.append(np.stack([known, first]))
    rows, columns = np.concatenate(links, axis=1)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(num_images,) * 2)
    _, component = connected_components(graph, directed=False)
    return pd.factorize(component)[0]


def strata(curated: pd.DataFrame, stratify: Sequence[str]) -> pd.DataFrame:
    """Return the columns to balance: each attribute, then the joint stratum (tuples of classes).

    Raises:
        DataError: an attribute does not exist or is numeric.
    """
    columns = {}
    for name in stratify:
        if name not in tables.attributes(curated):
            found = ", ".join(tables.attributes(curated))
            raise DataError(f"--stratify: no attribute {name!r}, there are {found}")
        if not isinstance(curated[name].dtype, pd.CategoricalDtype):
            raise DataError(f"--stratify: {name} is numeric; make classes of it by bins")
        columns[name] = curated[name].astype(object).where(curated[name].notna(), MISSING)
    joint = list(zip(*columns.values(), strict=True)) if columns else [()] * len(curated)
    return pd.DataFrame({**columns, "stratum": joint}, index=curated.index)


def distribute(
    unit: np.ndarray,
    labels: pd.DataFrame,
    shares: Sequence[float],
    rng: np.random.Generator,
    lone_first: bool = False,
) -> np.ndarray:
    """Distribute units over parts so that each label has its share of images in each part.

    Units that hold the same labels are alike: of n alike units each part gets its share rounded
    down. The few that remain, and units like no other, go where they leave the smallest squared
    error of all labels' counts, large units first; then each of them moves while that helps.

    Args:
        unit: of each image, int64 [N].
        labels: columns to balance, one row an image; the last is the joint stratum.
        shares: of each part; they add up to 1.
        rng: decides between alike units.
        lone_first: units that hold a whole stratum, which cannot be shared, go to the first part.

    Returns:
        part of each image, int64 [N].
    """
    unit = pd.factorize(unit)[0]
    num_units, num_parts = int(unit.max()) + 1, len(shares)
    shares = np.asarray(shares)
    holds = _holdings(unit, labels)
    part = np.full(num_units, -1)
    if lone_first:
        part[_lone(unit, labels.iloc[:, -1])] = 0

    # Alike units: every part gets its share, rounded down.
    order = rng.permutation(num_units)
    alike: dict[bytes, list[int]] = {}
    for u in order[part[order] < 0]:
        row = slice(holds.indptr[u], holds.indptr[u + 1])
        alike.setdefault(holds.indices[row].tobytes() + holds.data[row].tobytes(), []).append(u)
    for members in alike.values():
        counts = np.floor(len(members) * shares + 1e-9).astype(np.int64)
        part[members[: counts.sum()]] = np.repeat(np.arange(num_parts), counts)

    # The others where they fit best; large ones first, while there is most room for them.
    free = order[part[order] < 0]
    free = free[np.argsort(-holds[free].max(axis=1).toarray().ravel(), kind="stable")]
    error = -holds.sum(axis=0)[:, None] * shares  # [labels, parts], count - target
    for p in range(num_parts):
        error[:, p] += holds[np.flatnonzero(part == p)].sum(axis=0)
    for _ in range(MAX_PASSES):
        num_moved = 0
        for u in free:
            row = slice(holds.indptr[u], holds.indptr[u + 1])
            label, count = holds.indices[row], holds.data[row]
            old = part[u]
            if old >= 0:
                error[label, old] -= count
            # Squared errors grow by 2 * count * error + count^2, the latter the same for all parts.
            cost = count @ error[label]
            new = int(cost.argmin())
            if old >= 0 and cost[old] <= cost[new] + 1e-6:
                new = old
            num_moved += new != old
            part[u] = new
            error[label, new] += count
        if not num_moved:
            break
    return part[unit]


def _holdings(unit: np.ndarray, labels: pd.DataFrame) -> sparse.csr_array:
    """Return how many images of each label a unit holds, [units, labels]; label 0 is all images."""
    codes = [np.zeros(len(unit), dtype=np.int64)]
    for name in labels:
        codes.append(pd.factorize(labels[name])[0] + codes[-1].max() + 1)
    where = (np.tile(unit, len(codes)), np.concatenate(codes))
    holds = sparse.coo_array((np.ones(len(where[0])), where)).tocsr()
    holds.sort_indices()
    return holds


def _lone(unit: np.ndarray, stratum: pd.Series) -> np.ndarray:
    """Return the units that hold all images of a stratum."""
    table = pd.DataFrame({"unit": unit, "stratum": pd.factorize(stratum)[0]}).drop_duplicates()
    return table.loc[~table["stratum"].duplicated(keep=False), "unit"].unique()


def assign_folds(
    table: pd.DataFrame, stratify: Sequence[str], num_folds: int, seed: int
) -> pd.arrays.IntegerArray:
    """Assign every image to a fold, units whole, each stratum in equal shares.

    Args:
        table: cluster, group and attributes, one row an image.
        stratify: attributes whose joint classes keep their shares; missing is a class of its own.
        num_folds: >= 2.
        seed: of the shuffle.

    Returns:
        fold of each image, Int64 [N], 0 .. num_folds - 1.

    Raises:
        DataError: an attribute cannot be stratified on, or a fold would be empty.
    """
    unit = units(table)
    rng = np.random.default_rng([seed, 1])
    fold = distribute(unit, strata(table, stratify), [1 / num_folds] * num_folds, rng)
    if len(np.unique(fold)) < num_folds:
        raise DataError(
            f"--folds: {num_folds} folds of {unit.max() + 1} units that stay together would leave"
            " one empty; fewer folds or more images are needed"
        )
    return pd.array(fold, dtype="Int64")


def assign_splits(
    curated: pd.DataFrame, train: float, stratify: Sequence[str], num_folds: int, seed: int
) -> pd.DataFrame:
    """Assign every image to train, val or test, and those of train to a fold.

    An official split is honoured: official val and test images stay what they are, the others are
    train. A unit that would straddle goes to its most held-out part (test, then val); a part that
    the official split lacks is taken from its train.

    Args:
        curated: image_id, cluster, group, official_split and attributes.
        train: share of each stratum used to fit; val and test halve the rest.
        stratify: attributes whose joint classes keep their shares; missing is a class of its own.
        num_folds: parts of train, >= 2.
        seed: of the shuffle.

    Returns:
        image_id, split (category train, val, test), fold (Int64, NA outside train).

    Raises:
        DataError: an attribute cannot be stratified on, or a split or fold would be empty.
    """
    unit, labels = units(curated), strata(curated, stratify)
    share = (1 - train) / 2
    if curated["official_split"].isna().all():
        rng = np.random.default_rng([seed, 0])
        part = distribute(unit, labels, [train, share, share], rng, lone_first=True)
    else:
        part = _official(curated["official_split"], unit)
        lacking = [p for p in (1, 2) if not (part == p).any()]
        rest = np.flatnonzero(part == 0)
        if lacking and len(rest):
            shares = [1 - share * len(lacking), *[share] * len(lacking)]
            rng = np.random.default_rng([seed, 0])
            new = distribute(unit[rest], labels.iloc[rest], shares, rng, lone_first=True)
            part[rest] = np.array([0, *lacking])[new]
    for p, name in enumerate(SPLITS):
        if not (part == p).any():
            raise DataError(
                f"split: {name} would be empty: {len(part)} images in {unit.max() + 1} units that"
                " stay together; more images, fewer strata or another --train are needed"
            )

    fold = pd.array([pd.NA] * len(part), dtype="Int64")
    fit = np.flatnonzero(part == 0)
    fold[fit] = assign_folds(curated.iloc[fit], stratify, num_folds, seed)
    counts = ", ".join(f"{name} {(part == p).sum()}" for p, name in enumerate(SPLITS))
    log.info("%s, of %d units", counts, unit.max() + 1)
    return pd.DataFrame(
        {
            "image_id": curated["image_id"],
            "split": pd.Categorical.from_codes(part, categories=list(SPLITS)),
            "fold": fold,
        }
    )


def _official(official: pd.Series, unit: np.ndarray) -> np.ndarray:
    """Return the part of each image by the official split, one for all of a unit, int64 [N]."""
    unknown = official.dropna()[~official.dropna().isin(SPLITS)]
    if len(unknown):
        raise DataError(
            f"official split {unknown.iloc[0]!r} is none of {', '.join(SPLITS)}; ingest again"
        )
    part = official.map({name: p for p, name in enumerate(SPLITS)}).fillna(0).astype("int64")
    return part.groupby(unit).transform("max").to_numpy(copy=True)


def check(
    curated: pd.DataFrame, splits: pd.DataFrame, train: float, stratify: Sequence[str]
) -> dict[str, Any]:
    """Return what a reader needs to trust a split, as plain values for JSON.

    Args:
        curated: as for `assign_splits`.
        splits: its result.
        train: as for `assign_splits`.
        stratify: as for `assign_splits`.

    Returns:
        images, shares and folds (sizes); units; straddling (clusters and groups in more than one
        split or fold: 0); strata and largest_deviation (images by which a stratum in a split is off
        its share); attributes (class shares by split, and the p of a chi-square test that class and
        split are independent; of a numeric one its means); notes.
    """
    split, labels = splits["split"], strata(curated, stratify)
    counts = split.value_counts(sort=False)  # in the order of SPLITS
    by_stratum = pd.crosstab(pd.factorize(labels["stratum"])[0], split, dropna=False)
    target = np.outer(by_stratum.sum(axis=1), [train, (1 - train) / 2, (1 - train) / 2])
    return {
        "images": {name: int(number) for name, number in counts.items()},
        "shares": {name: number / len(split) for name, number in counts.items()},
        "folds": splits["fold"].value_counts().sort_index().tolist(),
        "units": int(units(curated).max()) + 1,
        "straddling": {
            name: _num_straddling(curated[name], splits) for name in ("cluster", "group")
        },
        "strata": len(by_stratum),
        "largest_deviation": round(float(np.abs(by_stratum.to_numpy() - target).max()), 3),
        "attributes": {name: _balance(curated[name], split) for name in tables.attributes(curated)},
        "notes": _notes(curated, splits, labels),
    }


def _num_straddling(values: pd.Series, splits: pd.DataFrame) -> int:
    """Return how many values occur in more than one split or fold."""
    places = splits[["split", "fold"]].assign(value=values)[values.notna()].drop_duplicates()
    return len(places.loc[places["value"].duplicated(), "value"].unique())


def _balance(values: pd.Series, split: pd.Series) -> dict[str, Any]:
    """Return the shares of an attribute's classes by split, or the means of a numeric one."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        means = values.groupby(split, observed=False).mean()
        return {"means": {name: None if pd.isna(m) else float(m) for name, m in means.items()}}
    counts = pd.crosstab(values.astype(object).where(values.notna(), MISSING), split, dropna=False)
    order = [name for name in [*values.cat.categories, MISSING] if name in counts.index]
    counts = counts.loc[order]
    shares = counts / counts.sum()
    testable = len(counts) > 1 and (counts.sum() > 0).all()
    p = float(stats.chi2_contingency(counts).pvalue) if testable else None
    return {"shares": shares.T.to_dict(), "chi_square_p": p}


def _notes(curated: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    """Return in words what could not be shared, and which classes a split lacks."""
    notes = []
    stratum = labels["stratum"]
    lone = _lone(units(curated), stratum)
    for name in dict.fromkeys(stratum[np.isin(units(curated), lone)]):
        alone = units(curated)[(stratum == name).to_numpy()]
        if len(set(alone)) == 1:
            notes.append(f"stratum {'/'.join(name)}: images {len(alone)}, in one unit: train")
    for name in tables.attributes(curated):
        if isinstance(curated[name].dtype, pd.CategoricalDtype):
            known = curated[name].notna()
            counts = pd.crosstab(curated.loc[known, name], splits["split"][known], dropna=False)
            for value, row in counts.iterrows():
                absent = [part for part in SPLITS if row[part] == 0]
                if 0 < len(absent) < len(SPLITS):
                    notes.append(f"{name} {value}: no image in {' and '.join(absent)}")
    official = curated["official_split"]
    if official.notna().any():
        moved = int((official.notna() & (official != splits["split"].astype(str))).sum())
        unlisted = int(official.isna().sum())
        notes.append(f"official split: {moved} images moved, {unlisted} without one")
    return notes
