"""The presets of published sets run through, from their layouts to a verdict, in miniature.

What is tiny is laid over the preset: sizes, epochs; weights that would be downloaded are none, and
no arm needs the GAN, which is the same in every run. Backbones, heads, losses, augmentation and
optimisers stay the preset's own.
"""

import json

import pandas as pd
import pytest
import yaml
from layouts import write_celeba, write_maskbase, write_tinyportraits
from projects import copy_project, snakemake

from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES

SQUARE = {"height": 16, "width": 16}
TINY = {
    "dedup": {"max_distance": 0},
    "curate": {"non_faces": "keep", "several_faces": "keep"},  # noise shows no faces
    "labels": {"kimg": 0, "folds": 2},
    "split": {"folds": 2},
    "rounds": 1,
    "seeds": [0],
    "classify": {"weights": "none", "epochs": 1, "batch": 16},
    "evaluate": {"num_bootstrap": 100},
    "compare": {"num_permutations": 100},
}


def portraits(root):
    colors, types = ("black", "blond", "brown", "gray", "n/a"), ("straight", "wavy", "bald", "n/a")
    rows = [
        f"{k},{('female', 'male')[k // 5 % 2]},{colors[k % 5]},{types[k % 4]}" for k in range(120)
    ]
    return write_tinyportraits(root, rows=rows)


def persons(root):
    ages = (20, 45, 65)
    rows = [
        (f"{k:06}", ("female", "male")[k % 2], "Asian", str(ages[k // 2 % 3])) for k in range(24)
    ]
    return write_maskbase(root, persons=rows)


# By preset: what writes its set, what else is tiny, the heads of its first task.
PRESETS = {
    "celeba": (
        lambda root: write_celeba(root, num_images=90, num_persons=30),
        {
            "geometries": {"classifier": {"height": 32, "width": 24}, "gan": SQUARE},
            "classify": {"view": {"crop": [28, 20]}},
            "arms": ["real", "weighted_loss"],
        },
        CELEBA_ATTRIBUTES,
    ),
    "tinyportraits": (
        portraits,
        {"geometries": {"gan": SQUARE}, "arms": ["real", "weighted_loss"]},
        ("hair_color", "gender", "hair_type"),
    ),
    "maskbase": (
        persons,
        {
            "geometries": {"classifier": {"height": 48, "width": 36}, "gan": SQUARE},
            "arms": ["real", "weighted_sampler"],
        },
        ("mask_gender_age",),
    ),
}


def merged(one, other):
    """Return settings laid over others, key by key."""
    both = {
        key: merged(one[key], other[key])
        for key in one.keys() & other.keys()
        if isinstance(one[key], dict)
    }
    return one | other | both


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_runs_through(name, tmp_path):
    write_data, tiny, heads = PRESETS[name]
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    overlay = project / "tiny.yaml"
    overlay.write_text(yaml.safe_dump(merged(TINY, tiny)))
    options = ["--configfile", f"config/{name}.yaml", overlay, "--resources", "gpu=1"]
    options += ["--config", f"dataset_root={write_data(tmp_path / 'data')}"]
    preset = yaml.safe_load((project / f"config/{name}.yaml").read_text())
    task = preset["tasks"][0]["name"]
    snakemake(*options, "--", f"results/{name}/compare/{task}.txt", cwd=project)

    results = project / "results" / name
    assert (results / f"compare/{task}.txt").read_text().strip()
    run = results / f"round0/classifiers/{task}/real/seed0"
    metrics = json.loads((run / "metrics.json").read_text())
    assert tuple(metrics) == tuple(heads)
    models = sorted(run.rglob("model.safetensors"))
    assert len(models) == (2 if preset["classify"].get("use_folds") else 1)
    values = json.loads((models[0].parent / "run.json").read_text())["values"]
    assert values["backbone"] == preset["classify"]["backbone"]
    assert values["optimizer"]["name"] == preset["classify"]["optimizer"]["name"]
    splits = pd.read_parquet(results / "round0/splits.parquet")
    assert set(splits["split"]) == {"train", "val", "test"}
