"""A small data set for the tests of classifiers: coloured squares, drawn from a seed."""

import json

import numpy as np
import pandas as pd
from click.testing import CliRunner

from classifiers.cli import main
from classifiers.images.augment import View
from classifiers.options import HeadOptions
from classifiers.predict.origin import Origin
from facedata.splits.ids import digests_of
from facekit.storage import files, tables

HEIGHT, WIDTH = 32, 24
COLORS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
GEOMETRY = {"height": HEIGHT, "width": WIDTH, "fit": "pad"}
HEADS = [
    {"name": "color", "attributes": ["color"], "kind": "categorical", "weight": 1.0},
    {"name": "bright", "attributes": ["bright"], "kind": "categorical", "weight": 0.5},
]
HEAD_OPTIONS = [HeadOptions.model_validate(one) for one in HEADS]
LOSS = {
    "kind": "cross_entropy",
    "numeric": "smooth_l1",
    "weights": "none",
    "beta": 0.99,
    "focal": {"gamma": 2.0, "alpha": None},
    "ldam": {"max_margin": 0.3, "scale": 30.0, "defer": 0.5},
    "asymmetric": {"gamma_positive": 1.0, "gamma_negative": 2.0, "clip": 0.05},
}
HEAD = {"hidden": 0, "batch_norm": False, "dropout": 0.0, "samples": 1}
AUGMENT = {
    "flip": 0.5,
    "crop": {"random": False, "pad": 0},
    "affine": {"p": 1.0, "rotation": 5.0, "scale": 0.05, "shift": 0.05, "shear": 0.0},
    "perspective": {"p": 0.0, "distortion": 0.2},
    "color": {"p": 1.0, "brightness": 0.15, "contrast": 0.2, "saturation": 0.0, "hue": 0.0},
    "erase": {"p": 0.0, "min_area": 0.02, "max_area": 0.33},
    "randaugment": {"num_ops": 0, "magnitude": 9},
    "mix": {"p": 1.0, "mixup": 0.0, "cutmix": 0.0},
}
OPTIMIZER = {"name": "adamw", "momentum": 0.9, "beta2": 0.999, "layer_decay": 1.0, "clip": 0.0}
SCHEDULE = {
    "name": "one_cycle",
    "warm_up": 0.25,
    "gamma": 0.1,
    "step": 1.0,
    "patience": 2,
    "final": 0.0,
}
VIEW = View((HEIGHT, WIDTH), (HEIGHT, WIDTH))
BUDGET = {"real_shown": 384, "images_shown": 384}
BACKBONE = "test_efficientnet"  # timm's smallest with depthwise convolutions


def draw(colors, bright, seed):
    """Return uint8 [N, 32, 24, 3]: noise about a colour, lighter where bright."""
    rng = np.random.default_rng(seed)
    base = np.array([COLORS[color] for color in colors], dtype=float)
    base += np.where(np.asarray(bright) == "yes", 40, -20)[:, None]
    noise = rng.normal(0, 12, size=(len(base), HEIGHT, WIDTH, 3))
    return np.clip(base[:, None, None] + noise, 0, 255).astype(np.uint8)


def make_table(num_images=160, seed=0):
    """Return curated rows with split and fold; blue is rare, some labels are missing."""
    rng = np.random.default_rng(seed)
    colors = rng.choice(list(COLORS), p=[0.5, 0.4, 0.1], size=num_images)
    bright = rng.choice(["no", "yes"], size=num_images)
    table = pd.DataFrame(
        {
            "image_id": [f"{i:04d}" for i in range(num_images)],
            "row": pd.array(range(num_images), dtype="Int64"),
            "group": pd.array([f"p{i // 2}" for i in range(num_images)], dtype="str"),
            "cluster": range(num_images),
            "color": pd.Categorical(colors, categories=list(COLORS)),
            "bright": pd.Categorical(bright, categories=["no", "yes"]),
            "age": rng.uniform(10, 70, size=num_images).round(),
        }
    )
    table["true_color"] = colors
    place = np.arange(num_images) // 2 % 10  # pairs stay together
    split = np.where(place < 6, "train", np.where(place < 8, "val", "test"))
    table["split"] = pd.Categorical(split, categories=["train", "val", "test"])
    fold = pd.Series(np.arange(num_images) // 20 % 4, dtype="Int64")
    table["fold"] = fold.where(table["split"] == "train")
    table.loc[[0, 40, 47, 56], "color"] = np.nan
    return table


def run(options, code=0):
    """Return what a command of classifiers prints; it ends with a code."""
    result = CliRunner().invoke(main, [str(one) for one in options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


class DataSet:
    """The files of a data set in a folder."""

    def __init__(self, root, num_images=160, seed=0):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.table = make_table(num_images, seed)
        self.array = draw(self.table.pop("true_color"), self.table["bright"], seed)
        self.images, self.curated, self.splits = (
            root / name for name in ("classifier.npy", "curated.parquet", "splits.parquet")
        )
        self.write()

    def write(self):
        np.save(self.images, self.array)
        tables.write(self.table.drop(columns=["split", "fold"]), self.curated)
        tables.write(self.table[["image_id", "split", "fold"]], self.splits)

    def origin(self, arm="real", seed=0, **changed):
        """Return where a model of this data set comes from."""
        digests = {f"{name}_ids": one for name, one in digests_of(self.table).items()}
        return Origin(arm, seed, **{"round": 0, **digests, **BUDGET, **changed})

    @property
    def data_options(self):
        return ["--images", self.images, "--curated", self.curated, "--splits", self.splits]

    def train_options(self, outdir, arm="real", **changed):
        values = {
            "heads": HEADS,
            "loss": LOSS,
            "head": HEAD,
            "view": {"crop": None, "resize": None},
            "sampler": "none",
            "augment": AUGMENT,
            "arm": arm,
            "geometry": GEOMETRY,
            "backbone": BACKBONE,
            "weights": "none",
            "epochs": 4,
            "batch": 16,
            "lr": 0.01,
            "weight_decay": 0.01,
            "label_smoothing": 0.05,
            "optimizer": OPTIMIZER,
            "schedule": SCHEDULE,
            "ema": 0.0,
            "freeze": 0.0,
            "select": {"measure": "macro_f1", "patience": 0},
            "precision": "fp32",
            "threads": 1,
            "device": "cpu",
            "seed": 0,
            "outdir": outdir,
            **changed,
        }
        return ["train", *self.data_options, *as_options(values)]

    def evaluate_options(self, models, outdir, **changed):
        values = {
            "split": "test",
            "batch": 64,
            "tta": "none",
            "threshold": "macro_f1",
            "small_group": 5,
            "confidence": 0.9,
            "num_bootstrap": 100,
            "seed": 0,
            "threads": 1,
            "device": "cpu",
            "outdir": outdir,
            **changed,
        }
        named = [part for model in models for part in ("--model", model)]
        return ["evaluate", *named, *self.data_options, *as_options(values)]

    def make_synthetic(self, num_candidates=40, seed=1):
        """Write generated images of the rare class (16 px squares, padded at the sides)."""
        rng = np.random.default_rng(seed)
        colors = ["blue"] * num_candidates
        bright = rng.choice(["no", "yes"], size=num_candidates)
        images = np.zeros((num_candidates, 32, 32, 3), dtype=np.uint8)
        images[:, :, 4:28] = draw(colors, bright, seed)
        folder = self.root / "synth"
        folder.mkdir(exist_ok=True)
        np.save(folder / "images.npy", images)
        files.write_json({"content_box": [4, 0, 28, 32]}, folder / "images.json")
        candidates = pd.DataFrame(
            {
                "row": range(num_candidates),
                "class": 2,
                "color": pd.Categorical(colors, categories=list(COLORS)),
                "seed": range(num_candidates),
                "psi": 0.8,
            }
        )
        tables.write(candidates, folder / "candidates.parquet")
        deficits = pd.DataFrame(
            {
                "class": [0, 1, 2],
                "name": list(COLORS),
                "color": list(COLORS),
                "count": [48, 40, 8],
                "deficit": [0, 0, 20],
            }
        )
        tables.write(deficits, folder / "deficits.csv")
        return folder


def as_options(values):
    """Return a dict as command line options; lists and dicts as JSON."""
    options = []
    for name, value in values.items():
        text = json.dumps(value) if isinstance(value, list | dict) else str(value)
        options += [f"--{name.replace('_', '-')}", text]
    return options
