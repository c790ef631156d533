"""Experiments drawn for tests: curated images, rounds, predictions of arms with known accuracy."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from classifiers.options import HeadOptions
from evenface.experiment.compare import Evidence, Question, compare_files
from evenface.options import CompareOptions
from facedata.splits.ids import digests_of
from facekit.storage import tables

CLASSES = ("young", "middle", "old")
HEADS = [{"name": "age", "attributes": ["age"], "kind": "categorical", "weight": 1.0}]
TEST = 300  # images of a round's test part; half as many of val
FAST = CompareOptions(num_permutations=100)


def make_curated(num=1200, per_group=2, seed=0, shares=(0.5, 0.35, 0.15)):
    """Return image_id, group, cluster, age: one label missing, `old` rare."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "image_id": [f"i{i:05d}" for i in range(num)],
            "group": pd.array([f"p{i // per_group}" for i in range(num)], dtype="str"),
            "cluster": range(num),
            "age": pd.Categorical(rng.choice(CLASSES, p=shares, size=num), categories=CLASSES),
        }
    )
    table.loc[7, "age"] = np.nan
    return table


def deal(curated, num_rounds, test=TEST):
    """Return image_id and split of each round: test parts follow one another, val moves along."""
    found = []
    for number in range(num_rounds):
        split = np.full(len(curated), "train", dtype=object)
        split[np.roll(np.arange(len(curated)), -number * test)[:test]] = "test"
        split[np.roll(np.arange(len(curated)), -(number + 1) * test)[: test // 2]] = "val"
        found.append(pd.DataFrame({"image_id": curated["image_id"], "split": split}))
    return found


@dataclass
class Experiment:
    """Files of an experiment, written below a folder.

    Attributes:
        folder: of all files.
        arms: accuracy by arm, or that of each round and seed [R, S].
        rounds, seeds: how many.
        seed: of the draws.
        changed: columns of predictions by arm, in place of the usual ones.
    """

    folder: Path
    arms: dict
    rounds: int = 2
    seeds: int = 2
    seed: int = 0
    curated: pd.DataFrame = field(default_factory=make_curated)
    changed: dict = field(default_factory=dict)

    def __post_init__(self):
        self.splits = deal(self.curated, self.rounds)
        tables.write(self.curated, self.folder / "curated.parquet")
        for number in range(self.rounds):
            for arm in self.arms:
                for seed in range(self.seeds):
                    for split in ("val", "test"):
                        self.write(arm, number, seed, split)

    def path(self, arm, number, seed, split="test"):
        return self.folder / f"round{number}/{arm}/seed{seed}/{split}_predictions.parquet"

    def table(self, arm, number, seed, split="test"):
        """Return predictions that are right with the arm's chance; luck is half the image's."""
        splits = self.splits[number]
        ids = splits.loc[splits["split"] == split, "image_id"]
        rows = self.curated.set_index("image_id").loc[ids]
        truth = rows["age"].cat.codes.to_numpy().clip(0)
        accuracy = np.broadcast_to(self.arms[arm], (self.rounds, self.seeds))[number, seed]
        place = list(self.arms).index(arm)
        shared = np.random.default_rng([self.seed, number, split == "val"])
        own = np.random.default_rng([self.seed, number, seed, place, split == "val"])
        luck, other = shared.standard_normal(len(ids)), shared.integers(1, 3, len(ids))
        right = (luck + own.standard_normal(len(ids))) / np.sqrt(2) < ndtri(accuracy)
        pred = np.where(right, truth, (truth + other) % 3)
        prob = np.full((len(ids), 3), 0.1)
        prob[np.arange(len(ids)), pred] = 0.8
        table = pd.DataFrame({"image_id": ids.to_numpy(), "arm": arm, "seed": seed})
        table["round"] = number
        for name, digest in digests_of(splits).items():
            table[f"{name}_ids"] = digest
        table["real_shown"] = table["images_shown"] = 1000
        if "synth" in arm or "copy" in arm:
            table["images_shown"] = 1400
        table["age"] = pd.Categorical([CLASSES[k] for k in pred], categories=CLASSES)
        for k, name in enumerate(CLASSES):
            table[f"age:{name}"] = prob[:, k]
        return table.assign(**self.changed.get(arm, {}))

    def write(self, arm, number, seed, split="test"):
        tables.write(self.table(arm, number, seed, split), self.path(arm, number, seed, split))

    def paths(self, split="test"):
        return [
            self.path(arm, number, seed, split)
            for number in range(self.rounds)
            for arm in self.arms
            for seed in range(self.seeds)
        ]

    def evidence(self, **more):
        own = self.folder / "curated.parquet"
        values = {"predictions": self.paths(), "val_predictions": self.paths("val"), "curated": own}
        return Evidence(**{**values, **more})

    def compare(self, options=FAST, ledger=None, measure="macro_f1", **more):
        """Return the result of the comparison; `more` are fields of Evidence and Question."""
        asked = {
            name: more.pop(name) for name in ("is_exploratory", "num_tasks", "task") if name in more
        }
        question = Question(
            **{"task": "faces", **asked},
            heads=[HeadOptions(**head) for head in HEADS],
            head="age",
            measure=measure,
        )
        return compare_files(self.evidence(**more), question, options, 0, ledger)
