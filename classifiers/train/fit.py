"""One training from its settings to its folder: model, history, predictions of val."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from classifiers.images.augment import View
from classifiers.images.sets import Sets
from classifiers.models.backbones import build_classifier
from classifiers.models.checkpoint import save_classifier
from classifiers.options import LossOptions, TrainOptions
from classifiers.predict.inference import predict
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
from facekit.storage import tables

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class About:
    """What the model's file tells of a training.

    Attributes:
        arm: its name.
        fold: that it did not learn from; None for all of train.
        geometry: of the images.
        framing: how faces lie in them; None where unknown.
    """

    arm: str
    fold: int | None
    geometry: Geometry
    framing: list[list[float]] | None


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

    A training that was stopped in the folder goes on from its last state.

    Args:
        options: what to train, and how; their sampler is the arm's.
        data: what to learn from, and what to choose the epoch by.
        losses: by head.
        seed: of weights, order, augmentation and dropout.
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
        "arm %s, seed %d: %d real and %d synthetic images, %s on %s",
        about.arm, seed, data.num_real, data.num_synthetic, options.precision, device,
    )  # fmt: skip
    cosine = cosine_heads(data.heads, losses)
    view = View.of(options.view, about.geometry.height, about.geometry.width)
    classifier = build_classifier(
        options.backbone, options.weights, data.heads, view, seed, options.head, cosine
    )
    keeper = StateKeeper(
        outdir,
        {
            **options.plain(),
            "losses": {name: one.plain() for name, one in losses.items()},
            "heads": [one.to_dict() for one in data.heads],
            "arm": about.arm,
            "fold": about.fold,
            "seed": seed,
            "data": digest(data.train, data.val),
        },
        allow_changes,
        group,
    )
    history = train_classifier(
        classifier.to(device), data.train, data.val, losses, data.num_real, options, seed, device,
        group, keeper,
    )  # fmt: skip
    if not group.is_lead:
        return
    outputs = predict(classifier, data.val.pool, VAL_BATCH, device, "val")
    val = Predicted(data.val_table, outputs)
    predictions = predictions_table(data.heads, val, about.arm, seed)
    tables.write(predictions, outdir / "predictions.parquet")
    tables.write(history, outdir / "history.csv")
    meta = _meta(options, data, seed, about, history)
    save_classifier(classifier, meta, outdir / "model.safetensors")
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
        "arm": about.arm,
        "seed": seed,
        "fold": about.fold,
        "precision": options.precision,
        "epoch": float(history.loc[history["best"], "epoch"].iloc[0]),
        "num_train": data.num_real,
        "num_synthetic": data.num_synthetic,
    }
