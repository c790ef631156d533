"""What the rules ask a run: text of options, paths, the digest of an arm's code."""

import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from classifiers.options import AugmentOptions, TrainOptions
from evenface import digest
from evenface.workflow import Run, file_option, fold_option, folder_of, synth_options
from facekit.command_options import flag_of
from facekit.digests.parts import Code
from facekit.errors import DataError

ROOT = Path(__file__).parents[2]
ARMS = ["real", "focal", "weighted_sampler", "logit_adjust+synth@0.5", "copy@0.5", "crt", "mixup"]
EVERY = ["judging", *ARMS]  # trainings


def wildcards(**values):
    return SimpleNamespace(**values)


def words(text):
    """Return the options of a command line by their flags; a switch has no value."""
    found, parts = {}, shlex.split(text)
    for i, part in enumerate(parts):
        if part.startswith("--"):
            value = parts[i + 1] if i + 1 < len(parts) else ""
            found[part] = "" if value.startswith("--") else value
    return found


def test_options_that_change_results_and_those_that_do_not_are_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my net.pkl").touch()
    run = Run({"gan": {"keep": 7, "mirror": False, "resume": "my net.pkl"}})
    options = words(run.options("gan"))
    assert options["--gamma"] == "0.2" and options["--batch-gpu"] == "auto"
    assert options["--resume"] == "my net.pkl" and "--no-mirror" in options
    assert "--keep" not in options
    harmless = words(run.harmless("gan")(wildcards(), threads=1))
    assert harmless["--keep"] == "7" and harmless["--wandb"] == "none"
    assert not {*harmless} & {*options}


@pytest.mark.parametrize("stage", ["faces", "gan_metrics", "synth", "filter", "evaluate"])
def test_images_held_at_a_time_remake_nothing(stage):
    run = Run({})
    assert "--batch" in words(run.harmless(stage)(wildcards(), threads=1))
    assert "--batch" not in words(run.options(stage))


def test_every_option_of_a_command_is_said():
    run = Run({})
    said = {*words(run.options("classify")), *words(run.harmless("classify")(None, threads=1))}
    assert said == {flag_of(name, field) for name, field in TrainOptions.model_fields.items()}


def test_values_of_two_sections_come_from_the_first_that_has_them():
    run = Run({"labels": {"folds": 3}, "split": {"folds": 4}, "classify": {"batch": 8}})
    assert words(run.options("screen"))["--folds"] == "3"
    assert words(run.options("split"))["--folds"] == "4"
    assert words(run.options("crossval"))["--batch"] == "32"


def test_attributes_that_follow_from_others_are_not_judged():
    assert "hair_color" in Run({}).judged()
    assert Run({"labels": {"attributes": ["glasses"]}}).judged() == ["glasses"]


def test_heads_say_what_they_set_themselves():
    text = Run({}).heads(wildcards(task="hair"))
    assert text.startswith('[{"name": "hair_color", "attributes": ["hair_color"]')


def test_files_from_outside_are_watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").touch()
    assert Run({"classify": {"weights": "own.safetensors"}}).backbone_weights() == [
        "own.safetensors"
    ]
    assert Run({}).backbone_weights() == Run({"classify": {"weights": "none"}}).resume() == []


def test_a_path_that_snakemake_cannot_have_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own {seed}.pkl").touch()
    with pytest.raises(DataError, match=r"^own \{seed\}\.pkl: Snakemake takes braces"):
        Run({"gan": {"resume": "own {seed}.pkl"}})


def test_a_table_whose_name_is_too_long_is_one_line(tmp_path):
    ingest = {"adapter": "maskbase", "maskbase": {"file": "x" * 1000}}
    task = {
        "name": "t",
        "verdict": {"head": "mask"},
        "heads": [{"name": "mask", "attributes": ["mask"]}],
    }
    of_masks = {"split": {"stratify": ["mask"]}, "gan": {"condition": ["mask"]}, "tasks": [task]}
    with pytest.raises(DataError, match="name too long"):
        Run({"dataset_root": str(tmp_path), "ingest": ingest, **of_masks})


def test_paths_of_folds():
    run = Run({"classify": {"use_folds": True}, "split": {"folds": 2}, "seeds": [3]})
    folder = "results/avatars/round{round}/classifiers/hair/real/seed3"
    assert run.teachers() == [f"{folder}/fold{k}/model.safetensors" for k in range(2)]
    assert [path.split("/")[-2] for path in run.seed_models()] == ["fold0", "fold1"]
    assert fold_option(wildcards(fold="/fold1")) == "--fold 1"
    assert fold_option(wildcards(fold="")) == ""
    assert run.ensembles() == []


def test_synthetic_images_are_read_by_arms_that_learn_from_them():
    run = Run({"rounds": 2})
    assert run.synth_inputs(wildcards(arm="real", round=1)) == {}
    found = run.synth_inputs(wildcards(arm="focal+synth@0.5", round=1))
    folder = "results/avatars/round1"
    assert found == {
        "synth_images": f"{folder}/synth/base/images.npy",
        "synth_samples": f"{folder}/synth/base/samples.parquet",
        "deficits": f"{folder}/deficits.csv",
    }
    assert list(run.synth_inputs(wildcards(arm="copy@0.5", round=0))) == ["deficits"]
    assert synth_options(wildcards(), SimpleNamespace(images="i")) == ""
    options = synth_options(wildcards(), SimpleNamespace(images="i", **found))
    assert options.startswith(f"--synth-images {folder}/synth/base/images.npy --synth-samples")


def test_rounds_have_files_and_seeds_of_their_own():
    run = Run({"rounds": 3, "seeds": [0, 1], "arms": ["real", "focal"]})
    paths = run.arm_files("metrics.json")
    assert len(set(paths)) == 3 * 2 * 2
    assert "results/avatars/round2/classifiers/{task}/focal/seed1/metrics.json" in paths
    seeds = [run.round_seed(wildcards(round=str(number))) for number in range(3)]
    assert seeds[0] == 0 and len(set(seeds)) == 3
    assert len(run.stages()["gan"]) == 3 and len(run.stages()["compare"]) == 1


def test_more_rounds_than_test_parts_without_an_official_split_are_refused():
    split = {"official": "ignore", "train": 0.5, "stratify": ["glasses"]}
    assert Run({"rounds": 4, "split": split}).settings.rounds == 4
    with pytest.raises(DataError, match=r"rounds: 5, but test parts of 0.25 .* enough for 4"):
        Run({"rounds": 5, "split": split})


def test_a_file_that_may_lack_is_quoted():
    option = file_option("--curation", "curation")
    assert option(wildcards(), {"curation": "my list.csv"}) == "--curation 'my list.csv'"
    assert option(wildcards(), {"curation": ""}) == ""
    assert folder_of("model")(wildcards(), {"model": "a/b/model.safetensors"}) == "a/b"


@pytest.fixture
def changed_arms(tmp_path, monkeypatch):
    """Return a function that edits a module of a copy and gives the arms that are trained anew."""
    for package in digest.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    run = Run({"arms": ARMS})

    def digests():
        monkeypatch.setattr(digest, "code_at", lambda: Code(tmp_path, digest.PACKAGES))
        found = {arm: run.training_code(wildcards(arm=arm, task="hair")) for arm in ARMS}
        return {"judging": run.judging_code(), **found}

    def change(path, old, new):
        before = digests()
        text = (tmp_path / path).read_text()
        assert old in text
        (tmp_path / path).write_text(text.replace(old, new))
        after = digests()
        return [name for name in before if before[name] != after[name]]

    return change


def test_a_command_says_nothing_of_augmentations_that_do_nothing():
    """So one that is added, or an option of one that is not used, changes no rule's text."""

    def augment(**values):
        run = Run({"classify": {"augment": values}})
        return json.loads(words(run.options("classify"))["--augment"])

    assert list(augment()) == ["flip", "affine", "crop", "color"]
    assert augment(erase={"max_area": 0.5}) == augment()
    assert list(augment(color={"p": 0}, mix={"cutmix": 1})) == [*augment(), "mix"]
    for values in ({}, {"color": {"p": 0}}, {"erase": {"p": 0.5, "max_area": 0.2}}):
        options = AugmentOptions.read(values, "augment")
        assert AugmentOptions.read(augment(**values), "augment").used == options.used


def test_an_edit_of_an_augmentation_trains_nothing_again_that_does_without_it(changed_arms):
    assert changed_arms("classifiers/augmentations/erase.py", "rng.random", "rng.normal") == []
    assert (
        changed_arms("classifiers/images/operations.py", "MAX_SHEAR = 0.3", "MAX_SHEAR = 1") == []
    )
    assert changed_arms("classifiers/augmentations/color.py", "1 + draw", "2 + draw") == EVERY


@pytest.mark.parametrize(
    ("path", "old", "arms"),
    [
        ("samplers/balanced.py", "return rng.permuted", ["crt"]),
        ("augmentations/mix.py", "shares = rng.beta", ["mixup"]),
        ("train/adjust.py", "count = np.maximum", ["logit_adjust+synth@0.5"]),
        ("images/added.py", "found.append(members[passes", ["copy@0.5"]),
        ("images/synthetic.py", "wanted = round(share", ["logit_adjust+synth@0.5"]),
    ],
)
def test_an_edit_of_what_an_arm_does_trains_the_arms_again_that_do_it(
    changed_arms, path, old, arms
):
    assert changed_arms(f"classifiers/{path}", old, f"edited = 1; {old}") == arms


def test_an_edit_of_a_loss_trains_the_arms_again_that_take_it(changed_arms):
    assert changed_arms("classifiers/losses/focal.py", "gamma", "gamma_") == ["focal"]
    assert changed_arms("classifiers/losses/ldam.py", "def ", "def _") == []
    assert changed_arms("classifiers/losses/cross_entropy.py", "return ", "return 2 * ") == EVERY
    assert changed_arms("classifiers/samplers/weighted.py", "return ", "return 2 * ") == [
        "weighted_sampler"
    ]
    new = (
        "from classifiers.losses import LOSSES, Loss\n\n\n@LOSSES.register('new')\nclass New(Loss):"
    )
    assert (
        changed_arms("classifiers/losses/gce.py", "from __future__", f"{new} ...\n\nfrom f") == []
    )
