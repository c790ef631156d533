"""Training of one classifier: one arm, one seed."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from classifiers.arms import PLAIN_ARM, Arm, Part
from classifiers.evaluate.metrics import head_metrics
from classifiers.images.augment import View, augment_images, mix_batch, mix_with_partners
from classifiers.images.data import ImagePool, to_bytes
from classifiers.images.examples import Examples
from classifiers.images.order import split_batches
from classifiers.models.backbones import Classifier
from classifiers.models.heads import Head, class_counts, split_outputs
from classifiers.options import AugmentOptions, HeadOptions, LossOptions, TrainOptions
from classifiers.predict.inference import raw_outputs
from classifiers.train.adjust import Trained, adjust
from classifiers.train.exposure import partner_order, train_order
from classifiers.train.optim import LearningRate, average, make_optimizer
from classifiers.train.task_loss import TaskLoss, encode_targets
from facekit import progress
from facekit.compute.distributed import ALONE, Group
from facekit.compute.workers import threaded_map
from facekit.errors import DataError
from facekit.trackers import Tracked, untracked

log = logging.getLogger(__name__)

# Parts of a seed.
AUGMENT, RELEARNED, LAYER = 1, 4, 6
# Factor of the learning rate of a last layer that begins anew: it has few steps. Of 1, 5 and 20
# on drawn images (421, 226 and 53 of a class, 33 steps) 5 has the best balanced accuracy.
LAYER_RATE = 5.0
NUM_READERS = 2  # threads that read images ahead
VAL_BATCH = 256  # images at a time where no gradient is kept

# Opens the trackers of a training, from the images shown before it was stopped; None: it begins.
Track = Callable[[int | None], AbstractContextManager[Tracked]]


class Keeper(Protocol):
    """Keeps the state of a training, so that it can go on; see `classifiers.train.state`."""

    @property
    def is_due(self) -> bool:
        """Whether the last state is long ago."""

    def restore(self, run: "Training") -> None:
        """Set a new training to the state that was kept, if there is one."""

    def save(self, run: "Training") -> None:
        """Keep the state between two steps."""


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return `fp32` or `bf16`: for `auto` the faster one.

    On CPUs that is float32, also where they multiply bf16: the compiled operators are for float32.
    Measured on one core with AVX-512 BF16, images/s in bf16 and fp32: tf_efficientnet_lite0 124 and
    148 (64x48 px, batch 16), 98 and 161 (81x63, batch 64), 53 and 77 (128x96, batch 64); resnet18
    98 and 100 (64x48, batch 64).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp32"


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
    mixer: Part | None = None,
) -> Batch:
    """Return a batch with its images augmented; the first arguments are of its images alone.

    With a `mixer` the second half of them are partners that the first half may be mixed with.
    """
    pixels = augment_images(to_bytes(images, device), augment, view, rng)
    labels, trusts = (torch.from_numpy(one).to(device) for one in (targets, trust))
    if mixer is not None:
        pixels, labels, trusts = mix_with_partners(mixer, pixels, labels, trusts, rng)
    return Batch(*mix_batch(pixels, labels, trusts, augment, rng))


@dataclass(frozen=True)
class Stage:
    """Steps of a training that have a course of the learning rate of their own.

    Attributes:
        first: number of its first step.
        batches: numbers of the images of each step.
        loss: of the task.
        rate: learning rates, as shares of the largest.
        lr: the largest.
    """

    first: int
    batches: list[np.ndarray]
    loss: TaskLoss
    rate: LearningRate
    lr: float


class Training:
    """A training between two steps.

    Whatever is drawn by chance follows from the seed, the process and the step, so that a training
    that goes on from a saved state needs no state of random numbers.

    Attributes:
        classifier: that learns.
        averaged: its averaged weights; None without.
        optimizer: of its weights.
        stages: one, or two where the last layer is learned anew in the second.
        batches: of all stages.
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
        arm: Arm = PLAIN_ARM,
    ) -> None:
        """Prepare the first step; arguments as of `train_classifier`."""
        self.classifier, self.train, self.options, self.seed = classifier, train, options, seed
        self.device, self.group, self.num_real, self.arm = device, group, num_real, arm
        self.precision = resolve_precision(options.precision, device)
        if arm.relearned and options.select.patience:
            raise DataError(f"select.patience: arm {arm.name} learns its last layer at the end")
        self.stages: list[Stage] = []
        self.ends: list[int] = []
        bounds = [0.0, 1 - arm.relearned, 1.0] if arm.relearned else [0.0, 1.0]
        for begin, end in pairwise(bounds):
            self._add_stage(begin, end, losses)
        self.batches = [batch for stage in self.stages for batch in stage.batches]
        if min(map(len, self.batches)) < group.size:
            raise DataError(f"batch {options.batch}: fewer images than {group.size} processes")
        self.partners = self._draw_partners() if arm.mixer is not None else []
        self.encoded = encode_targets(classifier.heads, train.targets)
        self.optimizer = make_optimizer(classifier, options)
        num_steps = len(self.stages[0].batches)
        self.num_frozen = round(options.freeze * num_steps / (options.epochs * bounds[1]))
        self.averaged = copy.deepcopy(classifier) if options.ema else None
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.num_summed = 0.0
        self._images: Iterator[np.ndarray] | None = None

    def _add_stage(self, begin: float, end: float, losses: Mapping[str, LossOptions]) -> None:
        """Plan the next stage: the part of the training between two shares of it."""
        options, arm, number = self.options, self.arm, len(self.stages)
        train, heads = self.train, self.classifier.heads
        total = round(options.epochs * self.num_real)
        num_shown, epochs = (
            round(end * total) - round(begin * total),
            options.epochs * (end - begin),
        )
        if not num_shown:
            raise DataError(f"epochs: {epochs:g} of {self.num_real} images shows none")
        seed = self.seed
        if number:
            seed = int(np.random.default_rng([seed, RELEARNED]).integers(2**32))
        order = train_order(
            arm.samplers(options.sampler)[number], train, heads, num_shown, seed, options.exposure,
            1.0 if number else arm.added_until,
        )  # fmt: skip
        batches = split_batches(order, options.batch)
        own = {name: arm.losses(loss)[number] for name, loss in losses.items()}
        loss = make_loss(train, heads, own, options.label_smoothing, self.device)
        rate = LearningRate(options.schedule, len(batches), epochs)
        first = sum(len(stage.batches) for stage in self.stages)
        lr = options.lr * (LAYER_RATE if number else 1)
        self.stages.append(Stage(first, batches, loss, rate, lr))
        self.ends += [first + step for step in epoch_ends(len(batches), epochs)]

    def _draw_partners(self) -> list[np.ndarray]:
        """Return as many partners as each batch of the first stage has images."""
        sizes = [len(batch) for batch in self.stages[0].batches]
        order = partner_order(self.train, self.classifier.heads, sum(sizes), self.seed)
        return np.split(order, np.cumsum(sizes)[:-1])

    def stage_of(self, step: int) -> Stage:
        """Return the stage that a step belongs to."""
        return next(stage for stage in reversed(self.stages) if stage.first <= step)

    @property
    def rate(self) -> LearningRate:
        """Learning rates of the stage that the last step belonged to."""
        return self.stage_of(max(self.step - 1, 0)).rate

    @property
    def budget(self) -> dict[str, int]:
        """Images to show in all epochs: `real_shown` and, of any kind, `images_shown`."""
        order = np.concatenate(self.batches)
        real_shown = np.count_nonzero(order < self.train.num_real)
        return {"real_shown": int(real_shown), "images_shown": len(order)}

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
            rest = (self._numbers(step) for step in range(self.step, len(self.batches)))
            self._images = threaded_map(self.train.pool.take, rest, NUM_READERS)
        own = self._numbers(self.step)
        mixer = self.arm.mixer if self.step < len(self.partners) else None
        rng = np.random.default_rng([self.seed, AUGMENT, self.group.rank, self.step])
        torch.manual_seed(int(rng.integers(2**63)))  # of dropout
        return make_batch(
            next(self._images), self.encoded[own], self.train.weights[own],
            self.options.augment, self.classifier.view, rng, self.device, mixer,
        )  # fmt: skip

    def _numbers(self, step: int) -> np.ndarray:
        """Return the numbers of this process's images of a step, followed by their partners'."""
        own = self._own(self.batches[step])
        if step >= len(self.partners):
            return own
        return np.concatenate([own, self._own(self.partners[step])])

    def take_step(self) -> None:
        """Change the weights by one batch."""
        stage = self.stage_of(self.step)
        if self.step == stage.first > 0:
            self._begin_anew()
        self._set_mode()
        batch, options = self.draw_batch(), self.options
        use_bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=use_bf16):
            outputs = self.classifier(batch.images)
        samples = len(outputs) // len(batch.images)  # of dropout
        targets, trust = batch.targets.repeat(samples, 1), batch.trust.repeat(samples)
        step = self.step - stage.first
        done = step / len(stage.batches)
        loss = stage.loss(outputs, targets, trust, done, self._counts(targets))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(self.classifier)
        if options.optimizer.clip:
            nn.utils.clip_grad_norm_(self.classifier.parameters(), options.optimizer.clip)
        stage.rate.apply(self.optimizer, stage.lr, step)
        self.optimizer.step()
        if self.averaged is not None:
            average(self.averaged, self.classifier, options.ema, step)
        # Stays on the device: no waiting for it.
        share = len(self.batches[self.step]) / self.group.size
        self.loss_sum += loss.detach() * share
        self.num_summed += share
        self.step += 1

    def _begin_anew(self) -> None:
        """Take the best epoch of the first stage, and forget what the last layer has learned."""
        assert self.best is not None, "an epoch ends with a stage"
        self.classifier.load_state_dict(self.best[2])
        torch.manual_seed(int(np.random.default_rng([self.seed, LAYER]).integers(2**63)))
        self.classifier.layer.forget()
        self.averaged = copy.deepcopy(self.classifier) if self.options.ema else None
        self.optimizer = make_optimizer(self.classifier, self.options)
        self.best = None

    def _set_mode(self) -> None:
        """Have the classifier train, or its heads or last layer alone."""
        is_frozen = self.step < self.num_frozen
        self.classifier.train()
        self.classifier.requires_grad_(True)
        if self.stage_of(self.step).first > 0:
            self.classifier.requires_grad_(False).eval()
            last = self.classifier.layer
            last.dropout.train()
            last.linear.requires_grad_(True)
        elif is_frozen:
            self.classifier.backbone.requires_grad_(False)
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
        number, stage = len(self.history) + 1, self.stage_of(self.step - 1)
        total, num_summed = self.group.sum([float(self.loss_sum), self.num_summed])
        self.loss_sum.zero_()
        self.num_summed = 0.0
        loss = total / num_summed
        shown = np.concatenate(self.batches[: self.step])
        num_shown, num_real_shown = len(shown), np.count_nonzero(shown < self.train.num_real)
        if not math.isfinite(loss):
            raise DataError(
                f"epoch {number}: the loss is {loss} after {num_shown} images; lower lr"
            )
        share_statistics(self.result, self.group)
        metrics = validate(self.result, val, self.device, self.group)
        row = {
            "epoch": num_real_shown / self.num_real,
            "images": num_shown,
            "lr": stage.lr * self.rate.share(self.step - 1 - stage.first),
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
    arm: Arm = PLAIN_ARM,
    track: Track = untracked,
) -> pd.DataFrame:
    """Train a classifier in place and leave it with the weights of its best epoch on val.

    Args:
        classifier: on `device`.
        train: images to learn from, the real ones first.
        val: images to choose the epoch by.
        losses: by head, as of `losses_of`.
        num_real: real images of train, which epochs count, whether all are learned from or not.
        options: how; their sampler is the arm's.
        seed: of order, augmentation and dropout.
        device: to compute on.
        group: the processes that share the batches.
        keeper: of the state, which a stopped training goes on from; None keeps none.
        arm: what else is done to images, last layer and outputs; losses and sampler are its own
            already.
        track: where the figures of epochs go, too.

    Returns:
        One row an epoch: epoch, images (shown so far), lr, loss, measures of each head on val
        (`head.measure`), score, best (bool, one row); its `attrs` are `Training.budget` and
        what the arm has chosen on val (`adjusted`: part of the arm, head, value).

    Raises:
        DataError: the loss is no longer finite, or the state kept is another training's.
    """
    run = Training(classifier, train, losses, num_real, options, seed, device, group, arm)
    if keeper is not None:
        keeper.restore(run)
    shown = run.history[-1]["images"] if run.history else 0
    with track(shown if run.step else None) as tracked:
        while not run.is_done:
            train_epoch(run, val, keeper)
            tracked.log(run.history[-1], run.history[-1]["images"])
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
    trained = Trained(classifier, train.targets, val, options.select.measure, device)
    table.attrs = {**run.budget, "adjusted": adjust(arm, trained)}
    return table


def train_epoch(run: Training, val: Examples, keeper: Keeper | None) -> None:
    """Take the steps of an epoch, and validate."""
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
