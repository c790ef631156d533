"""Differences between the arms of an experiment: each paired within round and seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifiers.evaluate.confusions import f1_scores, recalls
from classifiers.evaluate.scores import brier_losses, log_losses
from classifiers.measures import CLASS_MEASURES, MEASURES
from classifiers.models.heads import Head, class_counts
from evenface.experiment.differences import Difference, measure_difference
from evenface.experiment.influence import (
    Measure,
    Sample,
    confusions,
    difference_of,
    sample_losses,
    sample_measure,
    shared_variance,
)
from evenface.experiment.intervals import half_width
from evenface.experiment.permutations import permutation_p
from evenface.experiment.runs import Round, Runs
from evenface.experiment.scores import Score, sample_calibration
from facekit.errors import DataError

CLASS_FIGURES: dict[str, Measure] = {"recall": recalls, "f1": f1_scores}
SAMPLE_OF_SCORE: dict[str, Callable[[Round, np.ndarray, np.ndarray], Sample]] = {
    "brier": lambda one, other, arm: sample_losses(
        one.target, brier_losses(one.target, other), brier_losses(one.target, arm), one.cluster
    ),
    "log_loss": lambda one, other, arm: sample_losses(
        one.target, log_losses(one.target, other), log_losses(one.target, arm), one.cluster
    ),
    "calibration_error": lambda one, other, arm: sample_calibration(
        one.target, other, arm, one.cluster
    ),
}


@dataclass(frozen=True)
class Found:
    """What was found of one arm against another.

    Attributes:
        arm, against: names.
        difference: in the measure, with its interval.
        permutation_p: of these networks.
        by_round: differences by round and seed.
    """

    arm: str
    against: str
    difference: Difference
    permutation_p: float
    by_round: list[list[float]]


def pick_measure(name: str, runs: Runs, head: Head) -> Measure:
    """Return a measure of confusions; one of classes is that of the rarest class of all rounds.

    Raises:
        DataError: a round has no image of that class.
    """
    if name in CLASS_MEASURES:
        of_classes, rarest = CLASS_MEASURES[name], rarest_class(runs, head)
        lacking = [str(one.number) for one in runs.rounds if not (one.target == rarest).any()]
        if lacking:
            raise DataError(
                f"head {head.name}: no test image of {head.classes[rarest]}, whose {name} is"
                f" judged, in {len(lacking)} of {len(runs.rounds)} rounds ({', '.join(lacking)});"
                " judge by macro_f1, or give the test part more images"
            )
        return lambda confusion: of_classes(confusion)[..., rarest]
    return MEASURES[name]


def measure_words(name: str, runs: Runs, head: Head) -> str:
    """Return a measure's name for people."""
    words = name.replace("_", " ").replace("f1", "F1")
    if name in CLASS_MEASURES:
        return f"{words} of {head.classes[rarest_class(runs, head)]}"
    return f"{words} of {head.name}"


def rarest_class(runs: Runs, head: Head) -> int:
    """Return the class id with the fewest test images of all rounds, of those that occur."""
    counts = class_counts(head, np.concatenate([one.target for one in runs.rounds]))
    return int(np.where(counts > 0, counts, counts.max() + 1).argmin())


def means(runs: Runs, measure: Measure, num_classes: int) -> dict[str, float]:
    """Return the arms' measure, mean over rounds and seeds; NaN where no round defines it.

    Args:
        runs: such as the predictions of val, which may lack a class in some rounds; these are left
            out, the same ones of all arms.
        measure: of confusions.
        num_classes: K.
    """
    by_round = np.array(
        [
            [measure(confusions(one.target, pred, num_classes)).mean() for pred in one.pred]
            for one in runs.rounds
        ]
    )  # [R, A]
    known = by_round[~np.isnan(by_round).any(axis=1)]
    found = known.mean(axis=0) if len(known) else np.full(len(runs.arms), np.nan)
    return dict(zip(runs.arms, found.tolist(), strict=True))


class Experiment:
    """The arms' figures over all rounds and seeds."""

    def __init__(
        self,
        runs: Runs,
        measure: Measure,
        occurring: np.ndarray,
        confidence: float,
        seed: int,
        num_permutations: int,
    ) -> None:
        """Take what is compared, and how.

        Args:
            runs: the predictions.
            measure: of confusions.
            occurring: of each class, bool [K]: whether the data set has any image of it. Of one
                that it lacks nothing is expected.
            confidence: of all intervals.
            seed: of the permutations.
            num_permutations: how many.
        """
        self.runs = runs
        self.measure = measure
        self.occurring = occurring
        self.confidence = confidence
        self._seed = seed
        self._num_permutations = num_permutations
        self._samples = {arm: self._sample_arm(arm, measure) for arm in runs.arms}

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.occurring)

    def support(self, one: Round) -> np.ndarray:
        """Return a round's test images by class, int64 [K]."""
        return np.bincount(one.target, minlength=self.num_classes)

    def independent(self, one: Round) -> np.ndarray:
        """Return what a verdict needs of each class in a test part, int64 [K].

        Its images; or the persons and clusters that they are of, where all repetitions have the
        same test part: how much images vary is then told by how much these differ, and by nothing
        else.
        """
        if len(self.runs.rounds) > 1 and not self.runs.same_test:
            return self.support(one)
        pairs = np.unique(np.stack([one.target, one.cluster]), axis=1)
        return np.bincount(pairs[0], minlength=self.num_classes)

    def _least(self, one: Round) -> int:
        return int(self.independent(one)[self.occurring].min())

    def _pred(self, one: Round, arm: str) -> np.ndarray:
        return one.pred[self.runs.arms.index(arm)]

    def _sample_arm(self, arm: str, measure: Measure) -> list[Sample]:
        found = []
        for one in self.runs.rounds:
            pred = self._pred(one, arm)
            sample = sample_measure(one.target, pred, one.cluster, measure, self.num_classes)
            found.append(replace(sample, support=self._least(one)))
        return found

    def _difference(self, samples: Sequence[Sample], few_images: bool = False) -> Difference:
        return measure_difference(
            samples, self.confidence, self.runs.same_test, few_images=few_images
        )

    def value(self, arm: str) -> tuple[Difference, list[list[float]]]:
        """Return an arm's measure with its interval, and by round and seed."""
        samples = self._samples[arm]
        return self._difference(samples), [one.values.tolist() for one in samples]

    def compare(self, arm: str, against: str) -> Found:
        """Return the difference of two arms."""
        pairs = zip(self._samples[arm], self._samples[against], strict=True)
        samples = [difference_of(one, other) for one, other in pairs]
        return Found(
            arm,
            against,
            self._difference(samples),
            self._permute(arm, against),
            [one.values.tolist() for one in samples],
        )

    def _permute(self, arm: str, against: str) -> float:
        parts = [
            (one.target, self._pred(one, against), self._pred(one, arm), one.cluster)
            for one in self.runs.rounds
        ]
        if self.runs.same_test:  # the names of a cluster are dealt for all rounds together
            target, _, _, cluster = parts[0]
            other, mine = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
            parts = [(target, other, mine, cluster)]
        return permutation_p(
            parts, self.measure, self.num_classes, self._seed, self._num_permutations
        )

    def above_chance(self, arm: str) -> tuple[Score, float]:
        """Return an arm's balanced accuracy, its interval over test images, and that of a guess."""
        samples = self._sample_arm(arm, MEASURES["balanced_accuracy"])
        influence = [one.influence.mean(axis=0) for one in samples]
        if self.runs.same_test:
            variance = shared_variance(np.mean(influence, axis=0)[None])
        else:
            parts = [shared_variance(one[None]) for one in influence]
            variance = sum(parts) / len(parts) ** 2
        df = sum(len(one) - 1 for one in influence)
        width = float(half_width(self.confidence, variance, df, 0.0, np.inf))
        value = float(np.mean([one.values.mean() for one in samples]))
        guesses = [1 / np.count_nonzero(self.support(one)) for one in self.runs.rounds]
        return Score(value, value - width, value + width), float(np.mean(guesses))

    def by_class(self, arm: str) -> dict[str, np.ndarray]:
        """Return each class's figures, mean over rounds and seeds, [K]; NaN: not in all rounds."""
        found = {}
        for name, figure in CLASS_FIGURES.items():
            values = [
                figure(confusions(one.target, self._pred(one, arm), self.num_classes)).mean(axis=0)
                for one in self.runs.rounds
            ]
            found[name] = np.mean(values, axis=0)
        return found

    def class_differences(self, arm: str) -> Iterator[tuple[str, int, int, Difference]]:
        """Yield figure, class id, support and difference to the baseline of each class.

        Classes with fewer than two test images in a round are left out.
        """
        support = np.min([self.support(one) for one in self.runs.rounds], axis=0)
        independent = np.min([self.independent(one) for one in self.runs.rounds], axis=0)
        for name, figure in CLASS_FIGURES.items():
            for k in np.flatnonzero(support >= 2):
                measure = _of_class(figure, int(k))
                sides = [self._sample_arm(one, measure) for one in (arm, self.runs.baseline)]
                samples = [
                    replace(difference_of(*pair), support=int(independent[k]))
                    for pair in zip(*sides, strict=True)
                ]
                yield name, int(k), int(support[k]), self._difference(samples, few_images=True)

    def score_differences(self, arm: str) -> Iterator[tuple[str, Difference]]:
        """Yield score and difference to the baseline: Brier, log loss, calibration error."""
        for name, sample in SAMPLE_OF_SCORE.items():
            samples = [
                replace(
                    sample(one, one.prob[0], one.prob[self.runs.arms.index(arm)]),
                    support=self._least(one),
                )
                for one in self.runs.rounds
            ]
            yield name, self._difference(samples)


def _of_class(figure: Measure, k: int) -> Measure:
    return lambda confusion: figure(confusion)[..., k]
