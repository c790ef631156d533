# Helper functions of the rules; no rules.

import json
import shlex
from pathlib import Path

import yaml

from facedata import adapters
from facedata.adapters import declared
from facedata.digest import code_digest as digest_command
from facekit.errors import DataError
from facedata.settings import check

ROOT = Path(workflow.basedir)


def check_settings():
    """Stop before any work, with one line that names the key."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    try:
        check(config, schema)
        if config["dataset_root"] and not Path(config["dataset_root"]).is_dir():
            raise DataError(f"config: dataset_root: no folder {config['dataset_root']}")
        label_tables()
    except DataError as error:
        raise SystemExit(f"error: {error}")


def results(path):
    """Put the run's own folder before a path."""
    return f"results/{config['dataset']}/{path}"


def code_digest(command, *paths):
    """Digest of a command's code: a comment does not change it, a computation does."""
    return digest_command(command, *paths, root=ROOT)


def setting(path):
    """One value of the settings, `split/train`; lists and objects as JSON text for an option."""
    value = config
    for key in path.split("/"):
        value = value[key]
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def dataset_root():
    """Folder of the data set; an adapter that draws its own has one below results/."""
    return config["dataset_root"] or results("source")


def adapter_settings():
    """The chosen adapter's own settings."""
    return config["ingest"][config["ingest"]["adapter"]]


def label_tables():
    """The data set's own tables, so that an edit of one makes everything again."""
    paths = declared.tables(
        config["ingest"]["adapter"], adapter_settings(), Path(dataset_root())
    )
    return [str(path) for path in paths]


def derived_attributes():
    """How attributes follow from others, as JSON text: a reviewer's new age changes the age group."""
    return json.dumps(declared.derived(config["ingest"]["adapter"], adapter_settings()))


def judged_attributes():
    """Attributes whose labels are checked, as JSON text; those derived from others follow these."""
    names = config["labels"]["attributes"]
    if names == "all":
        names = adapters.given_attributes(
            config["ingest"]["adapter"], adapter_settings()
        )
    return json.dumps(names)


def curation_path():
    """Where the reviewer's list belongs."""
    return f"resources/{config['dataset']}/curation.csv"


def curation_list():
    """The reviewer's list, where there is one."""
    return [curation_path()] if Path(curation_path()).is_file() else []


def curation_option(wildcards, input):
    return f"--curation {input.curation}" if input.curation else ""


def folder_of(name):
    """The folder that an output lies in, for a command that fills it."""
    return lambda wildcards, output: str(Path(output[name]).parent)


def gan(path):
    """Put the GAN's folder before a path."""
    return results(f"gan/{config['gan']['run']}/{path}")


def resume_path():
    """The network that the GAN begins with, or `none`."""
    return config["gan"]["resume"]


def resume_list():
    """The network that the GAN begins with, where there is one."""
    return [] if resume_path() == "none" else [resume_path()]


def metric_weights():
    """The file of the weights that GAN metrics take their features from, where one is named."""
    path = config["gan_metrics"]["weights"]
    return [] if path == "none" else [path]


def weights_option(wildcards, input):
    return f"--weights {shlex.quote(str(input.weights))}" if input.weights else ""


def synth(path):
    """Put the synthetic images' folder before a path."""
    return results(f"synth/{config['synth']['run']}/{path}")


def task(name):
    """The settings of a task."""
    return next(task for task in config["tasks"] if task["name"] == name)


def heads(wildcards):
    return json.dumps(task(wildcards.task)["heads"])


def teacher():
    """The classifier that checks synthetic images: trained on all real images of train."""
    of_all = "all/" if config["classify"]["use_folds"] else ""
    seed = f"{config['tasks'][0]['name']}/real/seed{config['seeds'][0]}"
    return results(f"classifiers/{seed}/{of_all}model.safetensors")


def synth_inputs(wildcards):
    """Synthetic images, for the arms that learn from them."""
    if "synth@" not in wildcards.arm:
        return {}
    return {
        "synth_images": synth("images.npy"),
        "synth_samples": synth("samples.parquet"),
        "deficits": results("deficits.csv"),
    }


def synth_options(wildcards, input):
    if "synth@" not in wildcards.arm:
        return ""
    return (
        f"--synth-images {input.synth_images} --synth-samples {input.synth_samples}"
        f" --deficits {input.deficits}"
    )


def arm_files(name):
    """One file of every arm and seed of a task."""
    return [
        results(f"classifiers/{{task}}/{arm}/seed{seed}/{name}")
        for arm in config["arms"]
        for seed in config["seeds"]
    ]


def fold_option(wildcards):
    """The fold that a classifier does not learn from, where it is one of several."""
    number = wildcards.fold.rpartition("fold")[2]
    return f"--fold {number}" if number.isdigit() else ""


def seed_models():
    """The classifiers that are measured as one: that of a seed, or those of its folds."""
    folds = [f"fold{k}/" for k in range(config["split"]["folds"])]
    return [
        results(f"classifiers/{{task}}/{{arm}}/seed{{seed}}/{fold}model.safetensors")
        for fold in (folds if config["classify"]["use_folds"] else [""])
    ]


def seed_files(name):
    """One file of every seed of an arm."""
    return [
        results(f"classifiers/{{task}}/{{arm}}/seed{seed}/{name}")
        for seed in config["seeds"]
    ]


def ensembles():
    """The mean of all seeds of each arm, where there are several."""
    if len(config["seeds"]) < 2:
        return []
    return expand(
        results("classifiers/{task}/{arm}/ensemble/metrics.json"),
        task=[task["name"] for task in config["tasks"]],
        arm=config["arms"],
    )


def task_files(pattern):
    """One file a task."""
    return expand(results(pattern), task=[task["name"] for task in config["tasks"]])


def verdicts():
    """Last words of a run: each task's verdict and where the report lies, once there are any."""
    page = Path(results("index.html"))
    if not page.is_file():
        return ""
    lines = [
        Path(path).read_text().strip() for path in task_files("compare/{task}.txt")
    ]
    return "\n".join(["", *lines, f"Report: {page.resolve()}"])
