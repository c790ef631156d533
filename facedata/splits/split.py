"""Split: train, val and test in equal shares of every class, without what they could share."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from facedata.columns import attributes_of
from facedata.explore import contingency
from facedata.options import SplitOptions, Stratify
from facedata.splits.units import UNIT_COLUMNS, units
from facekit.errors import DataError
from facekit.splits import SPLITS

log = logging.getLogger(__name__)

MISSING = "(missing)"  # a class of its own
JOINT = "joint class"  # column of them; no attribute has a space in its name
MAX_LONE = 0.05  # share of the images whose joint class is a single unit, to be placed by it
MAX_PASSES = 20  # over the units that were placed one by one; it settles after two or three
NUM_PAIRS = 20_000  # of units whose swap is weighed in one round
MAX_ROUNDS = 60  # of swaps
MAX_SWAPS = 200  # in one round
MAX_IDLE = 3  # rounds without a swap, then it is over
MAX_NOTES = 20  # of one kind


def strata(table: pd.DataFrame, options: Stratify) -> pd.DataFrame:
    """Return the columns whose classes keep their shares, category columns without NA, [N].

    Args:
        table: attributes, one row an image.
        options: which attributes; where their joint classes count, these are the last column.

    Raises:
        DataError: an attribute does not exist or is numeric.
    """
    names = options.stratify
    if names == "all":
        names = tuple(name for name in attributes_of(table) if _is_categorical(table[name]))
    columns = {}
    for name in names:
        if name not in attributes_of(table):
            found = ", ".join(attributes_of(table))
            raise DataError(f"--stratify: no attribute {name!r}, there are {found}")
        if not _is_categorical(table[name]):
            raise DataError(f"--stratify: {name} is numeric; make classes of it by bins")
        columns[name] = as_classes(table[name])
    labels = pd.DataFrame(columns, index=table.index)
    if options.balance == "joint" and len(columns) > 1:
        labels[JOINT] = _joint(labels)
    return labels


def _is_categorical(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype)


def as_classes(values: pd.Series) -> pd.Series:
    """Return the class of each image, `(missing)` where there is none; classes that occur alone.

    A number's classes are its quarters, each with the upper edge: as equal as ties allow.
    """
    if not _is_categorical(values):
        edges = np.unique(values.dropna().quantile([0, 0.25, 0.5, 0.75, 1]).dropna())
        text = [str(edge).removesuffix(".0") for edge in edges]
        names = [" to ".join(pair) for pair in itertools.pairwise(text)] or text
        code = np.searchsorted(edges[1:], values.to_numpy(dtype=np.float64, na_value=np.nan))
        code[values.isna()] = -1
        quarters = pd.Categorical.from_codes(code, pd.Index(names, dtype="str"))
        values = pd.Series(quarters, index=values.index)
    if values.isna().any():
        values = values.cat.add_categories([MISSING]).fillna(MISSING)
    return values.cat.remove_unused_categories()


def _joint(labels: pd.DataFrame) -> pd.Categorical:
    """Return the joint class of each image, such as `red/glasses`."""
    code = np.zeros(len(labels), dtype=np.int64)
    for name in labels:
        classes = labels[name].cat
        code = pd.factorize(code * len(classes.categories) + classes.codes)[0]
    _, first = np.unique(code, return_index=True)
    names = ["/".join(row) for row in labels.iloc[first].astype(str).itertuples(index=False)]
    return pd.Categorical.from_codes(code, names)


def distribute(
    unit: np.ndarray,
    labels: pd.DataFrame,
    shares: Sequence[float],
    rng: np.random.Generator,
    place_rare: bool = False,
) -> np.ndarray:
    """Distribute units over parts so that each class has its share of images in each part.

    Units that hold the same classes are alike: of n alike units each part gets its share, rounded
    down. The few that remain, and units like no other, go one by one, large ones first, where the
    counts of all classes come nearest to their shares; then they move and swap while that helps.
    Nearest is least squares, each class weighed by 1 / sqrt(its images): a rare class keeps its
    share more exactly, yet many tiny ones together do not pull the parts off their sizes.

    Args:
        unit: of each image, int64 [N].
        labels: columns whose classes are to be balanced, one row an image.
        shares: of each part; they add up to 1.
        rng: decides between alike units.
        place_rare: place classes of one or two units as `_place_rare` says.

    Returns:
        part of each image, int64 [N].

    Source: for many labels the aim is that of iterative stratification (Sechidis et al. 2011).
    """
    unit, share = pd.factorize(unit)[0], np.asarray(shares)
    holds, names = _holdings(unit, labels)
    part = np.full(holds.shape[0], -1)
    if place_rare:
        _place_rare(holds, names, share, part)
    order = rng.permutation(len(part))
    _deal_alike(holds, share, order[part[order] < 0], rng, part)
    free = order[part[order] < 0]
    _fit(holds, share, free, part)
    _swap(holds, share, free, rng, part)
    return part[unit]


def _holdings(
    unit: np.ndarray, labels: pd.DataFrame
) -> tuple[sparse.csr_array, list[tuple[str, str]]]:
    """Return how many images of each class a unit holds, and the classes' names.

    Returns:
        float64 [units, classes]; class 0 is all images. (column, class) of each of them.
    """
    names, codes = [("all", "images")], [np.zeros(len(unit), dtype=np.int64)]
    for name in labels:
        codes.append(labels[name].cat.codes.to_numpy(dtype=np.int64) + len(names))
        names += [(name, value) for value in labels[name].cat.categories]
    where = (np.tile(unit, len(codes)), np.concatenate(codes))
    shape = (int(unit.max()) + 1, len(names))
    holds = sparse.coo_array((np.ones(len(where[0])), where), shape=shape).tocsr()
    holds.sort_indices()
    return holds, names


def _rare(
    holds: sparse.csr_array, names: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Yield the classes whose images are all in one unit or two: name, units (larger first).

    Joint classes only if in one unit, and not where so many are that it says nothing of a class.
    """
    by_class = holds.tocsc()
    num_units = np.diff(by_class.indptr)
    size = holds[:, [0]].toarray().ravel()
    is_joint = np.array([column == JOINT for column, _ in names])
    lone = is_joint & (num_units == 1)
    wanted = ~is_joint & ((num_units == 1) | (num_units == 2))
    if by_class[:, np.flatnonzero(lone)].sum() <= MAX_LONE * size.sum():
        wanted |= lone
    wanted[0] = False  # all images
    for place in np.flatnonzero(wanted).tolist():
        held_by = by_class.indices[by_class.indptr[place] : by_class.indptr[place + 1]]
        yield names[place], held_by[np.argsort(-size[held_by], kind="stable")]


def _place_rare(
    holds: sparse.csr_array,
    names: Sequence[tuple[str, str]],
    shares: np.ndarray,
    part: np.ndarray,
) -> None:
    """Place, in `part` [units], the units that hold a class which cannot be shared out.

    A unit that holds all images of a class, or of a joint class, goes to the first part. Of two
    that hold all images of a class, the larger one goes to the first part and the other to the
    last, as long as that has room: a class must be learnt before it can be tested.
    """
    rare = list(_rare(holds, names))
    for _, held_by in rare:
        if len(held_by) == 1:
            part[held_by] = 0
    size = holds[:, [0]].toarray().ravel()
    room = shares[-1] * size.sum()
    for _, held_by in rare:
        if len(held_by) == 2:
            first, second = held_by
            if part[second] == 0 or part[first] > 0:  # placed by another class
                first, second = second, first
            if part[first] < 0:
                part[first] = 0
            if part[second] < 0 and size[second] <= room:
                part[second] = len(shares) - 1
                room -= size[second]


def _deal_alike(
    holds: sparse.csr_array,
    shares: np.ndarray,
    order: np.ndarray,
    rng: np.random.Generator,
    part: np.ndarray,
) -> None:
    """Deal alike units of `order` out, in `part`: each part gets its share, rounded down."""
    key = rng.integers(2**63, size=holds.shape[1], dtype=np.uint64)
    kind = pd.factorize((holds.astype(np.uint64) @ key)[order])[0]  # alike: an equal hash
    bound = np.floor(np.bincount(kind)[:, None] * shares + 1e-9).cumsum(axis=1)  # [kinds, parts]
    rank = pd.Series(kind).groupby(kind).cumcount().to_numpy()
    dealt = (rank[:, None] >= bound[kind]).sum(axis=1)
    part[order] = np.where(dealt < len(shares), dealt, -1)


def _errors(
    holds: sparse.csr_array, shares: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return count - share of what is placed, [classes, parts], and each class's weight."""
    counts = [holds[np.flatnonzero(part == p)].sum(axis=0) for p in range(len(shares))]
    error = np.stack(counts, axis=1)
    error -= error.sum(axis=1, keepdims=True) * shares
    return error, 1 / np.sqrt(np.maximum(holds.sum(axis=0), 1))


def _fit(holds: sparse.csr_array, shares: np.ndarray, order: np.ndarray, part: np.ndarray) -> None:
    """Place the units of `order`, in `part`, where they fit best."""
    error, weight = _errors(holds, shares, part)
    indptr = holds.indptr.tolist()

    def place(units: np.ndarray) -> int:
        """Place or move units, one by one; return how many changed their part."""
        num_changed = 0
        for u in units.tolist():
            row = slice(indptr[u], indptr[u + 1])
            held, count = holds.indices[row], holds.data[row]
            of_unit, old = error[held], part[u]
            if old < 0:
                of_unit -= count[:, None] * shares
            else:
                of_unit[:, old] -= count
            # Squared errors grow by 2 * count * error + count^2, the latter the same everywhere.
            cost = (count * weight[held]) @ of_unit
            new = int(cost.argmin())
            if old >= 0 and cost[old] <= cost[new] + 1e-9:
                continue
            of_unit[:, new] += count
            error[held] = of_unit
            part[u] = new
            num_changed += 1
        return num_changed

    size = holds[:, [0]].toarray().ravel()
    order = order[np.argsort(-size[order], kind="stable")]
    place(order)
    held = holds[order]
    square = held.multiply(held) @ weight
    for _ in range(MAX_PASSES):
        cost = held @ (error * weight[:, None])  # [units, parts]
        own = cost[np.arange(len(order)), part[order]]
        gain = own - square - cost.min(axis=1)
        best_first = np.argsort(-gain, kind="stable")
        if not place(order[best_first[: (gain > 1e-9).sum()]]):
            break


def _swap(
    holds: sparse.csr_array,
    shares: np.ndarray,
    free: np.ndarray,
    rng: np.random.Generator,
    part: np.ndarray,
) -> None:
    """Let units of `free` change places, in `part`, while that helps: pairs are drawn at random."""
    error, weight = _errors(holds, shares, part)
    num_idle = 0
    for _ in range(MAX_ROUNDS if len(free) else 0):
        pairs = free[rng.integers(len(free), size=(2, min(NUM_PAIRS, len(free) ** 2)))]
        a, b = pairs[:, part[pairs[0]] != part[pairs[1]]]
        change = holds[b] - holds[a]  # of a's part; b's changes by as much the other way
        square = change.multiply(change) @ weight
        cost = change @ (error * weight[:, None])  # [pairs, parts]
        pair = np.arange(len(a))
        gain = cost[pair, part[b]] - cost[pair, part[a]] - square
        num_swapped = 0
        for k in np.argsort(-gain, kind="stable")[: min(MAX_SWAPS, (gain > 1e-9).sum())]:
            to, of = part[b[k]], part[a[k]]
            delta = change[[k]].toarray().ravel()
            if (delta * weight) @ (error[:, to] - error[:, of]) > square[k] + 1e-9:
                error[:, of] += delta
                error[:, to] -= delta
                part[a[k]], part[b[k]] = to, of
                num_swapped += 1
        num_idle = 0 if num_swapped else num_idle + 1
        if num_idle == MAX_IDLE:
            break


def assign_folds(
    table: pd.DataFrame, options: Stratify, num_folds: int, seed: int
) -> pd.arrays.IntegerArray:
    """Assign every image to a fold, units whole, each class in equal shares.

    Args:
        table: cluster, group and attributes, one row an image.
        options: which classes come in equal shares.
        num_folds: >= 2.
        seed: of the shuffle.

    Returns:
        fold of each image, Int64 [N], 0 .. num_folds - 1.

    Raises:
        DataError: an attribute cannot be stratified on, or a fold would be empty.
    """
    unit = units(table)
    rng = np.random.default_rng([seed, 1])
    labels = strata(table, options)
    fold = distribute(unit, labels, [1 / num_folds] * num_folds, rng)
    if len(np.unique(fold)) < num_folds:
        raise DataError(
            f"--folds: {num_folds} folds of {unit.max() + 1} units that stay together would leave"
            " one empty; fewer folds or more images are needed"
        )
    return pd.array(fold, dtype="Int64")


def assign_splits(curated: pd.DataFrame, options: SplitOptions, seed: int) -> pd.DataFrame:
    """Assign every image to train, val or test, and those of train to a fold.

    An official split is honoured: official val and test images stay what they are, the others are
    train. A unit that would straddle goes to its most held-out part (test, then val); a part that
    the official split lacks is taken from its train.

    Args:
        curated: image_id, cluster, group, official_split, attributes and, if known, pixel_hash.
        options: how they are dealt; a missing label is a class of its own.
        seed: of the shuffle.

    Returns:
        image_id, split (category train, val, test), fold (Int64, NA outside train).

    Raises:
        DataError: an attribute cannot be stratified on, or a split or fold would be empty.
    """
    unit, labels = units(curated), strata(curated, options)
    train = options.train
    share = (1 - train) / 2
    rng = np.random.default_rng([seed, 0])
    if options.official == "ignore" or curated["official_split"].isna().all():
        part = distribute(unit, labels, [train, share, share], rng, place_rare=True)
    else:
        part = _official(curated["official_split"], unit)
        lacking = [p for p in (1, 2) if not (part == p).any()]
        rest = np.flatnonzero(part == 0)
        if lacking and len(rest):
            shares = [1 - share * len(lacking), *[share] * len(lacking)]
            new = distribute(unit[rest], labels.iloc[rest], shares, rng, place_rare=True)
            part[rest] = np.array([0, *lacking])[new]
    for p, name in enumerate(SPLITS):
        if not (part == p).any():
            raise DataError(
                f"split: {name} would be empty: {len(part)} images in {unit.max() + 1} units that"
                " stay together; more images, fewer strata, --balance each or another --train are"
                " needed"
            )

    fold = pd.array([pd.NA] * len(part), dtype="Int64")
    fit = np.flatnonzero(part == 0)
    fold[fit] = assign_folds(curated.iloc[fit], options, options.folds, seed)
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


def check(curated: pd.DataFrame, splits: pd.DataFrame, options: SplitOptions) -> dict[str, Any]:
    """Return what a reader needs to trust a split, as plain values for JSON.

    Args:
        curated: as for `assign_splits`.
        splits: its result.
        options: as for `assign_splits`.

    Returns:
        images and shares (by split); folds (images of each); units; straddling (groups, clusters
        and pixel hashes in more than one split or fold: 0); attributes: of each the shares of its
        classes by split (`shares`) and fold (`fold_shares`), of a number those of its quarters and
        its `means`, the p of a chi-square test that class and split, or fold, are independent, and
        the largest deviation: the most by which the share of a class differs between two splits,
        or folds, in percentage points; joint: p and deviation of the joint classes (None with
        balance each); largest_deviation (of all attributes); notes.

    Raises:
        DataError: something straddles.
    """
    straddling = {
        name: _num_straddling(curated[name], splits)
        for name in UNIT_COLUMNS
        if name in curated.columns
    }
    if any(straddling.values()):
        found = ", ".join(f"{name} {number}" for name, number in straddling.items())
        raise DataError(
            f"split: values in more than one split or fold: {found}; expected none, split again"
        )
    labels = strata(curated, options)
    counts = splits["split"].value_counts(sort=False)  # in the order of SPLITS
    attributes = {
        name: _balance(as_classes(curated[name]), splits) for name in attributes_of(curated)
    }
    for name, entry in attributes.items():
        if not _is_categorical(curated[name]):
            means = curated[name].groupby(splits["split"], observed=False).mean()
            entry["means"] = {part: _plain(mean) for part, mean in means.items()}
    return {
        "images": {name: int(number) for name, number in counts.items()},
        "shares": {name: round(number / len(splits), 6) for name, number in counts.items()},
        "folds": splits["fold"].value_counts().sort_index().tolist(),
        "units": int(units(curated).max()) + 1,
        "straddling": straddling,
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
        "notes": _notes(curated, splits, labels, options.official),
    }


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


def _num_straddling(values: pd.Series, splits: pd.DataFrame) -> int:
    """Return how many values occur in more than one split or fold."""
    places = splits[["split", "fold"]].assign(value=values)[values.notna()].drop_duplicates()
    return len(places.loc[places["value"].duplicated(), "value"].unique())


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
    return {"class": points.idxmax(), "points": float(points.max())}


def _plain(number: float) -> float | None:
    return None if pd.isna(number) else float(number)


def _notes(
    curated: pd.DataFrame, splits: pd.DataFrame, labels: pd.DataFrame, official: str
) -> list[str]:
    """Return in words what could not be shared out, and which classes a split lacks."""
    unit, split = units(curated), splits["split"]
    where = split.groupby(unit).first()  # of each unit
    holds, names = _holdings(unit, labels)
    rare = []
    for (column, value), held_by in _rare(holds, names):
        places = " and ".join(dict.fromkeys(where[held_by]))
        number = "one unit" if len(held_by) == 1 else "two units"
        rare.append(f"{column} {value}: all in {number}: {places}")
    absent = []
    for name in attributes_of(curated):
        if _is_categorical(curated[name]):
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
