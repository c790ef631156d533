"""One training from its settings to its folder: model, history, predictions of val."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from classifiers.backbones import build_classifier
from classifiers.checkpoint import save_classifier
from classifiers.evaluate import Predicted, predictions_table
from classifiers.heads import LayerOptions
from classifiers.inference import predict
from classifiers.losses import Loss
from classifiers.sets import Sets
from classifiers.state import StateKeeper, digest
from classifiers.training import VAL_BATCH, Recipe, layer_for, train_classifier
from facedata import tables
from facedata.distributed import Group

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """What a classifier is built of.

    Attributes:
        backbone: a model of timm, or inception_resnet_v1.
        weights: that it begins with, see `backbones.build_classifier`.
        layer: between features and heads, as the config has it.
    """

    backbone: str
    weights: str
    layer: LayerOptions


@dataclass(frozen=True)
class About:
    """What the model's file tells of a training.

    Attributes:
        arm: its name.
        fold: that it did not learn from; None for all of train.
        geometry: of the images, as the config has it.
        framing: how faces lie in them; None where unknown.
    """

    arm: str
    fold: int | None
    geometry: Mapping[str, Any]
    framing: list[list[float]] | None


def fit(
    network: Network,
    data: Sets,
    losses: Mapping[str, Loss],
    recipe: Recipe,
    about: About,
    device: torch.device,
    group: Group,
    allow_changes: bool,
    outdir: Path,
) -> None:
    """Train a classifier; the first process writes model, history and predictions of val.

    A training that was stopped in the folder goes on from its last state.

    Args:
        network: what to train.
        data: what to learn from, and what to choose the epoch by.
        losses: by head.
        recipe: how to train.
        about: what to note in the model's file.
        device: to compute on.
        group: the processes of the training.
        allow_changes: go on although settings differ from those of the state.
        outdir: folder of the training.

    Raises:
        DataError: the folder's state is of other settings, or weights cannot be had.
    """
    log.info(
        "arm %s, seed %d: %d real and %d synthetic images, %s on %s",
        about.arm, recipe.seed, data.num_real, data.num_synthetic, recipe.precision, device,
    )  # fmt: skip
    layer = layer_for(data.heads, losses, network.layer)
    classifier = build_classifier(
        network.backbone, network.weights, data.heads, recipe.view, recipe.seed, layer
    )
    keeper = StateKeeper(
        outdir,
        {
            "recipe": asdict(recipe),
            "losses": {name: asdict(one) for name, one in losses.items()},
            "heads": [one.to_dict() for one in data.heads],
            "head": asdict(layer),
            "arm": about.arm,
            "fold": about.fold,
            "backbone": network.backbone,
            "weights": network.weights,
            "data": digest(data.train, data.val),
        },
        allow_changes,
        group,
    )
    history = train_classifier(
        classifier.to(device), data.train, data.val, losses, data.num_real, recipe, device, group,
        keeper,
    )  # fmt: skip
    if not group.is_lead:
        return
    outputs = predict(classifier, data.val.pool, VAL_BATCH, device, "val")
    val = Predicted(data.val_table, outputs)
    predictions = predictions_table(data.heads, val, about.arm, recipe.seed)
    meta = {
        "backbone": network.backbone,
        "weights": network.weights,
        "geometry": about.geometry,
        "framing": about.framing,
        "arm": about.arm,
        "seed": recipe.seed,
        "fold": about.fold,
        "precision": recipe.precision,
        "epoch": float(history.loc[history["best"], "epoch"].iloc[0]),
        "num_train": data.num_real,
        "num_synthetic": data.num_synthetic,
    }
    tables.write(predictions, outdir / "predictions.parquet")
    tables.write(history, outdir / "history.csv")
    save_classifier(classifier, meta, outdir / "model.safetensors")
    keeper.remove()
