"""What an answer rests on, as traffic lights: data, split, generator, classifier, power.

A light shows the worst of what its function finds. The limits are the constants below, and RULES
says each rule in words, as the page shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenface.experiment.differences import MIN_CLASS_IMAGES
from evenface.experiment.intervals import LARGEST
from evenface.page.generator import extractor_columns, read_doses
from evenface.page.run import Run
from evenface.page.scores import Arm

Level = Literal["green", "amber", "red", "none"]
Finding = tuple[Level, str]

MANY_DOUBTED, SOME_DOUBTED = 0.2, 0.05  # share of the labels judged
MANY_MISSING, SOME_MISSING = 0.5, 0.2  # share of the images kept
MANY_DROPPED = 0.25  # share of the table's rows
MANY_NOTED = 0.05  # share of the table's rows
FEW_CLASS_IMAGES = 30  # test images of a class in a round
LARGE_DEVIATION = 5.0  # percentage points
LOW_COVERAGE = 0.5  # of that of real images
LOW_ACCEPTANCE = 0.5  # of the images that nothing but their number speaks against
UNFILLED = 0.9  # share of a deficit
MUCH_NEARER = 3.0  # times the share that is nearer by chance
POOR_CALIBRATION = 0.15
SMALL_EFFECT = 0.02  # that a run should be able to see
LARGE_EFFECT = 0.1

WORDS: dict[Level, str] = {
    "green": "sound",
    "amber": "take care",
    "red": "weak",
    "none": "not known",
}
RULES: dict[str, dict[Level, str]] = {
    "Data": {
        "red": f"more than {MANY_DOUBTED:.0%} of the labels that were judged are doubtful, or more"
        f" than {MANY_MISSING:.0%} are missing",
        "amber": f"more than {SOME_DOUBTED:.0%} are doubtful, {SOME_MISSING:.0%} missing or"
        f" {MANY_NOTED:.0%} repaired; more than {MANY_DROPPED:.0%} of the rows were dropped; or"
        " labels or duplicates were not looked for",
    },
    "Split": {
        "red": "copies or persons stand in more than one part, or a class has fewer than"
        f" {MIN_CLASS_IMAGES} test images in a round",
        "amber": f"a class has fewer than {FEW_CLASS_IMAGES}; the share of a class differs by more"
        f" than {LARGE_DEVIATION:g} percentage points between parts; test was read by more than"
        " one set of settings; or the split was not checked",
    },
    "Generator": {
        "red": "its classes cannot be told from chance by the teacher, or it repeats images that"
        " it learned from",
        "amber": f"it covers less than {LOW_COVERAGE:.0%} of the variety that real images have;"
        f" fewer than {LOW_ACCEPTANCE:.0%} of a class's images are accepted of those that are not"
        f" merely too many; less than {UNFILLED:.0%} of the wanted dose was reached; more than"
        f" {MUCH_NEARER:g} times as many are near to single training images as by chance; or it"
        " was not measured",
    },
    "Classifier": {
        "red": "without synthetic images it is no better than naming the most frequent class",
        "amber": "some of its seeds or rounds are not, or its confidence is off by more than"
        f" {POOR_CALIBRATION:g} in the mean",
    },
    "Power": {
        "red": "the answer is withheld, nothing was repeated, or only differences above"
        f" {LARGE_EFFECT:g} would have been found",
        "amber": "a comparison that the answer rests on found no difference where one above"
        f" {SMALL_EFFECT:g} could have been missed, or the answer speaks of one split and one"
        " generator only",
    },
}
ORDER: tuple[Level, ...] = ("red", "amber", "green", "none")


@dataclass(frozen=True)
class Light:
    """What one thing that the answer rests on looks like.

    Attributes:
        about: which.
        level: the worst that was found.
        why: what was found, the worst first.
        evidence: id of the part of the page that shows the first of it.
    """

    about: str
    level: Level
    why: tuple[str, ...]
    evidence: str

    @property
    def word(self) -> str:
        """The level in words, for those who do not see colours."""
        return WORDS[self.level]


def lights(run: Run, task: Mapping[str, Any]) -> list[Light]:
    """Return the lights of a task.

    Args:
        run: the run.
        task: as `arms.of_task` returns it.
    """
    comparison, head = task["comparison"], task["comparison"]["head"]
    attributes = task["attributes"].get(head, [head])
    arms: Sequence[Arm] = task["arms"]
    return [
        _light("Data", wrong=of_data(run, attributes)),
        _light("Split", split=of_split(run, comparison)),
        _light("Generator", gan=of_generator(run), synth=of_drawn(run)),
        _light("Classifier", failures=of_classifier(arms[0], head)),
        _light("Power", arms=of_power(comparison)),
    ]


def _light(about: str, **found: Iterator[Finding]) -> Light:
    """Return the light of what was found, by the id of the part of the page that shows it."""
    told = [(*one, evidence) for evidence, of in found.items() for one in of]
    told.sort(key=lambda one: ORDER.index(one[0]))
    worst, _, evidence = told[0] if told else ("none", "", next(iter(found)))
    why = tuple(dict.fromkeys(text for level, text, _ in told if level == worst))
    return Light(about, worst, why, evidence)


def of_data(run: Run, attributes: Sequence[str]) -> Iterator[Finding]:
    """Find what speaks against the labels that a task learns.

    Args:
        run: the run.
        attributes: that the task's head is made of.
    """
    summary = run.summary
    kept, rows = summary["curated"], summary["table_rows"]
    for name in attributes:
        missing = summary["attributes"].get(name, {}).get("missing", 0)
        yield _graded(
            missing / max(kept, 1), SOME_MISSING, MANY_MISSING, f"of {name} labels missing"
        )
        if run.issues is not None:
            doubted = int((run.issues["attribute"] == name).sum()) / max(kept - missing, 1)
            yield _graded(doubted, SOME_DOUBTED, MANY_DOUBTED, f"of {name} labels doubtful")
        if run.notes is not None:
            noted = int((run.notes["attribute"] == name).sum()) / max(rows, 1)
            yield _graded(noted, MANY_NOTED, None, f"of {name} labels repaired or set to missing")
    if run.issues is None:
        yield "amber", "labels were not checked"
    if not (run.root / "duplicates.parquet").exists():
        yield "amber", "duplicates were not looked for"
    yield _graded((rows - kept) / max(rows, 1), MANY_DROPPED, None, "of the rows dropped")


def of_split(run: Run, comparison: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what speaks against the split, in the round where it is worst."""
    checks = run.split_checks
    if not checks:
        yield "amber", "the split was not checked"
    straddling = max((max(one["straddling"].values(), default=0) for one in checks), default=0)
    copies = max((one.get("copies") or 0 for one in checks), default=0)
    if straddling or copies:
        yield "red", f"{straddling + copies} groups or copies stand in more than one part"
    elif checks:
        yield "green", "no copies or persons in two parts"
    apart = max(
        (most["points"] for one in checks if (most := one["largest_deviation"]["split"])),
        default=0.0,
    )
    if apart > LARGE_DEVIATION:
        yield "amber", f"shares of a class differ by {apart:.1f} points between parts"
    support = fewest_of_class(comparison)
    if support is not None:
        name, images = support
        level: Level = "green"
        if images < FEW_CLASS_IMAGES:
            level = "red" if images < MIN_CLASS_IMAGES else "amber"
        yield level, f"{images} test images of {name} in a round, the fewest of a class"
    readings = comparison.get("ledger")
    if readings and readings["settings"] > 1:
        yield "amber", f"test was read by {readings['settings']} different settings"


def fewest_of_class(comparison: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the class that has fewest test images in a round, and how many these are."""
    found = [pair for one in comparison["rounds"] for pair in one["support"].items()]
    return min(found, key=lambda pair: pair[1]) if found else None


def of_generator(run: Run) -> Iterator[Finding]:
    """Find what speaks against the generators, in the round where it is worst."""
    measured = run.of_rounds("gan/*/metrics.json")
    yield from _of_metrics(measured)
    if not measured and any(folder.glob("gan/*") for folder in run.rounds):
        yield "amber", "it was not measured"


def of_drawn(run: Run) -> Iterator[Finding]:
    """Find what speaks against the images that were drawn, in the round where it is worst."""
    filtered = run.of_rounds("synth/*/filter.json")
    if filtered:
        untold = sum(not one["classes_told"] for one in filtered)
        repeated = sorted({name for one in filtered for name in one["memorized"]})
        if untold:
            where = f"in {untold} of {len(filtered)} rounds"
            yield "red", f"the teacher cannot tell its classes from chance {where}"
        if repeated:
            yield "red", f"it repeats images of {', '.join(repeated)}"
        if not untold and not repeated:
            yield "green", "its classes can be told, and none repeats single images"
    yield from _of_doses(run)


def _of_metrics(measured: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    covered, nearer = [], []
    for metrics in measured:
        key = extractor_columns(metrics)["coverage"]
        own, of_real = metrics.get(key), metrics["baseline_real_halves"].get(key)
        if own is not None and of_real:
            covered.append(own / of_real)
        nearness = (metrics.get("memorization") or {}).get("features")
        if nearness and nearness["expected_share"]:
            nearer.append(nearness["share_nearer"] / nearness["expected_share"])
    if covered:
        level: Level = "amber" if min(covered) < LOW_COVERAGE else "green"
        yield level, f"covers {min(covered):.0%} of the variety that real images have"
    if nearer and max(nearer) > MUCH_NEARER:
        yield "amber", f"{max(nearer):.0f} times as many as by chance are near to training images"


def _of_doses(run: Run) -> Iterator[Finding]:
    for folder in run.rounds:
        for path in sorted(folder.glob("synth/*/doses.csv")):
            for name, dose in read_doses(path.parent).items():
                judged = dose["candidates"] - dose["surplus"]
                share = dose["accepted"] / judged if judged else 0.0
                if share < LOW_ACCEPTANCE:
                    yield "amber", f"{share:.0%} of the images of {name} accepted"
                elif dose["reached"] < UNFILLED:
                    yield "amber", f"{dose['reached']:.0%} of what {name} lacks was filled"


def of_classifier(baseline: Arm, head: str) -> Iterator[Finding]:
    """Find what speaks against the baseline's classifiers."""
    found = [metrics[head] for metrics in baseline.metrics if head in metrics]
    with_classes = [one for one in found if one.get("per_class")]
    if with_classes:
        above = [_is_above_chance(one) for one in with_classes]
        mean = sum(one["balanced_accuracy"] for one in with_classes) / len(with_classes)
        guess = 1 / len(with_classes[0]["per_class"])
        level: Level = "green" if all(above) else "amber" if any(above) else "red"
        yield level, f"balanced accuracy {mean:.2f}, a guess has {guess:.2f}"
    elif found:
        known = [one["r2"] for one in found if one.get("r2") is not None]
        if known:
            level = "green" if min(known) > 0 else "amber" if max(known) > 0 else "red"
            yield level, f"R² {sum(known) / len(known):.2f}, naming the mean has 0"
    errors = [one["ece"] for one in with_classes if one.get("ece") is not None]
    if errors and sum(errors) / len(errors) > POOR_CALIBRATION:
        yield "amber", f"confidence is off by {sum(errors) / len(errors):.2f} in the mean"


def _is_above_chance(measures: Mapping[str, Any]) -> bool:
    value = measures["balanced_accuracy"]
    low = (measures.get("intervals") or {}).get("balanced_accuracy", [value])[0]
    return (value if low is None else low) > 1 / len(measures["per_class"])


def of_power(comparison: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what the comparisons that the answer rests on could not have seen."""
    main = _main_arm(comparison)
    if comparison["withheld"] or (main is not None and main["withheld"]):
        yield "red", "no answer can be given"
    for gap in rests_on(comparison):
        least, against = gap["detectable"], f"against {gap['against']}"
        if least is None:
            yield "red", f"{against} nothing was repeated"
        elif gap["verdict"] in ("better", "worse"):
            yield "green", f"{against} a difference of {gap['difference']:+.3f} was found"
        else:
            level: Level = "green"
            if least > SMALL_EFFECT:
                level = "red" if least > LARGE_EFFECT else "amber"
            yield level, f"a difference to {gap['against']} {missed_words(least)}"
        if gap["claim"] in ("gan", "nothing"):
            yield "amber", "it speaks of one generator and one split only"


def missed_words(least: float) -> str:
    """Return what of a difference such a run misses, as the end of a sentence.

    Args:
        least: the true difference that it finds in 4 of 5 cases.
    """
    return "of any size may be missed" if least >= LARGEST else f"below {least:.3f} may be missed"


def rests_on(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the comparisons of the main arm: with the baseline, then with its opponents."""
    main = _main_arm(comparison)
    if main is None or main["difference"] is None:
        return []
    return [main["difference"], *(main["help"]["against"] if main["help"] else [])]


def _main_arm(comparison: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((arm for arm in comparison["arms"] if arm["arm"] == comparison["main"]), None)


def _graded(share: float, some: float, many: float | None, what: str) -> Finding:
    level: Level = "green"
    if share > some:
        level = "red" if many is not None and share > many else "amber"
    return level, f"{share:.1%} {what}" if 0 < share < 0.1 else f"{share:.0%} {what}"
