"""How often verdicts are wrong: experiments with known truth, drawn by the thousand.

    python benchmarks/verdicts.py draw --work FOLDER      # again where it stopped; --minutes 5
    python benchmarks/verdicts.py overlap --work FOLDER
    python benchmarks/verdicts.py table --work FOLDER     # writes the tables of docs/statistics.md

`draw` draws the test predictions of two arms, five classifiers each, on rounds of test images, by
class shares, number of images and true difference; what each image adds to macro-F1 is computed
as in evenface/experiment. Seeds and GANs shift the differences of a round; experiments are made of
such rounds. `overlap` lets linear models learn for real from overlapping training parts.
(The name is not statistics.py: scripts of this folder would then import it for Python's own.)
"""

import itertools
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import ndtr, ndtri

from evenface.experiment.differences import MIN_CLASS_IMAGES
from evenface.experiment.intervals import half_width, rounds_variance
from facekit.storage import files

DOCS = Path(__file__).parents[1] / "docs/statistics.md"
MARKS = ("<!-- begin of tables: benchmarks/verdicts.py -->", "<!-- end of tables -->")
IMAGES = (200, 1_000, 3_000, 20_000)
CLASSES = ((2, 1), (2, 50), (10, 50), (10, 1), (5, 50), (5, 1))  # number, largest : smallest
ROUNDS = (1, 2, 3, 4, 5)
SEEDS = (1, 2, 3, 4, 5)
SEED_SDS = (0.0, 0.01, 0.025)  # of the true difference between two arms
GAN_SDS = (0.0, 0.01, 0.025)
TRUTHS = (0.0, 0.03, 0.08)
NUM_ROUNDS = {200: 12_000, 1_000: 8_000, 3_000: 5_000, 20_000: 2_000}  # drawn of each kind
SHIFTED = 20_000  # images from which on other truths are rounds without a difference, shifted
NUM_EXPERIMENTS = 8_000  # of each cell
NUM_TODAY = 2_000  # by the method of version 0.1
BASE = 0.75  # macro-F1 of the baseline on all images there are
CONFIDENCE = 0.95
PARTS = (0.5, 0.2, 0.3)  # of the variance of luck: the image's, the arm's with it, the network's
CHUNK = 40_000  # images at a time
LOTS = 4096  # of the draw of what a wrong image is taken for
MAX_SEEDS = max(SEEDS)


# --- a population and its predictions ---------------------------------------------------------


@dataclass(frozen=True)
class Population:
    """Classes, and how well a classifier of a given macro-F1 knows them.

    Attributes:
        shares: of the classes, [K].
        second: what an image of a class is taken for if not for its own, [K, K], rows sum to 1.
        scores: macro-F1 by shift, ascending [num].
        shifts: [num].
        base: probit of each class's accuracy without a shift, [K].
        weight: how much a shift moves each class, [K].
    """

    shares: np.ndarray
    second: np.ndarray
    scores: np.ndarray
    shifts: np.ndarray
    base: np.ndarray
    weight: np.ndarray

    def accuracies(self, macro_f1: float) -> np.ndarray:
        """Return each class's accuracy [K] of a classifier with this macro-F1."""
        shift = np.interp(macro_f1, self.scores, self.shifts)
        return ndtr(self.base + self.weight * shift)


def population_f1(shares: np.ndarray, second: np.ndarray, accuracy: np.ndarray) -> float:
    """Return macro-F1 on infinitely many images."""
    found = shares * accuracy
    wrong = (shares * (1 - accuracy))[:, None] * second
    return float((2 * found / (shares + found + wrong.sum(axis=0))).mean())


def make_population(num_classes: int, ratio: float) -> Population:
    """Return classes whose shares fall geometrically from `ratio` to 1.

    Rare classes are known less well, and the arms differ in them: a shift moves a class by its
    rarity (all alike where classes are even).
    """
    place = np.arange(num_classes) / (num_classes - 1)
    shares = ratio**-place
    shares /= shares.sum()
    second = np.sqrt(np.tile(shares, (num_classes, 1)))
    np.fill_diagonal(second, 0)
    second /= second.sum(axis=1, keepdims=True)
    weight = 0.3 + 0.7 * place if ratio > 1 else np.ones(num_classes)
    tilt = -0.5 * np.log10(ratio) * place

    def score(level: float, shift: float) -> float:
        return population_f1(shares, second, ndtr(level + tilt + weight * shift))

    low, high = -3.0, 5.0
    for _ in range(60):  # the level at which macro-F1 is BASE
        level = (low + high) / 2
        low, high = (level, high) if score(level, 0.0) < BASE else (low, level)
    shifts = np.linspace(-1.5, 3.0, 901)
    scores = np.array([score(level, shift) for shift in shifts])
    top = int(scores.argmax()) + 1
    return Population(shares, second, scores[:top], shifts[:top], level + tilt, weight)


def jackknife_f1(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return macro-F1 [...] and what an image of each cell adds to it, [..., K, K].

    The same as `influence.jackknife_cells`, of macro-F1 alone and faster.
    """
    hits = np.einsum("...kk->...k", counts)
    support, total = counts.sum(axis=-1), counts.sum(axis=-1) + counts.sum(axis=-2)
    occurs = support > 0

    def f1(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
        return np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)

    scores = np.where(occurs, f1(hits, total), 0)
    num = occurs.sum(axis=-1)
    value = scores.sum(axis=-1) / num
    lost_one = scores - f1(hits, np.maximum(total - 1, 0))  # a wrong one less
    lost_hit = scores - f1(np.maximum(hits - 1, 0), np.maximum(total - 2, 0))
    added = lost_one[..., :, None] + np.where(occurs, lost_one, 0)[..., None, :]
    index = np.arange(counts.shape[-1])
    added[..., index, index] = lost_hit
    return value, added / num[..., None, None]


@dataclass(frozen=True)
class Pool:
    """Rounds that were drawn, for 1 to MAX_SEEDS seeds (`by_seeds` first: seed number - 1).

    Attributes:
        differences: in macro-F1, [M, MAX_SEEDS].
        covariance: of them by drawing images, [M, MAX_SEEDS, MAX_SEEDS].
        shared: [MAX_SEEDS, M], as of `influence.shared_variance`.
        support: images of the rarest class, [M].
    """

    differences: np.ndarray
    covariance: np.ndarray
    shared: np.ndarray
    support: np.ndarray


def draw_predictions(
    people: Population,
    target: np.ndarray,
    accuracy: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return predicted classes [2, S, B, n].

    Args:
        people: of the classes.
        target: class ids [B, n].
        accuracy: of each network, by round and class, [2, S, B, K].
        rng: for the draws.
    """
    num_classes = len(people.shares)
    steps = (np.arange(LOTS) + 0.5) / LOTS
    table = np.stack([np.searchsorted(row.cumsum(), steps) for row in people.second])
    lot = rng.integers(0, LOTS, target.shape, dtype=np.int32)
    wrong = table.astype(np.int32).ravel()[target * LOTS + lot]
    image, with_arm, network = np.sqrt(np.array(PARTS, dtype=np.float32))
    # In units of the network's own luck.
    limits = (ndtri(accuracy) / network).astype(np.float32).reshape(*accuracy.shape[:2], -1)
    place = np.arange(len(target), dtype=np.int32)[:, None] * num_classes + target
    luck = (image / network) * rng.standard_normal(target.shape, dtype=np.float32)
    pred = np.empty((*accuracy.shape[:3], target.shape[1]), dtype=np.int32)
    for arm in range(2):
        own = rng.standard_normal(target.shape, dtype=np.float32)
        own *= with_arm / network
        own += luck
        for seed in range(accuracy.shape[1]):
            right = rng.standard_normal(target.shape, dtype=np.float32)
            right += own
            pred[arm, seed] = np.where(right < limits[arm, seed][place], target, wrong)
    return pred


def measure_rounds(target: np.ndarray, pred: np.ndarray, num_classes: int) -> Pool:
    """Return differences of rounds and their variances, see `Pool`."""
    num, images = target.shape
    num_seeds = pred.shape[1]
    size = num_classes**2
    offset = np.arange(2 * num_seeds * num, dtype=np.int32).reshape(2, num_seeds, num, 1) * size
    cells = pred + (target * num_classes)  # [2, S, B, n]
    cells += offset
    counts = np.bincount(cells.ravel(), minlength=2 * num_seeds * num * size)
    shape = (2, num_seeds, num, num_classes, num_classes)
    value, added = jackknife_f1(counts.reshape(shape).astype(np.float64))
    added = (added * images).astype(np.float32).reshape(-1)  # of about 1: float32 is enough
    influence = added[cells[1]]
    influence -= added[cells[0]]  # [S, B, n]
    influence -= influence.mean(axis=-1, keepdims=True)
    factor = (images - 1) / images / images**2
    by_round = influence.transpose(1, 0, 2)
    covariance = (by_round @ by_round.transpose(0, 2, 1)).astype(np.float64) * factor
    total = np.zeros((num, images), dtype=np.float32)
    squares = np.zeros((num, images), dtype=np.float32)
    shared = np.empty((num_seeds, num))
    for s in range(num_seeds):
        total += influence[s]
        squares += influence[s] ** 2
        products = squares if s == 0 else (total**2 - squares) / (s * (s + 1))
        sums = products.sum(axis=1, dtype=np.float64)
        shared[s] = np.maximum(sums * factor, 0)
    support = counts.reshape(shape)[0, 0].sum(axis=-1).min(axis=-1)
    return Pool((value[1] - value[0]).T, covariance, shared, support)


def draw_targets(
    people: Population, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Return class ids of test images, drawn from the population."""
    edges = people.shares.cumsum()[:-1]
    return np.searchsorted(edges, rng.random(shape)).astype(np.int32)


def draw_pool(classes: tuple[int, int], images: int, truth: float, num: int, seed: int) -> Pool:
    """Return rounds whose networks all have the population's macro-F1, BASE and BASE + truth."""
    people = make_population(*classes)
    rng = np.random.default_rng([seed, *classes, images, round(1000 * truth)])
    accuracy = np.stack([people.accuracies(BASE), people.accuracies(BASE + truth)])
    found = []
    for start in range(0, num, max(CHUNK // images, 1)):
        size = min(max(CHUNK // images, 1), num - start)
        target = draw_targets(people, (size, images), rng)
        shape = (2, MAX_SEEDS, size, classes[0])
        pred = draw_predictions(
            people, target, np.broadcast_to(accuracy[:, None, None], shape), rng
        )
        found.append(measure_rounds(target, pred, classes[0]))
    return join(found)


def join(pools: list[Pool]) -> Pool:
    """Return pools as one."""
    return Pool(
        np.concatenate([one.differences for one in pools]),
        np.concatenate([one.covariance for one in pools]),
        np.concatenate([one.shared for one in pools], axis=1),
        np.concatenate([one.support for one in pools]),
    )


# --- experiments ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Luck:
    """Standard normal draws of experiments, scaled by what varies in a cell.

    Attributes:
        rounds: which of a pool's rounds, [E, max rounds].
        gan: [E, max rounds].
        seed: [E, max rounds, MAX_SEEDS].
    """

    rounds: np.ndarray
    gan: np.ndarray
    seed: np.ndarray


def draw_luck(num_rounds: int, num: int, seed: int) -> Luck:
    """Return what experiments are made of: the first round of each is another one of the pool."""
    rng = np.random.default_rng(seed)
    most = max(ROUNDS)
    first = np.arange(num)[:, None] % num_rounds
    steps = np.sort(rng.integers(1, max(num_rounds // most, 2), (num, most - 1)), axis=1)
    steps = steps.cumsum(axis=1)
    rounds = np.concatenate([first, (first + steps) % num_rounds], axis=1)
    gan, luck = rng.standard_normal((num, most)), rng.standard_normal((num, most, MAX_SEEDS))
    return Luck(rounds, gan, luck)


@dataclass(frozen=True)
class Experiments:
    """Rounds of a pool, put together to experiments of the most rounds and seeds.

    Attributes:
        differences: without effects of GANs and seeds, [E, max rounds, MAX_SEEDS].
        support: of the rarest class, [E, max rounds].
        shared: of the first rounds, by number of seeds, [MAX_SEEDS, E].
        images: of a test part.
    """

    differences: np.ndarray
    support: np.ndarray
    shared: np.ndarray
    images: int


def assemble(pool: Pool, luck: Luck, images: int) -> Experiments:
    """Return the experiments that luck picked."""
    first = luck.rounds[:, 0]
    return Experiments(
        pool.differences[luck.rounds],
        pool.support[luck.rounds],
        pool.shared[:, first],
        images,
    )


def judge_cells(
    made: Experiments, luck: Luck, seed_sd: float, gan_sd: float, truth: float
) -> list[dict[str, Any]]:
    """Return shares of experiments: right intervals, verdicts and wrong ones; a row a design.

    Args:
        made: experiments, of this truth.
        luck: of the experiments.
        seed_sd, gan_sd, truth: of the cells.
    """
    gan = gan_sd * luck.gan
    values = made.differences + gan[..., None] + seed_sd * luck.seed  # [E, R, S]
    num = np.arange(1, MAX_SEEDS + 1)
    by_round = values.cumsum(axis=2) / num  # means of the first seeds
    claims = np.minimum.accumulate(made.support, axis=1) >= MIN_CLASS_IMAGES
    rows = []
    for rounds in ROUNDS:
        some = by_round[:, :rounds]
        estimate, real = some.mean(axis=1), truth + (gan[:, :1] if rounds == 1 else 0.0)  # [E, S]
        if rounds > 1:
            deviation = np.sqrt(rounds_variance(some.var(axis=1, ddof=1), rounds))
            width = stats.t.ppf((1 + CONFIDENCE) / 2, rounds - 1) * deviation
        else:
            squares = (values[:, 0] ** 2).cumsum(axis=1) / num - estimate**2
            repeated = np.maximum(squares, 0) / np.maximum(num - 1, 1) * (num > 1)
            degrees = np.maximum(num - 1.0, 1)
            width = half_width(CONFIDENCE, made.shared.T, made.images - 1.0, repeated, degrees)
        sign = np.sign(estimate) * (np.abs(estimate) > width)
        covered = np.abs(estimate - real) <= width + 1e-12
        false = (sign != 0) & (np.sign(real) != sign)
        claimed = claims[:, rounds - 1]
        for s, seeds in enumerate(SEEDS):
            row: dict[str, Any] = {"truth": truth, "rounds": rounds, "seeds": seeds}
            row |= {"seed_sd": seed_sd, "gan_sd": gan_sd, "claimed": float(claimed.mean())}
            if claimed.any():
                row |= {
                    "covered": float(covered[claimed, s].mean()),
                    "false": float(false[claimed, s].mean()),
                    "better": float((sign[claimed, s] > 0).mean()),
                }
            rows.append(row)
    return rows


def judge_today(
    pool: Pool, luck: Luck, seeds: int, seed_sd: float, gan_sd: float, truth: float
) -> dict[str, float]:
    """Return the same of the percentile bootstrap over images and seeds of one round.

    That is the comparison of version 0.1: a replicate draws images, and one seed fewer
    than there are; here the images' part of it is normal with the covariance of the jackknife.
    """
    pick = luck.rounds[:, 0]
    gan = gan_sd * luck.gan[:, 0]
    values = pool.differences[pick, :seeds] + gan[:, None] + seed_sd * luck.seed[:, 0, :seeds]
    drawn = max(seeds - 1, 1)
    shares = [
        np.bincount(one, minlength=seeds) / drawn
        for one in itertools.product(range(seeds), repeat=drawn)
    ]
    patterns, times = np.unique(shares, axis=0, return_counts=True)
    covariance = pool.covariance[pick][:, :seeds, :seeds]
    pairs = (patterns[:, :, None] * patterns[:, None]).reshape(len(patterns), -1)
    spread = np.sqrt(np.maximum(covariance.reshape(len(pick), -1) @ pairs.T, 0))
    centre = values @ patterns.T
    below = ndtr(-centre / np.maximum(spread, 1e-12)) @ (times / times.sum())
    tail = (1 - CONFIDENCE) / 2
    sign = np.where(below <= tail, 1, np.where(below >= 1 - tail, -1, 0))
    return {
        "false": float(((sign != 0) & (np.sign(truth + gan) != sign)).mean()),
        "false_method": float(((sign != 0) & (np.sign(truth) != sign)).mean()),
        "better": float((sign > 0).mean()),
    }


def judge_pools(
    pools: dict[float, Pool], images: int, num: int = NUM_EXPERIMENTS
) -> list[dict[str, Any]]:
    """Return a row a cell of one number of images and shares of classes, see `judge_cells`."""
    rows = []
    for truth, pool in pools.items():
        luck = draw_luck(len(pool.differences), num, seed=1)
        made = assemble(pool, luck, images)
        few = Luck(*(one[:NUM_TODAY] for one in vars(luck).values()))
        for seed_sd, gan_sd in itertools.product(SEED_SDS, GAN_SDS):
            for row in judge_cells(made, luck, seed_sd, gan_sd, truth):
                if row["rounds"] == 1 and row["claimed"]:
                    found = judge_today(pool, few, row["seeds"], seed_sd, gan_sd, truth)
                    row |= {f"today_{key}": value for key, value in found.items()}
                rows.append(row)
    return rows


# --- learners that share training images --------------------------------------------------------


@dataclass(frozen=True)
class Learners:
    """Data sets that linear models learn from.

    Attributes:
        images: of a data set.
        features: of an image.
        test: share of a round's test part; val has as much and is not used, train has the rest.
    """

    images: int
    features: int
    test: float

    @property
    def most_rounds(self) -> int:
        """Return how many test parts that have nothing in common there are."""
        return int(1 / self.test + 1e-9)


LEARNERS = (
    Learners(300, 20, 0.15),
    Learners(300, 20, 0.2),
    Learners(1_000, 20, 0.15),
    Learners(300, 20, 0.1),
    Learners(300, 60, 0.15),
)
LEARNER_SHARES = np.array([0.6, 0.3, 0.1])
NUM_DATA_SETS = 2_000
ARMS = ("synthetic", "weighted", "other features")
RIDGE = 1.0
SEPARATION = 1.1  # of class centres, standard deviations


def fit_linear(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ridge regression onto one-hot classes, [d + 1, K]; x [n, d], weight [n]."""
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    weighed = design * weight[:, None]
    gram = design.T @ weighed + RIDGE * np.eye(design.shape[1])
    return np.linalg.solve(gram, weighed.T @ np.eye(len(LEARNER_SHARES))[target])


def predict_linear(x: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Return classes [n]."""
    return (x @ model[:-1] + model[-1]).argmax(axis=1)


def imagine(
    x: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn images and classes that fill half of what rare classes lack.

    They come from a Gaussian fitted to each class of train: a generator that knows train alone.
    """
    counts = np.bincount(target, minlength=len(LEARNER_SHARES))
    drawn, classes = [], []
    for k, count in enumerate(counts):
        lacks = (counts.max() - count) // 2
        own = x[target == k]
        if lacks == 0 or count < 3:
            continue
        centred = own - own.mean(axis=0)
        mixed = rng.standard_normal((lacks, count)) @ centred / np.sqrt(count - 1)
        drawn.append(own.mean(axis=0) + mixed)
        classes.append(np.full(lacks, k))
    if not drawn:
        return x[:0], target[:0]
    return np.concatenate(drawn), np.concatenate(classes)


def learn_rounds(learners: Learners, rng: np.random.Generator) -> np.ndarray:
    """Return differences of the ARMS from a plain model over one data set's rounds [A, R]."""
    num_classes = len(LEARNER_SHARES)
    target = rng.choice(num_classes, learners.images, p=LEARNER_SHARES)
    signal = np.zeros((num_classes, learners.features))
    signal[np.arange(num_classes), np.arange(num_classes)] = SEPARATION * np.sqrt(2)
    luck = rng.standard_normal((3, learners.images, learners.features))
    # Two views of the same faces, each as good as the other: a true difference of exactly 0.
    x, other = (signal[target] + (luck[0] + luck[k]) / np.sqrt(2) for k in (1, 2))
    order = rng.permutation(learners.images)
    size = round(learners.test * learners.images)
    found = np.empty((len(ARMS), learners.most_rounds))
    for r in range(learners.most_rounds):
        test = order[r * size : (r + 1) * size]
        rest = np.setdiff1d(order, test, assume_unique=True)
        train = rng.permutation(rest)[size:]  # without val, drawn anew in each round
        one = np.ones(len(train))
        balance = 1 / np.maximum(np.bincount(target[train], minlength=num_classes), 1)
        balance = balance[target[train]] * len(train) / num_classes
        new_x, new_target = imagine(x[train], target[train], rng)
        more = np.concatenate([x[train], new_x]), np.concatenate([target[train], new_target])
        models = [
            (x, fit_linear(x[train], target[train], one)),
            (x, fit_linear(*more, np.ones(len(more[1])))),
            (x, fit_linear(x[train], target[train], balance)),
            (other, fit_linear(other[train], target[train], one)),
        ]
        cells = [
            target[test] * num_classes + predict_linear(view[test], model) for view, model in models
        ]
        counts = np.stack([np.bincount(one, minlength=num_classes**2) for one in cells])
        shape = (-1, num_classes, num_classes)
        value, _ = jackknife_f1(counts.reshape(shape).astype(np.float64))
        found[:, r] = value[1:] - value[0]
    return found


def judge_overlap(learners: Learners, found: np.ndarray) -> list[dict[str, Any]]:
    """Return how often a t interval over rounds misses the mean of all data sets.

    Args:
        learners: of these.
        found: differences [num_data_sets, A, R].
    """
    rows = []
    for a, arm in enumerate(ARMS):
        values = found[:, a]
        truth = 0.0 if arm == "other features" else values.mean()
        alike = np.corrcoef(values.T)
        pairs = alike[np.triu_indices(len(alike), 1)]
        for rounds in sorted({2, 3, 5, learners.most_rounds} - {1}):
            if rounds > learners.most_rounds:
                continue
            some = values[:, :rounds]
            gap = np.abs(some.mean(axis=1) - truth)
            deviation = some.std(axis=1, ddof=1)
            quantile = stats.t.ppf((1 + CONFIDENCE) / 2, rounds - 1)
            ratio = learners.test / (1 - 2 * learners.test)  # test images by train images
            rows.append(
                vars(learners)
                | {
                    "arm": arm,
                    "rounds": rounds,
                    "truth": float(truth),
                    "sd": float(values.std()),
                    "correlation": float(pairs.mean()),
                    "used": float(
                        (gap > quantile * np.sqrt(rounds_variance(deviation**2, rounds))).mean()
                    ),
                    "plain": float((gap > quantile * deviation / np.sqrt(rounds)).mean()),
                    "corrected": float(
                        (gap > quantile * deviation * np.sqrt(1 / rounds + ratio)).mean()
                    ),
                }
            )
    return rows


# --- files ------------------------------------------------------------------------------------


def pool_path(work: Path, classes: tuple[int, int], images: int, truth: float) -> Path:
    """Return where a pool is kept."""
    return work / f"rounds-{classes[0]}-{classes[1]}-{images}-{truth:.2f}.npz"


def read_pool(path: Path) -> Pool:
    """Return a pool that was drawn."""
    with np.load(path) as kept:
        return Pool(**{one.name: kept[one.name] for one in fields(Pool)})


def read_pools(work: Path, classes: tuple[int, int], images: int) -> dict[float, Pool]:
    """Return the pools of a number of images by truth."""
    if images < SHIFTED:
        return {truth: read_pool(pool_path(work, classes, images, truth)) for truth in TRUTHS}
    pool = read_pool(pool_path(work, classes, images, 0.0))
    return {truth: replace(pool, differences=pool.differences + truth) for truth in TRUTHS}


# --- tables -----------------------------------------------------------------------------------


def class_words(classes: tuple[int, int]) -> str:
    """Return the classes' number and shares in words."""
    return f"{classes[0]}, even" if classes[1] == 1 else f"{classes[0]}, 1 : {classes[1]}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(*values: float) -> str:
    """Return one share, or the range of two, in percent."""
    return " to ".join(dict.fromkeys(f"{100 * one:.1f}" for one in values))


def promise_table(cells: pd.DataFrame) -> str:
    """Return false verdicts and coverage by test images and classes, the worst cell of each."""
    rows, failed, num = [], 0, 0
    for (classes, images), some in cells.groupby(["classes", "images"], sort=False):
        made = some[(some.claimed > 0.5) & ((some.rounds > 1) | (some.seeds > 1))]
        row = [str(classes), f"{images:,}"]
        if made.empty:
            rows.append([*row, *["withheld"] * 4])
            continue
        for group in (made[made.rounds == 1], made[made.rounds > 1]):
            null = group[group.truth == 0]
            row += [percent(null.false.max()), percent(group.covered.min(), group.covered.max())]
        num += len(made)
        failed += int(((made.false > 0.06) | (made.covered < 0.93) | (made.covered > 0.98)).sum())
        rows.append(row)
    head = ["classes", "test images", "one round: false", "coverage", "2 to 5: false", "coverage"]
    words = (
        f"Of {num:,} cells in which a claim is made, {failed} have more than 6 % false verdicts or"
        " a coverage outside 93 to 98 %."
    )
    return f"{markdown(head, rows)}\n\n{words}"


def today_table(cells: pd.DataFrame) -> str:
    """Return false verdicts of version 0.1, over all standard deviations."""
    rows = []
    some = cells[(cells["rounds"] == 1) & (cells["truth"] == 0) & (cells["claimed"] > 0.5)]
    for (classes, images), group in some.groupby(["classes", "images"], sort=False):
        row = [str(classes), f"{images:,}"]
        for seeds in (1, 2, 3, 5):
            of = group[group.seeds == seeds]
            own, other = of[of.gan_sd == 0].today_false, of[of.gan_sd > 0].today_false_method
            row.append(f"{percent(own.min(), own.max())} ({percent(other.min(), other.max())})")
        rows.append(row)
    head = ["version 0.1: classes", "test images", *[f"{one} seeds" for one in (1, 2, 3, 5)]]
    head[2] = "1 seed"
    return markdown(head, rows)


def power_table(cells: pd.DataFrame) -> str:
    """Return how often a true difference is found, with both standard deviations 0.01."""

    def found(shares: pd.Series, design: tuple[int, int]) -> str:
        return f"{100 * shares[design]:.0f}" if design in shares.index else "withheld"

    rows = []
    designs = [(1, 2), (1, 3), (1, 5), (2, 2), (3, 2), (4, 2), (5, 2), (5, 5)]
    some = cells[(cells.seed_sd == 0.01) & (cells.gan_sd == 0.01) & (cells.claimed > 0.5)]
    for (classes, images), group in some.groupby(["classes", "images"], sort=False):
        for truth in TRUTHS[1:]:
            of = group[group.truth == truth].set_index(["rounds", "seeds"])
            row = [str(classes), f"{images:,}", f"+{truth:.2f}"]
            row += [found(of.today_better, (1, seeds)) for seeds in (1, 3)]
            row += [found(of.better, design) for design in designs]
            rows.append(row)
    head = ["classes", "test images", "truth", "v0.1: 1 × 1", "v0.1: 1 × 3"]
    return markdown([*head, *[f"{rounds} × {seeds}" for rounds, seeds in designs]], rows)


def misses(row: pd.Series) -> str:
    """Return how often three intervals miss, in percent."""
    return " / ".join(percent(row[key]) for key in ("plain", "used", "corrected"))


def overlap_table(found: pd.DataFrame) -> str:
    """Return how often intervals over rounds miss, with learners that share training images."""
    rows = []
    keys = ["images", "features", "test", "arm"]
    for (images, features, test, arm), group in found.groupby(keys, sort=False):
        row = [f"{images:,} × {features}", f"{100 * test:.0f} %", str(arm)]
        row += [f"{group['truth'].iloc[0]:+.3f}", f"{group['correlation'].iloc[0]:+.3f}"]
        by_rounds = group.set_index("rounds")
        for rounds in (2, 3, 5):
            one = by_rounds.loc[rounds]
            row.append(misses(one))
        most = int(by_rounds.index.max())
        one = by_rounds.loc[most]
        row.append(f"{most}: {misses(one)}")
        rows.append(row)
    head = ["images × features", "test", "arm", "truth", "correlation"]
    return markdown([*head, "2 rounds", "3 rounds", "5 rounds", "most rounds"], rows)


@click.group()
def main() -> None:
    """How often verdicts are wrong, measured on experiments with known truth."""


@main.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--minutes", default=60.0, show_default=True, help="Stop after; then run it again.")
@click.option("--quick", is_flag=True, help="A twentieth of the rounds.")
def draw(work: Path, minutes: float, quick: bool) -> None:
    """Draw the rounds that experiments are made of."""
    work.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for classes, images, truth in itertools.product(CLASSES, IMAGES, TRUTHS):
        path = pool_path(work, classes, images, truth)
        if path.exists() or (images >= SHIFTED and truth > 0):
            continue
        if time.monotonic() - start > 60 * minutes:
            raise click.ClickException("not all is drawn yet; run it again")
        num = NUM_ROUNDS[images] // (20 if quick else 1)
        pool = draw_pool(classes, images, truth, num, seed=0)
        part = path.with_suffix(".part.npz")
        np.savez(part, **vars(pool))
        part.replace(path)
        click.echo(f"{path.name}: {time.monotonic() - start:.0f} s")


@main.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--quick", is_flag=True, help="A twentieth of the data sets.")
def overlap(work: Path, quick: bool) -> None:
    """Let linear models learn from rounds that share training images."""
    work.mkdir(parents=True, exist_ok=True)
    for number, learners in enumerate(LEARNERS):
        path = work / f"overlap-{learners.images}-{learners.features}-{learners.test}.npy"
        if path.exists():
            continue
        start = time.monotonic()
        num = NUM_DATA_SETS // (20 if quick else 1)
        found = np.stack(
            [learn_rounds(learners, np.random.default_rng([1, number, i])) for i in range(num)]
        )
        np.save(path, found)
        click.echo(f"{path.name}: {time.monotonic() - start:.0f} s")


@main.command()
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--quick", is_flag=True, help="Fewer experiments of each cell.")
@click.option("--docs", type=click.Path(path_type=Path), default=DOCS, show_default=True)
def table(work: Path, quick: bool, docs: Path) -> None:
    """Make experiments of the rounds that were drawn, and write the tables."""
    frames = []
    for classes, images in itertools.product(CLASSES, IMAGES):
        needed = [0.0] if images >= SHIFTED else TRUTHS
        if not all(pool_path(work, classes, images, one).exists() for one in needed):
            click.echo(f"{classes}, {images} images: not drawn, left out")
            continue
        num = NUM_EXPERIMENTS // (10 if quick else 1)
        rows = judge_pools(read_pools(work, classes, images), images, num)
        names = {"classes": class_words(classes), "images": images}
        frames.append(pd.DataFrame(rows).assign(**names))
    cells = pd.concat(frames, ignore_index=True)
    learned = []
    for one in LEARNERS:
        path = work / f"overlap-{one.images}-{one.features}-{one.test}.npy"
        if path.exists():
            learned += judge_overlap(one, np.load(path))
    parts = [promise_table(cells), today_table(cells), power_table(cells)]
    if learned:
        parts.append(overlap_table(pd.DataFrame(learned)))
    before, rest = docs.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    middle = "\n\n".join(parts)
    files.write_text(f"{before}{MARKS[0]}\n\n{middle}\n\n{MARKS[1]}{after}", docs)


if __name__ == "__main__":
    main()
