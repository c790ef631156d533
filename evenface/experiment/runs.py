"""Predictions of an experiment, all arms, rounds and seeds, lined up; what does not fit is refused.

Networks are compared on the same images: within a round all arms learned from the same train part,
were tuned on the same val part and tested on all of the same test part, and were shown as much.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.models.heads import MISSING, Head, head_targets
from classifiers.predict.origin import BUDGET, Origin
from facedata.columns import PREDICTIONS
from facedata.splits.ids import digest_of_ids
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.splits import SPLITS
from facekit.storage import tables

BUDGET_TOLERANCE = 0.01  # batches do not divide every number of images
TOLERANCE = 1e-3  # of the sum of probabilities


@dataclass(frozen=True)
class Predictions:
    """One file: what a network says of a head.

    Attributes:
        path: of the file.
        origin: of the network.
        table: by image_id, the head's column and those of its probabilities.
    """

    path: Path
    origin: Origin
    table: pd.DataFrame


@dataclass(frozen=True)
class Round:
    """Predictions of all arms and seeds of a round, over the same images with a label.

    Attributes:
        number: of the round.
        seeds: of its classifiers, ascending.
        origin: of the baseline's first network, for its digests.
        budgets: real images shown and all, by arm and seed, int64 [A, S, 2].
        image_ids: of the images with a label, [N].
        target: class ids int64 [N], none MISSING.
        cluster: int64 [N]; images that belong together. The same number in all rounds.
        pred: predicted class ids int64 [A, S, N].
        prob: float64 [A, S, N, K].
        num_images: of the whole part, without a label, too.
    """

    number: int
    seeds: list[int]
    origin: Origin
    budgets: np.ndarray
    image_ids: np.ndarray
    target: np.ndarray
    cluster: np.ndarray
    pred: np.ndarray
    prob: np.ndarray
    num_images: int


@dataclass(frozen=True)
class Runs:
    """Predictions of an experiment.

    Attributes:
        arms: names, the baseline first.
        rounds: by number.
        same_test: several rounds are tested on the same images.
    """

    arms: list[str]
    rounds: list[Round]
    same_test: bool

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return self.arms[0]


def read_predictions(paths: Sequence[Path], head: Head, split: str) -> list[Predictions]:
    """Return the predictions of files of `classifiers evaluate`, one a network.

    Args:
        paths: of every arm, round and seed.
        head: with classes.
        split: that was predicted; its digest must be that of the images of each file.

    Raises:
        DataError: a file lacks columns, is of several networks, names an image twice, or has
            other images than its round's part, or an image lacks probabilities.
    """
    found = []
    for path in paths:
        table = tables.read(path, PREDICTIONS, [*PREDICTIONS.names, head.name, *head.columns])
        origin = Origin.of_table(table, path)
        if origin.seed is None:
            raise DataError(f"{path}: the mean of several seeds; expected one arm and seed")
        twice = table["image_id"].duplicated()
        if twice.any():
            raise DataError(
                f"{path}: image {table['image_id'][twice].iloc[0]!r} twice; {twice.sum()} rows too"
                " many"
            )
        if digest_of_ids(table["image_id"]) != getattr(origin, f"{split}_ids"):
            raise DataError(
                f"{path}: {len(table)} images that are not the {split} part of round"
                f" {origin.round}, which its network was trained for; expected exactly that part,"
                " as `classifiers evaluate` writes it"
            )
        table = table.set_index("image_id")[[head.name, *head.columns]]
        unknown = table[head.columns].isna().any(axis=1)
        if unknown.any():
            raise DataError(
                f"{path}: {unknown.sum()} images without a probability of each class, such as"
                f" {table.index[unknown][0]!r}; did the training diverge?"
            )
        prob = table[head.columns].to_numpy(dtype=float)
        wrong = (np.abs(prob.sum(axis=1) - 1) > TOLERANCE) | (prob < 0).any(axis=1)
        if wrong.any():
            raise DataError(
                f"{path}: {wrong.sum()} images whose numbers are no probabilities of"
                f" {', '.join(head.classes)}, such as {table.index[wrong][0]!r}; expected what"
                " `classifiers evaluate` writes, each in 0..1 and adding up to 1"
            )
        found.append(Predictions(path, origin, table))
    return found


def digest_of_predictions(found: Sequence[Predictions]) -> str:
    """Return a digest of what all networks say, whatever the order of files and rows: 16 digits."""
    whole = hashlib.sha256()
    for one in sorted(found, key=lambda one: (one.origin.arm, one.origin.round, one.origin.seed)):
        rows = pd.util.hash_pandas_object(one.table.sort_index()).to_numpy()
        whole.update(rows.astype("<u8").tobytes())
    return whole.hexdigest()[:16]


def line_up(
    found: Sequence[Predictions],
    curated: pd.DataFrame,
    head: Head,
    baseline: str,
    split: str = "test",
) -> Runs:
    """Return predictions by round, arm and seed, over the images with a label.

    Args:
        found: of every arm, round and seed.
        curated: image_id, attributes, and what may join images into units.
        head: that was predicted.
        baseline: the arm to compare with.
        split: that was predicted. Test parts have nothing in common, or everything; others may.

    Raises:
        DataError: a network occurs twice, an arm lacks a round or seed, arms of a round have
            other train, val or test images, the baseline is missing, test parts overlap in part,
            an image is not in `curated`, or a round has no image with a label.
    """
    by_run: dict[tuple[str, int, int], Predictions] = {}
    for one in found:
        key = (one.origin.arm, one.origin.round, int(one.origin.seed or 0))
        if key in by_run:
            raise DataError(f"{one.path}: arm {key[0]}, round {key[1]}, seed {key[2]} given twice")
        by_run[key] = one
    arms = list(dict.fromkeys(arm for arm, *_ in by_run))
    if baseline not in arms:
        raise DataError(f"no predictions of the baseline {baseline}, found arms {arms}")
    arms = [baseline, *(arm for arm in arms if arm != baseline)]
    seeds: dict[int, list[int]] = {}
    for number in sorted({number for _, number, _ in by_run}):
        seeds[number] = sorted({seed for _, of, seed in by_run if of == number})
    for arm, number in itertools.product(arms, seeds):
        for seed in seeds[number]:
            if (arm, number, seed) not in by_run:
                raise DataError(
                    f"no predictions of arm {arm}, round {number}, seed {seed}; every arm needs"
                    " the rounds and seeds of the others"
                )
    numbers = sorted({len(of) for of in seeds.values()})
    if len(numbers) > 1:
        shown = ", ".join(f"round {number}: {of}" for number, of in seeds.items())
        raise DataError(
            f"rounds have {numbers} seeds ({shown}); expected the same number in every round"
        )
    for one in found:
        first = by_run[baseline, one.origin.round, seeds[one.origin.round][0]]
        _check_same_parts(one, first)
    table = curated.assign(_cluster=units(curated)).set_index("image_id")
    rounds = [
        _round(number, [[by_run[arm, number, seed] for seed in of] for arm in arms], table, head)
        for number, of in seeds.items()
    ]
    if split != "test":
        return Runs(arms, rounds, same_test=False)
    firsts = [by_run[baseline, number, of[0]] for number, of in seeds.items()]
    same_test = _check_test_parts(firsts)
    if not same_test:
        _check_test_units(rounds)
    return Runs(arms, rounds, same_test)


def _check_same_parts(one: Predictions, first: Predictions) -> None:
    """Check that networks of a round have the same train, val and test images."""
    other = [
        name
        for name in SPLITS
        if getattr(one.origin, f"{name}_ids") != getattr(first.origin, f"{name}_ids")
    ]
    if other:
        raise DataError(
            f"{one.path}: arm {one.origin.arm} of round {one.origin.round} has other"
            f" {', '.join(other)} images than {first.origin.arm} ({first.path}); expected the same"
            " in all arms of a round"
        )


def _check_test_parts(firsts: Sequence[Predictions]) -> bool:
    """Tell whether all rounds have the same test part; stop where they overlap in part."""
    ids = [set(one.table.index) for one in firsts]
    if len(ids) > 1 and all(part == ids[0] for part in ids):
        return True
    for i, k in itertools.combinations(range(len(ids)), 2):
        shared = ids[i] & ids[k]
        if shared:
            raise DataError(
                f"{firsts[k].path}: {len(shared)} of {len(ids[k])} test images of round"
                f" {firsts[k].origin.round} are tested in round {firsts[i].origin.round}, too;"
                " expected test parts without a common image, or the same one in all rounds"
            )
    return False


def _check_test_units(rounds: Sequence[Round]) -> None:
    """Check that no person, and no image with its copies, is tested in two rounds."""
    for one, other in itertools.combinations(rounds, 2):
        shared, first, second = np.intersect1d(one.cluster, other.cluster, return_indices=True)
        if len(shared):
            raise DataError(
                f"{len(shared)} persons or images are tested in more than one round, such as that"
                f" of {one.image_ids[first[0]]!r} (round {one.number}) and"
                f" {other.image_ids[second[0]]!r} (round {other.number}); expected test parts that"
                " have nothing in common"
            )


def _round(
    number: int, found: Sequence[Sequence[Predictions]], table: pd.DataFrame, head: Head
) -> Round:
    """Return a round of files by arm and seed; the table is of all images, by image_id."""
    first = found[0][0]
    strange = first.table.index.difference(table.index)
    if len(strange):
        raise DataError(
            f"{first.path}: image {strange[0]!r} was predicted, but is not in the curated table;"
            f" nor are {len(strange) - 1} others of {len(first.table)}"
        )
    rows = table.loc[table.index.isin(first.table.index)]
    target = head_targets(head, rows)
    known = target != MISSING
    if not known.any():
        raise DataError(f"head {head.name}: no image of round {number} has a label")
    image_ids = rows.index[known]
    ids = {name: k for k, name in enumerate(head.classes)}
    tables_of = [[one.table.loc[image_ids] for one in of_arm] for of_arm in found]
    pred = np.array(
        [[one[head.name].astype(object).map(ids) for one in of_arm] for of_arm in tables_of],
        dtype=float,
    )
    for a, s in np.argwhere(np.isnan(pred).any(axis=2)):
        other = tables_of[a][s].loc[np.isnan(pred[a, s]), head.name]
        raise DataError(
            f"{found[a][s].path}: head {head.name}: {len(other)} predictions name other classes"
            f" than {list(head.classes)}, such as {other.iloc[0]!r}"
        )
    prob = [[one[head.columns].to_numpy(dtype=float) for one in of_arm] for of_arm in tables_of]
    budgets = [[[getattr(one.origin, name) for name in BUDGET] for one in of] for of in found]
    return Round(
        number=number,
        seeds=[int(one.origin.seed or 0) for one in found[0]],
        origin=first.origin,
        budgets=np.array(budgets, dtype=np.int64),
        image_ids=image_ids.to_numpy(dtype=object),
        target=target[known],
        cluster=rows["_cluster"].to_numpy()[known],
        pred=pred.astype(np.int64),
        prob=np.array(prob),
        num_images=len(rows),
    )


def check_budgets(runs: Runs, arm: str, other: str) -> None:
    """Check that two arms were shown as many real images, or as many in all, in every network.

    Raises:
        DataError: they were not.
    """
    for one in runs.rounds:
        mine, others = (one.budgets[runs.arms.index(name)] for name in (arm, other))  # [S, 2]
        gap = np.abs(mine - others) / np.maximum(others, 1)
        wrong = np.flatnonzero((gap > BUDGET_TOLERANCE).all(axis=1))
        if len(wrong):
            s = wrong[0]
            raise DataError(
                f"round {one.number}, seed {one.seeds[s]}: {arm} was shown {mine[s, 0]} real images"
                f" ({mine[s, 1]} in all), {other} {others[s, 0]} ({others[s, 1]}); expected as many"
                " real images, or as many in all (classify.exposure)"
            )


def check_val(val: Runs, test: Runs, is_elsewhere: bool = False) -> None:
    """Check that predictions of val are of the networks whose predictions of test are given.

    Args:
        val: predictions of val.
        test: likewise.
        is_elsewhere: test is a set from elsewhere, in no split.

    Raises:
        DataError: an arm, round or seed is missing, or is of another split or budget.
    """
    missing = [arm for arm in test.arms if arm not in val.arms]
    if missing:
        raise DataError(f"no val predictions of arm {missing[0]}, found arms {val.arms}")
    for name, of in (("val", val), ("test", test)):
        by_number = {one.number: one for one in of.rounds}
        for other in (test if of is val else val).rounds:
            one = by_number.get(other.number)
            if one is None or one.seeds != other.seeds:
                raise DataError(f"round {other.number}: {name} predictions are of other seeds")
            parts = [f"{part}_ids" for part in SPLITS if part != "test" or not is_elsewhere]
            if any(getattr(one.origin, part) != getattr(other.origin, part) for part in parts):
                raise DataError(
                    f"round {other.number}: val and test predictions are of different splits"
                )
    budgets = [
        {arm: [one.budgets[a].tolist() for one in of.rounds] for a, arm in enumerate(of.arms)}
        for of in (val, test)
    ]
    others = [arm for arm in test.arms if budgets[0][arm] != budgets[1][arm]]
    if others:
        raise DataError(
            f"arm {others[0]}: val predictions are of networks that were shown other numbers of"
            " images than those whose test predictions are given"
        )
