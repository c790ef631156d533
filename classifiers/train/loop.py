"""Training of one classifier: one arm, one seed."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from classifiers.arms import Arm
from classifiers.evaluate.metrics import head_metrics
from classifiers.images.augment import View, augment_images, mix_batch
from classifiers.images.data import ImagePool, to_bytes
from classifiers.images.order import draw_order, split_batches
from classifiers.images.synthetic import SyntheticImages
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head, class_counts, head_targets, split_outputs
from classifiers.options import AugmentOptions, HeadOptions, LossOptions, TrainOptions
from classifiers.predict.inference import raw_outputs
from classifiers.samplers import NO_SAMPLER, SAMPLERS
from classifiers.train.optim import LearningRate, average, make_optimizer
from classifiers.train.task_loss import TaskLoss, encode_targets
from facekit import progress
from facekit.compute.distributed import ALONE, Group
from facekit.compute.workers import threaded_map
from facekit.errors import DataError

log = logging.getLogger(__name__)

AUGMENT = 1  # the part of a seed that augmentation draws from
NUM_READERS = 2  # threads that read images ahead
VAL_BATCH = 256  # images at a time where no gradient is kept


class Keeper(Protocol):
    """Keeps the state of a training, so that it can go on; see `classifiers.train.state`."""

    @property
    def is_due(self) -> bool:
        """Whether the last state is long ago."""

    def restore(self, run: "Training") -> None:
        """Set a new training to the state that was kept, if there is one."""

    def save(self, run: "Training") -> None:
        """Keep the state between two steps."""


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
    in bf16, 77 in fp32 (without the compiled operators). Without such instructions bf16 is emulated
    and slower.
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
        sampler: NO_SAMPLER or one of SAMPLERS.
        train: images to learn from.
        heads: of the task.
        num_shown: length of the order.
        seed: of the random numbers.

    Raises:
        DataError: the sampler wants classes, but the first head is numeric.
    """
    if sampler == NO_SAMPLER:
        return draw_order(len(train.pool), num_shown, seed)
    if not heads[0].classes:
        raise DataError(f"{sampler}: the first head, {heads[0].name}, has no classes")
    targets = [(train.targets[head.name], len(head.classes)) for head in heads if head.classes]
    return SAMPLERS[sampler](targets, num_shown, seed)


def losses_of(
    options: TrainOptions, heads: Sequence[HeadOptions], arm: Arm
) -> dict[str, LossOptions]:
    """Return each head's loss in an arm: the task's with the head's own keys laid over it."""
    return {head.name: arm.loss(options.loss.with_own(head.loss)) for head in heads}


def cosine_heads(heads: Sequence[Head], losses: Mapping[str, LossOptions]) -> dict[str, float]:
    """Return the length of the logits of the heads whose loss wants cosines."""
    lengths = {head.name: losses[head.name].chosen.cosine for head in heads if head.classes}
    return {name: length for name, length in lengths.items() if length}


def make_loss(
    train: Examples,
    heads: Sequence[Head],
    losses: Mapping[str, LossOptions],
    smoothing: float,
    device: torch.device,
) -> TaskLoss:
    """Return the loss of a task; classes are weighed as they are frequent in train."""
    counts = {
        head.name: class_counts(head, train.targets[head.name]) for head in heads if head.classes
    }
    return TaskLoss(heads, losses, counts, smoothing, device)


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


def make_batch(
    images: np.ndarray,
    targets: np.ndarray,
    trust: np.ndarray,
    augment: AugmentOptions,
    view: View,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Return a batch with its images augmented; the first arguments are of its images alone."""
    pixels = augment_images(to_bytes(images, device), augment, view, rng)
    labels, trusts = (torch.from_numpy(one).to(device) for one in (targets, trust))
    return Batch(*mix_batch(pixels, labels, trusts, augment, rng))


class Training:
    """A training between two steps.

    Whatever is drawn by chance follows from the seed, the process and the step, so that a training
    that goes on from a saved state needs no state of random numbers.

    Attributes:
        classifier: that learns.
        averaged: its averaged weights; None without.
        optimizer: of its weights.
        rate: learning rates.
        step: steps taken.
        history: one row an epoch.
        best: score, number (from 1) and weights of the best epoch so far; None before the first.
        loss_sum, num_summed: of the epoch so far; their sums over processes are of all images.
    """

    def __init__(
        self,
        classifier: Classifier,
        train: Examples,
        losses: Mapping[str, LossOptions],
        num_real: int,
        options: TrainOptions,
        seed: int,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        """Prepare the first step; arguments as of `train_classifier`."""
        self.classifier, self.train, self.options, self.seed = classifier, train, options, seed
        self.device, self.group, self.num_real = device, group, num_real
        self.precision = resolve_precision(options.precision, device)
        num_shown = round(options.epochs * num_real)
        if not num_shown:
            raise DataError(f"epochs: {options.epochs:g} of {num_real} images shows none")
        order = train_order(options.sampler, train, classifier.heads, num_shown, seed)
        self.batches = split_batches(order, options.batch)
        self.ends = epoch_ends(len(self.batches), options.epochs)
        if min(map(len, self.batches)) < group.size:
            raise DataError(f"batch {options.batch}: fewer images than {group.size} processes")
        self.encoded = encode_targets(classifier.heads, train.targets)
        self.task_loss = make_loss(train, classifier.heads, losses, options.label_smoothing, device)
        self.optimizer = make_optimizer(classifier, options)
        self.rate = LearningRate(options.schedule, len(self.batches), options.epochs)
        self.num_frozen = round(options.freeze * len(self.batches) / options.epochs)
        self.averaged = copy.deepcopy(classifier) if options.ema else None
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.num_summed = 0.0
        self._images: Iterator[np.ndarray] | None = None

    @property
    def result(self) -> Classifier:
        """The classifier that is validated and kept."""
        return self.averaged or self.classifier

    @property
    def is_done(self) -> bool:
        """Whether all steps were taken, or no better epoch came for long enough."""
        waited = self.best is not None and len(self.history) - self.best[1]
        patience = self.options.select.patience
        is_late = patience and waited >= patience
        return self.step == len(self.batches) or bool(is_late)

    def _own(self, numbers: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch."""
        return numbers[self.group.rank :: self.group.size]

    def draw_batch(self) -> Batch:
        """Return the next batch: this process's part of it."""
        if self._images is None:  # read ahead, from here on
            rest = (self._own(numbers) for numbers in self.batches[self.step :])
            self._images = threaded_map(self.train.pool.take, rest, NUM_READERS)
        own = self._own(self.batches[self.step])
        rng = np.random.default_rng([self.seed, AUGMENT, self.group.rank, self.step])
        torch.manual_seed(int(rng.integers(2**63)))  # of dropout
        return make_batch(
            next(self._images), self.encoded[own], self.train.weights[own],
            self.options.augment, self.classifier.view, rng, self.device,
        )  # fmt: skip

    def take_step(self) -> None:
        """Change the weights by one batch."""
        self._set_mode()
        batch, options = self.draw_batch(), self.options
        use_bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=use_bf16):
            outputs = self.classifier(batch.images)
        samples = len(outputs) // len(batch.images)  # of dropout
        targets, trust = batch.targets.repeat(samples, 1), batch.trust.repeat(samples)
        done = self.step / len(self.batches)
        loss = self.task_loss(outputs, targets, trust, done, self._counts(targets))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(self.classifier)
        if options.optimizer.clip:
            nn.utils.clip_grad_norm_(self.classifier.parameters(), options.optimizer.clip)
        self.rate.apply(self.optimizer, options.lr, self.step)
        self.optimizer.step()
        if self.averaged is not None:
            average(self.averaged, self.classifier, options.ema, self.step)
        # Stays on the device: no waiting for it.
        share = len(self.batches[self.step]) / self.group.size
        self.loss_sum += loss.detach() * share
        self.num_summed += share
        self.step += 1

    def _set_mode(self) -> None:
        """Have the classifier train, or its heads alone."""
        is_frozen = self.step < self.num_frozen
        self.classifier.train()
        self.classifier.backbone.requires_grad_(not is_frozen)
        if is_frozen:
            self.classifier.backbone.eval()  # statistics stay, too

    def _counts(self, targets: Tensor) -> Tensor | None:
        """Return the labels of all processes over the number of processes, [D]; None alone.

        Each process divides its sum of losses by them, and the mean over processes is the loss of
        the whole batch.
        """
        if self.group.size == 1:
            return None
        known = (~targets.isnan()).sum(dim=0).float()
        return torch.stack(self.group.gather(known)).sum(dim=0) / self.group.size

    def end_epoch(self, val: "Examples") -> dict[str, Any]:
        """Validate, note the epoch in the history, and keep the weights if they are the best.

        Returns:
            Measures by head.

        Raises:
            DataError: the loss is no longer finite.
        """
        number = len(self.history) + 1
        total, num_summed = self.group.sum([float(self.loss_sum), self.num_summed])
        self.loss_sum.zero_()
        self.num_summed = 0.0
        loss = total / num_summed
        num_shown = sum(map(len, self.batches[: self.step]))
        if not math.isfinite(loss):
            raise DataError(
                f"epoch {number}: the loss is {loss} after {num_shown} images; lower lr"
            )
        share_statistics(self.result, self.group)
        metrics = validate(self.result, val, self.device, self.group)
        row = {
            "epoch": num_shown / self.num_real,
            "images": num_shown,
            "lr": self.options.lr * self.rate.share(self.step - 1),
            "loss": loss,
            **_flatten(metrics),
            "score": score(metrics, self.options.select.measure),
        }
        self.history.append(row)
        self.rate.end_epoch(row["score"])
        if self.best is None or row["score"] > self.best[0]:
            weights = {name: one.clone() for name, one in self.result.state_dict().items()}
            self.best = (row["score"], number, weights)
        return metrics


def share_statistics(classifier: nn.Module, group: Group) -> None:
    """Replace the statistics of batch norm by their mean over processes, in place."""
    if group.size == 1:
        return
    for buffer in classifier.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.stack(group.gather(buffer)).mean(dim=0))


def validate(
    classifier: Classifier, val: Examples, device: torch.device, group: Group = ALONE
) -> dict[str, Any]:
    """Return metrics by head on the validation split; each process looks at a part of it.

    Raises:
        DataError: the outputs are no longer finite.
    """
    outputs = raw_outputs(classifier, part_of(val.pool, group), VAL_BATCH, device, "val")
    gathered = gather_rows(outputs, len(val.pool), group, device)
    if not np.isfinite(gathered).all():
        raise DataError("val: the outputs are no longer finite; lower lr or weight_decay")
    found = split_outputs(classifier.heads, gathered)
    return {
        head.name: head_metrics(head, val.targets[head.name], found[head.name])
        for head in classifier.heads
    }


def part_of(pool: ImagePool, group: Group) -> ImagePool:
    """Return every size-th image of a pool, from the process's own number on."""
    if group.size == 1:
        return pool
    parts, start = [], 0
    for images, rows in pool.parts:
        first = (group.rank - start) % group.size
        parts.append((images, rows[first :: group.size]))
        start += len(rows)
    return ImagePool(parts)


def gather_rows(
    outputs: np.ndarray, num_rows: int, group: Group, device: torch.device
) -> np.ndarray:
    """Return the outputs [num_rows, D] of all processes, each of which has a `part_of` them."""
    if group.size == 1:
        return outputs
    longest = -(-num_rows // group.size)
    padded = np.pad(outputs, [(0, longest - len(outputs)), (0, 0)])
    parts = group.gather(torch.from_numpy(padded).to(device))
    whole = torch.stack(parts, dim=1).flatten(0, 1)  # [longest * size, D], in turn
    return whole[:num_rows].cpu().numpy()


def score(metrics: Mapping[str, Any], measure: str = "macro_f1") -> float:
    """Return what epochs are compared by: the mean over heads of a measure, or of R2 if numeric.

    A head without a label in the validation split is left out.
    """
    values = [one.get(measure, one.get("r2")) for one in metrics.values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0


def train_classifier(
    classifier: Classifier,
    train: Examples,
    val: Examples,
    losses: Mapping[str, LossOptions],
    num_real: int,
    options: TrainOptions,
    seed: int,
    device: torch.device,
    group: Group = ALONE,
    keeper: Keeper | None = None,
) -> pd.DataFrame:
    """Train a classifier in place and leave it with the weights of its best epoch on val.

    Args:
        classifier: on `device`.
        train: images to learn from, the real ones first.
        val: images to choose the epoch by.
        losses: by head, as of `losses_of`.
        num_real: real images of train; every arm is shown epochs * num_real images.
        options: how; their sampler is the arm's.
        seed: of order, augmentation and dropout.
        device: to compute on.
        group: the processes that share the batches.
        keeper: of the state, which a stopped training goes on from; None keeps none.

    Returns:
        One row an epoch: epoch, images (shown so far), lr, loss, measures of each head on val
        (`head.measure`), score, best (bool, one row).

    Raises:
        DataError: the loss is no longer finite, or the state kept is another training's.
    """
    run = Training(classifier, train, losses, num_real, options, seed, device, group)
    if keeper is not None:
        keeper.restore(run)
    while not run.is_done:
        number = len(run.history) + 1
        end = run.ends[number - 1]
        begun, first = time.monotonic(), run.step
        show_steps(run, end, f"epoch {number}/{len(run.ends)}", keeper)
        seconds = time.monotonic() - begun
        metrics = run.end_epoch(val)
        log.info(
            "epoch %d/%d: %d images, loss %.3f, %s, %.1f images/s",
            number, len(run.ends), run.history[-1]["images"], run.history[-1]["loss"],
            _summary(metrics), sum(map(len, run.batches[first:end])) / seconds,
        )  # fmt: skip
        if keeper is not None:
            keeper.save(run)
    if run.step < len(run.batches):
        log.info("no better epoch for %d: the training ends early", options.select.patience)
    assert run.best is not None, "no epoch"
    best_score, best, weights = run.best
    classifier.load_state_dict(weights)
    table = pd.DataFrame(run.history)
    table["best"] = np.arange(1, len(table) + 1) == best
    log.info("best on val: epoch %d of %d, score %.4f", best, len(table), best_score)
    return table


def show_steps(run: Training, end: int, description: str, keeper: Keeper | None = None) -> None:
    """Take the steps up to `end` behind a progress bar of images."""
    with progress.bar() as bar:
        sizes = [len(batch) for batch in run.batches[run.step : end]]
        task = bar.add_task(description, total=sum(sizes))
        for size in sizes:
            run.take_step()
            bar.advance(task, size)
            if keeper is not None and keeper.is_due and run.step < end:
                keeper.save(run)


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
