"""Corners of a verdict: what little was run, what agrees by chance, and what is no answer."""

import numpy as np
import pandas as pd
import pytest
from experiments import CLASSES, FAST, Experiment, make_curated

from classifiers.measures import MEASURES
from classifiers.models.heads import Head
from evenface.experiment.differences import measure_difference
from evenface.experiment.drawn import Drawn
from evenface.experiment.influence import Sample, sample_classes
from evenface.experiment.intervals import ROUND_CORRELATION, detectable
from evenface.experiment.judging import Judge, Terms
from evenface.experiment.runs import Round, Runs
from evenface.options import CompareOptions
from facekit.errors import DataError
from facekit.storage import tables

GOOD = {"real": 0.7, "weighted_loss": 0.72, "synth@0.5": 0.87, "copy@0.5": 0.73}
RARE = {"real": 0.7, "weighted_loss": 0.75, "withheld": 0.9, "part@0.5": 0.55}


def arm_of(found, name):
    return next(one for one in found.result.arms if one.arm == name)


def write_deficits(folder, rounds):
    table = pd.DataFrame(
        {"class": [2], "name": ["old"], "age": ["old"], "count": [60], "deficit": [300]}
    )
    tables.write(table, folder / "deficits.csv")
    return [folder / "deficits.csv"] * rounds


# --- what is asked


def test_a_control_is_not_what_is_asked_about(tmp_path):
    arms = {"real": 0.7, "withheld": 0.9, "part@0.5": 0.5, "weighted_loss": 0.7}
    found = Experiment(tmp_path, arms, rounds=3).compare().result
    assert found.main == "weighted_loss"
    assert found.sentence.startswith("weighted_loss was not found to help")


def test_controls_alone_are_no_answer(tmp_path):
    arms = {"real": 0.7, "withheld": 0.9, "part@0.5": 0.5}
    found = Experiment(tmp_path, arms, rounds=3).compare()
    assert (found.result.main, found.result.answer) == (None, "cannot_be_told")
    assert "nothing to compare with, since withheld and part@0.5 are controls." in found.verdict
    assert "withheld against real: better" in found.verdict


@pytest.mark.parametrize(
    ("accuracy", "words"), [(0.9, "is better than"), (0.7, "was not found to differ from")]
)
def test_a_declared_control_helps_nobody(tmp_path, accuracy, words):
    made = Experiment(tmp_path, {"real": 0.7, "shuffled@0.5": accuracy}, rounds=3)
    found = made.compare(CompareOptions(primary="shuffled@0.5", num_permutations=100)).result
    assert found.answer == "cannot_be_told"
    assert found.sentence == (
        f"Shuffled@0.5 {words} real; a control, it is no way to treat imbalance."
    )


def test_a_baseline_with_synthetic_images_is_not_the_best_without(tmp_path):
    arms = {"synth@0.5": 0.9, "real": 0.7, "weighted_loss": 0.75, "synth@1.0": 0.92}
    options = CompareOptions(baseline="synth@0.5", num_permutations=100)
    assert Experiment(tmp_path, arms).compare(options).result.best == "weighted_loss"


# --- what could have been seen


def rounds_of(values, influence):
    return [
        Sample(np.array([value]), influence, 50, np.arange(influence.shape[1]) + 1000 * r)
        for r, value in enumerate(values)
    ]


def test_rounds_that_agree_by_chance_could_not_have_seen_more_than_their_images_let_them():
    rng = np.random.default_rng(0)
    influence = rng.choice([-0.01, 0.01], (1, 100))
    influence -= influence.mean()
    found = measure_difference(rounds_of([0.001, 0.0011, 0.0009], influence))
    images = 99 / 100 * float((influence**2).sum())  # of a round
    factor = (1 + 2 * ROUND_CORRELATION) / (1 - ROUND_CORRELATION)
    assert found.likely == pytest.approx(images / 3 * factor)
    assert found.repeated < found.likely / 100  # the interval is of what varied
    assert found.detectable(0.95) == pytest.approx(detectable(0, np.nan, found.likely, 2))
    spread_out = measure_difference(rounds_of([0.3, 0.0, -0.2], influence))
    assert spread_out.likely == pytest.approx(spread_out.repeated)


@pytest.mark.parametrize("same_test", [False, True])
def test_seeds_that_agree_by_chance_likewise(same_test):
    rng = np.random.default_rng(1)
    influence = rng.normal(0, 0.01, (2, 200))
    influence -= influence.mean(axis=1, keepdims=True)
    if same_test:
        samples = [Sample(np.array([0.01]), row[None], 50, np.arange(200)) for row in influence]
    else:
        samples = [Sample(np.array([0.01, 0.01]), influence, 50, np.arange(200))]
    found = measure_difference(samples, same_test=same_test)
    mean = influence.mean(axis=0)
    assert found.repeated < found.likely / 10
    assert found.shared + found.likely == pytest.approx(199 / 200 * float((mean**2).sum()))


def test_what_an_exploratory_comparison_would_have_found_counts_its_correction(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "a": 0.7, "b": 0.7, "c": 0.7}, rounds=3)
    found = made.compare(num_tasks=2)
    main, other = (arm_of(found, name).difference for name in ("a", "b"))
    parts = other.variances
    total = (parts.images + parts.seeds + parts.rounds) * (1 + 2 * 0.05) / (1 - 0.05)
    # Two exploratory arms in each of two tasks.
    expected = detectable(0, np.nan, total, 2, confidence=1 - 0.05 / 4)
    assert other.detectable == pytest.approx(expected)
    parts = main.variances
    total = (parts.images + parts.seeds + parts.rounds) * (1 + 2 * 0.05) / (1 - 0.05)
    assert main.detectable == pytest.approx(detectable(0, np.nan, total, 2))


def test_the_answer_of_an_exploratory_task_tells_the_p_that_decides(tmp_path):
    found = Experiment(tmp_path, GOOD, rounds=3).compare(is_exploratory=True, num_tasks=2)
    gap = arm_of(found, "synth@0.5").difference
    assert gap.p < gap.corrected_p
    line = found.verdict.splitlines()[1]
    assert f"corrected p = {gap.corrected_p:.3f} (permutation p" in line


def test_no_difference_is_larger_than_all_there_is(tmp_path):
    accuracy = np.array([[0.6], [0.9]])
    made = Experiment(tmp_path, {"real": 0.75, "synth@0.5": accuracy}, rounds=2, seeds=1)
    found = made.compare()
    assert arm_of(found, "synth@0.5").difference.detectable > 1
    assert "No difference was found; however large, none would have been, in 4 of 5 cases." in (
        found.verdict
    )
    assert "1." not in found.verdict.split("4 of 5 cases")[0].split("No difference")[1]


def test_rounds_that_agree_in_few_images_are_no_finding():
    # In each of two rounds, or seeds, the arm has two images right that the baseline has not.
    target, measure = np.arange(100) % 2, MEASURES["accuracy"]
    pred = np.stack([target] * 4)
    pred[0, :2], pred[1, 2:4] = 1 - target[:2], 1 - target[2:4]
    ids = np.arange(100)
    rounds = [
        sample_classes(target, pred[[r]], pred[[2]], ids + 100 * r, measure, 2) for r in range(2)
    ]
    seeds = sample_classes(target, pred[:2], pred[2:], ids, measure, 2)
    for found in (measure_difference(rounds), measure_difference([seeds])):
        assert found.estimate == pytest.approx(0.02)
        assert found.verdict == "none" and 0.05 < found.p < 1


def test_two_rounds_that_differ_in_few_images_keep_their_promise():
    # Nothing helps: of 60 images the arms differ in some four of each round, which often agree.
    rng, num, false = np.random.default_rng(0), 1500, 0
    for _ in range(num):
        samples = []
        for r in range(2):
            gain = rng.choice([-1, 0, 1], 60, p=[0.033, 0.934, 0.033]) / 60
            influence = (gain - gain.mean())[None]
            samples.append(Sample(np.array([gain.sum()]), influence, 50, np.arange(60) + 60 * r))
        false += measure_difference(samples).verdict != "none"
    assert false / num <= 0.06


def test_one_test_part_with_few_persons_of_a_class_withholds_the_verdict(tmp_path):
    curated = make_curated(per_group=30)
    group = curated["group"]
    # Of each person all images are alike; two of ten in a test part are old.
    person = group.str[1:].astype(int)
    curated["age"] = pd.Categorical.from_codes(
        np.select([person % 5 == 0, person % 2 == 0], [2, 1], 0), categories=CLASSES
    )
    one = Experiment(tmp_path / "one", GOOD, rounds=1, curated=curated).compare()
    assert one.result.answer == "cannot_be_told"
    assert (
        "class old has 60 test images of 2 persons or clusters, fewer than 10, and there is no"
        " other test part" in one.verdict
    )
    assert all(not explored.is_marked for explored in one.result.classes)
    several = Experiment(tmp_path / "several", GOOD, rounds=3, curated=curated).compare()
    assert several.result.withheld == []  # rounds test other persons


# --- where nothing is claimed, nothing follows


@pytest.mark.parametrize(("rounds", "seeds"), [(1, 1), (3, 1)])
def test_photographs_are_counted_only_where_something_is_claimed(tmp_path, rounds, seeds):
    made = Experiment(tmp_path, RARE, rounds, seeds)
    found = made.compare(deficits=write_deficits(tmp_path, rounds)).result
    claims = rounds > 1
    assert bool(found.worth) == bool(found.advice) == bool(found.won_back) == claims
    assert ("photographs" in found.verdict) == ("wins back" in found.verdict) == claims


def test_an_arm_whose_verdict_is_withheld_is_worth_nothing(tmp_path):
    made = Experiment(tmp_path, RARE | {"synth@0.5": 0.9}, rounds=3)
    doses = []
    for number in range(3):
        row = {"class": [2], "name": ["old"], "deficit": [300], "accepted": [0]}
        tables.write(pd.DataFrame(row), tmp_path / f"doses{number}.csv")
        doses.append(tmp_path / f"doses{number}.csv")
    found = made.compare(deficits=write_deficits(tmp_path, 3), doses=doses).result
    assert {one.arm for one in found.worth} == {one.arm for one in found.won_back}
    assert {one.arm for one in found.worth} == {"weighted_loss"}
    assert all(one.arm != "synth@0.5" for one in found.advice[0].options)


@pytest.mark.parametrize("deficit", [[], [1]])
def test_an_arm_that_nothing_was_added_to_has_no_verdict(tmp_path, deficit):
    # No class lacks an image, or less than one at this dose.
    made = Experiment(tmp_path, GOOD)
    classes = list(range(len(deficit)))
    table = pd.DataFrame({"class": classes, "name": CLASSES[: len(deficit)], "deficit": deficit})
    table = table.astype({"class": "int64", "name": "str", "deficit": "int64"})
    tables.write(table.assign(accepted=table["deficit"]), tmp_path / "doses.csv")
    found = made.compare(doses=[tmp_path / "doses.csv"] * 2)
    assert found.result.answer == "cannot_be_told"
    assert "no class lacked an image in 2 of 2 rounds, so that no synthetic one was added" in (
        found.result.sentence
    )
    assert arm_of(found, "synth@0.5").dose.reached == 0


def test_what_is_withheld_is_withheld_by_the_labels_before(tmp_path):
    made = Experiment(tmp_path, GOOD, rounds=1, seeds=1)
    old = made.curated["age"].iloc[:3].astype(str)
    changed = made.curated.copy()
    changed.loc[changed.index[:3], "age"] = ["old" if one != "old" else "young" for one in old]
    tables.write(changed, tmp_path / "curated.parquet")
    rows = {"image_id": ["i00000", "i00001", "i00002"], "attribute": "age"}
    table = pd.DataFrame(rows | {"old": list(old), "new": changed["age"].iloc[:3].astype(str)})
    tables.write(table.assign(who="reviewer"), tmp_path / "relabelled.parquet")
    tables.write(
        pd.DataFrame({"class": [2], "name": ["old"], "deficit": [9], "accepted": [0]}),
        tmp_path / "doses.csv",
    )
    evidence = {
        "test_labels_before": tmp_path / "relabelled.parquet",
        "doses": [tmp_path / "doses.csv"],
    }
    assert "without the changes: nothing can be said" in made.compare(**evidence).verdict
    made = Experiment(tmp_path, GOOD, rounds=3)
    tables.write(changed, tmp_path / "curated.parquet")
    evidence["doses"] *= 3
    assert "without the changes: withheld" in made.compare(**evidence).verdict


# --- what a guess reaches


@pytest.mark.parametrize(("num_classes", "num_seeds"), [(3, 2), (5, 3), (9, 5)])
def test_constant_predictions_are_a_guess_however_they_are_added_up(num_classes, num_seeds):
    classes = tuple(f"c{k}" for k in range(num_classes))
    num = 20 * num_classes
    target = np.arange(num) % num_classes
    curated = pd.DataFrame(
        {"image_id": [f"i{i}" for i in range(num)], "cluster": range(num)}
    ).assign(c=pd.Categorical.from_codes(target, categories=classes))
    pred = np.zeros((1, num_seeds, num), dtype=np.int64)
    one = Round(
        number=0, seeds=list(range(num_seeds)), origin=None,
        budgets=np.ones((1, num_seeds, 2), dtype=np.int64),
        image_ids=curated["image_id"].to_numpy(), target=target, cluster=np.arange(num),
        pred=pred, prob=np.full((1, num_seeds, num, num_classes), 1 / num_classes), num_images=num,
    )  # fmt: skip
    head = Head("c", ("c",), "categorical", 1.0, classes)
    terms = Terms("macro_f1", None, False, 1, FAST, 0)
    (reason,) = Judge(Runs(["real"], [one], False), head, curated, terms, Drawn()).withheld()
    assert "real is no better than naming the most frequent class" in reason


# --- classes that a part lacks


def test_a_round_whose_val_lacks_a_class_has_no_say_in_the_best_arm(tmp_path):
    made = Experiment(tmp_path, GOOD | {"weighted_loss": 0.95}, rounds=3)
    splits = made.splits[1]
    val = splits["image_id"][splits["split"] == "val"]
    is_old = made.curated["image_id"].isin(val) & (made.curated["age"] == "old")
    tables.write(made.curated.assign(age=made.curated["age"].mask(is_old)), made.evidence().curated)
    found = made.compare(measure="recall").result  # of old, which a round's val has none of
    assert found.best == "weighted_loss"
    of_others = made.compare(measure="macro_f1").result
    assert of_others.best == "weighted_loss"


def test_a_judged_class_that_a_test_part_lacks_is_named(tmp_path):
    made = Experiment(tmp_path, GOOD, rounds=3)
    tested = made.splits[1].loc[made.splits[1]["split"] == "test", "image_id"]
    is_old = made.curated["image_id"].isin(tested) & (made.curated["age"] == "old")
    tables.write(made.curated.assign(age=made.curated["age"].mask(is_old)), made.evidence().curated)
    with pytest.raises(DataError, match=r"no test image of old, whose recall is judged, in 1 of 3"):
        made.compare(measure="recall")
    found = made.compare()
    assert "class old has 0 test images in a round, fewer than 10" in found.verdict


# --- what does not fit


@pytest.fixture
def made(tmp_path):
    return Experiment(tmp_path, {"real": 0.7, "synth@0.5": 0.8})


def change(made, arm, number, seed, split="test", **columns):
    path = made.path(arm, number, seed, split)
    tables.write(tables.read(path).assign(**columns), path)
    return path


@pytest.mark.parametrize("number", [-0.1, 2.0, np.inf])
def test_numbers_that_are_no_probabilities_are_refused(made, number):
    path = made.path("synth@0.5", 1, 1)
    table = tables.read(path)
    table.loc[:4, "age:old"] = number
    tables.write(table, path)
    with pytest.raises(DataError, match=r"seed1.*: 5 images whose numbers are no probabilities"):
        made.compare()


def test_val_of_other_networks_is_refused(made):
    change(made, "synth@0.5", 1, 1, "val", real_shown=900, images_shown=1400)
    change(made, "synth@0.5", 1, 1, "test", real_shown=1000, images_shown=1400)
    with pytest.raises(DataError, match=r"arm synth@0\.5: val predictions are of networks"):
        made.compare()


def test_refusals_name_what_and_how_many(made):
    paths = [path for path in made.paths() if "round1" not in str(path) or "seed1" not in str(path)]
    with pytest.raises(DataError, match=r"round 0: \[0, 1\], round 1: \[0\]"):
        made.compare(predictions=paths)
    path = change(made, "real", 0, 0, age="ancient")
    with pytest.raises(DataError, match=r"seed0.*299 predictions name other classes.*'ancient'"):
        made.compare()
    made.write("real", 0, 0)
    assert path.is_file()
    tables.write(made.curated[3:], made.folder / "curated.parquet")
    with pytest.raises(DataError, match=r"'i00000' was predicted.*; nor are 2 others of 300"):
        made.compare()


def test_a_person_tested_twice_is_named_by_an_image_of_each_round(tmp_path):
    curated = make_curated()
    curated.loc[[5, 305], "group"] = "the same"
    made = Experiment(tmp_path, {"real": 0.7, "synth@0.5": 0.8}, curated=curated)
    with pytest.raises(DataError, match=r"such as that of 'i00005' \(round 0\) and 'i00305'"):
        made.compare()


# --- words


@pytest.mark.parametrize(("confidence", "text"), [(0.95, "95%"), (0.999, "99.9%"), (0.9, "90%")])
def test_the_confidence_is_told_as_it_is(made, confidence, text):
    found = made.compare(CompareOptions(confidence=confidence, num_permutations=100))
    assert f"({text} interval)" in found.verdict
