"""The first screen: lights by their rules, the figures that matter, what to do next."""

import copy
import shutil

import pytest
from page_run import HOSTILE, TASKS, make_run, make_verdict

from evenface.page import answer, report, trust
from evenface.page.run import Run
from facekit.storage import files, tables


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("results") / "avatars")


@pytest.fixture
def root(whole_run, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(whole_run, tmp_path / "avatars")


@pytest.fixture
def comparison():
    """A main arm that beats the baseline, and an opponent that it was not found to beat."""
    found = make_verdict().model_dump(mode="json")
    main = found["arms"][1]
    against = {**main["difference"], "against": "copy@1.0", "difference": -0.01, "low": -0.03,
               "high": 0.01, "verdict": "none", "detectable": 0.045}  # fmt: skip
    main["help"] = {"answer": "does_not_help", "against": [against], "missing": [],
                    "not_beaten": ["copy@1.0"], "p": 0.5,
                    "corrected_p": 0.5}  # fmt: skip
    return found


def lights(root):
    """Return level and reasons of each light, by what it is about."""
    task = report.of_tasks(Run(root, 1), TASKS)[0]
    return {light.about: (light.level, light.why) for light in task["lights"]}


def edit(path, **values):
    files.write_json(files.read_json(path) | values, path)


def test_lights_of_a_sound_run_tell_what_they_saw(root):
    found = lights(root)
    assert found["Data"][0] == "green"
    assert found["Split"] == ("green", ("no copies or persons in two parts",))
    assert found["Classifier"] == ("green", ("balanced accuracy 0.55, a guess has 0.33",))


def test_doubtful_labels_show(root):
    issues = tables.read(root / "label_issues.csv").iloc[[0] * 12].assign(issue="True")
    tables.write(issues, root / "label_issues.csv")  # of 53 labels
    assert lights(root)["Data"] == ("red", ("23% of hair_color labels doubtful",))
    tables.write(issues.head(4), root / "label_issues.csv")
    assert lights(root)["Data"] == ("amber", ("7.5% of hair_color labels doubtful",))


@pytest.mark.parametrize(
    ("missing", "light", "why"),
    [
        ("label_issues.csv", "Data", "labels were not checked"),
        ("duplicates.parquet", "Data", "duplicates were not looked for"),
        ("round0/split_check.json", "Split", "the split was not checked"),
    ],
)
def test_what_was_not_looked_at_is_amber(root, missing, light, why):
    (root / missing).unlink()
    assert lights(root)[light] == ("amber", (why,))


def test_copies_in_two_parts_are_red(root):
    edit(root / "round0" / "split_check.json", straddling={"group": 2, "cluster": 0}, copies=1)
    assert lights(root)["Split"] == ("red", ("3 groups or copies stand in more than one part",))


@pytest.mark.parametrize(("images", "level"), [(9, "red"), (29, "amber"), (30, "green")])
def test_few_test_images_of_a_class_show(root, images, level):
    comparison = files.read_json(root / "compare" / "hair.json")
    comparison["rounds"][0]["support"] = {"black": 80, HOSTILE: images}
    files.write_json(comparison, root / "compare" / "hair.json")
    found = lights(root)["Split"]
    assert found[0] == level
    assert f"{images} test images of {HOSTILE} in a round, the fewest of a class" in found[1]


def test_generator_shows_the_worst_round(root):
    shutil.copytree(root / "round0", root / "round1")
    facts = root / "round1" / "synth" / "base" / "filter.json"
    edit(facts, classes_told=False, memorized=["black"])
    found = {light for light in trust.of_drawn(Run(root, 2)) if light[0] == "red"}
    assert found == {
        ("red", "the teacher cannot tell its classes from chance in 1 of 2 rounds"),
        ("red", "it repeats images of black"),
    }


def test_a_light_leads_to_what_sets_it(root):
    def evidence():
        found = report.of_tasks(Run(root, 1), TASKS)[0]["lights"]
        return {light.about: light.evidence for light in found}

    before = evidence()
    assert before["Data"] == "wrong" and before["Generator"] == "gan"
    edit(root / "round0/synth/base/filter.json", classes_told=False)
    assert evidence() == {**before, "Generator": "synth"}


def test_acceptance_nearness_and_coverage_are_amber(root):
    metrics = files.read_json(root / "round0" / "gan" / "base" / "metrics.json")
    metrics["coverage_efficientnet_lite0"] = 0.125  # of 0.625
    files.write_json(metrics, root / "round0" / "gan" / "base" / "metrics.json")
    assert lights(root)["Generator"] == (
        "amber",
        (
            "covers 20% of the variety that real images have",
            "25 times as many as by chance are near to training images",
            f"0% of the images of {HOSTILE} accepted",
        ),
    )


def test_classifier_that_guesses_is_red(root):
    for path in root.glob("round0/classifiers/hair/real/seed[01]/metrics.json"):
        metrics = files.read_json(path)
        metrics["hair_color"]["intervals"] = {"balanced_accuracy": [0.3, 0.6]}
        files.write_json(metrics, path)
    assert lights(root)["Classifier"][0] == "red"
    metrics["hair_color"]["intervals"] = {"balanced_accuracy": [0.35, 0.6]}  # of one seed
    files.write_json(metrics, path)
    assert lights(root)["Classifier"][0] == "amber"


@pytest.mark.parametrize(("detectable", "level"), [(0.02, "green"), (0.045, "amber"), (0.2, "red")])
def test_power_is_that_of_what_the_answer_rests_on(comparison, detectable, level):
    main = comparison["arms"][1]
    main["difference"]["claim"] = "method"
    main["help"]["against"][0] |= {"detectable": detectable, "claim": "method"}
    found = list(trust.of_power(comparison))
    assert found[0] == ("green", "against real a difference of +0.030 was found")
    assert found[1] == (level, f"a difference to copy@1.0 below {detectable:.3f} may be missed")


@pytest.mark.parametrize("of_arm", [False, True])
def test_withheld_answer_has_no_power(comparison, of_arm):
    of = comparison["arms"][1] if of_arm else comparison
    of["withheld"] = ["class black has 3 test images"]
    assert next(trust.of_power(comparison)) == ("red", "no answer can be given")


def test_every_light_has_its_rules_in_words(root):
    assert list(trust.RULES) == list(lights(root))
    assert all(set(rules) == {"red", "amber"} for rules in trust.RULES.values())


def test_figures_that_matter(comparison):
    of = [(one["value"], one["of"], one["note"]) for one in answer.key_figures(comparison)]
    assert of == [
        (0.03, "macro F1 of hair_color: 0.600 (real), 0.600 (synth@1.0)", ""),
        (
            -0.01,
            "difference of synth@1.0 to copy@1.0",
            "No difference was found; one below 0.045 may be missed.",
        ),
        (0.25, f"recall of {HOSTILE}", ""),
    ]


def test_figures_of_a_baseline_alone(comparison):
    alone = copy.deepcopy(comparison) | {"main": None, "classes": []}
    alone["arms"] = alone["arms"][:1]
    assert [one["value"] for one in answer.key_figures(alone)] == [0.6]


def test_the_surest_arm_stands_on_the_first_screen(comparison):
    found = answer.surest(comparison)
    assert (found["label"], found["against"]) == ("synth@1.0", "real")
    assert found["not_beaten"] == ["copy@1.0"]
    assert answer.surest(comparison | {"surest": None}) is None


def test_next_steps_take_the_surest_option(comparison):
    assert [(one["of_class"], one["what"]) for one in answer.next_steps(comparison)] == [
        (HOSTILE, "collect 28 more")
    ]
