"""The plan: what a run takes and could see, told before it is made."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from layouts import picture, write

from evenface import cli, planning
from evenface.experiment.power import Design, assumed_variances, detectable_by
from evenface.workflow import Run
from facekit.errors import DataError
from facekit.storage import tables
from stylegan2.models import presets

VARIANCES = ("images", "seeds", "rounds")
PLAN = {"rounds": 3, "seeds": [0, 1], "split": {"train": 0.5}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of(plan, name):
    return next(stage for stage in plan.stages if stage.name == name)


def test_jobs_and_test_images_are_those_of_the_settings(folder):
    plan = planning.make_plan(Run({**PLAN, "arms": ["real", "focal"]}), cores=2)
    assert of(plan, "gan").num_jobs == 3
    assert of(plan, "classify").num_jobs == 3 * 2 * 2
    assert all(stage.name != "teachers" for stage in plan.stages)  # no synthetic images
    (sight,) = plan.sights
    assert sight.design.rounds == 3 and sight.design.seeds == 2
    num_images = plan.settings.ingest.avatars.num_images
    assert sum(sight.support.values()) == pytest.approx(0.93 * num_images / 4, rel=0.02)
    assert plan.minutes > 0


def test_what_could_be_seen_follows_from_the_design_and_the_classes(folder):
    (sight,) = planning.make_plan(Run(PLAN), cores=2).sights
    counts = np.array(list(sight.support.values()))
    design = Design(3, 2, int(counts.sum()))
    wanted = detectable_by(design, assumed_variances(counts / counts.sum()))
    assert sight.detectable == pytest.approx(wanted)
    assert {name for name, *_ in sight.steps} == {"rounds", "seeds", "images"}
    seen = [one for _, one, _ in sight.steps]
    assert seen == sorted(seen)


def test_a_class_that_the_data_lack_withholds_nothing(folder):
    run = Run(PLAN)
    table, _ = planning._labels(run)
    table["hair_color"] = table["hair_color"].cat.add_categories("green")
    path = folder / run.results("curated.parquet")
    path.parent.mkdir(parents=True)
    tables.write(table, path)
    plan = planning.make_plan(run, cores=2)
    assert "green" not in plan.sights[0].support
    assert "would be withheld" not in "\n".join(planning.lines(plan))


def test_few_persons_of_a_class_in_the_only_test_part_are_told(folder):
    lines = {}
    for rounds in (1, 2):
        run = Run({**PLAN, "rounds": rounds})
        table, _ = planning._labels(run)
        table["group"] = table["hair_color"].astype("str") + (np.arange(len(table)) % 20).astype(
            str
        )
        path = folder / run.results("curated.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(table, path)
        lines[rounds] = planning.plan_text(run, 2)
    told = "would be withheld: fewer than 10 test images (of different persons) of black, brown"
    assert told in lines[1] and "would be withheld" not in lines[2]


def test_a_task_that_is_exploratory_sees_less(folder):
    heads = [{"name": "hair_color", "attributes": ["hair_color"], "kind": "categorical"}]
    verdict = {"head": "hair_color", "measure": "macro_f1"}
    tasks = [{"name": name, "verdict": verdict, "heads": heads} for name in ("hair", "again")]
    arms = ["real", "focal", "copy@1.0", "synth@1.0"]
    first, second = planning.make_plan(Run({**PLAN, "tasks": tasks, "arms": arms}), 2).sights
    assert (first.is_exploratory, second.is_exploratory) == (False, True)
    counts = np.array(list(second.support.values()))
    assumed = assumed_variances(counts / counts.sum())
    # Three arms with the baseline, and one with the best of the others and with copies; two tasks.
    corrected = detectable_by(second.design, assumed, 1 - 0.05 / 10)
    assert second.detectable == pytest.approx(corrected)
    assert first.detectable == pytest.approx(detectable_by(first.design, assumed))


def test_one_training_of_each_arm_could_claim_nothing(folder):
    text = planning.plan_text(Run({"rounds": 1, "seeds": [0]}), 2)
    assert "no difference could be claimed" in text


def test_an_earlier_comparison_tells_its_variances_and_seconds(folder):
    run = Run(PLAN)
    parts = {"images": 0.0004, "seeds": 0.0001, "rounds": None}
    main = {"arm": "synth@1.0", "difference": {"variances": parts}}
    rounds = [{"seeds": [0, 1]}] * 3
    path = folder / run.results("compare/hair.json")
    path.parent.mkdir(parents=True)
    found = {"arms": [main], "main": "synth@1.0", "rounds": rounds, "num_images": 900}
    path.write_text(json.dumps(found))
    trained = folder / run.gan("").format(round=0)
    trained.mkdir(parents=True)
    (trained / "network-chosen.safetensors").touch()
    record = {"command": ["stylegan2", "train", "--threads", "2"], "seconds": 100.0}
    (trained / "run.json").write_text(json.dumps(record))
    plan = planning.make_plan(run, cores=2)
    (sight,) = plan.sights
    assert sight.is_measured
    gan = of(plan, "gan")
    assert (gan.num_done, gan.seconds, gan.is_measured) == (1, 400.0, True)  # two left
    assert "as measured by the last run" in "\n".join(planning.lines(plan))


def test_what_the_last_run_did_not_repeat_is_assumed(folder):
    run = Run({**PLAN, "rounds": 1})
    counts = np.array(list(planning.make_plan(run, cores=2).sights[0].support.values()))
    assumed = assumed_variances(counts / counts.sum())
    path = folder / run.results("compare/hair.json")
    path.parent.mkdir(parents=True)
    main = {"arm": "synth@1.0", "difference": {"variances": dict.fromkeys(VARIANCES)}}
    main["difference"]["variances"]["images"] = 0.0004
    found = {"arms": [main], "main": "synth@1.0", "rounds": [{"seeds": [0]}], "num_images": 900}
    path.write_text(json.dumps(found))
    (sight,) = planning.make_plan(run, cores=2).sights
    measured = replace(assumed, images=0.36, noise=0.0)
    assert sight.detectable == pytest.approx(detectable_by(sight.design, measured))


def test_a_finished_run_takes_no_more_time_and_a_further_round_its_price(folder):
    run = Run({**PLAN, "arms": ["real", "copy@1.0"]})
    named = run.stages()
    plan = planning.make_plan(run, cores=1)
    assert all(stage.name != "teachers" for stage in plan.stages)  # copies are of no generator
    before = [price for name, _, price in plan.sights[0].steps if name == "rounds"]
    made = [*named["gan"], *named["classify"], *named["evaluate"], run.results("oof.parquet")]
    for path in made:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    table, _ = planning._labels(run)
    tables.write(table, folder / run.results("curated.parquet"))
    plan = planning.make_plan(run, cores=1)
    assert plan.minutes == 0 and all(stage.seconds == 0 for stage in plan.stages)
    after = [price for name, _, price in plan.sights[0].steps if name == "rounds"]
    assert before[0] > 0 and after == before


@pytest.mark.parametrize(
    "minutes, told",
    [(0, "less than a minute"), (0.7, "about 1 minute"), (2.2, "about 2 minutes")],
)
def test_minutes_are_told_as_people_do(folder, minutes, told):
    plan = planning.make_plan(Run(PLAN), cores=1)
    step = ("seeds", 0.1, minutes)
    plan = replace(plan, minutes=minutes, sights=[replace(plan.sights[0], steps=[step])])
    text = "\n".join(planning.lines(plan))
    assert f"{told.capitalize()} on 1 core without a GPU" in text
    assert f"with one more seed: 0.100, {told} more" in text


def test_what_headwear_covers_has_no_label(folder):
    (sight,) = planning.make_plan(Run(PLAN), cores=1).sights
    adapter = Run(PLAN).settings.adapter
    covered = 1 - adapter.shares()["headwear"]["none"]
    expected = adapter.num_images * (1 - covered) / 4
    assert sum(sight.support.values()) == pytest.approx(expected, rel=0.01)


def test_faces_that_are_cut_take_their_time_and_those_that_are_not_found_are_told(folder):
    for number in range(40):
        write(folder / f"faces/{'old' if number % 2 else 'young'}/{number}.png", picture(number))
    heads = [{"name": "age", "attributes": ["age"], "kind": "categorical"}]
    task = {"name": "ages", "verdict": {"head": "age", "measure": "macro_f1"}, "heads": heads}
    config = {"dataset": "faces", "dataset_root": "faces", "gan": {"condition": ["age"]}}
    config |= {"tasks": [task], "rounds": 2}
    seconds, missing = {}, {}
    for faces in ("keep", "cut"):
        adapter = {"adapter": "imagefolder", "imagefolder": {"attribute": "age"}}
        run = Run(config | {"ingest": adapter | {"faces": faces}})
        plan = planning.make_plan(run, cores=2)
        seconds[faces] = of(plan, "data").seconds
        missing[faces] = [one for one in planning.in_short(plan) if "will be missing" in one]
    assert not missing["keep"] and "or with several for one label" in missing["cut"][0]
    table, _ = planning._labels(run)
    (folder / run.results("index.parquet")).parent.mkdir(parents=True)
    tables.write(table, folder / run.results("index.parquet"))
    assert "will be missing" not in planning.plan_text(run, 2)  # it is known
    assert seconds["cut"] - seconds["keep"] == pytest.approx(40 * planning.CUT_SECONDS)


def test_more_rounds_than_test_parts_are_refused(folder):
    with pytest.raises(DataError, match=r"rounds: 7, but test parts of 0.15 of all images"):
        Run({"rounds": 7, "split": {"train": 0.7}})
    root = folder / "faces"
    for number in range(40):
        write(root / f"{'old' if number % 2 else 'young'}/{number}.png", picture(number))
    config = {
        "dataset": "faces", "dataset_root": str(root), "rounds": 7,
        "ingest": {"adapter": "imagefolder", "imagefolder": {"attribute": "age"}},
        "split": {"train": 0.7}, "gan": {"condition": ["age"]},
        "tasks": [{
            "name": "ages", "verdict": {"head": "age", "measure": "macro_f1"},
            "heads": [{"name": "age", "attributes": ["age"], "kind": "categorical", "weight": 1}],
        }],
    }  # fmt: skip
    with pytest.raises(DataError, match=r"rounds: 7, but test parts of 0.15 .* enough for 6 that"):
        Run(config)
    # Folders may tell a test part that all rounds keep; these have none.
    root.rename(folder / "train")
    config["dataset_root"] = str(folder)
    config["ingest"]["imagefolder"]["official_split"] = True
    with pytest.raises(DataError, match=r"rounds: 7, but without an official test part .* for 6"):
        planning.make_plan(Run(config), 1)


def test_a_difference_that_no_measure_has_is_not_promised(folder):
    config = {"rounds": 2, "seeds": [0], "ingest": {"avatars": {"num_images": 100}}}
    text = planning.plan_text(Run(config), 1)
    assert "no difference would be found in 4 of 5 cases, however large" in text


def test_judges_of_labels_see_whole_pictures_and_classifiers_their_view(folder):
    size = Run(PLAN).settings.geometries.classifier
    half = {"view": {"crop": [size.height // 2, size.width // 2]}}
    plans = [planning.make_plan(Run({**PLAN, "classify": one}), cores=2) for one in ({}, half)]
    whole, view = (of(plan, "classify").seconds for plan in plans)
    assert 0 < view < whole
    assert of(plans[0], "labels").seconds == of(plans[1], "labels").seconds > 0


def test_the_smallest_pictures_take_their_time(folder):
    tiny = {"classify": {"view": {"resize": [32, 32]}}, "arms": ["real"]}
    tiny["split"] = {"train": 0.5, "reserve": 0}
    plan = planning.make_plan(Run({**PLAN, **tiny}), cores=2)
    shown = plan.settings.classify.epochs * plan.num_images * plan.settings.split.train
    least = planning.START_SECONDS + planning.CLASSIFIER_SECONDS * shown / 1000
    classify = of(plan, "classify")
    assert classify.seconds > least * classify.num_jobs


def test_a_gan_of_the_preset_alone_takes_the_minutes_of_its_images_and_channels(folder):
    sizes = {"cfg": "cpu-32", "kimg": "auto", "channel_base": "auto"}
    plans = [
        planning.make_plan(Run({**PLAN, "gan": {**sizes, **one}}), cores=2)
        for one in ({}, {"kimg": 2 * presets.FIXED["cpu-32"].kimg}, {"channel_base": 512})
    ]
    whole, longer, thinner = (of(plan, "gan").seconds for plan in plans)
    assert thinner < whole < longer


def test_what_was_never_measured_is_not_told(folder):
    plan = planning.make_plan(Run({"classify": {"backbone": "resnet18"}}), cores=2)
    assert plan.minutes is None
    assert "Time cannot be told" in "\n".join(planning.lines(plan))


def test_command(folder):
    (folder / "mine.yaml").write_text("ingest: {avatars: {num_images: 500}}\n")
    done = CliRunner().invoke(cli.main, ["plan", "--configfile", "mine.yaml", "--cores", "2"])
    assert done.exit_code == 0, done.output
    assert "500 images" in done.output
    assert "the verdict would be withheld: fewer than 10 test images" in done.output


def test_settings_said_one_by_one_count(folder):
    (folder / "mine.yaml").write_text("seeds: [0, 1]\n")
    command = ["plan", "--configfile", "mine.yaml", "--cores", "2", "--config", "rounds=2"]
    done = CliRunner().invoke(
        cli.main, [*command, "--config", "ingest={avatars: {num_images: 90}}"]
    )
    assert "2 rounds of 2 seeds" in done.output and "90 images" in done.output
    done = CliRunner().invoke(cli.main, [*command, "--config", "ingest={"])
    assert done.exit_code == 1 and "--config 'ingest={': not YAML" in done.output


def test_too_few_images_for_any_test_image_are_told(folder):
    config = {"ingest": {"avatars": {"num_images": 40}}, "split": {"train": 0.97}, "rounds": 1}
    with pytest.raises(DataError, match="no test image of any class of hair_color"):
        planning.make_plan(Run(config), 1)
