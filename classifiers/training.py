"""Training of one classifier: one arm, one seed."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from classifiers.augment import Augment, View, augment_images, mix_batch
from classifiers.backbones import Classifier
from classifiers.data import ImagePool, to_bytes
from classifiers.heads import Head, LayerOptions, class_counts, head_targets
from classifiers.losses import Loss, TaskLoss, encode_targets
from classifiers.metrics import head_metrics
from classifiers.predicting import predict
from classifiers.samplers import (
    NO_SAMPLER,
    SAMPLERS,
    Arm,
    balanced_order,
    draw_order,
    multilabel_weights,
    sampling_weights,
    split_batches,
)
from classifiers.synthetic import SyntheticImages
from facedata import progress
from facedata.errors import DataError

log = logging.getLogger(__name__)

AUGMENT = 1  # the part of a seed that augmentation draws from
WARM_UP = 0.25  # share of the steps in which the learning rate rises
PRECISIONS = ("auto", "fp32", "bf16")
VAL_BATCH = 256  # images at a time where no gradient is kept


@dataclass(frozen=True)
class Recipe:
    """How every arm of a task is trained.

    Attributes:
        epochs: images shown in all, as a multiple of the real train split; may be fractional.
        batch: images a step.
        lr: largest learning rate of the one-cycle schedule.
        weight_decay: of AdamW, on weights of two and more dimensions.
        sampler: `none` or one of SAMPLERS.
        augment: how training images are changed.
        view: what of an image the network sees.
        precision: `fp32` or `bf16` (autocast).
        seed: of order and augmentation.
    """

    epochs: float
    batch: int
    lr: float
    weight_decay: float
    sampler: str
    augment: Augment
    view: View
    precision: str
    seed: int


@dataclass(frozen=True)
class Examples:
    """Images to learn from.

    Attributes:
        pool: the images.
        targets: by head, as of `head_targets`.
        weights: how much each image's labels are trusted, float32 [N] in 0..1.
    """

    pool: ImagePool
    targets: dict[str, np.ndarray]
    weights: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, table: pd.DataFrame, heads: Sequence[Head]) -> "Examples":
        """Return the examples of a table whose `row` counts in `images`; `weight` may lack."""
        pool = ImagePool([(images, table["row"].to_numpy(dtype=np.int64))])
        weights = table.get("weight", pd.Series(1.0, index=table.index))
        targets = {head.name: head_targets(head, table) for head in heads}
        return cls(pool, targets, weights.to_numpy(dtype=np.float32))

    @classmethod
    def of_synthetic(
        cls, images: SyntheticImages, samples: pd.DataFrame, heads: Sequence[Head]
    ) -> "Examples":
        """Return synthetic images, refitted now; labels that samples do not carry are missing."""
        refitted = images.take(np.arange(len(images)))
        targets = {head.name: head_targets(head, samples) for head in heads}
        pool = ImagePool([(refitted, np.arange(len(refitted)))])
        return cls(pool, targets, np.ones(len(samples), dtype=np.float32))

    def __add__(self, other: "Examples") -> "Examples":
        pool = ImagePool([*self.pool.parts, *other.pool.parts])
        targets = {
            name: np.concatenate([target, other.targets[name]])
            for name, target in self.targets.items()
        }
        return Examples(pool, targets, np.concatenate([self.weights, other.weights]))


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return `fp32` or `bf16`: for `auto` the faster one, by what the processor can multiply.

    Measured with tf_efficientnet_lite0 at 128x96 px on one core with AVX-512 BF16: 109 images/s
    in bf16, 77 in fp32. Without such instructions bf16 is emulated and slower.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"


def train_order(
    sampler: str, train: Examples, heads: Sequence[Head], num_shown: int, seed: int
) -> np.ndarray:
    """Return the order in which images are shown, int64 [num_shown].

    Args:
        sampler: `none` or one of SAMPLERS; the first two go by the first head's classes,
            multilabel_sampler by those of all heads.
        train: images to learn from.
        heads: of the task.
        num_shown: length of the order.
        seed: of the random numbers.

    Raises:
        DataError: the sampler wants classes, but the head is numeric.
    """
    if sampler not in (NO_SAMPLER, *SAMPLERS):
        raise DataError(f"sampler {sampler!r}: expected one of {(NO_SAMPLER, *SAMPLERS)}")
    with_classes = [head for head in heads if head.classes]
    if sampler != NO_SAMPLER and (not with_classes or not heads[0].classes):
        raise DataError(f"{sampler}: the first head, {heads[0].name}, has no classes")
    first = heads[0]
    if sampler == "balanced_sampler":
        target, rng = train.targets[first.name], np.random.default_rng(seed)
        return balanced_order(target, len(first.classes), num_shown, rng)
    weights = None
    if sampler == "weighted_sampler":
        weights = sampling_weights(train.targets[first.name], len(first.classes))
    elif sampler == "multilabel_sampler":
        targets = [(train.targets[head.name], len(head.classes)) for head in with_classes]
        weights = multilabel_weights(targets)
    return draw_order(len(train.pool), num_shown, seed, weights)


def arm_losses(arm: Arm, losses: Mapping[str, Loss]) -> dict[str, Loss]:
    """Return each head's loss in an arm."""
    return {name: arm.adjust(loss) for name, loss in losses.items()}


def layer_for(
    heads: Sequence[Head], losses: Mapping[str, Loss], layer: LayerOptions
) -> LayerOptions:
    """Return the options of the heads' layer with cosines where a loss wants them."""
    cosine = {
        head.name: losses[head.name].ldam_scale
        for head in heads
        if head.classes and losses[head.name].kind == "ldam"
    }
    return replace(layer, cosine=cosine)


def make_loss(
    train: Examples, heads: Sequence[Head], losses: Mapping[str, Loss], device: torch.device
) -> TaskLoss:
    """Return the loss of a task; classes are weighed as they are frequent in train."""
    counts = {
        head.name: class_counts(head, train.targets[head.name]) for head in heads if head.classes
    }
    return TaskLoss(heads, losses, counts, device)


def make_optimizer(classifier: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW that leaves biases and normalisation without decay."""
    parameters = [one for one in classifier.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1]},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def make_schedule(
    classifier: nn.Module, recipe: Recipe, num_steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.OneCycleLR]:
    """Return the optimizer and its one-cycle schedule over `num_steps`."""
    optimizer = make_optimizer(classifier, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=num_steps, pct_start=WARM_UP
    )
    return optimizer, schedule


def epoch_ends(num_batches: int, epochs: float) -> list[int]:
    """Return after how many batches each epoch ends; the last one may be a part of one."""
    ends = [round(k * num_batches / epochs) for k in range(1, math.ceil(epochs))]
    return sorted({end for end in ends if 0 < end < num_batches} | {num_batches})


@dataclass(frozen=True)
class Batch:
    """Images to take a step by.

    Attributes:
        images: augmented, float32 [N, 3, H, W].
        targets: float32 [N, D] as of `encode_targets`.
        trust: how much each image's labels are trusted, float32 [N].
    """

    images: Tensor
    targets: Tensor
    trust: Tensor


def draw_batch(
    train: Examples,
    encoded: np.ndarray,
    numbers: np.ndarray,
    recipe: Recipe,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Return the images of these numbers, augmented; `encoded` holds the targets of all."""
    images = to_bytes(train.pool.take(numbers), device)
    images = augment_images(images, recipe.augment, recipe.view, rng)
    targets = torch.from_numpy(encoded[numbers]).to(device)
    trust = torch.from_numpy(train.weights[numbers]).to(device)
    return Batch(*mix_batch(images, targets, trust, recipe.augment, rng))


def take_step(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    recipe: Recipe,
    task_loss: TaskLoss,
    done: float,
) -> Tensor:
    """Change the weights by one batch; return its loss, detached. `done`: share of the training."""
    use_bf16 = recipe.precision == "bf16"
    with torch.autocast(batch.images.device.type, dtype=torch.bfloat16, enabled=use_bf16):
        outputs = classifier(batch.images)
    samples = len(outputs) // len(batch.images)  # of dropout
    targets, trust = batch.targets.repeat(samples, 1), batch.trust.repeat(samples)
    loss = task_loss(outputs, targets, trust, done)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def take_steps(
    classifier: Classifier,
    train: Examples,
    batches: Sequence[np.ndarray],
    recipe: Recipe,
    task_loss: TaskLoss,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
) -> Iterator[Tensor]:
    """Take a step for each batch and yield its loss."""
    rng = np.random.default_rng([recipe.seed, AUGMENT])
    encoded = encode_targets(classifier.heads, train.targets)
    for step, numbers in enumerate(batches):
        classifier.train()
        batch = draw_batch(train, encoded, numbers, recipe, rng, device)
        yield take_step(classifier, optimizer, batch, recipe, task_loss, step / len(batches))
        schedule.step()


def validate(classifier: Classifier, val: Examples, device: torch.device) -> dict[str, Any]:
    """Return metrics by head on the validation split."""
    outputs = predict(classifier, val.pool, VAL_BATCH, device, "val")
    return {
        head.name: head_metrics(head, val.targets[head.name], outputs[head.name])
        for head in classifier.heads
    }


def score(metrics: Mapping[str, Any]) -> float:
    """Return what epochs are compared by: the mean over heads of macro F1, or of R2 if numeric.

    A head without a label in the validation split is left out.
    """
    values = [one.get("macro_f1", one.get("r2")) for one in metrics.values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0


def train_classifier(
    classifier: Classifier,
    train: Examples,
    val: Examples,
    losses: Mapping[str, Loss],
    num_real: int,
    recipe: Recipe,
    device: torch.device,
) -> pd.DataFrame:
    """Train a classifier in place and leave it with the weights of its best epoch on val.

    Args:
        classifier: on `device`.
        train: images to learn from, the real ones first.
        val: images to choose the epoch by.
        losses: by head, as of `arm_losses`.
        num_real: real images of train; every arm is shown epochs * num_real images.
        recipe: the same for every arm.
        device: to compute on.

    Returns:
        One row an epoch: epoch, images (shown so far), lr, loss, measures of each head on val
        (`head.measure`), score, best (bool, one row).

    Raises:
        DataError: the loss is no longer finite.
    """
    heads = classifier.heads
    num_images = round(recipe.epochs * num_real)
    order = train_order(recipe.sampler, train, heads, num_images, recipe.seed)
    batches = split_batches(order, recipe.batch)
    task_loss = make_loss(train, heads, losses, device)
    optimizer, schedule = make_schedule(classifier, recipe, len(batches))
    steps = take_steps(classifier, train, batches, recipe, task_loss, optimizer, schedule, device)

    history, best, num_shown, start = [], None, 0, 0
    for end in epoch_ends(len(batches), recipe.epochs):
        begun = time.monotonic()
        shown = [len(batch) for batch in batches[start:end]]
        epoch = f"epoch {len(history) + 1}/{math.ceil(recipe.epochs)}"
        lr = optimizer.param_groups[0]["lr"]
        loss = mean_loss(steps, shown, epoch)
        num_shown, start = num_shown + sum(shown), end
        seconds = time.monotonic() - begun
        if not math.isfinite(loss):
            raise DataError(f"{epoch}: the loss is {loss} after {num_shown} images; lower lr")
        metrics = validate(classifier, val, device)
        row = {"epoch": num_shown / num_real, "images": num_shown, "lr": lr, "loss": loss}
        history.append({**row, **_flatten(metrics), "score": score(metrics)})
        if best is None or history[-1]["score"] > best[0]:
            best = (history[-1]["score"], len(history), copy.deepcopy(classifier.state_dict()))
        log.info(
            "%s: %s images, loss %.3f, %s, %.1f images/s",
            epoch, num_shown, loss, _summary(metrics), sum(shown) / seconds,
        )  # fmt: skip
    classifier.load_state_dict(best[2])
    table = pd.DataFrame(history)
    table["best"] = np.arange(1, len(table) + 1) == best[1]
    log.info("best on val: epoch %d of %d, score %.4f", best[1], len(table), best[0])
    return table


def mean_loss(steps: Iterator[Tensor], shown: Sequence[int], description: str) -> float:
    """Take one step for each entry of `shown` (images) and return the mean loss an image."""
    total = 0.0
    with progress.bar() as bar:
        task = bar.add_task(description, total=sum(shown))
        for num_images in shown:
            loss = next(steps)
            total = total + loss * num_images  # stays on the device: no waiting for it
            bar.advance(task, num_images)
    return float(total) / sum(shown)


def _flatten(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return `head.measure` -> value, without counts and single classes."""
    return {
        f"{name}.{measure}": value
        for name, measures in metrics.items()
        for measure, value in measures.items()
        if measure not in ("per_class", "support")
    }


def _summary(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    shown: Callable[[Any], str] = lambda value: "-" if value is None else f"{value:.3f}"  # noqa: E731
    return ", ".join(
        f"{name} accuracy {shown(one['accuracy'])} F1 {shown(one['macro_f1'])}"
        if "accuracy" in one
        else f"{name} MAE {shown(one['mae'])}"
        for name, one in metrics.items()
    )
