"""One training from its settings to its folder: model, history, predictions of val."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from classifiers.arms import read_arm
from classifiers.images.augment import View
from classifiers.images.sets import Sets
from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import save_classifier
from classifiers.options import LossOptions, TrainOptions
from classifiers.predict.inference import predict
from classifiers.predict.origin import Origin
from classifiers.predict.predicted import Predicted, predictions_table
from classifiers.train.loop import (
    VAL_BATCH,
    cosine_heads,
    resolve_precision,
    train_classifier,
)
from classifiers.train.state import StateKeeper, digest
from facekit.compute.distributed import Group
from facekit.pictures.canvas import Geometry
from facekit.splits import round_seed
from facekit.storage import tables
from facekit.trackers import Run, Tracked, opened, untracked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class About:
    """What the model's file tells of a training.

    Attributes:
        arm: its name.
        fold: that it did not learn from; None for all of train.
        geometry: of the images.
        framing: how faces lie in them; None where unknown.
        round: whose split it learns from.
        digests: of the images of train, val and test of that split, by name.
    """

    arm: str
    fold: int | None
    geometry: Geometry
    framing: list[list[float]] | None
    round: int
    digests: Mapping[str, str]


def fit(
    options: TrainOptions,
    data: Sets,
    losses: Mapping[str, LossOptions],
    seed: int,
    about: About,
    device: torch.device,
    group: Group,
    allow_changes: bool,
    outdir: Path,
) -> None:
    """Train a classifier; the first process writes model, history and predictions of val.

    Trackers that the options name get the figures of every epoch.

    A training that was stopped in the folder goes on from its last state.

    Args:
        options: what to train, and how; their sampler is the arm's.
        data: what to learn from, and what to choose the epoch by.
        losses: by head.
        seed: of weights, order, augmentation and dropout, which differ between rounds, too.
        about: what to note in the model's file.
        device: to compute on.
        group: the processes of the training.
        allow_changes: go on although settings differ from those of the state.
        outdir: folder of the training.

    Raises:
        DataError: the folder's state is of other settings, or weights cannot be had.
    """
    options = options.but(precision=resolve_precision(options.precision, device))
    log.info(
        "arm %s, seed %d: %d real images of train, %d added, %s on %s",
        about.arm, seed, data.train.num_real, data.train.num_added, options.precision, device,
    )  # fmt: skip
    of_round = round_seed(seed, about.round)
    cosine = cosine_heads(data.heads, losses)
    view = View.of(options.view, about.geometry.height, about.geometry.width)
    classifier = build_classifier(
        options.backbone, options.weights, data.heads, view, of_round, options.head, cosine
    )
    course = {
        **options.effective(),
        "losses": {name: one.plain() for name, one in losses.items()},
        "heads": [one.to_dict() for one in data.heads],
        "arm": about.arm,
        "fold": about.fold,
        "seed": seed,
        "data": digest(data.train, data.val),
    }
    keeper = StateKeeper(outdir, course, allow_changes, group)

    def track(step: int | None) -> AbstractContextManager[Tracked]:
        if not group.is_lead:
            return untracked(step)
        return opened(options, Run("classifiers train", outdir, course, step))

    history = train_classifier(
        classifier.to(device), data.train, data.val, losses, data.num_whole, options, of_round,
        device, group, keeper, read_arm(about.arm), track,
    )  # fmt: skip
    if not group.is_lead:
        return
    outputs = predict(classifier, data.val.pool, VAL_BATCH, device, "val")
    val = Predicted(data.val_table, outputs)
    path, meta = outdir / "model.safetensors", _meta(options, data, seed, about, history)
    predictions = predictions_table(data.heads, val, Origin.of_meta(meta, path))
    tables.write(predictions, outdir / "predictions.parquet")
    tables.write(history, outdir / "history.csv")
    save_classifier(classifier, meta, path, data.train_ids)
    keeper.remove()


def _meta(
    options: TrainOptions, data: Sets, seed: int, about: About, history: pd.DataFrame
) -> dict[str, Any]:
    """Return what the model's file tells of its training."""
    return {
        "backbone": options.backbone,
        "weights": options.weights,
        "geometry": about.geometry.plain(),
        "framing": about.framing,
        "faces": "cut" if "cut_from" in data.val_table else "keep",  # as `ingest: faces` has it
        "arm": about.arm,
        "seed": seed,
        "fold": about.fold,
        "round": about.round,
        **{f"{name}_ids": digest for name, digest in about.digests.items()},
        **history.attrs,
        "precision": options.precision,
        "epoch": float(history.loc[history["best"], "epoch"].iloc[0]),
        "num_train": data.num_real,
        "num_synthetic": data.num_synthetic,
    }
