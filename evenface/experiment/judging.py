"""The judge: compares arms, corrects for how many there are, and says what may be claimed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.models.heads import Head, class_counts, head_targets
from evenface.experiment import result, words
from evenface.experiment.contrasts import Experiment, Found, means, measure_words, pick_measure
from evenface.experiment.differences import MIN_CLASS_IMAGES, Difference
from evenface.experiment.drawn import Drawn
from evenface.experiment.multiplicity import benjamini_hochberg, correct, holm
from evenface.experiment.result import Answer, Result
from evenface.experiment.roles import CONTROLS, copies_of, dose_of, doses_of, kind_of
from evenface.experiment.runs import Predictions, Round, Runs, check_budgets, line_up
from evenface.experiment.worth import advise, won_back
from evenface.options import CompareOptions
from facedata.columns import RELABELLED
from facekit.errors import DataError
from facekit.storage import tables

TINY = 1e-9

Pair = tuple[str, str]  # an arm and what it is compared with
Many = Sequence[tuple[str, str, str | None, int, Difference]]  # arm, figure, class, support


@dataclass(frozen=True)
class Terms:
    """How arms are compared.

    Attributes:
        measure: its name.
        main: the arm that the answer is about; None where the baseline is alone.
        is_exploratory: another task has the comparison that was declared.
        num_tasks: over which exploratory comparisons are corrected.
        options: likewise.
        seed: of the permutations.
    """

    measure: str
    main: str | None
    is_exploratory: bool
    num_tasks: int
    options: CompareOptions
    seed: int


class Judge:
    """Compares the arms of an experiment, and says what may be claimed."""

    def __init__(
        self, runs: Runs, head: Head, curated: pd.DataFrame, terms: Terms, drawn: Drawn
    ) -> None:
        """Take what is compared.

        Args:
            runs: predictions of test.
            head: that was predicted.
            curated: labels of all images.
            terms: how to compare.
            drawn: what is known of synthetic images.
        """
        self.runs = runs
        self.head = head
        self.curated = curated
        self.terms = terms
        self.drawn = drawn
        self.val: dict[str, float] = {}
        self.best: str | None = None
        self.main = terms.main
        self.num_doses = 1  # that the one of `main` was chosen from
        self.experiment = self._experiment(runs, terms.options.num_permutations)
        self.kinds = {arm: kind_of(arm, runs.baseline) for arm in runs.arms}

    @property
    def alpha(self) -> float:
        return 1 - self.terms.options.confidence

    def _experiment(self, runs: Runs, num_permutations: int) -> Experiment:
        known = head_targets(self.head, self.curated)
        return Experiment(
            runs,
            pick_measure(self.terms.measure, self.runs, self.head),
            class_counts(self.head, known) > 0,
            self.terms.options.confidence,
            self.terms.seed,
            num_permutations,
        )

    def read_val(self, val: Runs) -> None:
        """Take the arms' means on val, and the best of those without synthetic images.

        Nothing where the measure is not defined on val: it has no image of the class that is
        judged.
        """
        found = means(val, self.experiment.measure, len(self.head.classes))
        if any(np.isnan(list(found.values()))):
            return
        self.val = {arm: found[arm] for arm in self.runs.arms}
        # A baseline may be any arm.
        learns_synthetic = kind_of(self.runs.baseline, "") in ("synthetic", "shuffled")
        wanted = ("other",) if learns_synthetic else ("baseline", "other")
        candidates = [arm for arm in self.runs.arms if self.kinds[arm] in wanted]
        if candidates:
            self.best = max(candidates, key=lambda arm: self.val[arm])  # the first of equal ones
        if self.terms.options.primary is None and self.terms.options.dose == "val":
            doses = doses_of(self.main, self.runs.arms, self.runs.baseline)
            if doses:
                self.main = max(doses, key=lambda arm: self.val[arm])
                self.num_doses = len(doses)

    # --- comparisons

    def opponents(self, arm: str) -> tuple[list[str], list[str]]:
        """Return whom an arm with synthetic images must beat beside the baseline, and who lacks."""
        found, missing = [], []
        others = [one for one in self.runs.arms[1:] if self.kinds[one] == "other"]
        if self.best is not None and self.best != self.runs.baseline:
            found.append(self.best)
        if not others:
            missing.append("any other arm without synthesis")
        elif self.best is None:
            missing.append("the best arm without synthesis, which only val predictions tell")
        copies = copies_of(arm, self.runs.arms, self.runs.baseline)
        if copies is None:
            missing.append("copies")
        else:
            found.append(copies)
        return found, missing

    def contrasts(
        self, experiment: Experiment, pairs: Iterable[Pair], withheld: dict[str, list[str]]
    ) -> dict[Pair, result.Contrast]:
        """Return comparisons, corrected for each other: those of controls, and all others.

        Controls ask whether the experiment works, not which treatment to take: corrected for every
        treatment, one that fails would be overlooked the more, the more are tried.

        Args:
            experiment: that is compared.
            pairs: of arms.
            withheld: by arm why nothing is said of it.
        """
        found = {pair: experiment.compare(*pair) for pair in pairs}
        is_primary = {
            pair: pair[0] == self.main and not self.terms.is_exploratory for pair in found
        }
        num_tasks = self.terms.num_tasks
        corrected: dict[Pair, float] = {}
        levels = dict.fromkeys(found, self.alpha)
        for of_controls in (False, True):
            p = {
                pair: one.difference.p
                for pair, one in found.items()
                if not is_primary[pair] and (self.kinds[pair[0]] in CONTROLS) == of_controls
            }
            for pair, one in correct(p, None, self.terms.options.confidence).items():
                corrected[pair] = min(one.corrected * num_tasks, 1.0)
            # What the smallest of these p has to be below (Holm's first step).
            num_corrected = max(int(np.isfinite(list(p.values())).sum()), 1) * num_tasks
            levels |= dict.fromkeys(p, self.alpha / num_corrected)
        return {
            pair: self._contrast(one, corrected.get(pair), withheld[pair[0]], levels[pair])
            for pair, one in found.items()
        }

    def _contrast(
        self, found: Found, corrected: float | None, withheld: Sequence[str], level: float
    ) -> result.Contrast:
        """Return a comparison as it is told.

        Args:
            found: as it was measured.
            corrected: p for its being one of many; None of a primary one.
            withheld: why nothing is said of the arm.
            level: below which p is a finding, were it the smallest of those corrected together.
        """
        one = found.difference
        verdict = one.verdict
        if verdict in ("better", "worse") and corrected is not None and corrected > self.alpha:
            verdict = "none"
        if withheld and verdict != "unclaimed":
            verdict = "withheld"
        return result.Contrast(
            arm=found.arm,
            against=found.against,
            role="primary" if corrected is None else "exploratory",
            difference=one.estimate,
            low=one.low,
            high=one.high,
            p=_finite(one.p),
            corrected_p=_finite(one.p if corrected is None else corrected),
            permutation_p=found.permutation_p,
            verdict=verdict,
            claim=one.claim,
            detectable=None if one.claim == "nothing" else one.detectable(1 - level),
            df=_finite(one.df),
            variances=result.Variances(
                images=_finite(one.images), seeds=_finite(one.seeds), rounds=_finite(one.rounds)
            ),
            by_round=found.by_round,
        )

    # --- why nothing is said

    def withheld(self) -> list[str]:
        """Return why nothing is said of any arm."""
        rounds = self.runs.rounds
        support = np.min([self.experiment.support(one) for one in rounds], axis=0)
        independent = np.min([self.experiment.independent(one) for one in rounds], axis=0)
        found = [
            words.few_images(self.head.classes[k], int(support[k]), int(independent[k]))
            for k in np.flatnonzero(self.experiment.occurring & (independent < MIN_CLASS_IMAGES))
        ]
        score, guess = self.experiment.above_chance(self.runs.baseline)
        if score.low <= guess + TINY:  # a guess's figure, added up, may be off in its last digit
            found.append(
                words.no_better_than_chance(
                    self.runs.baseline, score.value, score.low, score.high, guess
                )
            )
        if len(rounds) == 1 and len(rounds[0].seeds) == 1:
            found.append(words.NO_REPETITION)
        return found

    def doubts(self, arms: Sequence[result.Arm]) -> tuple[list[str], list[str]]:
        """Return what the controls say: against any gain, and against the experiment."""
        against_gain, against_all = [], []
        for one in arms:
            gap = one.difference
            if gap is None or gap.verdict in ("withheld", "unclaimed"):
                continue
            if one.kind == "shuffled" and gap.low > 0 and one.mislabelled != 0:
                against_gain.append(
                    f"{one.arm} is better than {gap.against} though its classes are shuffled, so"
                    " that a gain is not one of what synthetic faces show"
                )
            if one.kind == "withheld" and gap.low <= 0:
                against_all.append(
                    f"{one.arm}, which has real faces that were held back, was not found to be"
                    f" better than {gap.against}: what even those do not show, synthetic faces"
                    " could not"
                )
        return against_gain, against_all

    # --- the result

    def conclude(
        self, task: str, before: result.Before | None, readings: result.Readings | None
    ) -> Result:
        """Return everything, the verdict in words last.

        Args:
            task: its name.
            before: the comparisons by labels before their review.
            readings: how often test was read.
        """
        of_run, of_arms = self.withheld(), self._withheld_of_arms()
        others = self.runs.arms[1:]
        withheld = {arm: [*of_run, *of_arms[arm]] for arm in self.runs.arms}
        opponents = {arm: self.opponents(arm) for arm in others if self.kinds[arm] == "synthetic"}
        for arm, (against, _) in opponents.items():
            for other in against:
                check_budgets(self.runs, arm, other)
        pairs = [(arm, self.runs.baseline) for arm in others]
        pairs += [(arm, other) for arm, (against, _) in opponents.items() for other in against]
        contrasts = self.contrasts(self.experiment, pairs, withheld)
        arms = [
            self._arm(arm, contrasts, opponents.get(arm), of_arms[arm]) for arm in self.runs.arms
        ]
        against_gain, against_all = self.doubts(arms)
        main = next((one for one in arms if one.arm == self.main), None)
        reasons = [*of_run, *(main.withheld if main else [])]
        if main is not None and main.help is not None and main.help.answer == "helps":
            reasons += against_gain
        if against_gain:
            arms = [_doubted(one) for one in arms]
            main = next((one for one in arms if one.arm == self.main), None)
        rounds = [self._round(one) for one in self.runs.rounds]
        answer, sentence = self._answer(main, reasons, arms[0])
        by_class = self._class_differences()
        worth, advice = self._advise(arms, by_class)
        made = Result(
            task=task,
            head=self.head.name,
            measure=self.terms.measure,
            measured=measure_words(self.terms.measure, self.runs, self.head),
            baseline=self.runs.baseline,
            confidence=self.terms.options.confidence,
            answer=answer,
            sentence=sentence,
            verdict="",
            main=self.main,
            num_doses=self.num_doses,
            role="exploratory" if self.terms.is_exploratory else "primary",
            best=self.best,
            surest=None if of_run else surest(arms, self.terms.options.confidence),
            same_test=self.runs.same_test,
            num_tasks=self.terms.num_tasks,
            num_images=len(np.unique(np.concatenate([one.image_ids for one in self.runs.rounds]))),
            num_units=len(np.unique(np.concatenate([one.cluster for one in self.runs.rounds]))),
            withheld=of_run,
            doubts=[*against_gain, *against_all],
            rounds=rounds,
            arms=arms,
            classes=by_class,
            scores=self._score_differences(),
            worth=worth,
            won_back=won_back(arms),
            advice=advice,
            before=before,
            ledger=readings,
        )
        return made.model_copy(update={"verdict": words.verdict_text(made)})

    def _answer(
        self, main: result.Arm | None, reasons: list[str], baseline: result.Arm
    ) -> tuple[Answer, str]:
        if main is None or main.difference is None:
            return "cannot_be_told", words.nothing_compared(baseline, self.runs.arms[1:])
        if main.help is not None:
            return main.help.answer, words.help_sentence(main, reasons, self.best)
        if main.kind in CONTROLS:
            return "cannot_be_told", words.control_sentence(main, reasons)
        answer: Answer = "helps" if main.difference.verdict == "better" else "does_not_help"
        return "cannot_be_told" if reasons else answer, words.arm_sentence(main, reasons)

    def _arm(
        self,
        arm: str,
        contrasts: dict[Pair, result.Contrast],
        opponents: tuple[list[str], list[str]] | None,
        withheld: list[str],
    ) -> result.Arm:
        nominal = self._drawn_dose(arm)
        dose = None if nominal is None else self.drawn.dose(nominal)
        value, by_round = self.experiment.value(arm)
        figures = self.experiment.by_class(arm)
        base = contrasts.get((arm, self.runs.baseline))
        help_ = None
        if opponents is not None and base is not None:
            against = [contrasts[arm, other] for other in opponents[0]]
            help_ = _help(base, against, opponents[1])
        return result.Arm(
            arm=arm,
            kind=self.kinds[arm],
            label=words.label_of(arm, dose),
            dose=dose,
            mean=value.estimate,
            low=value.low,
            high=value.high,
            by_round=by_round,
            val=self.val.get(arm),
            classes={
                name: result.ClassFigures(
                    recall=_finite(figures["recall"][k]), f1=_finite(figures["f1"][k])
                )
                for k, name in enumerate(self.head.classes)
            },
            withheld=withheld,
            mislabelled=self._mislabelled(arm),
            difference=base,
            help=help_,
        )

    def _drawn_dose(self, arm: str) -> float | None:
        """Return the dose that an arm with synthetic images has by its name; None of another."""
        return dose_of(arm) if self.kinds[arm] in ("synthetic", "shuffled") else None

    def _withheld_of_arms(self) -> dict[str, list[str]]:
        """Return by arm why nothing is said of it alone."""
        doses = {arm: self._drawn_dose(arm) for arm in self.runs.arms}
        return {
            arm: [] if dose is None else self.drawn.reasons(dose) for arm, dose in doses.items()
        }

    def _mislabelled(self, arm: str) -> float | None:
        nominal = self._drawn_dose(arm)
        if nominal is None or self.kinds[arm] != "shuffled":
            return None
        return self.drawn.mislabelled(self.head, nominal)

    def _advise(
        self, arms: Sequence[result.Arm], by_class: Sequence[result.Explored]
    ) -> tuple[list[result.Worth], list[result.Advice]]:
        """Return what arms are worth and what to do, by what something may be claimed of."""
        said = {one.arm for one in arms if not one.withheld}
        told = [one for one in by_class if one.arm in said and one.q is not None]
        if not told:
            return [], []
        return advise([one for one in arms if one.arm in said], told, self.drawn.counts(self.head))

    def _round(self, one: Round) -> result.Round:
        support = self.experiment.support(one)
        return result.Round(
            round=one.number,
            seeds=one.seeds,
            num_images=len(one.target),
            num_units=len(np.unique(one.cluster)),
            support={
                self.head.classes[k]: int(support[k])
                for k in np.flatnonzero(self.experiment.occurring)
            },
            train_ids=one.origin.train_ids,
            val_ids=one.origin.val_ids,
            test_ids=one.origin.test_ids,
        )

    def _class_differences(self) -> list[result.Explored]:
        found = [
            (arm, name, self.head.classes[k], support, one)
            for arm in self.runs.arms[1:]
            for name, k, support, one in self.experiment.class_differences(arm)
        ]
        return self._explored(found)

    def _score_differences(self) -> list[result.Explored]:
        found = [
            (arm, name, None, one.support, one)
            for arm in self.runs.arms[1:]
            for name, one in self.experiment.score_differences(arm)
        ]
        return self._explored(found)

    def _explored(self, found: Many) -> list[result.Explored]:
        """Return differences that are looked through, with the share of false alarms held."""
        tested = np.array(
            [np.nan if one.verdict in ("withheld", "unclaimed") else one.p for *_, one in found]
        )
        return [
            result.Explored(
                arm=arm,
                figure=figure,
                of_class=of_class,
                support=support,
                difference=one.estimate,
                low=one.low,
                high=one.high,
                p=_finite(one.p),
                q=_finite(q),
                is_marked=bool(q <= self.alpha),
            )
            for (arm, figure, of_class, support, one), q in zip(
                found, benjamini_hochberg(tested), strict=True
            )
        ]

    # --- labels before their review

    def before(self, found: Sequence[Predictions], path: Path) -> result.Before | None:
        """Return the comparisons by the test labels as they came; None: none was changed."""
        changed = tables.read(path, RELABELLED, ["image_id", "attribute", "old"])
        changed = changed[changed["attribute"].isin(self.head.attributes)]
        table = self.curated.set_index("image_id")
        for row in changed[changed["image_id"].isin(table.index)].itertuples():
            old = None if pd.isna(row.old) else row.old
            if old is not None and old not in table[row.attribute].cat.categories:
                raise DataError(
                    f"{path}: image {row.image_id!r} had {row.attribute} {old!r}, none of the"
                    f" classes {list(table[row.attribute].cat.categories)}"
                )
            table.loc[row.image_id, row.attribute] = old
        table = table.reset_index()
        is_changed = head_targets(self.head, table) != head_targets(self.head, self.curated)
        tested = {image for one in found for image in one.table.index}
        num_changed = sum(image in tested for image in table["image_id"][is_changed])
        if not num_changed:
            return None
        runs = line_up(found, table, self.head, self.runs.baseline)
        pairs = [(arm, runs.baseline) for arm in runs.arms[1:]]
        experiment = self._experiment(runs, self.terms.options.num_permutations)
        of_run, of_arms = self.withheld(), self._withheld_of_arms()
        withheld = {arm: [*of_run, *of_arms[arm]] for arm in runs.arms}
        contrasts = self.contrasts(experiment, pairs, withheld)
        return result.Before(num_changed=num_changed, differences=list(contrasts.values()))


def _help(base: result.Contrast, against: list[result.Contrast], missing: list[str]) -> result.Help:
    """Return whether an arm with synthetic images beats all that it must.

    Each of several comparisons has to be a finding by itself, so that none needs a correction for
    the others. Source: Berger 1982 (doi:10.1080/00401706.1982.10487790).
    """
    found = [base, *against]
    answer: Answer = "helps"
    if any(one.verdict in ("withheld", "unclaimed") for one in found):
        answer = "cannot_be_told"
    elif any(one.verdict != "better" for one in found):
        answer = "does_not_help"
    elif missing:
        answer = "cannot_be_told"
    p, corrected = (
        max(
            1.0 if value is None or one.difference <= 0 else value
            for one in found
            for value in [getattr(one, name)]
        )
        for name in ("p", "corrected_p")
    )
    return result.Help(
        answer=answer,
        against=against,
        missing=missing,
        not_beaten=[one.against for one in against if one.verdict != "better"],
        p=p,
        corrected_p=corrected,
    )


def surest(arms: Sequence[result.Arm], confidence: float) -> str | None:
    """Return the arm to take: no control, found better, whose interval begins highest.

    Any of them may be named, so all are corrected together, the declared one included.
    """
    gaps = [one.difference for one in arms if one.kind not in CONTROLS and one.difference]
    p = holm(np.array([np.nan if gap.p is None else gap.p for gap in gaps]))
    gains = [
        (gap.low, gap.arm)
        for gap, corrected in zip(gaps, p, strict=True)
        if gap.verdict == "better" and corrected <= 1 - confidence
    ]
    return max(gains)[1] if gains else None


def _doubted(arm: result.Arm) -> result.Arm:
    """Return an arm whose help is not claimed, since shuffled classes help as well."""
    if arm.help is None or arm.help.answer != "helps":
        return arm
    doubted = arm.help.model_copy(update={"answer": "cannot_be_told"})
    return arm.model_copy(update={"help": doubted})


def _finite(value: float | None) -> float | None:
    """Return a number for JSON, None where there is none."""
    return None if value is None or not np.isfinite(value) else float(value)
