"""A tiny pack and the plan of a tiny run on it."""

import dataclasses

import numpy as np
import pandas as pd
import torch

from facedata.packs import storage
from stylegan2.options import TrainOptions
from stylegan2.train import plan as planning

CPU = torch.device("cpu")


def make_pack(num=24, classes=("red", "black", "grey"), size=16, seed=0):
    """Noise with a class: images whose brightness says which."""
    labels = np.arange(num) % max(len(classes), 1)
    rng = np.random.default_rng(seed)
    images = rng.integers(60, size=[num, size, size, 3]) + 60 * labels[:, None, None, None]
    table = pd.DataFrame(
        {"row": range(num), "image_id": [f"{i:03d}" for i in range(num)], "class": labels}
    )
    table["class"] = table["class"].astype("Int64")
    attributes = ["hair"] if classes else []
    if classes:
        table["hair"] = pd.Categorical([classes[i] for i in labels], categories=classes)
    names = [[name] for name in classes]
    return storage.Pack(images.astype(np.uint8), table, attributes, names, (2, 0, size - 2, size))


def write_pack(folder):
    """Write the pack to a folder; return its path."""
    pack = make_pack()
    path = folder / "train.npy"
    storage.write_pack(
        path, pack.images, pack.table, pack.attributes, pack.classes, pack.content_box
    )
    return path


SMALL = {
    "kimg": 0.064,
    "batch": 8,
    "channel_base": 128,
    "channel_max": 8,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 1,
    "ada_kimg": 1,
    "mirror": True,
    "tick_kimg": 0.032,
    "snap": 1,
    "keep": 0,
}


def make_options(seed=3, **changes):
    """Return the plan of a tiny run.

    Args:
        seed: of the run.
        changes: options, or values of the preset that are none.
    """
    given = SMALL | changes
    options = TrainOptions(**{k: x for k, x in given.items() if k in TrainOptions.model_fields})
    plan, _ = planning.make(options, 16, seed=seed)
    of_preset = {k: x for k, x in given.items() if k not in TrainOptions.model_fields}
    return dataclasses.replace(plan, preset=dataclasses.replace(plan.preset, **of_preset))


TRAIN = {
    "cfg": "auto",
    "kimg": 0.032,
    "batch": 8,
    "batch-gpu": "auto",
    "gamma": "auto",
    "channel-base": 128,
    "channel-max": 8,
    "z-dim": 8,
    "w-dim": 8,
    "mapping-layers": "auto",
    "lr": "auto",
    "ema-kimg": "auto",
    "aug": "ada",
    "aug-p": 0.0,
    "target": 0.6,
    "augpipe": "bgc",
    "ada-kimg": 100,
    "metric": "none",
    "metric-images": 16,
    "patience": 0,
    "resume": "none",
    "freezed": 0,
    "tick-kimg": 0.016,
    "snap": 5,
    "keep": 2,
    "threads": 1,
    "seed": 0,
}
