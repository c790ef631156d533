"""The comparison of arms: pairing, honest verdicts, refusals in one line, files of a run."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from classifier_sets import as_options
from click.testing import CliRunner
from experiments import CLASSES, FAST, HEADS, Experiment, make_curated

from classifiers.models.heads import Head
from classifiers.options import HeadOptions
from evenface.cli import main
from evenface.experiment import compare, result
from evenface.experiment.contrasts import CLASS_FIGURES
from evenface.experiment.judging import surest
from evenface.experiment.runs import line_up, read_predictions
from evenface.options import CompareOptions
from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError
from facekit.storage import files, tables

HEAD = Head("age", ("age",), "categorical", 1.0, CLASSES)
GOOD = {"real": 0.7, "weighted_loss": 0.72, "synth@0.5": 0.87, "copy@0.5": 0.73}


def arm_of(found, name):
    return next(one for one in found.result.arms if one.arm == name)


# --- figures


def test_differences_are_paired_within_round_and_seed(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "synth@1.0": 0.8})
    found = made.compare()
    values = {}
    for arm in made.arms:
        for number in range(2):
            for seed in range(2):
                table = tables.read(made.path(arm, number, seed)).set_index("image_id")
                truth = made.curated.set_index("image_id").loc[table.index, "age"]
                known = truth.notna()
                values[arm, number, seed] = sklearn.metrics.f1_score(
                    truth[known].astype(str), table["age"][known].astype(str), average="macro"
                )
    gap = arm_of(found, "synth@1.0").difference
    for number in range(2):
        for seed in range(2):
            expected = values["synth@1.0", number, seed] - values["real", number, seed]
            assert gap.by_round[number][seed] == pytest.approx(expected)
    assert gap.difference == pytest.approx(np.mean(gap.by_round))
    means = [np.mean([values[arm, n, s] for n in range(2) for s in range(2)]) for arm in made.arms]
    assert [one.mean for one in found.result.arms] == pytest.approx(means)
    assert found.result.num_images == 599  # one of 600 has no label
    assert found.result.rounds[0].support == dict(
        made.curated.loc[:299, "age"].value_counts(sort=False)
    )


def test_the_order_of_files_and_rows_says_nothing(tmp_path):
    made = Experiment(tmp_path, GOOD)
    first = made.compare().plain()
    for path in made.paths():
        tables.write(tables.read(path).sample(frac=1, random_state=1), path)
    again = made.compare(predictions=sorted(made.paths(), reverse=True)[::-1]).plain()
    by_arm = [{one["arm"]: one for one in found["arms"]} for found in (first, again)]
    assert by_arm[0]["synth@0.5"] == by_arm[1]["synth@0.5"]


def test_classes_and_scores_are_differences_of_hand(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "synth@1.0": 0.85}, rounds=1, seeds=1)
    found = made.compare().result
    tables_of = [tables.read(made.path(arm, 0, 0)).set_index("image_id") for arm in made.arms]
    truth = made.curated.set_index("image_id")["age"].loc[tables_of[0].index]
    known = truth.notna().to_numpy()
    truth = truth[known].astype(str)
    for name, average in (
        ("recall", sklearn.metrics.recall_score),
        ("f1", sklearn.metrics.f1_score),
    ):
        values = [
            average(truth, one["age"][known].astype(str), labels=list(CLASSES), average=None)
            for one in tables_of
        ]
        shown = [one for one in found.classes if one.figure == name]
        assert [one.of_class for one in shown] == list(CLASSES)
        np.testing.assert_allclose([one.difference for one in shown], values[1] - values[0])
    losses = [
        -np.log(
            np.choose(
                truth.map(CLASSES.index), one[[f"age:{k}" for k in CLASSES]][known].T.to_numpy()
            )
        )
        for one in tables_of
    ]
    (shown,) = (one for one in found.scores if one.figure == "log_loss")
    assert shown.difference == pytest.approx(losses[1].mean() - losses[0].mean())
    assert set(CLASS_FIGURES) == {"recall", "f1"}
    assert {one.figure for one in found.scores} == {"brier", "log_loss", "calibration_error"}
    assert not any(one.is_marked for one in [*found.classes, *found.scores])  # one training each


def test_marks_of_classes_are_findings_among_many(tmp_path):
    found = Experiment(tmp_path, {"real": 0.6, "synth@1.0": 0.9}, rounds=3).compare().result
    marked = [one for one in found.classes if one.is_marked]
    assert marked and all(one.q <= 0.05 and one.low > 0 for one in marked)
    assert all(one.q >= one.p for one in found.classes)


def test_persons_are_one_cluster(tmp_path):
    alone = Experiment(tmp_path / "a", {"real": 0.7, "synth@1.0": 0.75}, rounds=1)
    curated = make_curated(per_group=30)
    many = Experiment(tmp_path / "b", {"real": 0.7, "synth@1.0": 0.75}, 1, curated=curated)
    assert alone.compare().result.num_units == 150
    assert many.compare().result.num_units == 10
    text = many.compare().verdict
    assert "299 test images of 10 persons or clusters" in text


# --- verdicts


def test_synthetic_faces_help_where_they_beat_baseline_best_and_copies(tmp_path):
    found = Experiment(tmp_path, GOOD, rounds=3).compare()
    assert found.result.answer == "helps"
    assert found.verdict.splitlines()[0] == (
        "Task faces: Synthetic faces help: synth@0.5 is better than real, weighted_loss (the best"
        " without synthesis) and copy@0.5."
    )
    one = arm_of(found, "synth@0.5")
    assert [gap.against for gap in one.help.against] == ["weighted_loss", "copy@0.5"]
    assert one.difference.role == "primary" and one.difference.corrected_p == one.difference.p
    assert one.help.p == max(gap.p for gap in [one.difference, *one.help.against])
    assert "it speaks of other splits and other GANs, too; 3 rounds, 2 seeds each." in found.verdict
    assert arm_of(found, "copy@0.5").difference.role == "exploratory"


@pytest.mark.parametrize(
    ("arms", "answer", "words"),
    [
        ({"copy@0.5": 0.88}, "does_not_help", "but was not found to be better than copy@0.5"),
        ({"weighted_loss": 0.88}, "does_not_help", "not found to be better than weighted_loss"),
        ({"synth@0.5": 0.7}, "does_not_help", "no difference between synth@0.5 and real was found"),
        ({"synth@0.5": 0.45}, "does_not_help", "do not help: synth@0.5 is worse than real"),
        ({"copy@0.5": None}, "cannot_be_told", "but was not tested against copies"),
        ({"weighted_loss": None}, "cannot_be_told", "against any other arm without synthesis"),
        ({"copy@0.5": None, "copy@1.0": 0.7}, "cannot_be_told", "not tested against copies"),
        ({"shuffled@0.5": 0.87}, "cannot_be_told", "though its classes are shuffled"),
        ({"shuffled@0.5": 0.7}, "helps", "Synthetic faces help"),
        ({"withheld": 0.7}, "helps", "The experiment is in doubt: withheld, which has real faces"),
        ({"withheld": 0.9, "part@0.5": 0.5}, "helps", "Synthetic faces help"),
    ],
)
def test_answers(tmp_path, arms, answer, words):
    arms = {arm: value for arm, value in (GOOD | arms).items() if value is not None}
    found = Experiment(tmp_path, arms, rounds=4, seeds=1).compare()
    assert found.result.answer == answer
    assert words in found.verdict
    assert found.result.sentence in found.verdict.splitlines()[0]


@pytest.mark.parametrize(
    ("arms", "surest"),
    [
        ({"withheld": 0.99}, "synth@0.5"),  # a control is no way to treat imbalance
        ({"synth@0.5": 0.7, "copy@0.5": 0.9}, "copy@0.5"),
        ({"synth@0.5": 0.7, "copy@0.5": 0.45, "weighted_loss": 0.7}, None),
    ],
)
def test_the_surest_arm_is_named(tmp_path, arms, surest):
    found = Experiment(tmp_path, GOOD | arms, rounds=4, seeds=1).compare()
    assert found.result.surest == surest
    if surest is None:
        assert "Of all arms, none was found to be better than real." in found.verdict
    else:
        gap = arm_of(found, surest).difference
        assert f"gain of {surest} over real is the surest: {gap.difference:+.3f} [" in found.verdict


def test_the_surest_arm_says_which_simpler_ones_it_does_not_beat(tmp_path):
    arms = GOOD | {"copy@0.5": 0.83, "withheld": 0.99}
    found = Experiment(tmp_path, arms, rounds=4, seeds=1).compare()
    assert found.result.surest == "synth@0.5"
    assert arm_of(found, "synth@0.5").help.not_beaten == ["copy@0.5"]
    assert "but it was not found to be better than copy@0.5, without a GAN." in found.verdict


def test_the_surest_of_many_arms_is_corrected_for_their_number(tmp_path):
    made = Experiment(tmp_path, GOOD, rounds=4, seeds=1).compare().result.arms
    real, main = made[0], next(one for one in made if one.arm == "synth@0.5")

    def arm(number, p):
        gap = main.difference.model_copy(update={"arm": str(number), "p": p, "verdict": "better"})
        return main.model_copy(update={"arm": str(number), "difference": gap})

    assert surest([real, arm(0, 0.02)], 0.95) == "0"
    assert surest([real, arm(0, 0.02), arm(1, 0.4), arm(2, 0.5)], 0.95) is None


def test_no_arm_is_surest_where_the_verdict_is_withheld(tmp_path):
    found = Experiment(tmp_path, GOOD, rounds=1, seeds=1).compare()
    assert found.result.withheld and found.result.surest is None
    assert "Of all arms" not in found.verdict


def test_a_control_that_works_casts_no_doubt(tmp_path):
    arms = GOOD | {"shuffled@0.5": 0.7, "withheld": 0.9}
    found = Experiment(tmp_path, arms, rounds=3).compare()
    assert found.result.doubts == [] and "doubt" not in found.verdict


def test_the_best_opponent_is_chosen_on_val(tmp_path):
    made = Experiment(tmp_path, GOOD | {"focal": 0.6})
    assert made.compare().result.best == "weighted_loss"
    made.arms["focal"] = 0.9  # on val alone
    for number in range(2):
        for seed in range(2):
            made.write("focal", number, seed, "val")
    found = made.compare()
    assert found.result.best == "focal"
    assert arm_of(found, "focal").val > 0.8
    without = made.compare(val_predictions=())
    assert without.result.best is None
    assert "not tested against the best arm without synthesis, which only val" in without.verdict


def test_no_difference_says_what_would_have_been_found(tmp_path):
    found = Experiment(tmp_path, GOOD | {"synth@0.5": 0.7}, rounds=3).compare()
    gap = arm_of(found, "synth@0.5").difference
    assert gap.verdict == "none"
    assert (
        f"No difference was found; one of {gap.detectable:.3f} or more would have been, in 4 of 5"
        " cases." in found.verdict
    )


def test_the_primary_arm_can_be_declared(tmp_path):
    made = Experiment(tmp_path, GOOD | {"weighted_loss": 0.9}, rounds=3)
    options = CompareOptions(primary="weighted_loss", num_permutations=100)
    found = made.compare(options)
    assert found.result.sentence == "weighted_loss helps: it is better than real."
    assert arm_of(found, "weighted_loss").difference.role == "primary"
    assert arm_of(found, "synth@0.5").difference.role == "exploratory"
    with pytest.raises(DataError, match="primary arm focal: expected one of the arms compared"):
        made.compare(CompareOptions(primary="focal", num_permutations=100))


def test_exploratory_comparisons_are_corrected_over_arms_and_tasks(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "a": 0.75, "b": 0.75, "c": 0.7}, rounds=3)
    one, two = (made.compare(is_exploratory=True, num_tasks=num).result for num in (1, 2))
    p = [arm.difference.p for arm in one.arms[1:]]
    assert {arm.difference.role for arm in one.arms[1:]} == {"exploratory"}
    assert one.arms[1 + int(np.argmin(p))].difference.corrected_p == pytest.approx(
        min(3 * min(p), 1)
    )
    for arm, again in zip(one.arms[1:], two.arms[1:], strict=True):
        expected = min(2 * arm.difference.corrected_p, 1)
        assert again.difference.corrected_p == pytest.approx(expected)
    assert made.compare(is_exploratory=True).verdict.startswith("Task faces, exploratory: ")


def test_controls_are_corrected_for_each_other_alone(tmp_path):
    """However many treatments are tried beside them, a control is seen to fail, or to work."""
    skills = {"real": 0.7, "a": 0.75, "b": 0.75, "c": 0.72, "withheld": 0.75, "shuffled@0.5": 0.7}
    found = Experiment(tmp_path, skills, rounds=3).compare(is_exploratory=True)
    p = {one.arm: one.difference for one in found.result.arms[1:]}
    for family in (("a", "b", "c"), ("withheld", "shuffled@0.5")):
        least = min(family, key=lambda arm: p[arm].p)
        assert p[least].corrected_p == pytest.approx(min(len(family) * p[least].p, 1))
    lines = found.verdict.splitlines()
    first, then = (
        lines.index(f"{what}, corrected together (Holm):") for what in ("Exploratory", "Controls")
    )
    assert [line.split()[1] for line in lines[first + 1 : then]] == ["b", "c"]  # a is told before
    assert [line.split()[1] for line in lines[then + 1 : then + 3]] == ["withheld", "shuffled@0.5"]


def test_one_round_speaks_of_its_gan_and_one_training_of_nothing(tmp_path):
    one = Experiment(tmp_path / "a", GOOD, rounds=1, seeds=3).compare()
    assert "speaks of this GAN and this split only; 1 round, 3 seeds each" in one.verdict
    none = Experiment(tmp_path / "b", GOOD, rounds=1, seeds=1).compare()
    assert none.result.answer == "cannot_be_told"
    assert "cannot be told: each arm was trained once, so that chance" in none.verdict
    assert {arm.difference.verdict for arm in none.result.arms[1:]} == {"unclaimed"}
    assert "4 of 5" not in none.verdict


def test_an_official_test_part_is_the_same_in_all_rounds(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "synth@1.0": 0.8})
    parts = made.splits[1]["split"].to_numpy().copy()
    was_test = parts == "test"
    parts[:300] = "test"
    parts[was_test & (np.arange(len(parts)) >= 300)] = "train"
    made.splits[1] = made.splits[1].assign(split=parts)
    for arm in made.arms:
        for seed in range(2):
            for split in ("val", "test"):
                made.write(arm, 1, seed, split)
    found = made.compare()
    assert found.result.same_test and found.result.num_images == 299
    assert "other GANs, too, on these test images" in found.verdict


def test_baseline_alone_has_nothing_to_compare_with(tmp_path):
    found = Experiment(tmp_path, {"real": 0.7}, rounds=1).compare()
    assert "there is nothing to compare with" in found.verdict
    assert found.result.main is None
    found.draw(tmp_path / "figure.svg")


# --- withheld, with reasons


def test_a_class_with_few_test_images_withholds_the_verdict(tmp_path):
    curated = make_curated(shares=(0.5, 0.48, 0.02))
    made = Experiment(tmp_path, GOOD, curated=curated)
    found = made.compare()
    parts = [one.loc[one["split"] == "test", "image_id"] for one in made.splits]
    num = min(int((curated.set_index("image_id").loc[ids, "age"] == "old").sum()) for ids in parts)
    assert found.result.answer == "cannot_be_told"
    assert f"class old has {num} test images in a round, fewer than 10" in found.verdict
    assert arm_of(found, "synth@0.5").difference.verdict == "withheld"


def test_a_class_that_the_data_lack_withholds_nothing(tmp_path):
    made = Experiment(tmp_path, GOOD)
    curated = made.curated.assign(age=made.curated["age"].cat.add_categories("ancient"))
    tables.write(curated, tmp_path / "curated.parquet")
    for path in [*made.paths(), *made.paths("val")]:
        table = tables.read(path).assign(**{"age:ancient": 0.0})
        tables.write(table, path)
    found = made.compare()
    assert found.result.withheld == []
    assert set(found.result.rounds[0].support) == set(CLASSES)


def test_a_baseline_that_guesses_withholds_the_verdict(tmp_path):
    made = Experiment(tmp_path, GOOD)
    for number in range(2):
        for seed in range(2):
            table = tables.read(made.path("real", number, seed))
            table["age"] = pd.Categorical(["young"] * len(table), categories=CLASSES)
            tables.write(table, made.path("real", number, seed))
    found = made.compare()
    assert found.result.answer == "cannot_be_told"
    assert "real is no better than naming the most frequent class" in found.verdict
    assert "that of a guess 0.333" in found.verdict


def write_doses(folder, accepted):
    paths = []
    for number, one in enumerate(accepted):
        names = [f"female/{CLASSES[1]}", f"male/{CLASSES[2]}"]
        table = pd.DataFrame(
            {"class": [1, 2], "name": names, "deficit": [100, 300], "accepted": one}
        )
        paths.append(folder / f"doses{number}.csv")
        tables.write(table, paths[-1])
    return paths


def test_the_dose_reached_stands_in_name_and_verdict(tmp_path):
    made = Experiment(tmp_path, GOOD)
    found = made.compare(doses=write_doses(tmp_path, [(100, 60), (40, 100)]))
    dose = arm_of(found, "synth@0.5").dose
    assert (dose.low, dose.high) == pytest.approx((110 / 400, 140 / 400))
    assert "synth@0.5 (0.31 reached) is better than real" in found.verdict
    assert "Dose: 0.50 of what rare classes lack, 0.31 reached (0.28 to 0.35 by round)." in (
        found.verdict
    )
    refused(
        made, "1 files doses.csv; expected one of each of 2 rounds", doses=[tmp_path / "doses0.csv"]
    )
    full = made.compare(doses=write_doses(tmp_path, [(50, 150), (90, 300)]))
    assert arm_of(full, "synth@0.5").label == "synth@0.5"


@pytest.mark.parametrize(
    ("accepted", "ages", "words"),
    [
        # Of 90 images 30 are of one class: 1 - (1/3)^2 - (2/3)^2 of the labels are wrong.
        ([30, 60], CLASSES[1:3], "a weak control: of its images 44% are said to be of another age"),
        ([50, 50], CLASSES[1:3], "(of its images 50% are said to be of another age than was"),
        ([50, 150], [CLASSES[1]] * 2, "no control: all its images are of one age"),
    ],
)
def test_the_verdict_tells_how_much_shuffled_classes_are_worth(tmp_path, accepted, ages, words):
    made = Experiment(tmp_path, GOOD | {"shuffled@0.5": 0.87}, rounds=3)
    doses = write_doses(tmp_path, [accepted] * 3)
    table = pd.DataFrame(
        {"class": [1, 2], "name": tables.read(doses[0])["name"], "sex": ["female", "male"]}
    ).assign(age=ages, count=[50, 60], deficit=[100, 300])
    tables.write(table, tmp_path / "deficits.csv")
    found = made.compare(doses=doses, deficits=[tmp_path / "deficits.csv"] * 3)
    assert words in found.verdict
    # A control without a wrong label says nothing against a gain.
    answer = "helps" if len(set(ages)) == 1 else "cannot_be_told"
    assert found.result.answer == answer


def test_arms_without_an_accepted_image_have_no_verdict(tmp_path):
    made = Experiment(tmp_path, GOOD)
    found = made.compare(doses=write_doses(tmp_path, [(0, 0), (40, 100)]))
    assert found.result.answer == "cannot_be_told"
    assert "no synthetic image was accepted in 1 of 2 rounds" in found.result.sentence
    assert arm_of(found, "weighted_loss").difference.verdict != "withheld"


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ({"classes_told": False}, "cannot tell the classes of the synthetic images from chance"),
        ({"memorized": ["old"]}, "accepted synthetic images are copies of train's in 1 of 2"),
    ],
)
def test_what_the_filter_found_withholds_synthetic_arms(tmp_path, fact, words):
    made = Experiment(tmp_path, GOOD)
    for number, one in enumerate([{"classes_told": True, "memorized": []}, fact]):
        files.write_json(one, tmp_path / f"filter{number}.json")
    found = made.compare(facts=[tmp_path / f"filter{number}.json" for number in range(2)])
    assert found.result.answer == "cannot_be_told" and words in found.result.sentence


# --- labels before their review


def test_the_verdict_is_also_given_by_the_labels_before(tmp_path):
    made = Experiment(tmp_path, GOOD, rounds=3)
    old = made.curated["age"].iloc[:3].astype(str)
    new = ["old" if one != "old" else "young" for one in old]
    changed = made.curated.copy()
    changed.loc[changed.index[:3], "age"] = new
    tables.write(changed, tmp_path / "curated.parquet")
    rows = {"image_id": ["i00000", "i00001", "i00002", "i01199", "gone"], "attribute": "age"}
    table = pd.DataFrame(rows | {"old": [*old, "old", "old"], "new": [*new, "old", "old"]})
    tables.write(table.assign(who="reviewer"), tmp_path / "relabelled.parquet")
    found = made.compare(test_labels_before=tmp_path / "relabelled.parquet")
    assert found.result.before.num_changed == 3
    assert "3 test labels of 899 changed in review; without the changes: better," in found.verdict
    tables.write(made.curated, tmp_path / "curated.parquet")
    plain = made.compare()
    before = {one.arm: one for one in found.result.before.differences}
    for one in plain.result.arms[1:]:
        assert before[one.arm].difference == pytest.approx(one.difference.difference)
    assert plain.result.before is None
    same = made.compare(test_labels_before=tmp_path / "relabelled.parquet")
    assert same.result.before is None  # no label of a test image is another one now


# --- refusals, one line each


def refused(made, match, **more):
    with pytest.raises(DataError, match=match) as error:
        made.compare(**more)
    assert "\n" not in str(error.value)


@pytest.fixture
def made(tmp_path):
    return Experiment(tmp_path, {"real": 0.7, "synth@0.5": 0.8})


def test_an_arm_that_lacks_a_round_or_seed_is_refused(made):
    paths = made.paths()
    refused(
        made, "no predictions of arm synth@0.5, round 1, seed 1; every arm", predictions=paths[:-1]
    )
    refused(made, "no predictions of the baseline real", predictions=paths[2:4])
    refused(made, "arm synth@0.5, round 1, seed 1 given twice", predictions=[*paths, paths[-1]])
    refused(made, "no val predictions of arm synth", val_predictions=made.paths("val")[:2])


def test_rounds_of_other_numbers_of_seeds_are_refused(made):
    paths = [path for path in made.paths() if "round1" not in str(path) or "seed1" not in str(path)]
    refused(made, r"rounds have \[1, 2\] seeds", predictions=paths)


@pytest.mark.parametrize("part", ["train", "val"])
def test_arms_of_a_round_that_learned_from_other_images_are_refused(made, part):
    path = made.path("synth@0.5", 1, 0)
    tables.write(tables.read(path).assign(**{f"{part}_ids": "0" * 16}), path)
    refused(made, f"arm synth@0.5 of round 1 has other {part} images than real")


def test_predictions_of_other_images_than_the_test_part_are_refused(made):
    path = made.path("synth@0.5", 0, 0)
    table = tables.read(path)
    tables.write(table[:-1], path)
    refused(made, "299 images that are not the test part of round 0, which its network")
    # Images that the network learned from, under the digest of test.
    splits = made.splits[0]
    ids = splits.loc[splits["split"] == "train", "image_id"][: len(table)].to_numpy()
    tables.write(table.assign(image_id=ids), path)
    refused(made, "300 images that are not the test part of round 0")
    tables.write(pd.concat([table, table[:1]]), path)
    refused(made, "image 'i00000' twice")


def test_test_parts_that_overlap_are_refused(made):
    for arm in made.arms:
        for seed in range(2):
            table = tables.read(made.path(arm, 1, seed))
            ids = table["image_id"].to_numpy().copy()
            ids[:5] = [f"i{i:05d}" for i in range(5)]
            table = table.assign(image_id=ids, test_ids=digest_of_ids(ids))
            tables.write(table, made.path(arm, 1, seed))
    refused(made, "5 of 300 test images of round 1 are tested in round 0, too", val_predictions=())


def test_a_person_tested_in_two_rounds_is_refused(tmp_path):
    curated = make_curated()
    curated.loc[[5, 305], "group"] = "the same"
    made = Experiment(tmp_path, {"real": 0.7, "synth@0.5": 0.8}, curated=curated)
    refused(made, "1 persons or images are tested in more than one round")


def test_unequal_budgets_are_refused(tmp_path):
    changed = {"synth@0.5": {"real_shown": 700, "images_shown": 1000}}
    Experiment(tmp_path / "a", {"real": 0.7, "synth@0.5": 0.8}, changed=changed).compare()
    changed = {"synth@0.5": {"real_shown": 700, "images_shown": 1100}}
    made = Experiment(tmp_path / "b", {"real": 0.7, "synth@0.5": 0.8}, changed=changed)
    refused(
        made,
        r"round 0, seed 0: synth@0.5 was shown 700 real images \(1100 in all\), real 1000 \(1000\)",
    )


def test_files_that_are_no_run_are_refused(made):
    path = made.path("synth@0.5", 0, 0)
    table = tables.read(path)
    tables.write(table.assign(seed=pd.array([pd.NA] * len(table), dtype="Int64")), path)
    refused(made, "the mean of several seeds; expected one arm and seed")
    tables.write(table.assign(arm=["a"] * 150 + ["b"] * 150), path)
    refused(made, "rows of 2 models")
    tables.write(table.drop(columns="age"), path)
    refused(made, "no column")
    tables.write(table.drop(columns="test_ids"), path)
    refused(made, "no column .*test_ids.*make it again with `classifiers evaluate`")


def test_images_and_classes_that_nobody_knows_are_refused(made):
    tables.write(made.curated[1:], made.folder / "curated.parquet")
    refused(made, "image 'i00000' was predicted, but is not in the curated table")
    missing = made.curated.assign(age=made.curated["age"].where(made.curated.index >= 300))
    tables.write(missing, made.folder / "curated.parquet")
    refused(made, "head age: no image of round 0 has a label")
    tables.write(made.curated, made.folder / "curated.parquet")
    path = made.path("real", 0, 0)
    tables.write(tables.read(path).assign(age="ancient"), path)
    refused(made, "predictions name other classes")


def test_runs_are_aligned_and_masked(made):
    runs = line_up(read_predictions(made.paths(), HEAD, "test"), made.curated, HEAD, "real")
    assert runs.arms == ["real", "synth@0.5"] and not runs.same_test
    first = runs.rounds[0]
    assert first.pred.shape == (2, 2, 299) and first.prob.shape == (2, 2, 299, 3)
    expected = made.table("synth@0.5", 0, 1)["age"].cat.codes.to_numpy()
    np.testing.assert_array_equal(first.pred[1, 1], np.delete(expected, 7))
    assert len(np.unique(first.cluster)) == 150
    assert not set(first.cluster) & set(runs.rounds[1].cluster)


# --- files and the command


def options(made, **changed):
    folder = made.folder / "out"
    values = {
        "curated": made.folder / "curated.parquet",
        "task": "faces",
        "heads": HEADS,
        "head": "age",
        "num_permutations": 200,
        "seed": 0,
        "json": folder / "faces.json",
        "csv": folder / "faces.csv",
        "svg": folder / "faces.svg",
        "verdict": folder / "faces.txt",
        **changed,
    }
    given = [("--predictions", path) for path in made.paths()]
    given += [("--val-predictions", path) for path in made.paths("val")]
    return ["compare", *[str(part) for pair in given for part in pair], *as_options(values)]


def invoke(arguments):
    found = CliRunner().invoke(main, arguments)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def test_command_writes_verdict_figures_and_the_same_bytes_again(tmp_path):
    made = Experiment(tmp_path, GOOD)
    arguments = options(made)
    assert invoke(arguments).exit_code == 0
    folder = tmp_path / "out"
    found = files.read_json(folder / "faces.json")
    assert [arm["arm"] for arm in found["arms"]] == list(GOOD)
    assert (folder / "faces.txt").read_text() == f"{found['verdict']}\n"
    csv = pd.read_csv(folder / "faces.csv")
    assert list(csv["arm"]) == list(GOOD)
    assert csv["recall:old"].between(0, 1).all()
    assert (folder / "faces.run.json").exists()
    names = ("faces.json", "faces.csv", "faces.svg", "faces.txt")
    first = [(folder / name).read_bytes() for name in names]
    assert b"<svg" in first[2]
    assert invoke(arguments).exit_code == 0
    assert [(folder / name).read_bytes() for name in names] == first
    by_library = made.compare(CompareOptions(num_permutations=200))
    assert by_library.plain() == found


def test_the_result_keeps_to_its_schema(tmp_path):
    schema = json.loads(result.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for number, arms in enumerate((GOOD, {"real": 0.7}, {"real": 0.7, "synth@1.0": 0.7})):
        plain = Experiment(tmp_path / str(number), arms, 1 + number, 1).compare().plain()
        jsonschema.validate(plain, schema)
        assert result.Result.model_validate(plain).model_dump(mode="json") == plain
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain | {"answer": "perhaps"}, schema)


def test_the_schema_is_current():
    assert result.SCHEMA.read_text() == result.schema(), "python -m evenface.experiment.result"


def test_the_command_refuses_in_one_line(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7})
    years = {"name": "years", "attributes": ["years"], "kind": "numeric", "weight": 1.0}
    tables.write(made.curated.assign(years=1.0), tmp_path / "curated.parquet")
    for head in ("hair", "years"):
        found = invoke(options(made, head=head, heads=[*HEADS, years]))
        assert found.exit_code == 1 and f"head {head}" in found.output
        assert len(found.output.strip().splitlines()) == 1


def test_many_images_take_seconds(tmp_path):
    import time

    made = Experiment(
        tmp_path, {"real": 0.7, "synth@0.5": 0.8, "copy@0.5": 0.7}, curated=make_curated(num=4000)
    )
    start = time.process_time()
    made.compare(CompareOptions())
    assert time.process_time() - start < 20


@pytest.mark.parametrize("measure", ["recall", "g_mean", "accuracy", "weighted_f1"])
def test_every_measure_can_judge(tmp_path, measure):
    found = Experiment(tmp_path, GOOD, rounds=2, seeds=1).compare(measure=measure)
    assert found.result.answer in ("helps", "does_not_help")
    assert np.isfinite(arm_of(found, "synth@0.5").difference.difference)


def test_options_of_heads_are_read(tmp_path):
    question = compare.Question("faces", [HeadOptions(**HEADS[0])], "age", "macro_f1")
    assert question.num_tasks == 1 and FAST.baseline == "real"


# --- faces from elsewhere


def test_a_set_from_elsewhere_has_its_own_labels_and_val_those_of_the_data_set(tmp_path):
    made = Experiment(tmp_path, {"real": 0.7, "weighted_loss": 0.6, "synth@1.0": 0.9})
    number = 400
    other = make_curated(number, seed=5).assign(image_id=[f"web{k}" for k in range(number)])
    for path in made.paths():
        table = tables.read(path)
        drawn = pd.concat([table] * 2, ignore_index=True).head(number)
        drawn["image_id"] = other["image_id"]
        tables.write(drawn.assign(test_ids=digest_of_ids(other["image_id"])), path)
    tables.write(other, tmp_path / "matched.parquet")
    evidence = {"curated": tmp_path / "matched.parquet"}
    with pytest.raises(DataError, match="curated table"):
        made.compare(**evidence)  # val has other images
    found = made.compare(**evidence, val_curated=tmp_path / "curated.parquet").result
    assert found.same_test and found.best == "real"
    assert found.num_images <= number


# --- the dose


def test_the_dose_is_chosen_on_val_where_no_arm_is_declared(tmp_path):
    arms = {"real": 0.7, "synth@0.5": 0.75, "synth@1.0": 0.85, "focal+synth@1.0": 0.9}
    made = Experiment(tmp_path, arms, rounds=3)
    found = made.compare().result
    assert found.main == "synth@1.0" and found.num_doses == 2
    assert "Dose: 1.00 of what rare classes lack (the best of 2 on val)" in found.verdict
    first = made.compare(CompareOptions(num_permutations=100, dose="declared")).result
    assert first.main == "synth@0.5" and first.num_doses == 1
    declared = made.compare(CompareOptions(num_permutations=100, primary="synth@0.5")).result
    assert declared.main == "synth@0.5" and "on val" not in declared.verdict.split("Opponents")[0]
